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
		memory: memory.New(memory.Options{}).Stores().Sessions,
	}
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

func (tw *twins) start(t *testing.T) {
	s := tw.f.session(tw.username())
	s.AgentID, s.GameServer = tw.agent(), fmt.Sprint("s", 1+tw.rand.IntN(2))
	s.GameCode, s.Mode = fmt.Sprint("g", tw.rand.IntN(2)), []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}[tw.rand.IntN(2)]
	s.EndsAt = tw.f.now.Add(time.Duration(2+tw.rand.IntN(4)) * time.Minute)
	tw.known = append(tw.known, s.ID)
	tw.store(t, s)
}

// startAgain starts one of an ID that is, or was, there.
func (tw *twins) startAgain(t *testing.T) {
	s := tw.f.session(tw.username())
	if s.ID = tw.id(); s.ID != "none" {
		tw.store(t, s)
	}
}

func (tw *twins) store(t *testing.T, s rollcall.Session) {
	tw.both(t, "start", func(on roll.Sessions) ([]rollcall.Session, error) {
		held, err := on.Start(t.Context(), s)
		if equal(held, s) {
			tw.stored[s.ID] = s
		}
		return []rollcall.Session{held}, err
	})
}

func (tw *twins) beat(t *testing.T) {
	ids, server := []string{tw.id(), tw.id(), tw.id()}, fmt.Sprint("s", 1+tw.rand.IntN(2))
	beat := time.Duration(1+tw.rand.IntN(120)) * time.Second
	got, err := tw.f.Sessions.Heartbeat(t.Context(), server, ids, tw.f.now, beat)
	must(t, err)
	want, err := tw.memory.Heartbeat(t.Context(), server, ids, tw.f.now, beat)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Errorf("beat of %v: unknown %v, memory %v", ids, got, want)
	}
}

func (tw *twins) end(t *testing.T) {
	id := tw.id()
	tw.both(t, "end "+id, func(on roll.Sessions) ([]rollcall.Session, error) {
		s, err := on.End(t.Context(), id, tw.f.now)
		return []rollcall.Session{s}, err
	})
}

func (tw *twins) endMember(t *testing.T) {
	agent, username := tw.agent(), tw.username()
	tw.both(t, "end "+agent+" "+username, func(on roll.Sessions) ([]rollcall.Session, error) {
		return on.EndMember(t.Context(), agent, username, tw.f.now)
	})
}

func (tw *twins) expire(t *testing.T) {
	tw.both(t, "expire", func(on roll.Sessions) ([]rollcall.Session, error) {
		gone, err := on.Expire(t.Context(), tw.f.now, 1000)
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
		return on.List(t.Context(), agent, after, limit, tw.f.now)
	})
}

// restart reopens the backend. Memory is made to what the contract says of a
// restart: leases begin afresh. It sweeps before, since a lease that ran out and
// was not swept may come back.
func (tw *twins) restart(t *testing.T) {
	tw.expire(t)
	held, err := tw.memory.List(t.Context(), "", "", len(tw.known), tw.f.now)
	must(t, err)
	tw.memory = memory.New(memory.Options{}).Stores().Sessions
	for _, s := range held {
		s = tw.stored[s.ID]
		if fresh := tw.f.now.Add(s.ExpiresAt.Sub(s.SeenAt)); fresh.After(s.ExpiresAt) {
			s.ExpiresAt = fresh
		}
		if s.ExpiresAt.After(s.EndsAt) {
			s.ExpiresAt = s.EndsAt
		}
		_, err := tw.memory.Start(t.Context(), s)
		must(t, err)
	}
	tw.f.reopen(t)
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
	if got, want := counts(t, tw.f.Sessions), counts(t, tw.memory); got != want {
		t.Errorf("counts %s, memory %s", got, want)
	}
	id := tw.id()
	tw.both(t, "get "+id, func(on roll.Sessions) ([]rollcall.Session, error) {
		s, err := on.Get(t.Context(), id, tw.f.now)
		return []rollcall.Session{s}, err
	})
}

func counts(t *testing.T, of roll.Sessions) string {
	t.Helper()
	list, err := of.Counts(t.Context())
	must(t, err)
	slices.SortFunc(list, func(a, b rollcall.SessionCount) int {
		return cmp.Or(cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.GameCode, b.GameCode), cmp.Compare(a.Mode, b.Mode))
	})
	return fmt.Sprint(list)
}
