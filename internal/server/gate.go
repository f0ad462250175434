package server

import (
	queue "container/list"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall"
)

const (
	// queueFactor is how many calls may wait for each that is worked on.
	queueFactor = 8
	// patience is how long a call waits before it is refused. Refusing costs a
	// third of answering, so a server that refuses at once whatever comes is busy
	// with that alone; and who waits for an answer sends nothing meanwhile.
	patience = 500 * time.Millisecond
	// standing is how long calls have waited without a break when it is no burst
	// any more but overload. In a burst the first goes first, and all are answered.
	// In overload the last goes first: whoever is answered is answered soon, and not
	// when it has given up.
	standing = 100 * time.Millisecond
)

// errOverloaded is a call that is refused for want of time; nothing was done.
var errOverloaded = fmt.Errorf("%w: the server is overloaded", rollcall.ErrUnavailable)

// A gate bounds how many calls are worked on at a time. A nil gate does not.
type gate struct {
	room int
	now  func() time.Time

	mu      sync.Mutex
	inside  int
	waiting queue.List // of chan bool, who came first in front; true lets in
	since   time.Time  // since when somebody has been waiting

	// full is set while it is overload and half of the queue is taken: whoever
	// comes now would only wait to be refused.
	full atomic.Bool
}

// newGate makes a gate with that much room; nil where that is 0.
func newGate(room int, now func() time.Time) *gate {
	if room <= 0 {
		return nil
	}
	return &gate{room: room, now: now}
}

// enter returns nil when the call may go on, and has to leave then; or
// errOverloaded.
func (g *gate) enter(ctx context.Context) error {
	if g == nil {
		return nil
	}
	turn, place := g.join()
	if turn == nil {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case in := <-turn:
		return g.verdict(in)
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case in := <-turn: // it came at this very moment
		return g.verdict(in)
	default:
		g.remove(place)
		return errOverloaded
	}
}

func (g *gate) verdict(in bool) error {
	if !in {
		return errOverloaded
	}
	return nil
}

// join goes inside, with a nil turn, or into the queue. Where that is too long,
// who has waited for the longest is refused.
func (g *gate) join() (turn chan bool, place *queue.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside < g.room {
		g.inside++
		return nil, nil
	}
	if g.waiting.Len() == 0 {
		g.since = g.now()
	}
	turn = make(chan bool, 1)
	place = g.waiting.PushBack(turn)
	if g.waiting.Len() > queueFactor*g.room {
		g.call(g.waiting.Front(), false)
	}
	g.full.Store(g.waiting.Len() >= queueFactor*g.room/2 && g.now().Sub(g.since) >= standing)
	return turn, place
}

// leave gives the place inside to one who waits.
func (g *gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.waiting.Len() == 0:
		g.inside--
	case g.now().Sub(g.since) < standing:
		g.call(g.waiting.Front(), true)
	default:
		g.call(g.waiting.Back(), true)
	}
}

func (g *gate) call(place *queue.Element, in bool) { g.remove(place) <- in }

func (g *gate) remove(place *queue.Element) chan bool {
	turn := g.waiting.Remove(place).(chan bool)
	if g.waiting.Len() < queueFactor*g.room/2 {
		g.full.Store(false)
	}
	return turn
}

// isFull reports whether a call had better not be begun.
func (g *gate) isFull() bool { return g != nil && g.full.Load() }

// counts returns how many are inside and how many wait.
func (g *gate) counts() (inside, waiting int) {
	if g == nil {
		return 0, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, g.waiting.Len()
}
