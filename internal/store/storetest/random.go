package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func testPing(t *testing.T, f *fixture) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ping := range map[string]func(context.Context) error{
		"directory": f.Directory.Ping, "sessions": f.Sessions.Ping, "nonces": f.Nonces.Ping, "history": f.History.Ping,
	} {
		if err := ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ping(gone); err == nil {
			t.Errorf("%s: a ping whose context has ended found all well", name)
		}
	}
}

// A model is what a backend should hold, kept the simplest way.
type model struct {
	now      time.Time
	boots    map[string]string
	sessions []rollcall.Session // oldest first
	launches map[string]roll.Launch
	// outbox and events are what they have got, as texts.
	outbox, events []string
}

func (m *model) active(username string) (list []rollcall.Session) {
	for _, s := range m.sessions {
		if s.Username == username && m.now.Before(s.ExpiresAt) {
			list = append(list, s)
		}
	}
	return list
}

func (m *model) get(id string) *rollcall.Session {
	for i := range m.sessions {
		if s := &m.sessions[i]; s.ID == id && m.now.Before(s.ExpiresAt) {
			return s
		}
	}
	return nil
}

// start returns the error that a Start should get, or the ID of its session.
func (m *model) start(s roll.Start) (string, error) {
	own, l := s.Session, m.launches[s.LaunchKey]
	switch by := [2]string{own.GameServer, own.BootID}; {
	case m.boots[own.GameServer] != own.BootID:
		return "", rollcall.ErrStaleBoot
	case l.StartedID != "" && l.StartedBy == by && m.get(l.StartedID) != nil:
		return l.StartedID, nil
	case l.StartedID != "":
		return "", rollcall.ErrLaunchUsed
	case l.Voided:
		return "", rollcall.ErrLaunchVoided
	case !m.now.Before(l.ExpiresAt):
		return "", rollcall.ErrLaunchExpired
	default:
		l.StartedBy = by
	}
	active := m.active(own.Username)
	excess := len(active) + 1 - s.Limits.PerMember
	if s.Limits.PerMember > 0 && excess > 0 {
		if s.Limits.Policy != rollcall.LimitDisplaceOldest {
			return "", rollcall.ErrSessionLimit
		}
		m.end(active[:excess], rollcall.EndDisplaced)
	}
	l.StartedID = own.ID
	m.launches[s.LaunchKey] = l
	m.sessions = append(m.sessions, own)
	return own.ID, nil
}

// end ends sessions, those that are not active as expired.
func (m *model) end(list []rollcall.Session, reason rollcall.EndReason) (ended []string) {
	for _, s := range list {
		m.sessions = slices.DeleteFunc(m.sessions, func(o rollcall.Session) bool { return o.ID == s.ID })
		if !m.now.Before(s.ExpiresAt) {
			m.outbox = append(m.outbox, s.ID+" expired")
			continue
		}
		m.outbox = append(m.outbox, s.ID+" "+string(reason))
		if reason == rollcall.EndKicked || reason == rollcall.EndDisplaced {
			m.events = append(m.events, s.ID+" "+string(reason))
		}
		ended = append(ended, s.ID)
	}
	slices.Sort(ended)
	return ended
}

func (m *model) endMember(username string) []string {
	for key, l := range m.launches {
		if l.Session.Username == username && l.StartedID == "" {
			l.Voided = true
			m.launches[key] = l
		}
	}
	var all []rollcall.Session
	for _, s := range m.sessions {
		if s.Username == username {
			all = append(all, s)
		}
	}
	return m.end(all, rollcall.EndKicked)
}

func (m *model) beat(id string) bool {
	s := m.get(id)
	if s == nil {
		return false
	}
	s.SeenAt, s.ExpiresAt = m.now, m.now.Add(lease)
	if s.ExpiresAt.After(s.EndsAt) {
		s.ExpiresAt = s.EndsAt
	}
	return true
}

// expire ends what has expired, and returns its IDs.
func (m *model) expire() []string {
	var gone []string
	for _, s := range slices.Clone(m.sessions) {
		if !m.now.Before(s.ExpiresAt) {
			gone = append(gone, s.ID)
			m.end([]rollcall.Session{s}, rollcall.EndExpired)
		}
	}
	slices.Sort(gone)
	return gone
}

// random drives a backend and a model, which shares nothing with backends.
type random struct {
	*fixture

	*rand.Rand

	model
	keys, known []string // of launches that may be started; of sessions
	kicks       int
}

// Random launches, starts, beats, ends, kicks, boots, expiries and restarts are
// answered as the model says, and leave what it says.
func testRandom(t *testing.T, f *fixture) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := &random{fixture: f, Rand: rand.New(rand.NewPCG(seed, 0)), known: []string{"none"}}
	r.model = model{boots: make(map[string]string), launches: make(map[string]roll.Launch)}
	steps := []func(*testing.T){
		r.launchOne, r.launchOne, r.startOne, r.startOne, r.startOne, r.beatOne, r.beatOne, r.beatOne,
		r.endOne, r.kickOne, r.expireAll, r.bootOne, r.pass, r.pass,
	}
	if f.Reopen != nil {
		steps = append(steps, r.restart)
	}
	for step := range 600 {
		r.model.now = f.now
		steps[r.IntN(len(steps))](t)
		r.compare(t)
		if t.Failed() {
			t.Fatalf("at step %d of seed %d", step, seed)
		}
	}
	r.compareTrails(t)
}

func (r *random) member() string { return fmt.Sprintf("player%03d", r.IntN(4)) }

func (r *random) launchOne(t *testing.T) {
	l := launchOf(r.session(r.member()), r.fixture.now)
	must(t, r.Sessions.AddLaunch(t.Context(), l))
	r.launches[l.Key] = l
	r.keys = append(r.keys[max(0, len(r.keys)-7):], l.Key)
}

func (r *random) startOne(t *testing.T) {
	if len(r.keys) == 0 {
		return
	}
	key := r.keys[r.IntN(len(r.keys))]
	l := r.launches[key]
	if !r.fixture.now.Before(l.ExpiresAt.Add(roll.LaunchMemory)) {
		return // it may be forgotten
	}
	s := r.session(l.Session.Username)
	s.GameServer = fmt.Sprint("s", 1+r.IntN(2))
	s.BootID = fmt.Sprint("b", r.IntN(3))
	if r.IntN(4) > 0 {
		s.BootID = r.boots[s.GameServer]
	}
	s.EndsAt = r.fixture.now.Add(time.Duration(2+r.IntN(4)) * time.Minute)
	start := roll.Start{LaunchKey: key, Session: s, Limits: limitsOf(s.Username)}
	if s.BootID == "" {
		return
	}
	got, err := r.Sessions.Start(t.Context(), start)
	want, wantErr := r.model.start(start)
	if !errors.Is(err, wantErr) || got.Session.ID != want {
		t.Errorf("start of %+v: got %q, %v; model %q, %v", l, got.Session.ID, err, want, wantErr)
	}
	if want == s.ID {
		r.known = append(r.known, s.ID)
	}
}

// limitsOf gives each member another rule.
func limitsOf(username string) rollcall.SessionLimits {
	switch username {
	case "player001":
		return rollcall.SessionLimits{PerMember: 2}
	case "player002":
		return rollcall.SessionLimits{PerMember: 2, Policy: rollcall.LimitDisplaceOldest}
	}
	return rollcall.SessionLimits{}
}

func (r *random) id() string { return r.known[max(0, len(r.known)-1-r.IntN(12))] }

func (r *random) beatOne(t *testing.T) {
	id, server := r.id(), "s1"
	if s := r.get(id); s != nil {
		server = s.GameServer
	}
	unknown, err := r.Sessions.Heartbeat(t.Context(), server, []string{id}, r.fixture.now)
	must(t, err)
	if r.model.beat(id) != (len(unknown) == 0) {
		t.Errorf("a beat of %s: unknown %v", id, unknown)
	}
}

func (r *random) wantGone(t *testing.T, what string, got []rollcall.EndedSession, err error, want []string) {
	t.Helper()
	must(t, err)
	have := endedIDs(got)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("%s: got %v, model %v", what, have, want)
	}
}

func (r *random) endOne(t *testing.T) {
	var list []rollcall.Session
	id := r.id()
	if s := r.get(id); s != nil {
		list = append(list, *s)
	}
	got, err := r.Sessions.End(t.Context(), []string{id}, r.left())
	r.wantGone(t, "end", got, err, r.end(list, rollcall.EndLeft))
}

func (r *random) kickOne(t *testing.T) {
	username := r.member()
	kick, ending := r.kick(username)
	got, err := r.Sessions.EndMember(t.Context(), "a1", username, ending, kick)
	want := r.endMember(username)
	r.wantGone(t, "kick", got, err, want)
	stored, err := r.Sessions.Kick(t.Context(), kick.ID)
	must(t, err)
	if stored.Matched != len(want) || stored.Progress.Ended != len(want) {
		t.Errorf("the kick is %+v, model %d", stored, len(want))
	}
	r.kicks++
}

func (r *random) expireAll(t *testing.T) {
	got, err := r.Sessions.Expire(t.Context(), r.fixture.now, 1000)
	r.wantGone(t, "expire", got, err, r.expire())
}

func (r *random) bootOne(t *testing.T) {
	server, boot := fmt.Sprint("s", 1+r.IntN(2)), fmt.Sprint("b", r.IntN(3))
	r.boot(t, server, boot)
	r.boots[server] = boot
}

func (r *random) pass(*testing.T) {
	r.set(r.fixture.now.Add(time.Duration(r.Int64N(int64(40 * time.Second)))))
	r.model.now = r.fixture.now
}

// restart reopens the backend after a sweep, since a lease that ran out and was
// not swept may come back.
func (r *random) restart(t *testing.T) {
	r.expireAll(t)
	r.reopen(t)
	if r.Engine {
		return
	}
	for i := range r.sessions {
		s := &r.sessions[i]
		seen := s.SeenAt
		r.model.beat(s.ID)
		s.SeenAt = seen
	}
}

func (r *random) compare(t *testing.T) {
	t.Helper()
	for i := range 4 {
		username := fmt.Sprintf("player%03d", i)
		if got, want := ids(r.of(t, username)), ids(r.active(username)); got != want {
			t.Errorf("%s has [%s], model [%s]", username, got, want)
		}
	}
	counts, err := r.Sessions.Counts(t.Context())
	must(t, err)
	total := 0
	for _, c := range counts {
		total += c.Count
	}
	if total != len(r.sessions) {
		t.Errorf("%d are counted, model %d", total, len(r.sessions))
	}
}

// compareTrails reads what all that went before has left in outbox and events.
func (r *random) compareTrails(t *testing.T) {
	t.Helper()
	var outbox, events []string
	for _, c := range r.changes(t, nil) {
		outbox = append(outbox, c.ID+" "+string(c.Reason))
	}
	var before string
	for {
		kicks, err := r.Sessions.Kicks(t.Context(), before, false, 7)
		must(t, err)
		for _, k := range kicks {
			before = k.ID
			r.kicks--
			receipts, err := r.Sessions.Receipts(t.Context(), k.ID, 0, 100)
			must(t, err)
			for _, receipt := range receipts {
				events = append(events, receipt.SessionID+" "+string(receipt.Type))
			}
		}
		if len(kicks) < 7 {
			break
		}
	}
	kicked := slices.DeleteFunc(r.events, func(e string) bool { return e[len(e)-6:] != "kicked" })
	for _, list := range [][]string{outbox, events, kicked, r.outbox} {
		slices.Sort(list)
	}
	wantSame(t, "the outbox", outbox, r.outbox)
	wantSame(t, "the receipts of kicks", events, kicked)
	if r.kicks != 0 {
		t.Errorf("%d kicks are not listed", r.kicks)
	}
}
