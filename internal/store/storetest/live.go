package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

var ofLive = map[string]func(*testing.T, *fixture){
	"Boot":                 testBoot,
	"OfMember":             testOfMember,
	"Demo":                 testDemo,
	"LeaseToTheMoment":     testLease,
	"Heartbeat":            testHeartbeat,
	"Expire":               testExpire,
	"ExpireAgainstBeat":    testExpireAgainstBeat,
	"List":                 testList,
	"Online":               testOnline,
	"Counts":               testCounts,
	"SessionsReopen":       testSessionsReopen,
	"ConcurrentStartEnd":   testConcurrentStartEnd,
	"CallersOwnWhatTheyGo": testOwnership,
}

func testBoot(t *testing.T, f *fixture) {
	current := func(want string) {
		t.Helper()
		got, err := f.Sessions.CurrentBoot(t.Context(), "s1")
		must(t, err)
		if got != want {
			t.Errorf("current boot %q, want %q", got, want)
		}
	}
	current("")
	f.boot(t, "s1", "b1")
	f.boot(t, "s2", "other")
	current("b1")
	s := f.start(t, f.session("player001"))
	f.boot(t, "s1", "b2")
	current("b2")
	wantIDs(t, f.of(t, "player001"), s) // it ends no session
	f.boot(t, "s1", "b1")
	current("b1")
	if f.Reopen != nil {
		f.reopen(t)
		current("b1")
	}
	f.boot(t, "s1", "")
	current("")
}

func testOfMember(t *testing.T, f *fixture) {
	third := f.session("player001")
	third.StartedAt = f.now.Add(time.Second)
	first, second := f.session("player001"), f.session("player001") // alike but for the ID
	for _, s := range []rollcall.Session{third, second, first} {
		f.start(t, s)
	}
	wantIDs(t, f.of(t, "player001"), first, second, third)
	if list := f.of(t, "player002"); len(list) != 0 {
		t.Errorf("another member has %v", list)
	}
	other, err := f.Sessions.OfMember(t.Context(), "a2", "player001", f.now)
	must(t, err)
	if len(other) != 0 {
		t.Errorf("another agent's member of that name has %v", other)
	}
	_, err = f.Sessions.Get(t.Context(), "none", f.now)
	wantErr(t, err, rollcall.ErrNotFound)
}

// Demos without a member are sessions as others are, of nobody.
func testDemo(t *testing.T, f *fixture) {
	first, second := f.session(""), f.session("")
	first.Mode, second.Mode = rollcall.ModeDemo, rollcall.ModeDemo
	limits := rollcall.SessionLimits{PerMember: 1, PerGame: 1}
	f.boot(t, "s1", "b1")
	for _, s := range []rollcall.Session{first, second} {
		_, err := f.startFrom(t, f.launch(t, s), s, limits)
		must(t, err)
	}
	list, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
	must(t, err)
	wantIDs(t, list, first, second)
	ended, err := f.Sessions.End(t.Context(), []string{first.ID}, f.left())
	must(t, err)
	wantEnded(t, ended, first)
}

func testLease(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	f.set(s.ExpiresAt.Add(-time.Microsecond))
	wantIDs(t, f.of(t, "player001"), s)
	f.set(s.ExpiresAt)
	wantIDs(t, f.of(t, "player001"))
	_, err := f.Sessions.Get(t.Context(), s.ID, f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	ended, err := f.Sessions.End(t.Context(), []string{s.ID}, f.left())
	must(t, err)
	wantEnded(t, ended)
	list, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
	must(t, err)
	wantIDs(t, list)
	online, err := f.Sessions.Online(t.Context(), "a1", f.now)
	must(t, err)
	if len(online) != 0 {
		t.Errorf("online: %v", online)
	}
}

func (f *fixture) beat(t *testing.T, server string, ids []string, want ...string) {
	t.Helper()
	unknown, err := f.Sessions.Heartbeat(t.Context(), server, ids, f.now)
	must(t, err)
	if !slices.Equal(unknown, want) {
		t.Errorf("unknown: got %v, want %v", unknown, want)
	}
}

func (f *fixture) wantExpiry(t *testing.T, id string, want time.Time) {
	t.Helper()
	if got, err := f.Sessions.Get(t.Context(), id, f.now); err != nil || !got.ExpiresAt.Equal(want) {
		t.Errorf("got %+v, %v; want one that expires at %s", got, err, want)
	}
}

func testHeartbeat(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	short := f.session("player002")
	short.LeaseSeconds = 40
	f.start(t, short)
	start, both := f.now, []string{s.ID, "none"}
	f.set(start.Add(30 * time.Second))
	f.beat(t, "s2", both, s.ID, "none") // another server's
	f.wantExpiry(t, s.ID, start.Add(lease))
	f.beat(t, "s1", both, "none")
	f.wantExpiry(t, s.ID, f.now.Add(lease))
	if got := f.of(t, "player001")[0]; !got.SeenAt.Equal(f.now) {
		t.Errorf("seen at %s, want %s", got.SeenAt, f.now)
	}
	f.set(start.Add(20 * time.Second)) // a beat that was overtaken: never back
	f.beat(t, "s1", both, "none")
	f.wantExpiry(t, s.ID, start.Add(30*time.Second+lease))
	f.set(start.Add(60 * time.Second))
	f.beat(t, "s1", []string{short.ID})
	f.wantExpiry(t, short.ID, f.now.Add(40*time.Second)) // the session's own lease
	f.set(start.Add(30*time.Second + lease))
	f.beat(t, "s1", both, s.ID, "none") // too late by nothing
	f.beat(t, "s1", nil)
}

// liveOut starts a session and renews it up to the end of its lifetime.
func (f *fixture) liveOut(t *testing.T) rollcall.Session {
	t.Helper()
	s := f.session("player001")
	s.EndsAt = f.now.Add(3 * lease)
	f.start(t, s)
	for range 3 {
		f.set(f.now.Add(lease - time.Second))
		f.beat(t, "s1", []string{s.ID})
	}
	f.wantExpiry(t, s.ID, s.EndsAt)
	return s
}

func testExpire(t *testing.T, f *fixture) {
	longest := f.liveOut(t) // no beat goes beyond the lifetime
	f.set(longest.EndsAt)
	gone, err := f.Sessions.Expire(t.Context(), f.now, 10)
	must(t, err)
	wantEnded(t, gone, longest)
	var lapsing []rollcall.Session
	for range 5 {
		lapsing = append(lapsing, f.start(t, f.session("player001")))
	}
	renewed := f.start(t, f.session("player001"))
	f.set(f.now.Add(lease - time.Microsecond))
	early, err := f.Sessions.Expire(t.Context(), f.now, 100)
	must(t, err)
	wantEnded(t, early)
	f.beat(t, "s1", []string{renewed.ID})
	f.set(f.now.Add(time.Microsecond))
	var all []rollcall.EndedSession
	for _, want := range []int{2, 2, 1, 0} {
		some, err := f.Sessions.Expire(t.Context(), f.now, 2)
		must(t, err)
		if len(some) != want {
			t.Errorf("Expire of at most 2: got %d, want %d", len(some), want)
		}
		all = append(all, some...)
	}
	wantEnded(t, all, lapsing...)
	for _, e := range all {
		if e.Reason != rollcall.EndExpired || !e.EndedAt.Equal(lapsing[0].ExpiresAt) {
			t.Errorf("expired: %+v, want it to have ended at %s", e, lapsing[0].ExpiresAt)
		}
	}
	if got := f.of(t, "player001"); len(got) != 1 || got[0].ID != renewed.ID {
		t.Errorf("left: %s, want the one that was renewed", ids(got))
	}
	if got := f.pending(t, "s1", 0, 10); len(got) != 0 {
		t.Errorf("game servers are told of what expired: %+v", got)
	}
}

// A beat and the sweeper at the same moment: either the beat renews and the
// session stays, or it is told that there is none.
func testExpireAgainstBeat(t *testing.T, f *fixture) {
	for range 50 {
		s := f.start(t, f.session("player001"))
		var unknown []string
		var both sync.WaitGroup
		both.Go(func() {
			var err error
			if unknown, err = f.Sessions.Heartbeat(context.Background(), "s1", []string{s.ID}, s.ExpiresAt.Add(-time.Microsecond)); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if _, err := f.Sessions.Expire(context.Background(), s.ExpiresAt, 100); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		_, err := f.Sessions.Get(t.Context(), s.ID, s.ExpiresAt)
		if renewed := len(unknown) == 0; renewed != (err == nil) {
			t.Fatalf("the beat renewed: %v; the session is there: %v", renewed, err == nil)
		}
		kick, ending := f.kick("player001")
		if _, err := f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick); err != nil {
			t.Fatal(err)
		}
	}
}

// pages lists all that a filter picks, size at a time.
func (f *fixture) pages(t *testing.T, filter rollcall.SessionFilter, after string, size int) []rollcall.Session {
	t.Helper()
	var all []rollcall.Session
	for {
		page, err := f.Sessions.List(t.Context(), filter, after, size, f.now)
		must(t, err)
		if all = append(all, page...); len(page) < size {
			return all
		}
		after = page[len(page)-1].ID
	}
}

func testList(t *testing.T, f *fixture) {
	var all []rollcall.Session
	for i := range 7 {
		s := f.session(fmt.Sprintf("player%03d", i%3))
		switch i {
		case 2:
			s.ExpiresAt = f.now.Add(time.Second)
		case 4:
			s.GameCode, s.GameServer, s.BootID = "g2", "s2", "b2"
		case 5:
			s = f.at("a2", s)
			s.Currency = "EUR"
		}
		all = append(all, f.start(t, s))
	}
	f.set(f.now.Add(time.Second)) // the third has lapsed and is not yet removed
	rows := []struct {
		filter rollcall.SessionFilter
		after  string
		want   []rollcall.Session
	}{
		{want: []rollcall.Session{all[0], all[1], all[3], all[4], all[5], all[6]}},
		{after: all[1].ID, want: []rollcall.Session{all[3], all[4], all[5], all[6]}},
		{filter: rollcall.SessionFilter{AgentID: "a1"}, after: all[1].ID, want: []rollcall.Session{all[3], all[4], all[6]}},
		{filter: rollcall.SessionFilter{AgentID: "a1", Username: "player000"}, want: []rollcall.Session{all[0], all[3], all[6]}},
		{filter: rollcall.SessionFilter{GameCode: "g2"}, want: []rollcall.Session{all[4]}},
		{filter: rollcall.SessionFilter{GameServer: "s2"}, want: []rollcall.Session{all[4]}},
		{filter: rollcall.SessionFilter{Currency: "EUR"}, want: []rollcall.Session{all[5]}},
		{filter: rollcall.SessionFilter{SessionID: all[3].ID}, want: []rollcall.Session{all[3]}},
		{filter: rollcall.SessionFilter{SessionID: all[2].ID}},
		{filter: rollcall.SessionFilter{AgentID: "a2", GameCode: "g2"}},
		{after: all[6].ID},
	}
	for _, row := range rows {
		for _, size := range []int{1, 2, 3, 100} {
			wantIDs(t, f.pages(t, row.filter, row.after, size), row.want...)
		}
	}
}

func testOnline(t *testing.T, f *fixture) {
	online := func(agent string, want ...string) {
		t.Helper()
		got, err := f.Sessions.Online(t.Context(), agent, f.now)
		must(t, err)
		slices.Sort(got)
		if !slices.Equal(got, want) || got == nil {
			t.Errorf("online of %s: got %v, want %v", agent, got, want)
		}
	}
	online("a1")
	demo, lapsing, other := f.session(""), f.session("player004"), f.session("player009")
	demo.Mode, lapsing.ExpiresAt, other = rollcall.ModeDemo, f.now.Add(time.Second), f.at("a2", other)
	for _, s := range []rollcall.Session{demo, lapsing, other, f.session("player001"), f.session("player001"), f.session("player002")} {
		f.start(t, s)
	}
	gone := f.start(t, f.session("player003"))
	online("a1", "player001", "player002", "player003", "player004")
	_, err := f.Sessions.End(t.Context(), []string{gone.ID}, f.left())
	must(t, err)
	f.set(f.now.Add(time.Second))
	online("a1", "player001", "player002")
	online("a2", "player009")
	online("a3")
}

func testCounts(t *testing.T, f *fixture) {
	wantCounts := func(want ...rollcall.SessionCount) {
		t.Helper()
		got, err := f.Sessions.Counts(t.Context())
		must(t, err)
		wantSame(t, "counts", countsOf(got), countsOf(want))
	}
	wantCounts()
	like := rollcall.SessionCount{AgentID: "a1", GameCode: "g1", Mode: rollcall.ModeReal, Currency: "THB", Device: rollcall.DeviceMobile, GameServer: "s1"}
	want := []rollcall.SessionCount{like}
	want[0].Count = 2
	for _, differ := range []func(*rollcall.Session, *rollcall.SessionCount){
		func(s *rollcall.Session, c *rollcall.SessionCount) { *s, c.AgentID = f.at("a2", *s), "a2" },
		func(s *rollcall.Session, c *rollcall.SessionCount) { s.GameCode, c.GameCode = "g2", "g2" },
		func(s *rollcall.Session, c *rollcall.SessionCount) {
			s.Mode, c.Mode = rollcall.ModeDemo, rollcall.ModeDemo
		},
		func(s *rollcall.Session, c *rollcall.SessionCount) { s.Currency, c.Currency = "EUR", "EUR" },
		func(s *rollcall.Session, c *rollcall.SessionCount) {
			s.Device, c.Device = rollcall.DevicePC, rollcall.DevicePC
		},
		func(s *rollcall.Session, c *rollcall.SessionCount) { s.GameServer, c.GameServer = "s2", "s2" },
	} {
		s, c := f.session("player001"), like
		c.Count = 1
		differ(&s, &c)
		f.start(t, s)
		want = append(want, c)
	}
	ended := f.start(t, f.session("player002"))
	f.start(t, f.session("player001"))
	f.start(t, f.session("player003"))
	_, err := f.Sessions.End(t.Context(), []string{ended.ID}, f.left())
	must(t, err)
	wantCounts(want...)
}

// countsOf makes a text of each count, for comparing without regard to the
// order; more than one of a kind would be seen.
func countsOf(list []rollcall.SessionCount) []string {
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = fmt.Sprintf("%+v", c)
	}
	slices.Sort(texts)
	return texts
}

func testSessionsReopen(t *testing.T, f *fixture) {
	kept, ended, last := f.start(t, f.session("player001")), f.start(t, f.session("player001")), f.session("player001")
	last.EndsAt = f.now.Add(2 * time.Minute)
	f.start(t, last)
	_, err := f.Sessions.End(t.Context(), []string{ended.ID}, f.left())
	must(t, err)
	before, err := f.Sessions.Epoch(t.Context())
	must(t, err)
	f.set(f.now.Add(time.Minute))
	f.reopen(t)
	wantIDs(t, f.of(t, "player001"), kept, last)
	// Nobody could beat while the store was closed: a whole lease afresh, within
	// the lifetime.
	fresh, end := kept, last.EndsAt
	if fresh.ExpiresAt = f.now.Add(lease); f.Engine {
		fresh, end = kept, last.ExpiresAt
	}
	wantSame(t, "the session", f.of(t, "player001")[0], fresh)
	f.wantExpiry(t, last.ID, end)
	f.beat(t, "s1", []string{kept.ID, ended.ID}, ended.ID)
	after, err := f.Sessions.Epoch(t.Context())
	must(t, err)
	wantSame(t, "epoch", after, before)
}

// Starts and ends of one member from many sides leave just what was not ended,
// also in what is read after a restart.
func testConcurrentStartEnd(t *testing.T, f *fixture) {
	var all sync.WaitGroup
	var mu sync.Mutex
	left := make(map[string]bool)
	f.boot(t, "s1", "b1")
	for i := range 64 {
		s := f.session(fmt.Sprintf("player%03d", i%4))
		key := f.launch(t, s)
		all.Go(func() {
			if _, err := f.startFrom(t, key, s, noLimits); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if ended, err := f.Sessions.End(context.Background(), []string{s.ID}, f.left()); err != nil || len(ended) != 1 {
					t.Errorf("ended %v, %v", ended, err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			left[s.ID] = true
		})
	}
	all.Wait()
	check := func() {
		t.Helper()
		list, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 100, f.now)
		must(t, err)
		if len(list) != len(left) {
			t.Errorf("%d sessions, want %d", len(list), len(left))
		}
		for _, s := range list {
			if !left[s.ID] {
				t.Errorf("%s was ended and is there", s.ID)
			}
		}
	}
	check()
	if f.Reopen != nil {
		f.reopen(t)
		check()
	}
}

// What the caller does to a returned slice is no matter of the store's.
func testOwnership(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	list := f.of(t, "player001")
	list[0].Username, list[0].ID = "changed", "changed"
	wantIDs(t, f.of(t, "player001"), s)
	_, err := f.Sessions.End(t.Context(), []string{s.ID}, f.left())
	must(t, err)
	changes := f.changes(t, nil)
	changes[0].ID = "changed"
	if again := f.changes(t, nil); again[0].ID != s.ID {
		t.Error("the outbox has changed with what it returned")
	}
}
