package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// A pair is two processes' Sessions: each call goes to the other one than the
// call before.
type pair struct {
	sides [2]roll.Sessions
	calls atomic.Uint64
}

func (p *pair) side() roll.Sessions { return p.sides[p.calls.Add(1)%2] }

func (p *pair) Lead(ctx context.Context, work string, d time.Duration) (bool, error) {
	return p.sides[0].Lead(ctx, work, d)
}
func (p *pair) Epoch(ctx context.Context) (roll.Epoch, error) { return p.side().Epoch(ctx) }
func (p *pair) Ping(ctx context.Context) error                { return p.side().Ping(ctx) }

func (p *pair) Boot(ctx context.Context, gameServer, bootID string, now time.Time) error {
	return p.side().Boot(ctx, gameServer, bootID, now)
}

func (p *pair) CurrentBoot(ctx context.Context, gameServer string) (string, error) {
	return p.side().CurrentBoot(ctx, gameServer)
}

func (p *pair) Start(ctx context.Context, s roll.Start) (roll.Started, error) {
	return p.side().Start(ctx, s)
}

func (p *pair) Announce(ctx context.Context, gameServer, bootID string, list []rollcall.Session, now time.Time) (map[string]string, error) {
	return p.side().Announce(ctx, gameServer, bootID, list, now)
}

func (p *pair) Heartbeat(ctx context.Context, gameServer string, ids []string, now time.Time) ([]string, error) {
	return p.side().Heartbeat(ctx, gameServer, ids, now)
}

func (p *pair) End(ctx context.Context, ids []string, e roll.Ending) ([]rollcall.EndedSession, error) {
	return p.side().End(ctx, ids, e)
}

func (p *pair) EndMember(ctx context.Context, agentID, username string, e roll.Ending, kick *rollcall.Kick) ([]rollcall.EndedSession, error) {
	return p.side().EndMember(ctx, agentID, username, e, kick)
}

func (p *pair) Expire(ctx context.Context, now time.Time, limit int) ([]rollcall.EndedSession, error) {
	return p.side().Expire(ctx, now, limit)
}

func (p *pair) OfMember(ctx context.Context, agentID, username string, now time.Time) ([]rollcall.Session, error) {
	return p.side().OfMember(ctx, agentID, username, now)
}

func (p *pair) Get(ctx context.Context, id string, now time.Time) (rollcall.Session, error) {
	return p.side().Get(ctx, id, now)
}

func (p *pair) List(ctx context.Context, f rollcall.SessionFilter, after string, limit int, now time.Time) ([]rollcall.Session, error) {
	return p.side().List(ctx, f, after, limit, now)
}

func (p *pair) Scan(ctx context.Context, f rollcall.SessionFilter, from string, now time.Time) ([]rollcall.Session, string, error) {
	return p.side().Scan(ctx, f, from, now)
}

func (p *pair) Online(ctx context.Context, agentID string, now time.Time) ([]string, error) {
	return p.side().Online(ctx, agentID, now)
}

func (p *pair) Counts(ctx context.Context) ([]rollcall.SessionCount, error) {
	return p.side().Counts(ctx)
}

func (p *pair) AddLaunch(ctx context.Context, l roll.Launch) error { return p.side().AddLaunch(ctx, l) }

func (p *pair) Launch(ctx context.Context, key string) (roll.Launch, error) {
	return p.side().Launch(ctx, key)
}

func (p *pair) Tell(ctx context.Context, receipts ...rollcall.Receipt) error {
	return p.side().Tell(ctx, receipts...)
}

func (p *pair) Pending(ctx context.Context, gameServer string, after int64, limit int) ([]rollcall.Receipt, error) {
	return p.side().Pending(ctx, gameServer, after, limit)
}

func (p *pair) PendingOf(ctx context.Context, gameServer string, ids []string) ([]rollcall.Receipt, error) {
	return p.side().PendingOf(ctx, gameServer, ids)
}

func (p *pair) Await(gameServer string) <-chan struct{} { return p.side().Await(gameServer) }

func (p *pair) Cursor(ctx context.Context, gameServer string) (int64, error) {
	return p.side().Cursor(ctx, gameServer)
}

func (p *pair) Mark(ctx context.Context, gameServer string, m roll.Marks) (int, error) {
	return p.side().Mark(ctx, gameServer, m)
}

func (p *pair) AddKick(ctx context.Context, k rollcall.Kick) error { return p.side().AddKick(ctx, k) }

func (p *pair) KickState(ctx context.Context, id string) (rollcall.KickState, error) {
	return p.side().KickState(ctx, id)
}

func (p *pair) FinishKick(ctx context.Context, id string, state rollcall.KickState, now time.Time) (rollcall.Kick, error) {
	return p.side().FinishKick(ctx, id, state, now)
}

func (p *pair) Kick(ctx context.Context, id string) (rollcall.Kick, error) {
	return p.side().Kick(ctx, id)
}

func (p *pair) Kicks(ctx context.Context, before string, running bool, limit int) ([]rollcall.Kick, error) {
	return p.side().Kicks(ctx, before, running, limit)
}

func (p *pair) Receipts(ctx context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error) {
	return p.side().Receipts(ctx, kickID, after, limit)
}

func (p *pair) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return p.side().PruneEvents(ctx, before, limit)
}

func (p *pair) Changes(ctx context.Context, after roll.Position, limit int) ([]roll.Change, error) {
	return p.side().Changes(ctx, after, limit)
}

func (p *pair) Forget(ctx context.Context, through roll.Position) error {
	return p.side().Forget(ctx, through)
}

// noncePair is two processes' Nonces, likewise.
type noncePair struct {
	sides [2]roll.Nonces
	calls atomic.Uint64
}

func (p *noncePair) Claim(ctx context.Context, agentID, nonce string, at time.Time) (bool, error) {
	return p.sides[p.calls.Add(1)%2].Claim(ctx, agentID, nonce, at)
}

func (p *noncePair) Held(ctx context.Context) (sum int, err error) {
	for _, n := range p.sides {
		held, heldErr := n.Held(ctx)
		sum, err = sum+held, errors.Join(err, heldErr)
	}
	return sum, err
}

func (p *noncePair) Ping(ctx context.Context) error { return p.sides[0].Ping(ctx) }

// Two processes are as one.
func TestPair(t *testing.T) {
	url := enginetest.Cluster(t).URL()
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Backend {
		o := fresh()
		o.MaxClockSkew, o.Now = storetest.MaxClockSkew, now
		a, b := open(t, url, o), open(t, url, o)
		stores := storetest.Memory(now)
		stores.Sessions = &pair{sides: [2]roll.Sessions{a.sessions, b.sessions}}
		stores.Nonces = &noncePair{sides: [2]roll.Nonces{a.nonces, b.nonces}}
		stores.Limits = a.limits
		if strings.HasSuffix(t.Name(), "/Await") {
			stores.Sessions = a.sessions // elsewhere a message wakes, a moment later: see testKickThroughTheOther
		}
		return storetest.Backend{Stores: stores, Engine: true}
	})
}

func TestTwoNodes(t *testing.T) {
	url := enginetest.Redis(t).URL()
	for name, test := range map[string]func(t *testing.T, a, b *node){
		"KickThroughTheOther": testKickThroughTheOther,
		"Lead":                testLead,
		"Abort":               testAbort,
		"Boot":                testBoot,
		"StartTwice":          testStartTwice,
		"KickAgain":           testKickAgain,
	} {
		t.Run(name, func(t *testing.T) {
			o := fresh()
			test(t, open(t, url, o), open(t, url, o))
		})
	}
}

func testKickThroughTheOther(t *testing.T, a, b *node) {
	s := a.start("player1")
	if got := b.of("player1"); got != s.ID {
		t.Errorf("the other node sees [%s], want [%s]", got, s.ID)
	}
	waits := a.sessions.Await("s1")
	k, ended := b.kick("player1")
	if len(ended) != 1 || ended[0].ID != s.ID || a.of("player1") != "" {
		t.Errorf("ended %v, and [%s] is still there", ended, a.of("player1"))
	}
	within(t, wakeAnyway/2, "to be woken", func() { <-waits })
	if got := a.pending(); !slices.Equal(got, []string{s.ID}) {
		t.Errorf("pending are %v, want %s", got, s.ID)
	}
	got, err := a.sessions.Kick(t.Context(), k.ID)
	if must(t, err); got.Matched != 1 || got.Progress != (rollcall.KickProgress{Ended: 1}) {
		t.Errorf("the kick is %+v", got)
	}
}

func testLead(t *testing.T, a, b *node) {
	lead := func(n *node, d time.Duration) bool {
		leads, err := n.sessions.Lead(t.Context(), "work", d)
		must(t, err)
		return leads
	}
	if !lead(a, time.Minute) || !lead(a, 100*time.Millisecond) {
		t.Error("who leads may lead on, for less time too")
	}
	begun := time.Now()
	for !lead(b, time.Minute) {
		if time.Since(begun) > patience {
			t.Fatal("the lead does not pass on")
		}
	}
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("the lead passed on after %v, want 100ms", took)
	}
	if lead(a, time.Minute) {
		t.Error("two lead")
	}
}

// When an abort was answered, no End of the kick ends anything any more, whoever
// asks, and whatever it knew before.
func testAbort(t *testing.T, a, b *node) {
	for round := range 10 {
		var ids []string
		for i := range 40 {
			ids = append(ids, a.start(fmt.Sprintf("r%dp%d", round, i)).ID)
		}
		k, e := a.kickOf("")
		k.Filter, k.State, k.FinishedAt, e.IfRunning = rollcall.SessionFilter{GameCode: "g1"}, rollcall.KickRunning, time.Time{}, true
		must(t, a.sessions.AddKick(t.Context(), k))
		var aborted atomic.Bool
		var late, ended atomic.Int64
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				after := aborted.Load()
				gone, err := b.sessions.End(context.WithoutCancel(t.Context()), []string{id}, e)
				if err != nil {
					t.Error(err)
				}
				ended.Add(int64(len(gone)))
				if after {
					late.Add(int64(len(gone)))
				}
			})
		}
		_, err := a.sessions.FinishKick(t.Context(), k.ID, rollcall.KickAborted, a.Now())
		aborted.Store(true)
		must(t, err)
		before, err := a.sessions.List(t.Context(), rollcall.SessionFilter{}, "", 1000, a.Now())
		must(t, err)
		all.Wait()
		after, err := b.sessions.List(t.Context(), rollcall.SessionFilter{}, "", 1000, a.Now())
		must(t, err)
		if late.Load() > 0 || len(before) != len(after) {
			t.Errorf("%d sessions were there when the abort was answered, %d are; %d of %d ended later", len(before), len(after), late.Load(), ended.Load())
		}
	}
}

func testBoot(t *testing.T, a, b *node) {
	a.boot("s1", "b1")
	s := b.session("player1")
	key, err := b.launch(t.Context(), s)
	must(t, err)
	a.boot("s1", "b2")
	_, err = b.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: s})
	if !errors.Is(err, rollcall.ErrStaleBoot) {
		t.Errorf("a Start by an old boot: got %v, want ErrStaleBoot", err)
	}
	s.BootID = "b2"
	_, err = b.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: s})
	must(t, err)
	// Boots at the same time leave one, everywhere the same.
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			n := []*node{a, b}[i%2]
			if err := n.sessions.Boot(context.WithoutCancel(t.Context()), "s1", fmt.Sprint("c", i), n.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	current, err := a.sessions.CurrentBoot(t.Context(), "s1")
	must(t, err)
	for i := range a.keys().parts {
		got, err := b.engine.strings(t.Context(), "test", read("HGET", a.keys().parts[i].boots(), "s1"))
		if must(t, err); generationOf(got[0]) == 0 || got[0][len(got[0])-len(current):] != current {
			t.Fatalf("partition %d has boot %q, want %s", i, got[0], current)
		}
	}
}

func (n *node) keys() *keys { return n.sessions.keys }

// A Start that is made twice at the same time, as by a client that did not wait,
// is answered twice with the same session.
func testStartTwice(t *testing.T, a, b *node) {
	a.boot("s1", "b1")
	for i := range 100 {
		s := a.session(fmt.Sprint("player", i))
		key, err := a.launch(t.Context(), s)
		must(t, err)
		limits := rollcall.SessionLimits{PerMember: 1, Policy: rollcall.LimitRefuse}
		var all sync.WaitGroup
		for side := range 6 {
			n := []*node{a, b}[side%2]
			all.Go(func() {
				own := s
				own.ID = roll.NewSessionID(s.StartedAt, roll.HomeOf(s.AgentID, s.Username))
				if _, err := n.sessions.Start(context.WithoutCancel(t.Context()), roll.Start{LaunchKey: key, Session: own, Limits: limits}); err != nil {
					t.Errorf("start again: %v", err)
				}
			})
		}
		all.Wait()
		if list, err := a.sessions.OfMember(t.Context(), s.AgentID, s.Username, a.Now()); err != nil || len(list) != 1 {
			t.Fatalf("%d sessions, %v, want 1", len(list), err)
		}
	}
}

// A kick that was stored, or finished, but did not get to all partitions gets
// there when it is tried again.
func testKickAgain(t *testing.T, a, b *node) {
	s := a.start("player1")
	forget := func() { // as if the process had died before the partitions were told
		for i := range a.keys().parts {
			_, err := a.engine.do(t.Context(), "test", write("SET", a.keys().parts[i].kicks(), "1"))
			must(t, err)
		}
	}
	k, e := a.kickOf("")
	k.Filter, k.State, e.IfRunning = rollcall.SessionFilter{GameCode: "g1"}, rollcall.KickRunning, true
	_, err := b.sessions.filters.at(t.Context(), 1) // what there was before
	must(t, err)
	l := b.session("player2")
	key, err := b.launch(t.Context(), l)
	must(t, err)
	k.At = l.StartedAt
	must(t, a.sessions.AddKick(t.Context(), k))
	forget()
	must(t, a.sessions.AddKick(t.Context(), k))
	if _, err := b.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: l}); !errors.Is(err, rollcall.ErrLaunchVoided) {
		t.Errorf("a launch from before the kick: got %v, want ErrLaunchVoided", err)
	}
	_, err = a.sessions.FinishKick(t.Context(), k.ID, rollcall.KickAborted, a.Now())
	must(t, err)
	forget()
	_, err = a.sessions.FinishKick(t.Context(), k.ID, rollcall.KickAborted, a.Now())
	must(t, err)
	if ended, err := b.sessions.End(t.Context(), []string{s.ID}, e); err != nil || len(ended) > 0 {
		t.Errorf("an End of a kick that was aborted ended %d, %v", len(ended), err)
	}
}
