package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// few is how many sessions there are before there are many.
const few = 1000

// runSessions measures what many live sessions do to a server.
func runSessions(ctx context.Context, o options, dir string, out io.Writer) (err error) {
	if o.n <= few {
		return fmt.Errorf("want -n above %d", few)
	}
	n, err := newNode(ctx, o, dir, "normal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	c, err := newCrowd(ctx, n, o.n)
	if err != nil {
		return err
	}
	m := &many{crowd: c}
	if _, _, err := c.fill(ctx, few); err != nil {
		return err
	}
	if m.checks, err = n.newChecks(ctx, c.big, c.names[0]); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.checks.floor.stop()) }()
	m.checks.between = c.keep
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"checks with few sessions", m.before},
		{"filling", m.grow},
		{"checks with many sessions", m.after},
		{"heartbeats", m.heartbeats},
		{"who is online", m.online},
		{"restart", m.restart},
	} {
		o.tell("%s", step.what)
		if err := errors.Join(c.keep(ctx), step.do(ctx)); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	o.tell("kick of them all")
	m.kicked, err = m.kickAll(ctx)
	m.report(out)
	return err
}

// many is what is measured of a crowd.
type many struct {
	*crowd

	checks            *checks
	fewMem, manyMem   memory
	reborn            memory
	few, many         []turn
	members, sessions sample
	full              []sample // heartbeats, as fast as can be
	steady            sample
	steadyP99         time.Duration
	calm              onlineFigures
	stopped, ready    time.Duration
	readyCPU          time.Duration
	kicked            sample
}

// first asks for the first members, at random asks for any of big's.
func (m *many) first() members {
	return members{"check, 1,000 members in turn", m.big, func(i int) string { return m.names[i%few] }}
}

func (m *many) atRandom() members {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: it is to be the same each time
	return members{"check, members at random", m.big, func(int) string { return m.names[random.IntN(min(len(m.names), bigMembers))] }}
}

func (m *many) before(ctx context.Context) (err error) {
	if m.few, err = m.checks.measure(ctx, m.first()); err != nil {
		return err
	}
	m.fewMem, err = m.memory(ctx)
	return err
}

func (m *many) grow(ctx context.Context) (err error) {
	m.members, m.sessions, err = m.fill(ctx, m.size)
	return err
}

func (m *many) after(ctx context.Context) (err error) {
	if m.manyMem, err = m.memory(ctx); err != nil {
		return err
	}
	m.many, err = m.checks.measure(ctx, m.first(), m.atRandom())
	return err
}

// steadyFor is how long heartbeats are sent as game servers do, each session's
// every 30 s.
const steadyFor = 2

func (m *many) heartbeats(ctx context.Context) (err error) {
	m.full, err = m.rounds(func() (sample, error) { return m.beatAll(ctx, 0) })
	if err != nil {
		return err
	}
	m.o.tell("heartbeats at the pace of game servers, for %d s", steadyFor*30)
	for range steadyFor {
		s, err := m.beatAll(ctx, float64(len(m.bodies))/30)
		if err != nil {
			return err
		}
		m.steady, m.steadyP99 = m.steady.plus(s), max(m.steadyP99, s.p99)
	}
	return nil
}

func (m *many) restart(ctx context.Context) error {
	begun := time.Now()
	if err := m.stop(); err != nil {
		return err
	}
	m.stopped, begun = time.Since(begun), time.Now()
	if err := m.serve(ctx); err != nil {
		return err
	}
	m.ready = time.Since(begun)
	var err error
	if m.readyCPU, err = m.cpu(); err != nil {
		return err
	}
	m.bodies = nil
	m.big.address, m.rest.address = m.address, m.address
	if _, err := m.beatAll(ctx, 0); err != nil { // every one is there
		return err
	}
	m.reborn, err = m.memory(ctx)
	return err
}

func (m *many) report(out io.Writer) {
	n := float64(m.size - few)
	fmt.Fprintf(out, "%s live sessions of as many members, `--sync normal`, server on one core.\n\n", number(float64(m.size), 0))
	m.few[0].name = "floor, before"
	m.few[1].name = fmt.Sprintf("%s, %s sessions", m.few[1].name, number(few, 0))
	m.many[0].name = "floor, with all sessions"
	for i := range m.many[1:] {
		m.many[i+1].name += fmt.Sprintf(", %s sessions", number(float64(m.size), 0))
	}
	m.checks.report(out, append(m.few, m.many...), m.few[0], m.few[0], m.many[0], m.many[0], m.many[0])
	fmt.Fprintln(out)
	perSession := func(before, after int) string { return number(float64(after-before)/n, 0) + " bytes a session" }
	rows := [][]string{
		{"memory: live heap, after a collection", perSession(m.fewMem.live, m.manyMem.live)},
		{"memory: resident, as it was filled", perSession(m.fewMem.rss, m.manyMem.rss) + ", " + megabytes(m.manyMem.rss)},
		{"memory: resident, after a restart", perSession(m.fewMem.rss, m.reborn.rss) + ", " + megabytes(m.reborn.rss)},
		{"members made by the admin API", number(m.members.perSecond(), 0) + "/s"},
		{"sessions announced, in batches of 10,000", fmt.Sprintf("%s/s, %.1f µs CPU each", number(m.sessions.perSecond(), 0), m.sessions.micros())},
		{"heartbeats, in batches of 10,000", fmt.Sprintf("%s sessions/s, %s µs CPU each",
			figureOf(m.full, sample.perSecond).show(0), figureOf(m.full, sample.micros).show(2))},
		{"heartbeat of each session every 30 s", fmt.Sprintf("%.1f %% of a core, with the sweep; p99 of a batch %s", 100*m.steady.cpu.Seconds()/m.steady.took.Seconds(), short(m.steadyP99))},
		{"stop, start to /readyz", fmt.Sprintf("%s, %s (%s CPU)", short(m.stopped), short(m.ready), short(m.readyCPU))},
		{"kick of all sessions by a filter", fmt.Sprintf("%s sessions/s, %.1f µs CPU each", number(m.kicked.perSecond(), 0), m.kicked.micros())},
	}
	table(out, "what|figure", append(rows, m.calm.rows()...)...)
	fmt.Fprintln(out)
	m.calm.report(out)
}

func megabytes(n int) string { return number(float64(n)/(1<<20), 0) + " MiB in all" }
