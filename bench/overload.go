package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

const (
	// overloadConns is where a server on one core has reached its capacity.
	overloadConns = 256
	// inTime is how long a client waits for an answer. Then it hangs up, and what
	// the server does for it is in vain.
	inTime = time.Second
	// overloadFor is how long each measurement lasts.
	overloadFor = 4 * time.Second
)

// overloadFigures are what of more and more requests is answered.
type overloadFigures struct {
	o        options
	capacity float64
	all      []overloadFigure
}

// An overloadFigure is one measurement: how it went, of a server with a bound.
type overloadFigure struct {
	bound string
	times float64 // of its capacity
	went  *flood
}

// measureOverload has more and more clients' requests come than the server can
// answer, and counts those that are answered in time.
func measureOverload(ctx context.Context, o options, dir string) (_ report, err error) {
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	agent, err := n.overloadCast(ctx)
	if err != nil {
		return nil, err
	}
	f := &overloadFigures{o: o}
	if f.capacity, err = n.capacity(ctx, agent); err != nil {
		return nil, err
	}
	o.tell("capacity: %.0f requests/s over %d connections", f.capacity, overloadConns)
	for _, bound := range []string{defaultBound, "0"} {
		if n.extra = nil; bound != defaultBound {
			n.extra = []string{"--max-concurrent", bound}
		}
		for _, times := range []float64{1, 2, 4} {
			if err := n.restart(ctx); err != nil { // nothing of the last one is left
				return nil, err
			}
			agent.address = n.address
			went, err := n.overload(ctx, agent, times*f.capacity)
			if err != nil {
				return nil, err
			}
			f.all = append(f.all, overloadFigure{bound, times, went})
			o.tell("%s", f.all[len(f.all)-1].row(f.capacity))
		}
	}
	return f, nil
}

const defaultBound = ""

// overloadCast makes who calls, and the members that are launched.
func (n *node) overloadCast(ctx context.Context) (*signer, error) {
	if err := n.furnish(ctx, 0); err != nil {
		return nil, err
	}
	agent, err := n.agent(ctx, "agent")
	if err != nil {
		return nil, err
	}
	names := make([]string, overloadMembers)
	for i := range names {
		names[i] = overloadMember(i)
	}
	_, err = n.members(ctx, agent.agentID, names)
	return agent, err
}

func (f *overloadFigures) write(out io.Writer) {
	var rows [][]string
	for _, one := range f.all {
		rows = append(rows, one.row(f.capacity))
	}
	table(out, "server|clients send|sent/s|in time/s|of capacity|p50 of these|p99|refused/s|too late/s", rows...)
	fmt.Fprintf(out, "\nCapacity: %.0f launches/s over %d connections that send when they are answered. Then %d clients, each on a connection of its own, that\n"+
		"send at random whether they are answered or not, wait for %s, and hang up; they do not heed Retry-After. %s each, the server on one core.\n",
		f.capacity, overloadConns, f.o.n, inTime, overloadFor)
}

// goodput is what part of the capacity was answered in time.
func (f *overloadFigure) goodput(capacity float64) float64 {
	return float64(len(f.went.times)) / f.went.took.Seconds() / capacity
}

const overloadMembers = 2000

func overloadMember(i int) string { return fmt.Sprintf("player%06d", i%overloadMembers) }

func (n *node) restart(ctx context.Context) error {
	if err := n.stop(); err != nil {
		return err
	}
	return n.serve(ctx)
}

// capacity is how many requests the server answers in a second where each
// connection waits for its answer.
func (n *node) capacity(ctx context.Context, agent *signer) (float64, error) {
	best := 0.0
	for range 3 {
		requests, err := agent.launches(n.o.requests / 4)
		if err != nil {
			return 0, err
		}
		s, err := load(ctx, n.process, job{address: n.address, requests: requests, conns: overloadConns})
		if err != nil {
			return 0, err
		}
		best = max(best, s.perSecond())
	}
	return best, nil
}

func (s *signer) launches(n int) ([][]byte, error) {
	return s.signAll(n, wire.PathOpenGame, func(i int) any { return launch(overloadMember(i)) })
}

// overload has the clients send rate requests in a second, together.
func (n *node) overload(ctx context.Context, agent *signer, rate float64) (*flood, error) {
	requests, err := agent.launches(int(rate * overloadFor.Seconds() * 1.02))
	if err != nil {
		return nil, err
	}
	f, err := newFlood(n.address, n.o.n, requests, inTime)
	if err != nil {
		return nil, err
	}
	return f, errors.Join(f.run(ctx, rate, overloadFor), f.close())
}

func (f *overloadFigure) row(capacity float64) []string {
	name := "default bound"
	if f.bound != defaultBound {
		name = "--max-concurrent " + f.bound
	}
	w := f.went
	slices.Sort(w.times)
	per := func(n int) string { return number(float64(n)/w.took.Seconds(), 0) }
	at := func(part int) string {
		if len(w.times) == 0 {
			return "–"
		}
		return short(w.times[len(w.times)*part/100]).String()
	}
	return []string{
		name, fmt.Sprintf("%.0f×", f.times), per(w.offered), per(len(w.times)), fmt.Sprintf("%.0f %%", 100*f.goodput(capacity)), at(50), at(99),
		per(w.refused), per(w.late),
	}
}
