package live

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A world is an Index beside what it should hold, kept the simplest way.
type world struct {
	*rapid.T

	index *Index
	now   time.Time
	held  map[string]rollcall.Session
	gone  map[string]bool // handed out as expired
	made  int
}

// Whatever is done, the Index answers as a map of sessions does; and when all are
// gone, nothing is left of them.
func TestIndexAgreesWithMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shards := rapid.SampledFrom([]int{1, 2, indexShards}).Draw(t, "shards")
		w := &world{
			T: t, index: newIndex(shards), now: time.UnixMicro(1_770_000_000_000_000).UTC(),
			held: make(map[string]rollcall.Session), gone: make(map[string]bool),
		}
		w.index.names.most = rapid.SampledFrom([]int{0, 12, manyTexts}).Draw(t, "texts")
		steps := []func(){w.add, w.add, w.add, w.remove, w.beat, w.expire, w.change, w.pass}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
			w.checkReaders()
			w.checkLists()
			w.checkArenas()
		}
		for id := range w.held {
			w.index.Remove(id)
		}
		w.checkEmpty()
	})
}

// text draws one of few texts, or a long one.
func (w *world) text(name string, some ...string) string {
	return rapid.SampledFrom(append(some, "https://lobby.example/"+fmt.Sprint(w.made, name)+strings.Repeat("x", 300))).Draw(w.T, name)
}

func (w *world) session() rollcall.Session {
	w.made++
	username := rapid.SampledFrom([]string{"", "m1", "m2", "Player0000000000000000003"}).Draw(w.T, "member")
	agent := rapid.SampledFrom([]string{"a1", "a2"}).Draw(w.T, "agent")
	started := rapid.SampledFrom([]time.Time{w.now, w.now.Add(-time.Hour), w.now.Add(-1), w.now.Add(time.Microsecond), {}}).Draw(w.T, "started")
	id := roll.NewSessionID(w.now, roll.HomeOf(agent, username))
	if rapid.IntRange(0, 4).Draw(w.T, "sort of ID") == 0 {
		id = fmt.Sprint("s", w.made)
	}
	lease := rapid.SampledFrom([]int{1, 90, 100_000}).Draw(w.T, "lease")
	return rollcall.Session{
		ID: id, AgentID: agent, Username: username, GameCode: w.text("game", "g1", "g2"), Mode: rapid.SampledFrom([]rollcall.Mode{"real", "demo"}).Draw(w.T, "mode"),
		GameServer: rapid.SampledFrom([]string{"s1", "s2"}).Draw(w.T, "server"), BootID: w.text("boot", "b1"), Lang: w.text("lang", "", "en"),
		Device: rollcall.DeviceType(rapid.IntRange(0, 2).Draw(w.T, "device")), Launch: rollcall.LaunchType(rapid.IntRange(0, 2).Draw(w.T, "launch")),
		IP:       rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:1.2.3.4")}).Draw(w.T, "IP"),
		Currency: rapid.SampledFrom([]string{"THB", "EUR"}).Draw(w.T, "currency"), BrandCurrency: "THB", Wallet: rollcall.Wallet(rapid.IntRange(0, 2).Draw(w.T, "wallet")),
		LobbyURL: w.text("lobby", "", "https://lobby.example/"), LeaseSeconds: lease,
		StartedAt: started, SeenAt: w.now, ExpiresAt: w.now.Add(time.Duration(lease) * time.Second),
		EndsAt: rapid.SampledFrom([]time.Time{w.now.Add(90 * time.Second), w.now.Add(11 * time.Hour), w.now.Add(time.Hour + 1), {}}).Draw(w.T, "ends"),
	}
}

// pick draws an ID that is held, or another.
func (w *world) pick() string {
	return rapid.SampledFrom(append(slices.Sorted(maps.Keys(w.held)), "s0", roll.NewSessionID(w.now, 0))).Draw(w.T, "session")
}

func (w *world) add() {
	s := w.session()
	if have, added := w.index.Add(s); !added || have != s {
		w.Fatalf("%s was not added; held is %+v", s.ID, have)
	}
	again := s
	again.Username, again.GameCode = "m9", "g9"
	if have, added := w.index.Add(again); added || have != s {
		w.Fatalf("%s was added again; held is %+v, want %+v", s.ID, have, s)
	}
	w.held[s.ID] = s
}

func (w *world) remove() {
	id := w.pick()
	want, there := w.held[id]
	if got, ok := w.index.Remove(id); ok != there || got != want {
		w.Fatalf("Remove(%s): %+v, %v; want %+v, %v", id, got, ok, want, there)
	}
	w.forget(id)
}

func (w *world) forget(id string) {
	delete(w.held, id)
	delete(w.gone, id)
}

func (w *world) active(s *rollcall.Session) bool { return s.ActiveAt(w.now) && !w.gone[s.ID] }

func (w *world) beat() {
	id, server := w.pick(), rapid.SampledFrom([]string{"s1", "s2"}).Draw(w.T, "server")
	s, there := w.held[id]
	want := there && s.GameServer == server && w.active(&s)
	if got := w.index.Renew(id, server, w.now); got != want {
		w.Fatalf("Renew(%s, %s): %v, want %v", id, server, got, want)
	}
	if want {
		lease := w.now.Add(s.Lease())
		if lease.After(s.EndsAt) {
			lease = s.EndsAt
		}
		if lease.After(s.ExpiresAt) {
			s.ExpiresAt = lease
		}
		s.SeenAt = w.now
		w.held[id] = s
	}
}

func (w *world) pass() {
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second, time.Minute, time.Hour}).Draw(w.T, "time"))
}

func (w *world) expire() {
	limit, due := rapid.IntRange(1, 4).Draw(w.T, "limit"), 0
	for _, s := range w.held {
		if !w.active(&s) {
			due++
		}
	}
	got := w.index.Expired(w.now, limit)
	if len(got) != min(limit, due) {
		w.Fatalf("%d have expired, want %d of %d", len(got), limit, due)
	}
	for _, s := range got {
		if w.active(&s) || s != w.held[s.ID] {
			w.Fatalf("expired: %+v, held is %+v", s, w.held[s.ID])
		}
		w.gone[s.ID] = true
	}
}

// change is a Step that ends some and begins one.
func (w *world) change() {
	step := Step{Sessions: []rollcall.Session{w.session()}}
	for range rapid.IntRange(0, 3).Draw(w.T, "ends") {
		id := w.pick()
		ended := rollcall.EndedSession{Session: rollcall.Session{ID: id}, Reason: rollcall.EndLeft}
		step.Changes = append(step.Changes, roll.Change{EndedSession: ended})
		w.forget(id)
	}
	w.index.change(&step)
	w.held[step.Sessions[0].ID] = step.Sessions[0]
}

// want returns the sessions that are picked, sorted.
func (w *world) want(picks func(s *rollcall.Session) bool, order func(a, b rollcall.Session) int) []rollcall.Session {
	list := []rollcall.Session{}
	for _, s := range w.held {
		if picks(&s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, order)
	return list
}

func byID(a, b rollcall.Session) int { return cmp.Compare(a.ID, b.ID) }

func byStart(a, b rollcall.Session) int {
	return cmp.Or(a.StartedAt.Compare(b.StartedAt), byID(a, b))
}

func (w *world) same(what string, got, want []rollcall.Session) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Fatalf("%s: got %d\n%+v\nwant %d\n%+v", what, len(got), got, len(want), want)
	}
}

func (w *world) checkReaders() {
	for id, want := range w.held {
		got, ok := w.index.Get(id, w.now)
		if ok != w.active(&want) || ok && got != want {
			w.Fatalf("Get(%s): %+v, %v; want %+v, %v", id, got, ok, want, w.active(&want))
		}
		if server, held := w.index.holder(id); !held || server != want.GameServer {
			w.Fatalf("holder(%s): %s, %v", id, server, held)
		}
	}
	for _, agent := range []string{"a1", "a2", "a3"} {
		var online []string
		for _, username := range []string{"", "m1", "m2", "Player0000000000000000003"} {
			all := w.want(func(s *rollcall.Session) bool {
				return username != "" && s.AgentID == agent && s.Username == username
			}, byStart)
			w.same("AllOfMember", w.index.AllOfMember(agent, username), all)
			active := slices.DeleteFunc(all, func(s rollcall.Session) bool { return !w.active(&s) })
			w.same("OfMember", w.index.OfMember(agent, username, w.now), active)
			if len(active) > 0 {
				online = append(online, username)
			}
		}
		got := w.index.Online(agent, w.now)
		slices.Sort(got)
		slices.Sort(online)
		if !slices.Equal(got, online) {
			w.Fatalf("online of %s: %q, want %q", agent, got, online)
		}
	}
}

func (w *world) checkLists() {
	filter := rollcall.SessionFilter{
		AgentID: rapid.SampledFrom([]string{"", "a1", "a3"}).Draw(w.T, "of agent"), GameCode: rapid.SampledFrom([]string{"", "g1"}).Draw(w.T, "of game"),
		Currency: rapid.SampledFrom([]string{"", "EUR"}).Draw(w.T, "in currency"), GameServer: rapid.SampledFrom([]string{"", "s2"}).Draw(w.T, "of server"),
	}
	switch rapid.IntRange(0, 5).Draw(w.T, "of one") {
	case 0:
		filter.SessionID = w.pick()
	case 1:
		filter.AgentID, filter.Username = "a1", "m1"
	}
	after, limit := rapid.SampledFrom([]string{"", "0", w.pick()}).Draw(w.T, "after"), rapid.IntRange(0, 5).Draw(w.T, "limit")
	all := w.want(func(s *rollcall.Session) bool { return w.active(s) && filter.Picks(s) }, byID)
	page := slices.DeleteFunc(slices.Clone(all), func(s rollcall.Session) bool { return s.ID <= after })
	w.same("List", w.index.List(filter, after, limit, w.now), page[:min(limit, len(page))])
	var scanned []rollcall.Session
	for from := ""; ; {
		some, next := w.index.scan(filter, from, 2, w.now)
		scanned = append(scanned, some...)
		if from = next; from == "" {
			break
		}
	}
	slices.SortFunc(scanned, byID)
	w.same("Scan", scanned, all)
	w.checkCounts()
}

func (w *world) checkCounts() {
	got, want := make(map[rollcall.SessionCount]int), make(map[rollcall.SessionCount]int)
	for _, c := range w.index.Counts() {
		n := c.Count
		c.Count = 0
		got[c] += n
	}
	for _, s := range w.held {
		want[rollcall.SessionCount{
			AgentID: s.AgentID, GameCode: s.GameCode, Mode: s.Mode, Currency: s.Currency, Device: s.Device, GameServer: s.GameServer,
		}]++
	}
	if !maps.Equal(got, want) {
		w.Fatalf("counts %v, want %v", got, want)
	}
}

// checkArenas holds each chunk to be of records without a gap, and each free
// record to be in the list of its size.
func (w *world) checkArenas() {
	for i := range w.index.members {
		a := &w.index.members[i].arena
		free := make(map[int]int)
		for number, c := range a.chunks {
			used, held := 0, 0
			a.each(uint32(number), func(at int, r record) {
				if used += len(r); r.held() {
					held++
					if r.expires() < c.due && r.expires() > 0 {
						w.Fatalf("chunk %d expires at %d, a session of it at %d", number, c.due, r.expires())
					}
				} else {
					free[len(r)]++
				}
			})
			if used != int(c.used) || held != int(c.held) {
				w.Fatalf("chunk %d: %d words of %d, %d records of %d", number, used, c.used, held, c.held)
			}
		}
		for size, offset := range a.free {
			for before := uint32(noRecord); offset != noRecord; offset = uint32(a.at(offset)[0]) {
				if r := a.at(offset); r.held() || len(r) != size || uint32(r[1]) != before {
					w.Fatalf("in the list of %d: %v", size, r)
				}
				free[size]--
				before = offset
			}
		}
		for size, n := range free {
			if n != 0 {
				w.Fatalf("%d free records of %d words are in no list", n, size)
			}
		}
	}
}

func (w *world) checkEmpty() {
	n := &w.index.names
	if len(n.texts.numbers) > 0 || len(n.combos.numbers) > 0 {
		w.Fatalf("texts %v and combos %v are left", n.texts.numbers, n.combos.numbers)
	}
	if len(n.texts.free) != n.texts.values.n || len(n.combos.free) != n.combos.values.n {
		w.Fatalf("of %d texts and %d combos %d and %d can be given again", n.texts.values.n, n.combos.values.n, len(n.texts.free), len(n.combos.free))
	}
	for i := range w.index.members {
		m, ids := &w.index.members[i], &w.index.ids[i]
		if len(m.agents) > 0 || ids.slots.n > 0 {
			w.Fatalf("shard %d: %d agents and %d IDs are left", i, len(m.agents), ids.slots.n)
		}
		for number, c := range m.arena.chunks {
			if kept := (*m.arena.words.Load())[number] != nil; kept && (c.held > 0 || c.used > 0 || uint32(number) != m.arena.last) {
				w.Fatalf("shard %d: chunk %d is left with %d records", i, number, c.held)
			}
		}
	}
}
