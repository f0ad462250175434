package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// Random starts, beats, ends, kicks, expiries and restarts are answered by the
// backend as by memory, and leave the same. A backend may share its index with
// memory: testRandom holds it against a model that shares nothing.
func testTwins(t *testing.T, f *fixture) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	tw := &twins{
		f: f, rand: rand.New(rand.NewPCG(seed, 0)), known: []string{"none"}, stored: make(map[string]rollcall.Session),
	}
	tw.newMemory(t)
	f.boot(t, "s1", "b1")
	f.boot(t, "s2", "b1")
	steps := []func(*testing.T){
		tw.start, tw.start, tw.start, tw.startAgain, tw.beat, tw.beat, tw.beat, tw.end, tw.endMember,
		tw.expire, tw.pass, tw.pass, tw.passToTheMoment, tw.list,
	}
	if f.Reopen != nil {
		steps = append(steps, tw.restart)
	}
	for step := range 300 {
		steps[tw.rand.IntN(len(steps))](t)
		tw.compare(t)
		if t.Failed() {
			t.Fatalf("at step %d of seed %d", step, seed)
		}
	}
}

// twins are a backend and memory, which get the same calls.
type twins struct {
	f      *fixture
	memory roll.Sessions
	rand   *rand.Rand
	known  []string // every ID so far, and one of nothing
	keys   []string // of launches
	// stored is what a restart reads: sessions as they were started.
	stored map[string]rollcall.Session
}

func (tw *twins) agent() string    { return fmt.Sprint("a", 1+tw.rand.IntN(2)) }
func (tw *twins) username() string { return fmt.Sprintf("player%03d", tw.rand.IntN(3)) }
func (tw *twins) id() string       { return tw.known[tw.rand.IntN(len(tw.known))] }

// both makes one call of both and compares what they return.
func (tw *twins) both(t *testing.T, what string, call func(roll.Sessions) ([]rollcall.Session, error)) {
	t.Helper()
	got, err := call(tw.f.Sessions)
	want, wantErr := call(tw.memory)
	if (err == nil) != (wantErr == nil) || wantErr != nil && !errors.Is(err, wantErr) {
		t.Errorf("%s: got error %v, memory %v", what, err, wantErr)
	}
	if !slices.EqualFunc(got, want, equal) {
		t.Errorf("%s: got %+v, memory %+v", what, got, want)
	}
}

func (tw *twins) session() rollcall.Session {
	s := tw.f.at(tw.agent(), tw.f.session(tw.username()))
	s.GameServer = fmt.Sprint("s", 1+tw.rand.IntN(2))
	s.GameCode, s.Mode = fmt.Sprint("g", tw.rand.IntN(2)), []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}[tw.rand.IntN(2)]
	s.LeaseSeconds = 1 + tw.rand.IntN(120)
	s.ExpiresAt = tw.f.now.Add(s.Lease())
	s.EndsAt = tw.f.now.Add(time.Duration(2+tw.rand.IntN(4)) * time.Minute)
	return s
}

func (tw *twins) start(t *testing.T) {
	s := tw.session()
	tw.known = append(tw.known, s.ID)
	l := launchOf(s, tw.f.now)
	for _, on := range []roll.Sessions{tw.f.Sessions, tw.memory} {
		must(t, on.AddLaunch(t.Context(), l))
	}
	tw.keys = append(tw.keys, l.Key)
	tw.startFrom(t, l.Key, s)
}

// startAgain starts one from a launch that was used, or refused.
func (tw *twins) startAgain(t *testing.T) {
	if len(tw.keys) == 0 {
		return
	}
	key := tw.keys[tw.rand.IntN(len(tw.keys))]
	l, err := tw.memory.Launch(t.Context(), key)
	if err != nil || !tw.f.now.Before(l.ExpiresAt.Add(roll.LaunchMemory)) {
		return // it may be forgotten
	}
	s := tw.session()
	s.AgentID, s.Username = l.Session.AgentID, l.Session.Username
	tw.startFrom(t, key, tw.f.on(key, s))
}

func (tw *twins) startFrom(t *testing.T, key string, s rollcall.Session) {
	limits := rollcall.SessionLimits{PerMember: tw.rand.IntN(5), PerGame: tw.rand.IntN(3)}
	limits.Policy = []rollcall.LimitPolicy{rollcall.LimitRefuse, rollcall.LimitDisplaceOldest}[tw.rand.IntN(2)]
	tw.both(t, "start", func(on roll.Sessions) (list []rollcall.Session, err error) {
		got, err := on.Start(t.Context(), roll.Start{LaunchKey: key, Session: s, Limits: limits})
		if err != nil {
			return nil, err
		}
		if got.Session.ID == s.ID {
			tw.stored[s.ID] = s
		}
		return append(sessionsOf(got.Displaced), got.Session), nil
	})
}

func sessionsOf(ended []rollcall.EndedSession) (list []rollcall.Session) {
	for i := range ended {
		list = append(list, ended[i].Session)
	}
	return list
}

func (tw *twins) beat(t *testing.T) {
	ids, server := []string{tw.id(), tw.id(), tw.id()}, fmt.Sprint("s", 1+tw.rand.IntN(2))
	got, err := tw.f.Sessions.Heartbeat(t.Context(), server, ids, tw.f.now)
	must(t, err)
	want, err := tw.memory.Heartbeat(t.Context(), server, ids, tw.f.now)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("beat of %v: unknown %v, memory %v", ids, got, want)
	}
}

func (tw *twins) end(t *testing.T) {
	ids := []string{tw.id(), tw.id()}
	tw.both(t, "end", func(on roll.Sessions) ([]rollcall.Session, error) {
		ended, err := on.End(t.Context(), ids, tw.f.left())
		return sessionsOf(ended), err
	})
}

func (tw *twins) endMember(t *testing.T) {
	agent, username := tw.agent(), tw.username()
	kick, ending := tw.f.kick(username)
	tw.both(t, "end "+agent+" "+username, func(on roll.Sessions) ([]rollcall.Session, error) {
		ended, err := on.EndMember(t.Context(), agent, username, ending, kick)
		return sessionsOf(ended), err
	})
}

func (tw *twins) expire(t *testing.T) {
	tw.both(t, "expire", func(on roll.Sessions) ([]rollcall.Session, error) {
		ended, err := on.Expire(t.Context(), tw.f.now, 1000)
		gone := sessionsOf(ended)
		slices.SortFunc(gone, func(a, b rollcall.Session) int { return cmp.Compare(a.ID, b.ID) })
		return gone, err
	})
}

func (tw *twins) pass(*testing.T) {
	tw.f.set(tw.f.now.Add(time.Duration(tw.rand.Int64N(int64(40 * time.Second)))))
}

// passToTheMoment goes to where a session's lease ends, or just before it.
func (tw *twins) passToTheMoment(t *testing.T) {
	if s, err := tw.memory.Get(t.Context(), tw.id(), tw.f.now); err == nil {
		tw.f.set(s.ExpiresAt.Add(-time.Duration(tw.rand.IntN(2))))
	}
}

func (tw *twins) list(t *testing.T) {
	agent, after, limit := []string{"", "a1", "a2", "a3"}[tw.rand.IntN(4)], "", tw.rand.IntN(5)
	if tw.rand.IntN(2) == 0 {
		after = tw.id()
	}
	tw.both(t, "list", func(on roll.Sessions) ([]rollcall.Session, error) {
		return on.List(t.Context(), rollcall.SessionFilter{AgentID: agent}, after, limit, tw.f.now)
	})
}

// restart reopens the backend. Memory is made to what the contract says of a
// restart: leases begin afresh. It sweeps before, since a lease that ran out and
// was not swept may come back.
func (tw *twins) restart(t *testing.T) {
	tw.expire(t)
	if tw.f.Engine {
		tw.f.reopen(t)
		return
	}
	held, err := tw.memory.List(t.Context(), rollcall.SessionFilter{}, "", len(tw.known), tw.f.now)
	must(t, err)
	tw.newMemory(t)
	tw.keys = nil // memory has forgotten them
	for _, s := range held {
		s = tw.stored[s.ID]
		if fresh := tw.f.now.Add(s.Lease()); fresh.After(s.ExpiresAt) {
			s.ExpiresAt = fresh
		}
		if s.ExpiresAt.After(s.EndsAt) {
			s.ExpiresAt = s.EndsAt
		}
		l := launchOf(s, s.StartedAt)
		must(t, tw.memory.AddLaunch(t.Context(), l))
		_, err := tw.memory.Start(t.Context(), roll.Start{LaunchKey: l.Key, Session: s})
		must(t, err)
	}
	tw.f.reopen(t)
}

func (tw *twins) newMemory(t *testing.T) {
	t.Helper()
	tw.memory = memory.New(memory.Options{}).Stores().Sessions
	for _, server := range []string{"s1", "s2"} {
		must(t, tw.memory.Boot(t.Context(), server, "b1", tw.f.now))
	}
}

// compare reads everything from both.
func (tw *twins) compare(t *testing.T) {
	t.Helper()
	for i := range 6 {
		agent, username := fmt.Sprint("a", 1+i%2), fmt.Sprintf("player%03d", i/2)
		tw.both(t, agent+" "+username, func(on roll.Sessions) ([]rollcall.Session, error) {
			return on.OfMember(t.Context(), agent, username, tw.f.now)
		})
	}
	got, err := tw.f.Sessions.Counts(t.Context())
	must(t, err)
	want, err := tw.memory.Counts(t.Context())
	must(t, err)
	wantSame(t, "counts", countsOf(got), countsOf(want))
	id := tw.id()
	tw.both(t, "get "+id, func(on roll.Sessions) ([]rollcall.Session, error) {
		s, err := on.Get(t.Context(), id, tw.f.now)
		return []rollcall.Session{s}, err
	})
}
