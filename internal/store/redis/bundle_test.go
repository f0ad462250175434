package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// still opens a Store that asks for nothing on its own.
func still(t *testing.T) *node {
	t.Helper()
	o := fresh()
	o.complete()
	k := newKeys(o.Prefix)
	s := &Store{stop: func() {}}
	var errs [4]error
	if s.engine, errs[0] = connect(enginetest.Redis(t).URL(), &o); errs[0] == nil {
		t.Cleanup(s.engine.client.Close)
		s.clock, errs[1] = newClock(t.Context(), s.engine, k.kick(""), &o)
		s.epochs, errs[2] = openEpochs(t.Context(), s.engine, k, s.Now, o.Log)
		s.sessions = newSessions(s.engine, k, s.clock, s.epochs, &o)
		s.nonces, errs[3] = openNonces(t.Context(), s.engine, k, s.Now, &o)
	}
	must(t, errs[:]...)
	return &node{s, t}
}

// echo is a command that is answered by its own text.
func (n *node) echo(text string) rueidis.Completed {
	return n.engine.client.B().Echo().Message(text).Build()
}

// echoed fails where what was asked by echo is not answered so.
func (n *node) echoed(ctx context.Context, a asked, want string) {
	n.t.Helper()
	results, err := n.engine.bundles.wait(ctx, a)
	must(n.t, err)
	if got, err := results[0].ToString(); err != nil || got != want {
		n.t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// What is asked before anybody waits goes together, in its order; what is asked
// later goes by itself.
func TestBundle(t *testing.T) {
	n := still(t)
	s := n.engine.bundles
	one, two := s.ask(n.echo("1")), s.ask(n.echo("2"), n.echo("3"))
	if one.bundle != two.bundle || len(one.bundle.commands) != 3 {
		t.Fatal("two who ask have a bundle each")
	}
	n.echoed(t.Context(), two, "2")
	if s.next != nil {
		t.Error("a bundle that was sent takes more")
	}
	n.echoed(t.Context(), one, "1")
	later := s.ask(n.echo("4"))
	if later.bundle == one.bundle {
		t.Error("a bundle that was sent has taken more")
	}
	n.echoed(t.Context(), later, "4")
}

// A bundle that is full goes, and all that did not fit into it too.
func TestFullBundle(t *testing.T) {
	n := still(t)
	s := n.engine.bundles
	var all []asked
	for i := range 2*bundleMost + 1 {
		all = append(all, s.ask(n.echo(strconv.Itoa(i))))
	}
	if len(all[0].bundle.commands) != bundleMost {
		t.Errorf("%d commands are in a bundle, want %d", len(all[0].bundle.commands), bundleMost)
	}
	for i, a := range all {
		n.echoed(t.Context(), a, strconv.Itoa(i))
	}
}

// Who goes away takes nothing from who shares a bundle, and waits for nobody else.
func TestBundleOfWhoGoes(t *testing.T) {
	n := still(t)
	s := n.engine.bundles
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	one, two := s.ask(n.echo("1")), s.ask(n.echo("2"))
	n.echoed(gone, one, "1") // who sends
	n.echoed(t.Context(), two, "2")
	other := s.ask(n.echo("3"))
	if !s.leads(other.bundle) || s.leads(other.bundle) {
		t.Fatal("a bundle has none who sends it, or two")
	}
	if _, err := s.wait(gone, other); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	s.send(other.bundle)
	n.echoed(gone, other, "3")
}

// A claim that is begun goes with what is read next, and not by itself.
func TestClaimWithARead(t *testing.T) {
	n := still(t)
	n.start("player1")
	s := n.engine.bundles
	for _, want := range []bool{true, false} {
		claiming := n.nonces.Begin(t.Context(), "a1", "x", n.Now())
		b := s.next
		if b == nil || len(b.commands) != 1 || b.led {
			t.Fatalf("a claim that is begun is not in a bundle that waits: %+v", b)
		}
		if list, err := n.sessions.OfMember(t.Context(), "a1", "player1", n.Now()); err != nil || len(list) != 1 {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		if len(b.results) != 2 {
			t.Errorf("%d commands went together, want 2", len(b.results))
		}
		if fresh, err := claiming.Wait(t.Context()); err != nil || fresh != want {
			t.Errorf("got %t, %v; want %t", fresh, err, want)
		}
	}
	if fresh, err := n.nonces.Begin(t.Context(), "a1", "y", n.Now()).Wait(t.Context()); err != nil || !fresh {
		t.Errorf("with nothing else: %t, %v", fresh, err)
	}
}

// Of many claims of one nonce, begun at once, one wins, on a Cluster too.
func TestBegunClaims(t *testing.T) {
	for name, url := range map[string]string{"Single": enginetest.Redis(t).URL(), "Cluster": enginetest.Cluster(t).URL()} {
		t.Run(name, func(t *testing.T) {
			n := open(t, url, fresh())
			var all sync.WaitGroup
			won := make(chan bool, 100)
			for range cap(won) {
				claiming := n.nonces.Begin(t.Context(), "a1", "x", n.Now())
				all.Go(func() {
					if fresh, err := claiming.Wait(t.Context()); err != nil || fresh {
						won <- err == nil
					}
				})
			}
			all.Wait()
			if close(won); len(won) != 1 || !<-won {
				t.Errorf("%d claims have won, or failed; want one that won", len(won))
			}
		})
	}
}

// What may take the engine long, or has a time of its own, goes in no bundle; and
// nothing does where a node of several, or replicas, may keep it waiting.
func TestBundled(t *testing.T) {
	e := &engine{bundles: &bundles{}}
	small, alone, large := readAll("x"), readAll("x"), readAll(strings.Split(strings.Repeat("x", bundleWords+1), "")...)
	alone.alone = true
	many := make([]command, bundleUsual+1)
	all := func(list []command) (some []int) {
		for i := range list {
			some = append(some, i)
		}
		return some
	}
	for name, c := range map[string]struct {
		e    *engine
		list []command
		want bool
	}{
		"small":    {e, []command{small, small}, true},
		"alone":    {e, []command{small, alone}, false},
		"large":    {e, []command{small, large}, false},
		"many":     {e, many, false},
		"Cluster":  {&engine{}, []command{small}, false},
		"replicas": {&engine{bundles: &bundles{}, replicas: 1}, []command{small}, false},
	} {
		if got := c.e.bundled(c.list, all(c.list)); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
