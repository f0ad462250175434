package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofLaunches = map[string]func(*testing.T, *fixture){
	"Start":             testStart,
	"StartTwice":        testStartTwice,
	"StartRefused":      testStartRefused,
	"StartStaleBoot":    testStartStaleBoot,
	"StartOneWinner":    testStartOneWinner,
	"StartTell":         testStartTell,
	"LimitRefuse":       testLimitRefuse,
	"LimitDisplace":     testLimitDisplace,
	"LimitPerGame":      testLimitPerGame,
	"LimitFromAllSides": testLimitFromAllSides,
	"Launch":            testLaunch,
	"LaunchForgotten":   testLaunchForgotten,
	"LaunchReopen":      testLaunchReopen,
	"LaunchesOfOne":     testLaunchesOfOne,
}

// A member has so many launches open, and the oldest go first.
func testLaunchesOfOne(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	var keys []string
	var sessions []rollcall.Session
	for range roll.MaxLaunches + 2 {
		s := f.session("player001")
		keys, sessions = append(keys, f.launch(t, s)), append(sessions, s)
		f.set(f.now.Add(time.Millisecond))
	}
	for i, key := range keys {
		var want error
		if i < 2 {
			want = rollcall.ErrLaunchVoided
		}
		if _, err := f.startFrom(t, key, sessions[i], noLimits); !errors.Is(err, want) {
			t.Errorf("launch %d: got %v, want %v", i, err, want)
		}
	}
}

var noLimits = rollcall.SessionLimits{}

func testStart(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	s := f.session("player001")
	s.StartedAt = f.now.Add(123456 * time.Microsecond) // to the µs
	got, err := f.startFrom(t, f.launch(t, s), s, noLimits)
	must(t, err)
	wantSame(t, "started", got, roll.Started{Session: s})
	held, err := f.Sessions.Get(t.Context(), s.ID, f.now)
	must(t, err)
	wantSame(t, "held", held, s)
	if list := f.changes(t, nil); len(list) != 0 {
		t.Errorf("the outbox has %+v: nobody asked to be told", list)
	}
}

// The same launch, game server and boot get the same session again, while it is
// active.
func testStartTwice(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	f.boot(t, "s2", "b1")
	s, again, elsewhere := f.session("player001"), f.session("player001"), f.session("player001")
	elsewhere.GameServer = "s2"
	key := f.launch(t, s)
	_, err := f.startFrom(t, key, s, noLimits)
	must(t, err)
	for range 2 {
		got, err := f.startFrom(t, key, again, rollcall.SessionLimits{PerMember: 1})
		must(t, err)
		wantSame(t, "started again", got, roll.Started{Session: s})
		if f.Reopen != nil {
			f.reopen(t)
		}
	}
	wantIDs(t, f.of(t, "player001"), s)
	_, err = f.startFrom(t, key, elsewhere, noLimits)
	wantErr(t, err, rollcall.ErrLaunchUsed)
	f.boot(t, "s1", "b2")
	again.BootID = "b2"
	_, err = f.startFrom(t, key, again, noLimits)
	wantErr(t, err, rollcall.ErrLaunchUsed)
	f.boot(t, "s1", "b1")
	again.BootID = "b1"
	_, err = f.Sessions.End(t.Context(), []string{s.ID}, f.left())
	must(t, err)
	_, err = f.startFrom(t, key, again, noLimits)
	wantErr(t, err, rollcall.ErrLaunchUsed)
	wantIDs(t, f.of(t, "player001"))
}

func testStartRefused(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	s := f.session("player001")
	_, err := f.startFrom(t, "none", s, noLimits)
	wantErr(t, err, rollcall.ErrLaunchUnknown)

	late, inTime := f.launch(t, s), f.launch(t, s)
	l, err := f.Sessions.Launch(t.Context(), late)
	must(t, err)
	s.StartedAt = l.ExpiresAt
	_, err = f.startFrom(t, late, s, noLimits)
	wantErr(t, err, rollcall.ErrLaunchExpired)
	s.StartedAt = l.ExpiresAt.Add(-time.Microsecond)
	_, err = f.startFrom(t, inTime, s, noLimits)
	must(t, err)

	voided, other := f.launch(t, s), f.launch(t, f.session("player002"))
	kick, ending := f.kick("player001")
	_, err = f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
	must(t, err)
	_, err = f.startFrom(t, voided, f.session("player001"), noLimits)
	wantErr(t, err, rollcall.ErrLaunchVoided)
	_, err = f.startFrom(t, other, f.session("player002"), noLimits)
	must(t, err)
	f.start(t, f.session("player001")) // a launch after the kick is not void
	if got := f.of(t, "player001"); len(got) != 1 {
		t.Errorf("%d sessions, want the one from after the kick", len(got))
	}
}

func testStartStaleBoot(t *testing.T, f *fixture) {
	s := f.session("player001")
	key := f.launch(t, s)
	start := func(boot string, want error) {
		t.Helper()
		s.BootID = boot
		_, err := f.startFrom(t, key, s, noLimits)
		wantErr(t, err, want)
	}
	start("b1", rollcall.ErrStaleBoot) // it has not said which is
	start("", rollcall.ErrStaleBoot)
	f.boot(t, "s2", "b1")
	start("b1", rollcall.ErrStaleBoot) // that was another's
	f.boot(t, "s1", "b2")
	start("b1", rollcall.ErrStaleBoot)
	f.boot(t, "s1", "b1")
	start("b2", rollcall.ErrStaleBoot)
	start("b1", nil)
}

// Of simultaneous Starts of one launch one begins a session, and the others of
// the same game server and boot are given the same.
func testStartOneWinner(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	f.boot(t, "s2", "b2")
	for _, username := range []string{"player001", ""} {
		for range 5 {
			f.startFromAllSides(t, username)
		}
	}
}

func (f *fixture) startFromAllSides(t *testing.T, username string) {
	t.Helper()
	key := f.launch(t, f.session(username))
	var mu sync.Mutex
	got := make(map[string]int)
	var all sync.WaitGroup
	for i := range 16 {
		s := f.on(key, f.session(username))
		if i%2 == 0 {
			s.GameServer, s.BootID = "s2", "b2"
		}
		all.Go(func() {
			started, err := f.startFrom(t, key, s, noLimits)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got[started.Session.ID]++
			case errors.Is(err, rollcall.ErrLaunchUsed):
				got["used"]++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := f.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, f.now)
	must(t, err)
	if len(got) != 2 || got["used"] != 8 || len(list) != 1 {
		t.Fatalf("got %v and %d sessions, want one session eight times, and eight refused", got, len(list))
	}
	_, err = f.Sessions.End(t.Context(), []string{list[0].ID}, f.left())
	must(t, err)
}

// Where it is asked for, the outbox has the beginning before the end.
func testStartTell(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	s := f.session("player001")
	start := roll.Start{LaunchKey: f.launch(t, s), Session: s, Tell: true}
	for range 2 { // the second begins nothing
		_, err := f.Sessions.Start(t.Context(), start)
		must(t, err)
	}
	_, err := f.Sessions.End(t.Context(), []string{s.ID}, f.left())
	must(t, err)
	list := f.changes(t, nil)
	if len(list) != 2 || list[0].Reason != "" || !list[0].EndedAt.IsZero() || list[1].Reason != rollcall.EndLeft {
		t.Fatalf("the outbox has %+v, want a beginning and an end", list)
	}
	wantSame(t, "the beginning", list[0].Session, s)
	wantSame(t, "the end", list[1].Session, s)
}

func testLimitRefuse(t *testing.T, f *fixture) {
	for _, policy := range []rollcall.LimitPolicy{"", rollcall.LimitRefuse} {
		username := "player" + string(policy)
		limits := rollcall.SessionLimits{PerMember: 2, Policy: policy}
		first, second := f.start(t, f.session(username)), f.start(t, f.session(username))
		third := f.session(username)
		key := f.launch(t, third)
		_, err := f.startFrom(t, key, third, limits)
		wantErr(t, err, rollcall.ErrSessionLimit)
		wantIDs(t, f.of(t, username), first, second)
		_, err = f.Sessions.End(t.Context(), []string{first.ID}, f.left())
		must(t, err)
		_, err = f.startFrom(t, key, third, limits) // what was refused has not used the launch
		must(t, err)
		wantIDs(t, f.of(t, username), second, third)
	}
	lapsed, other := f.session("player003"), f.session("player003")
	lapsed.ExpiresAt = f.now
	f.start(t, lapsed)
	_, err := f.startFrom(t, f.launch(t, other), other, rollcall.SessionLimits{PerMember: 1})
	must(t, err) // a session that is not active does not count
}

func testLimitDisplace(t *testing.T, f *fixture) {
	limits := rollcall.SessionLimits{PerMember: 2, Policy: rollcall.LimitDisplaceOldest}
	first, second, third := f.start(t, f.session("player001")), f.start(t, f.session("player001")), f.start(t, f.session("player001"))
	fourth := f.session("player001")
	got, err := f.startFrom(t, f.launch(t, fourth), fourth, limits)
	must(t, err)
	wantEnded(t, got.Displaced, first, second)
	wantSame(t, "started", got.Session, fourth)
	for _, e := range got.Displaced {
		if e.Reason != rollcall.EndDisplaced || !e.EndedAt.Equal(fourth.StartedAt) || e.By == "" {
			t.Errorf("displaced: %+v", e)
		}
	}
	wantIDs(t, f.of(t, "player001"), third, fourth)
	events := f.pending(t, "s1", 0, 10)
	if !slices.Equal(receiptIDs(events), []string{first.ID, second.ID}) || events[0].Type != rollcall.EventDisplaced {
		t.Errorf("events: %+v", events)
	}
	if list := f.changes(t, nil); len(list) != 2 || list[0].Reason != rollcall.EndDisplaced {
		t.Errorf("the outbox: %+v", list)
	}
}

func testLimitPerGame(t *testing.T, f *fixture) {
	game := func(code string, mode rollcall.Mode) rollcall.Session {
		s := f.session("player001")
		s.GameCode, s.Mode = code, mode
		return s
	}
	limits := rollcall.SessionLimits{PerGame: 1, Policy: rollcall.LimitDisplaceOldest}
	f.boot(t, "s1", "b1")
	var all []rollcall.Session
	for _, s := range []rollcall.Session{
		game("g1", rollcall.ModeReal), game("g2", rollcall.ModeReal), game("g1", rollcall.ModeDemo), game("g1", rollcall.ModeReal),
	} {
		_, err := f.startFrom(t, f.launch(t, s), s, limits)
		must(t, err)
		all = append(all, s)
	}
	wantIDs(t, f.of(t, "player001"), all[1], all[2], all[3])
	fifth := game("g2", rollcall.ModeReal)
	limits.Policy = rollcall.LimitRefuse
	_, err := f.startFrom(t, f.launch(t, fifth), fifth, limits)
	wantErr(t, err, rollcall.ErrSessionLimit)
}

// From however many sides: never more than the limit.
func testLimitFromAllSides(t *testing.T, f *fixture) {
	f.boot(t, "s1", "b1")
	var all sync.WaitGroup
	for i := range 32 {
		s := f.session([]string{"player001", "player002"}[i%2])
		limits := rollcall.SessionLimits{PerMember: 3, Policy: []rollcall.LimitPolicy{rollcall.LimitRefuse, rollcall.LimitDisplaceOldest}[i%2]}
		key := f.launch(t, s)
		all.Go(func() {
			_, err := f.startFrom(t, key, s, limits)
			if err != nil && (limits.Policy != rollcall.LimitRefuse || !errors.Is(err, rollcall.ErrSessionLimit)) {
				t.Error(err)
			}
			if list, err := f.Sessions.OfMember(context.Background(), "a1", s.Username, f.now); err != nil || len(list) > 3 {
				t.Errorf("%d sessions, %v; want 3 at the most", len(list), err)
			}
		})
	}
	all.Wait()
	for _, username := range []string{"player001", "player002"} {
		if list := f.of(t, username); len(list) != 3 {
			t.Errorf("%s has %d sessions, want 3", username, len(list))
		}
	}
}

func testLaunch(t *testing.T, f *fixture) {
	_, err := f.Sessions.Launch(t.Context(), "none")
	wantErr(t, err, rollcall.ErrLaunchUnknown)
	l := launchOf(f.session("player001"), f.now)
	must(t, f.Sessions.AddLaunch(t.Context(), l))
	got, err := f.Sessions.Launch(t.Context(), l.Key)
	must(t, err)
	wantSame(t, "launch", got, l)
	s := f.session("player001")
	f.boot(t, "s1", "b1")
	_, err = f.startFrom(t, l.Key, s, noLimits)
	must(t, err)
	l.StartedID, l.StartedBy = s.ID, [2]string{"s1", "b1"}
	got, err = f.Sessions.Launch(t.Context(), l.Key)
	must(t, err)
	wantSame(t, "launch", got, l)
	again := l
	again.StartedID = ""
	must(t, f.Sessions.AddLaunch(t.Context(), again)) // the same call made again makes nothing undone
	got, err = f.Sessions.Launch(t.Context(), l.Key)
	must(t, err)
	wantSame(t, "launch", got, l)
}

// Who comes late is told so for LaunchMemory, however often is swept; then, a
// store that sweeps does not grow.
func testLaunchForgotten(t *testing.T, f *fixture) {
	keys := []string{f.launch(t, f.session("player001")), f.launch(t, f.session("")), f.launch(t, f.session("player001"))}
	l, err := f.Sessions.Launch(t.Context(), keys[0])
	must(t, err)
	known := func(want ...bool) {
		t.Helper()
		for i, key := range keys {
			if _, err := f.Sessions.Launch(t.Context(), key); (err == nil) != want[i] {
				t.Errorf("launch %d: %v, want it known: %v", i, err, want[i])
			}
		}
	}
	f.set(l.ExpiresAt.Add(roll.LaunchMemory - time.Microsecond))
	_, err = f.Sessions.Expire(t.Context(), f.now, 10)
	must(t, err)
	known(true, true, true)
	if f.Engine {
		return // see LaunchMemory: it may forget them
	}
	f.set(f.now.Add(time.Microsecond))
	_, err = f.Sessions.Expire(t.Context(), f.now, 2)
	must(t, err)
	known(false, false, true)
	if f.Reopen != nil {
		f.reopen(t)
		known(false, false, true)
	}
	_, err = f.Sessions.Expire(t.Context(), f.now, 2)
	must(t, err)
	known(false, false, false)
	kick, ending := f.kick("player001") // it meets none that are gone
	_, err = f.Sessions.EndMember(t.Context(), "a1", "player001", ending, kick)
	must(t, err)
	known(false, false, false)
}

func testLaunchReopen(t *testing.T, f *fixture) {
	unused, voided, used := f.launch(t, f.session("player001")), f.launch(t, f.session("player002")), f.launch(t, f.session("player001"))
	s := f.session("player001")
	f.boot(t, "s1", "b1")
	_, err := f.startFrom(t, used, s, noLimits)
	must(t, err)
	_, err = f.Sessions.EndMember(t.Context(), "a1", "player002", roll.Ending{At: f.now, Reason: rollcall.EndKicked}, nil)
	must(t, err)
	f.reopen(t)
	_, err = f.startFrom(t, voided, f.session("player002"), noLimits)
	wantErr(t, err, rollcall.ErrLaunchVoided)
	got, err := f.startFrom(t, used, f.session("player001"), noLimits)
	must(t, err)
	if got.Session.ID != s.ID {
		t.Errorf("started %s, want %s again", got.Session.ID, s.ID)
	}
	_, err = f.startFrom(t, unused, f.session("player001"), noLimits)
	must(t, err)
}
