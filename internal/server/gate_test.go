package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
)

// visit enters g in the background; the channel has the verdict.
func visit(ctx context.Context, g *gate) chan error {
	said := make(chan error, 1)
	go func() { said <- g.enter(ctx) }()
	synctest.Wait()
	return said
}

// verdicts returns who of the visitors has heard what so far: + in, - refused.
func verdicts(visitors []chan error) string {
	synctest.Wait()
	text := ""
	for _, v := range visitors {
		select {
		case err := <-v:
			if err == nil {
				text += "+"
			} else {
				text += "-"
			}
		default:
			text += "."
		}
	}
	return text
}

func TestGateBoundsWhoIsInside(t *testing.T) {
	const room = 5
	g := newGate(room, time.Now)
	var inside, most, served, refused atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 200 {
				if g.enter(t.Context()) != nil {
					refused.Add(1)
					continue
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				served.Add(1)
				inside.Add(-1)
				g.leave()
			}
		})
	}
	all.Wait()
	if in, waiting := g.counts(); most.Load() > room || in != 0 || waiting != 0 || served.Load() == 0 || served.Load()+refused.Load() != 50*200 {
		t.Errorf("%d were inside at once, %d served, %d refused, %d and %d are left", most.Load(), served.Load(), refused.Load(), in, waiting)
	}
}

// In a burst who came first goes first; when it goes on, who came last, and nobody
// waits for longer than patience.
func TestGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, time.Now)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		var v []chan error
		for range 4 {
			v = append(v, visit(t.Context(), g))
		}
		time.Sleep(10 * time.Millisecond)
		g.leave()
		if got := verdicts(v); got != "+..." {
			t.Errorf("a burst: %s, want the first in", got)
		}
		time.Sleep(standing)
		g.leave()
		if got := verdicts(v); got != "...+" {
			t.Errorf("overload: %s, want the last in", got)
		}
		time.Sleep(patience - standing - 11*time.Millisecond)
		if got := verdicts(v); got != "...." {
			t.Errorf("just before their patience ends: %s", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := verdicts(v); got != ".--." {
			t.Errorf("without patience: %s, want the two refused", got)
		}
		g.leave()
		if in, waiting := g.counts(); in != 0 || waiting != 0 {
			t.Errorf("%d and %d are left", in, waiting)
		}
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// The queue is bounded, who hangs up leaves it, and a refusal says that nothing was
// done.
func TestGateQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, time.Now)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := visit(t.Context(), g)
		ctx, hangUp := context.WithCancel(t.Context())
		gone := visit(ctx, g)
		hangUp()
		if got := verdicts([]chan error{first, gone}); got != ".-" {
			t.Errorf("one hung up: %s", got)
		}
		for range queueFactor - 1 {
			visit(t.Context(), g)
		}
		if got := verdicts([]chan error{first}); got != "." {
			t.Errorf("the queue is full: %s", got)
		}
		last := visit(t.Context(), g)
		select {
		case err := <-first:
			if !errors.Is(err, rollcall.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		default:
			t.Error("the queue is too long, and who has waited for the longest is still there")
		}
		if got := verdicts([]chan error{last}); got != "." {
			t.Errorf("the last: %s", got)
		}
		time.Sleep(2 * patience)
		g.leave()
	})
}

func TestGateWithoutBound(t *testing.T) {
	g := newGate(0, time.Now)
	for range 1000 {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	g.leave()
}
