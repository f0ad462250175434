package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// peerConns are the connections that everyone is measured with.
var peerConns = []int{1, 64, 512}

// The names of rollcall and its floor in tables.
const (
	checkName      = "rollcall: the check"
	checkRedisName = "rollcall: the check, on Redis"
)

// peerFigures are of rollcall beside its peers.
type peerFigures struct {
	o       options
	turns   [][]turn // by peerConns; the floor's are first
	ceiling turn     // of the load, against a server without HTTP
	rooms   []room   // where the CPU of a check goes
	// redisRooms is the same of a check on Redis; nil: not measured.
	redisRooms []room
	missing    []string // who could not be measured, and why
	errand     string   // the commands of a check on Redis
	trips      float64  // how many times a check waits for Redis and back; 0: not measured
	size       int      // of rollcall's answer
}

// measurePeers measures rollcall, its floor and everyone else who answers the
// question, in turns.
func measurePeers(ctx context.Context, o options, dir string) (_ report, err error) {
	e, err := newEveryone(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	started := false
	err = in(func(b *bed) (err error) {
		stop, err := e.onRedis(ctx, b)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		started = true
		return e.measure(ctx)
	})
	if missing := failureError(""); !started && errors.As(err, &missing) {
		e.try(nil, fmt.Errorf("on Redis: %w", missing))
		err = e.measure(ctx)
	}
	return e.f, err
}

// everyone is rollcall and its peers on the embedded stores, started.
type everyone struct {
	f      *peerFigures
	dir    string
	node   *node
	check  *contender
	rivals *rivals
	// redisNode and redisCheck are rollcall on Redis; nil: not there.
	redisNode  *node
	redisCheck *contender

	all   []*contender
	stops []func() error
}

func newEveryone(ctx context.Context, o options, dir string) (_ *everyone, err error) {
	e := &everyone{f: &peerFigures{o: o}, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if e.node, err = newNode(ctx, o, dir, "full"); err != nil {
		return nil, err
	}
	e.stops = append(e.stops, e.node.stop)
	agent, _, err := e.node.play(ctx, []string{someone})
	if err != nil {
		return nil, err
	}
	answer, err := agent.sessionsOf(ctx, someone)
	if err != nil {
		return nil, err
	}
	e.f.size = len(answer)
	if err := alike(ctx, agent, answer); err != nil {
		return nil, err
	}
	floor, err := e.node.floor(ctx, agent, someone, answer)
	if err != nil {
		return nil, err
	}
	e.add(floor)
	e.check = checks(e.node.process, members{checkName, agent, func(int) string { return someone }})
	e.all = append(e.all, e.check)
	if e.rivals, err = newRivals(&e.f.o, dir, answer); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) (*contender, error){
		e.rivals.plain, e.rivals.node, func(ctx context.Context) (*contender, error) { return e.rivals.centrifuge(ctx, "") },
	} {
		e.try(start(ctx))
	}
	return e, nil
}

// add takes a contender with a server of its own.
func (e *everyone) add(c *contender) {
	e.all = append(e.all, c)
	e.stops = append(e.stops, c.server.stop)
}

// try takes a contender, or notes why it is not there.
func (e *everyone) try(c *contender, err error) {
	if err != nil {
		e.f.o.tell("not measured: %v", err)
		e.f.missing = append(e.f.missing, err.Error())
		return
	}
	e.add(c)
}

func (e *everyone) stop() error {
	var errs []error
	for i := range e.stops {
		errs = append(errs, e.stops[len(e.stops)-1-i]())
	}
	return errors.Join(errs...)
}

// onRedis adds rollcall and centrifuge on one Redis, and a client of it alone.
func (e *everyone) onRedis(ctx context.Context, b *bed) (stop func() error, err error) {
	h, err := newHouse(ctx, b, e.f.o, e.dir, "Redis", 1)
	if err != nil {
		return nil, err
	}
	agent, address := h.agents[0], h.redis[0].Addr()
	check := checks(h.nodes[0].process, members{checkRedisName, agent, func(int) string { return memberName(1) }})
	errand, err := overhear(ctx, address, func() error {
		_, err := agent.sessionsOf(ctx, memberName(1))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, h.stop())
	}
	if e.f.trips, err = h.trips(ctx); err != nil {
		return nil, errors.Join(err, h.stop())
	}
	e.f.errand = errand.names()
	e.all = append(e.all, check)
	e.redisNode, e.redisCheck = h.nodes[0], check
	before := len(e.all)
	e.try(e.rivals.centrifuge(ctx, address))
	e.try(startAlone(ctx, e.dir, e.f.o.core, errand))
	for _, c := range append(e.all[before:], check) {
		c.engine = h.engineCPU
	}
	return h.stop, nil
}

// measure measures everyone with each number of connections, then the load's own
// ceiling, and where the CPU of a check goes.
func (e *everyone) measure(ctx context.Context) error {
	l := lineup{o: &e.f.o, all: e.all}
	for _, conns := range peerConns {
		n := e.f.o.requests
		if conns == 1 {
			n = max(100, n/6) // one at a time takes its time
		}
		e.f.o.tell("everyone, %d connections", conns)
		turns, err := l.measure(ctx, n, conns)
		if err != nil {
			return err
		}
		e.f.turns = append(e.f.turns, turns)
	}
	if err := e.measureLoad(ctx); err != nil {
		return err
	}
	var err error
	if e.f.rooms, err = e.node.rooms(ctx, e.check); err == nil && e.redisNode != nil {
		e.f.redisRooms, err = e.redisNode.rooms(ctx, e.redisCheck)
	}
	return err
}

// measureLoad finds the load's ceiling: what it gets from a server that does next
// to nothing.
func (e *everyone) measureLoad(ctx context.Context) error {
	request, err := e.check.requests(1)
	if err != nil {
		return err
	}
	answer := make([]byte, e.f.size)
	server, err := startFloor(ctx, e.dir, e.f.o.core, true, answer)
	if err != nil {
		return err
	}
	l := lineup{o: &e.f.o, all: []*contender{always("no HTTP, fixed answer", server, request[0])}}
	turns, err := l.measure(ctx, e.f.o.requests, e.f.o.conns)
	if err == nil {
		e.f.ceiling = turns[0]
	}
	return errors.Join(err, server.stop())
}

// of returns the turn of a name at one number of connections, or nil.
func (f *peerFigures) of(conns int, name string) *turn {
	for i, n := range peerConns {
		if n != conns || i >= len(f.turns) {
			continue
		}
		for k := range f.turns[i] {
			if f.turns[i][k].name == name {
				return &f.turns[i][k]
			}
		}
	}
	return nil
}

// against returns a figure of one by that of another, round by round; nil where
// one of them was not measured.
func (f *peerFigures) against(conns int, a, b string, of func(sample) float64) figure {
	one, other := f.of(conns, a), f.of(conns, b)
	if one == nil || other == nil {
		return nil
	}
	return ratios(one.samples, other.samples, of)
}

func (f *peerFigures) write(out io.Writer) {
	for i, turns := range f.turns {
		fmt.Fprintf(out, "%d connection(s):\n\n", peerConns[i])
		writeTurns(out, turns)
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "Median (and extremes) of %d rounds of %d requests (a sixth with one connection), answers of %d bytes, servers on one core, the load on the others.\n",
		f.o.rounds, f.o.requests, f.size)
	if f.errand != "" {
		fmt.Fprintf(out, "\nThe commands of a check on Redis are %s, and it waits %s times for the way there and back. What the engine takes is that of all that it does.\n", f.errand, number(f.trips, 2))
	}
	for _, why := range f.missing {
		fmt.Fprintf(out, "\nNot measured: %s.\n", why)
	}
	fmt.Fprintf(out, "\nThe load's own ceiling: %s requests/s over %d connections from a server without HTTP, and %s µs of its CPU each.\n",
		figureOf(f.ceiling.samples, sample.perSecond).show(0), f.o.conns, figureOf(f.ceiling.samples, sample.ownMicros).show(1))
	f.writeRooms(out, "a check", f.rooms, f.of(f.o.conns, checkName))
	f.writeRooms(out, "a check on Redis", f.redisRooms, f.of(f.o.conns, checkRedisName))
}

// writeRooms writes where the CPU of a check goes.
func (f *peerFigures) writeRooms(out io.Writer, what string, rooms []room, t *turn) {
	if len(rooms) > 0 && t != nil {
		writeRooms(out, what, rooms, figureOf(t.samples, sample.micros).median())
	}
}
