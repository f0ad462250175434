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

func testStart(t *testing.T, f *fixture) {
	s := f.session("player001")
	if got := f.start(t, s); !equal(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	got, err := f.Sessions.Get(t.Context(), s.ID, f.now)
	must(t, err)
	if !equal(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	_, err = f.Sessions.Get(t.Context(), "none", f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	if list := f.of(t, "player002"); len(list) != 0 {
		t.Errorf("another member has %v", list)
	}
	other, err := f.Sessions.OfMember(t.Context(), "a2", "player001", f.now)
	must(t, err)
	if len(other) != 0 {
		t.Errorf("another agent's member of that name has %v", other)
	}
}

func testStartTwice(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	again := s
	again.GameCode, again.Lang = "g2", "th"
	if got := f.start(t, again); !equal(got, s) {
		t.Errorf("a second Start returned %+v, want the first's %+v", got, s)
	}
	wantIDs(t, f.of(t, "player001"), s)
	if got := f.of(t, "player001")[0]; got.GameCode != "g1" {
		t.Errorf("a second Start has changed the session: %+v", got)
	}
}

func testOfMember(t *testing.T, f *fixture) {
	third := f.session("player001")
	third.StartedAt = f.now.Add(time.Second)
	first, second := f.session("player001"), f.session("player001") // alike but for the ID
	for _, s := range []rollcall.Session{third, second, first} {
		f.start(t, s)
	}
	wantIDs(t, f.of(t, "player001"), first, second, third)
}

func testLease(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	f.set(s.ExpiresAt.Add(-time.Nanosecond))
	wantIDs(t, f.of(t, "player001"), s)
	f.set(s.ExpiresAt)
	wantIDs(t, f.of(t, "player001"))
	_, err := f.Sessions.Get(t.Context(), s.ID, f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = f.Sessions.End(t.Context(), s.ID, f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	list, err := f.Sessions.List(t.Context(), "", "", 10, f.now)
	must(t, err)
	wantIDs(t, list)
}

func testHeartbeat(t *testing.T, f *fixture) {
	s := f.start(t, f.session("player001"))
	beat := func(server string, want ...string) {
		t.Helper()
		unknown, err := f.Sessions.Heartbeat(t.Context(), server, []string{s.ID, "none"}, f.now, lease)
		must(t, err)
		if !slices.Equal(unknown, want) {
			t.Errorf("unknown: got %v, want %v", unknown, want)
		}
	}
	expires := func(want time.Time) {
		t.Helper()
		if got := f.of(t, "player001"); len(got) != 1 || !got[0].ExpiresAt.Equal(want) {
			t.Errorf("got %+v, want one that expires at %s", got, want)
		}
	}
	start := f.now
	f.set(start.Add(30 * time.Second))
	beat("s2", s.ID, "none") // another server's
	expires(start.Add(lease))
	beat("s1", "none")
	expires(f.now.Add(lease))
	if got := f.of(t, "player001")[0]; !got.SeenAt.Equal(f.now) {
		t.Errorf("seen at %s, want %s", got.SeenAt, f.now)
	}
	f.set(start.Add(20 * time.Second)) // a beat that was overtaken: never back
	beat("s1", "none")
	expires(start.Add(30*time.Second + lease))
	f.set(start.Add(30*time.Second + lease))
	beat("s1", s.ID, "none") // too late by nothing
	for at := start.Add(time.Minute); at.Before(s.EndsAt.Add(-lease)); at = at.Add(time.Minute) {
		f.set(at)
		_, err := f.Sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, f.now, lease)
		must(t, err)
	}
	f.set(s.EndsAt.Add(-time.Second))
	_, err := f.Sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, f.now, lease)
	must(t, err)
	if list := f.of(t, "player001"); len(list) > 0 && list[0].ExpiresAt.After(s.EndsAt) {
		t.Errorf("the lease goes beyond the lifetime: %+v", list[0])
	}
	unknown, err := f.Sessions.Heartbeat(t.Context(), "s1", nil, f.now, lease)
	must(t, err)
	if len(unknown) != 0 {
		t.Errorf("a beat of nothing: unknown %v", unknown)
	}
}

func testEnd(t *testing.T, f *fixture) {
	s, other := f.start(t, f.session("player001")), f.start(t, f.session("player001"))
	got, err := f.Sessions.End(t.Context(), s.ID, f.now)
	must(t, err)
	if !equal(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	_, err = f.Sessions.End(t.Context(), s.ID, f.now)
	wantErr(t, err, rollcall.ErrNotFound)
	wantIDs(t, f.of(t, "player001"), other)
	unknown, err := f.Sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, f.now, lease)
	must(t, err)
	if len(unknown) != 1 {
		t.Error("a beat has found a session that was ended")
	}
	ended, won := sync.WaitGroup{}, make(chan bool, 16)
	for range 16 {
		ended.Go(func() {
			_, err := f.Sessions.End(context.Background(), other.ID, f.now)
			won <- err == nil
		})
	}
	ended.Wait()
	close(won)
	winners := 0
	for w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d of 16 Ends of one session won, want 1", winners)
	}
}

func testEndMember(t *testing.T, f *fixture) {
	none, err := f.Sessions.EndMember(t.Context(), "a1", "player001", f.now)
	must(t, err)
	if len(none) != 0 {
		t.Errorf("ended %v of a member without sessions", none)
	}
	lapsed := f.session("player001")
	lapsed.ExpiresAt = f.now
	f.start(t, lapsed)
	first, second, other := f.start(t, f.session("player001")), f.start(t, f.session("player001")), f.start(t, f.session("player002"))
	ended, err := f.Sessions.EndMember(t.Context(), "a1", "player001", f.now)
	must(t, err)
	wantIDs(t, ended, first, second)
	wantIDs(t, f.of(t, "player001"))
	wantIDs(t, f.of(t, "player002"), other)
	counts, err := f.Sessions.Counts(t.Context())
	must(t, err)
	if len(counts) != 1 || counts[0].Count != 1 {
		t.Errorf("counts %+v, want 1 session", counts)
	}
}

func testExpire(t *testing.T, f *fixture) {
	var lapsing []rollcall.Session
	for range 5 {
		lapsing = append(lapsing, f.start(t, f.session("player001")))
	}
	renewed := f.start(t, f.session("player001"))
	f.set(f.now.Add(lease - time.Nanosecond))
	early, err := f.Sessions.Expire(t.Context(), f.now, 100)
	must(t, err)
	wantIDs(t, early)
	_, err = f.Sessions.Heartbeat(t.Context(), "s1", []string{renewed.ID}, f.now, lease)
	must(t, err)
	f.set(f.now.Add(time.Nanosecond))
	seen := make(map[string]bool)
	for _, want := range []int{2, 2, 1, 0} {
		some, err := f.Sessions.Expire(t.Context(), f.now, 2)
		must(t, err)
		if len(some) != want {
			t.Errorf("Expire of at most 2: got %d, want %d", len(some), want)
		}
		for _, s := range some {
			if seen[s.ID] {
				t.Errorf("%s expired twice", s.ID)
			}
			seen[s.ID] = true
		}
	}
	for _, s := range lapsing {
		if !seen[s.ID] {
			t.Errorf("%s did not expire", s.ID)
		}
	}
	if got := f.of(t, "player001"); len(got) != 1 || got[0].ID != renewed.ID {
		t.Errorf("left: %s, want the one that was renewed", ids(got))
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
			if unknown, err = f.Sessions.Heartbeat(context.Background(), "s1", []string{s.ID}, s.ExpiresAt.Add(-1), lease); err != nil {
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
		if _, err := f.Sessions.EndMember(t.Context(), "a1", "player001", f.now); err != nil {
			t.Fatal(err)
		}
	}
}

func testList(t *testing.T, f *fixture) {
	var all []rollcall.Session
	for i := range 7 {
		s := f.session(fmt.Sprintf("player%03d", i%3))
		if i == 5 {
			s.AgentID = "a2"
		}
		if i == 2 {
			s.ExpiresAt = f.now.Add(time.Second)
		}
		all = append(all, f.start(t, s))
	}
	f.set(f.now.Add(time.Second)) // the third has lapsed and is not yet removed
	active := []rollcall.Session{all[0], all[1], all[3], all[4], all[5], all[6]}
	for _, size := range []int{1, 2, 3, 100} {
		var got []rollcall.Session
		for after := ""; ; {
			page, err := f.Sessions.List(t.Context(), "", after, size, f.now)
			must(t, err)
			got = append(got, page...)
			if len(page) < size {
				break
			}
			after = page[len(page)-1].ID
		}
		wantIDs(t, got, active...)
	}
	list, err := f.Sessions.List(t.Context(), "a1", all[1].ID, 3, f.now)
	must(t, err)
	wantIDs(t, list, all[3], all[4], all[6])
}

func testCounts(t *testing.T, f *fixture) {
	counts, err := f.Sessions.Counts(t.Context())
	must(t, err)
	if len(counts) != 0 {
		t.Errorf("an empty store counts %v", counts)
	}
	demo := f.session("player001")
	demo.Mode = rollcall.ModeDemo
	f.start(t, demo)
	f.start(t, f.session("player001"))
	ended := f.start(t, f.session("player002"))
	f.start(t, f.session("player003"))
	_, err = f.Sessions.End(t.Context(), ended.ID, f.now)
	must(t, err)
	counts, err = f.Sessions.Counts(t.Context())
	must(t, err)
	slices.SortFunc(counts, func(a, b rollcall.SessionCount) int { return a.Count - b.Count })
	want := []rollcall.SessionCount{{AgentID: "a1", GameCode: "g1", Mode: rollcall.ModeDemo, Count: 1}, {AgentID: "a1", GameCode: "g1", Mode: rollcall.ModeReal, Count: 2}}
	if !slices.Equal(counts, want) {
		t.Errorf("got %+v, want %+v", counts, want)
	}
}

func testSessionsReopen(t *testing.T, f *fixture) {
	kept, ended, last := f.start(t, f.session("player001")), f.start(t, f.session("player001")), f.session("player001")
	last.EndsAt = f.now.Add(2 * time.Minute)
	f.start(t, last)
	_, err := f.Sessions.End(t.Context(), ended.ID, f.now)
	must(t, err)
	f.set(f.now.Add(time.Minute))
	f.reopen(t)
	got := f.of(t, "player001")
	wantIDs(t, got, kept, last)
	// Nobody could beat while the store was closed: a whole lease afresh, within
	// the lifetime.
	if !got[0].ExpiresAt.Equal(f.now.Add(lease)) || !got[1].ExpiresAt.Equal(last.EndsAt) {
		t.Errorf("leases end at %s and %s", got[0].ExpiresAt, got[1].ExpiresAt)
	}
	unknown, err := f.Sessions.Heartbeat(t.Context(), "s1", []string{kept.ID, ended.ID}, f.now, lease)
	must(t, err)
	if !slices.Equal(unknown, []string{ended.ID}) {
		t.Errorf("unknown %v, want the ended one", unknown)
	}
}

// Starts and ends of one member from many sides leave just what was not ended,
// also in what is read after a restart.
func testConcurrentStartEnd(t *testing.T, f *fixture) {
	var all sync.WaitGroup
	var mu sync.Mutex
	left := make(map[string]bool)
	for i := range 64 {
		s := f.session(fmt.Sprintf("player%03d", i%4))
		all.Go(func() {
			if _, err := f.Sessions.Start(context.Background(), s); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if _, err := f.Sessions.End(context.Background(), s.ID, f.now); err != nil {
					t.Error(err)
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
		list, err := f.Sessions.List(t.Context(), "", "", 100, f.now)
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
}
