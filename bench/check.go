package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall/wire"
)

// runCheck measures a check of a member with one session against the floor.
func runCheck(ctx context.Context, o options, dir string, out io.Writer) (err error) {
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	const username = "player001"
	agent, _, err := n.play(ctx, []string{username})
	if err != nil {
		return err
	}
	c, err := n.newChecks(ctx, agent, username)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.floor.stop()) }()
	of := func(int) string { return username }
	measured, err := c.measure(ctx, members{"rollcall: the check", agent, of})
	if err != nil {
		return err
	}
	c.report(out, measured)
	return nil
}

// play makes an agent, its members and a game server, and a session of each
// member, which lives for an hour. It returns the agent and the game server's
// token.
func (n *node) play(ctx context.Context, names []string) (agent *signer, token string, err error) {
	if err := n.furnish(ctx, 3600); err != nil {
		return nil, "", err
	}
	if agent, err = n.agent(ctx, "agent"); err != nil {
		return nil, "", err
	}
	if token, err = n.gameServer(ctx, "games"); err != nil {
		return nil, "", err
	}
	if _, err := n.members(ctx, agent.agentID, names); err != nil {
		return nil, "", err
	}
	l := life{node: n, agent: agent, token: token, names: names}
	if _, err := l.launch(ctx); err != nil {
		return nil, "", err
	}
	_, err = l.start(ctx, 0, len(names), n.o.conns)
	return agent, token, err
}

// checks measures checks in turns with a floor.
type checks struct {
	n     *node
	floor *process
	size  int // of an answer
	// between, if set, is called before each measurement.
	between func(context.Context) error
}

// newChecks starts the floor, with the answer that a member of agent gets.
func (n *node) newChecks(ctx context.Context, agent *signer, username string) (*checks, error) {
	answer, err := agent.ask(ctx, wire.PathSessionsCheck, wire.MemberRequest{Username: username})
	if err != nil {
		return nil, err
	}
	if len(answer) < 200 {
		return nil, fmt.Errorf("member %s has no session: %s", username, answer)
	}
	floor, err := startFloor(ctx, n.dir, n.o.core, answer)
	return &checks{n: n, floor: floor, size: len(answer)}, err
}

// members are those of an agent that are asked for: the i-th time by of.
type members struct {
	name  string
	agent *signer
	of    func(i int) string
}

// A turn is the samples of one server's checks.
type turn struct {
	name    string
	samples []sample
}

// measure loads the floor, and the server with checks of each kind of members, in
// turns. A first round does not count.
func (c *checks) measure(ctx context.Context, kinds ...members) ([]turn, error) {
	o := &c.n.o
	turns := []turn{{name: "floor: net/http, fixed answer"}}
	for _, kind := range kinds {
		turns = append(turns, turn{name: kind.name})
	}
	for round := range o.rounds + 1 {
		for i := range turns {
			if c.between != nil {
				if err := c.between(ctx); err != nil {
					return nil, err
				}
			}
			server, kind := c.n.process, kinds[max(i-1, 0)]
			if i == 0 {
				server = c.floor
			}
			requests, err := kind.agent.signAll(o.requests, wire.PathSessionsCheck, func(i int) any {
				return wire.MemberRequest{Username: kind.of(i)}
			})
			if err != nil {
				return nil, err
			}
			s, err := load(ctx, server, job{address: server.address, requests: requests, conns: o.conns})
			if err != nil {
				return nil, err
			}
			if round > 0 {
				turns[i].samples = append(turns[i].samples, s)
			}
			o.tell("round %d of %d: %-30s %6.0f requests/s, %5.1f µs CPU a request", round, o.rounds, turns[i].name, s.perSecond(), s.micros())
		}
	}
	return turns, c.profile(ctx, kinds[0])
}

// profile takes a CPU profile of the server while it is loaded with checks, if one
// is asked for.
func (c *checks) profile(ctx context.Context, kind members) error {
	o := &c.n.o
	if o.profile == "" {
		return nil
	}
	var group errgroup.Group
	taken := make(chan struct{})
	group.Go(func() error {
		defer close(taken)
		text, err := c.n.get(ctx, "/debug/pprof/profile?seconds=5")
		return errors.Join(err, os.WriteFile(o.profile, text, 0o600))
	})
	for {
		select {
		case <-taken:
			return group.Wait()
		default:
		}
		requests, err := kind.agent.signAll(o.requests, wire.PathSessionsCheck, func(i int) any {
			return wire.MemberRequest{Username: kind.of(i)}
		})
		if err == nil {
			_, err = load(ctx, c.n.process, job{address: c.n.address, requests: requests, conns: o.conns})
		}
		if err != nil {
			return err
		}
	}
}

// report writes the turns, each with its ratio to the floor of its own time.
func (c *checks) report(out io.Writer, turns []turn, floors ...turn) {
	var rows [][]string
	for i, t := range turns {
		floor := turns[0]
		if len(floors) > 0 {
			floor = floors[i]
		}
		rows = append(rows, []string{
			t.name,
			figureOf(t.samples, sample.perSecond).show(0),
			figureOf(t.samples, sample.micros).show(1),
			medianTime(t.samples, func(s sample) time.Duration { return s.p50 }).String(),
			medianTime(t.samples, func(s sample) time.Duration { return s.p99 }).String(),
			ratios(t.samples, floor.samples).show(2),
		})
	}
	table(out, "server|requests/s|server CPU µs a request|p50|p99|CPU ÷ floor", rows...)
	o := &c.n.o
	fmt.Fprintf(out, "\nMedian (and extremes) of %d rounds of %d requests over %d connections, answers of %d bytes, servers on one core.\n",
		o.rounds, o.requests, o.conns, c.size)
}
