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

// runOverload has more and more clients' requests come than the server can answer,
// and counts those that are answered in time.
func runOverload(ctx context.Context, o options, dir string, out io.Writer) (err error) {
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	if err := n.furnish(ctx, 0); err != nil {
		return err
	}
	agent, err := n.agent(ctx, "agent")
	if err != nil {
		return err
	}
	names := make([]string, overloadMembers)
	for i := range names {
		names[i] = overloadMember(i)
	}
	if _, err = n.members(ctx, agent.agentID, names); err != nil {
		return err
	}
	capacity, err := n.capacity(ctx, agent)
	if err != nil {
		return err
	}
	o.tell("capacity: %.0f requests/s over %d connections", capacity, overloadConns)
	var rows [][]string
	for _, bound := range []struct{ name, flag string }{{"default bound", ""}, {"--max-concurrent 0", "0"}} {
		if n.extra = nil; bound.flag != "" {
			n.extra = []string{"--max-concurrent", bound.flag}
		}
		for _, times := range []float64{1, 2, 4} {
			if err := n.restart(ctx); err != nil { // nothing of the last one is left
				return err
			}
			agent.address = n.address
			f, err := n.overload(ctx, agent, times*capacity)
			if err != nil {
				return err
			}
			rows = append(rows, append([]string{bound.name, fmt.Sprintf("%.0f×", times)}, f.row(capacity)...))
			o.tell("%s", rows[len(rows)-1])
		}
	}
	table(out, "server|clients send|sent/s|in time/s|of capacity|p50 of these|p99|refused/s|too late/s", rows...)
	fmt.Fprintf(out, "\nCapacity: %.0f launches/s over %d connections that send when they are answered. Then %d clients, each on a connection of its own, that\n"+
		"send at random whether they are answered or not, wait for %s, and hang up; they do not heed Retry-After. %s each, the server on one core.\n",
		capacity, overloadConns, o.n, inTime, overloadFor)
	return nil
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

func (f *flood) row(capacity float64) []string {
	slices.Sort(f.times)
	per := func(n int) string { return number(float64(n)/f.took.Seconds(), 0) }
	at := func(part int) string {
		if len(f.times) == 0 {
			return "–"
		}
		return short(f.times[len(f.times)*part/100]).String()
	}
	good := len(f.times)
	return []string{
		per(f.offered), per(good), fmt.Sprintf("%.0f %%", 100*float64(good)/f.took.Seconds()/capacity), at(50), at(99),
		per(f.refused), per(f.late),
	}
}
