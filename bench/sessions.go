package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// sizesBelow are how many sessions the servers have that are measured beside the
// one with all of them.
var sizesBelow = []int{1000, 10_000, 100_000}

// few is the least of them.
const few = 1000

// sessionsFigures are what many live sessions do to a server.
type sessionsFigures struct {
	o     options
	sizes []int // of live sessions, the largest last
	// turns are checks of the floor and of a server of each size.
	turns  []turn
	memory []memory // of a server of each size
	reborn memory   // of the last, after a restart
	rooms  []room   // where the CPU of a check goes on the last
	heap   []heap   // and who holds its memory

	members, sessions sample
	full              []sample // heartbeats, as fast as can be
	steady            sample
	steadyP99         time.Duration
	calm              *onlineFigures // nil: not measured
	stopped, ready    time.Duration
	readyCPU          time.Duration
	kicked            *sample // nil: not measured
}

// measureSessions measures servers with few and with many live sessions, in turns.
func measureSessions(ctx context.Context, o options, dir string) (_ report, err error) {
	if o.n <= few {
		return nil, fmt.Errorf("want -n above %d", few)
	}
	m := &many{f: &sessionsFigures{o: o}, dir: dir}
	for _, size := range sizesBelow {
		if size < o.n {
			m.f.sizes = append(m.f.sizes, size)
		}
	}
	m.f.sizes = append(m.f.sizes, o.n)
	defer func() { err = errors.Join(err, m.stop()) }()
	steps := []step{
		{"filling", m.fill},
		{"checks", m.checks},
		{"heartbeats", m.heartbeats},
		{"who is online", m.online},
		{"restart", m.restart},
		{"kick of them all", m.kick},
	}
	for _, s := range steps {
		if o.brief && (s.what == "who is online" || s.what == "kick of them all") {
			continue
		}
		o.tell("%s", s.what)
		if err := errors.Join(m.keep(ctx), s.do(ctx)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return m.f, nil
}

type step struct {
	what string
	do   func(context.Context) error
}

// many is servers with more and more sessions, and what is measured of them.
type many struct {
	f      *sessionsFigures
	dir    string
	crowds []*crowd
	floor  *contender
}

// fill starts the servers, each with its sessions.
func (m *many) fill(ctx context.Context) error {
	for _, size := range m.f.sizes {
		own, err := subdirectory(m.dir, fmt.Sprint(size))
		if err != nil {
			return err
		}
		n, err := newNode(ctx, m.f.o, own, "normal")
		if err != nil {
			return err
		}
		c, err := newCrowd(ctx, n, size)
		if err != nil {
			return errors.Join(err, n.stop())
		}
		m.crowds = append(m.crowds, c)
		if m.f.members, m.f.sessions, err = c.fill(ctx, size, m.keep); err != nil {
			return err
		}
		used, err := n.memory(ctx)
		if err != nil {
			return err
		}
		m.f.memory = append(m.f.memory, used)
		m.f.o.tell("%d sessions: %d MiB resident", size, used.rss>>20)
		if err := m.keep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// subdirectory makes one with the binary, for a server's own data.
func subdirectory(dir, name string) (string, error) {
	own := filepath.Join(dir, name)
	if err := os.Mkdir(own, 0o700); err != nil {
		return "", err
	}
	return own, os.Symlink(filepath.Join(dir, "rollcall"), filepath.Join(own, "rollcall"))
}

// keep keeps the sessions of all servers alive.
func (m *many) keep(ctx context.Context) error {
	for _, c := range m.crowds {
		if err := c.keep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checks measures checks of any member, of each server and of the floor.
func (m *many) checks(ctx context.Context) error {
	first := m.crowds[0]
	answer, err := first.big.sessionsOf(ctx, first.names[0])
	if err != nil {
		return err
	}
	if m.floor, err = first.floor(ctx, first.big, first.names[0], answer); err != nil {
		return err
	}
	l := lineup{o: &m.f.o, all: []*contender{m.floor}, between: m.keep}
	for i, c := range m.crowds {
		l.all = append(l.all, c.atRandom(fmt.Sprintf("check, %s live sessions", number(float64(m.f.sizes[i]), 0))))
	}
	if m.f.turns, err = l.measure(ctx, m.f.o.requests, m.f.o.conns); err != nil {
		return err
	}
	if m.f.heap, err = m.last().heapOf(ctx); err != nil {
		return err
	}
	if m.f.rooms, err = m.last().rooms(ctx, l.all[len(l.all)-1]); err != nil {
		return err
	}
	return m.leaveOne()
}

// leaveOne stops all servers but that of all sessions: the others have done their
// part, and would have to be kept alive.
func (m *many) leaveOne() error {
	last := m.last()
	all := &many{crowds: m.crowds[:len(m.crowds)-1], floor: m.floor}
	m.crowds, m.floor = []*crowd{last}, nil
	return all.stop()
}

// last returns the crowd of all sessions.
func (m *many) last() *crowd { return m.crowds[len(m.crowds)-1] }

// heartbeats measures them as fast as they go, and as game servers send them,
// each session's every 30 s.
func (m *many) heartbeats(ctx context.Context) (err error) {
	c := m.last()
	if m.f.full, err = c.rounds(func() (sample, error) { return c.beatAll(ctx, 0) }); err != nil {
		return err
	}
	times := 2
	if m.f.o.brief {
		times = 1
	}
	m.f.o.tell("heartbeats at the pace of game servers, for %d s", times*30)
	for range times {
		s, err := c.beatAll(ctx, float64(len(c.bodies))/30)
		if err != nil {
			return err
		}
		m.f.steady, m.f.steadyP99 = m.f.steady.plus(s), max(m.f.steadyP99, s.p99)
		if err := m.keep(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (m *many) online(ctx context.Context) (err error) {
	m.f.calm, err = m.last().online(ctx)
	return err
}

// restart stops the server of all sessions and starts it again.
func (m *many) restart(ctx context.Context) error {
	c, begun := m.last(), time.Now()
	if err := c.stop(); err != nil {
		return err
	}
	m.f.stopped, begun = time.Since(begun), time.Now()
	if err := c.serve(ctx); err != nil {
		return err
	}
	m.f.ready = time.Since(begun)
	var err error
	if m.f.readyCPU, err = c.cpu(); err != nil {
		return err
	}
	c.bodies = nil
	c.big.address, c.rest.address = c.address, c.address
	if _, err := c.beatAll(ctx, 0); err != nil { // every one is there
		return err
	}
	m.f.reborn, err = c.memory(ctx)
	return err
}

func (m *many) kick(ctx context.Context) error {
	s, err := m.last().kickAll(ctx)
	if err == nil {
		m.f.kicked = &s
	}
	return err
}

func (m *many) stop() error {
	var errs []error
	for _, c := range m.crowds {
		errs = append(errs, c.stop())
	}
	if m.floor != nil {
		errs = append(errs, m.floor.server.stop())
	}
	return errors.Join(errs...)
}

// perSession is what a session adds to the memory of a server, in bytes.
func (f *sessionsFigures) perSession(of func(memory) int, all memory) float64 {
	return float64(of(all)-of(f.memory[0])) / float64(f.o.n-f.sizes[0])
}

func rssOf(m memory) int  { return m.rss }
func liveOf(m memory) int { return m.live }

func (f *sessionsFigures) write(out io.Writer) {
	fmt.Fprintf(out, "Servers with more and more live sessions, of as many members, each asked for any of its own. `--sync normal`, in turns on one core.\n\n")
	writeTurns(out, f.turns)
	fmt.Fprintf(out, "\nOf the server with %s live sessions:\n\n", number(float64(f.o.n), 0))
	last := f.memory[len(f.memory)-1]
	bytes := func(of func(memory) int, m memory) string { return number(f.perSession(of, m), 0) + " bytes a session" }
	rows := [][]string{
		{"memory: live heap, after a collection", bytes(liveOf, last)},
		{"memory: resident, as it was filled", bytes(rssOf, last) + ", " + megabytes(last.rss)},
		{"memory: resident, after a restart", bytes(rssOf, f.reborn) + ", " + megabytes(f.reborn.rss)},
		{"members made by the admin API", number(f.members.perSecond(), 0) + "/s"},
		{"sessions announced, in batches of 10,000", fmt.Sprintf("%s/s, %.1f µs CPU each", number(f.sessions.perSecond(), 0), f.sessions.micros())},
		{"heartbeats, in batches of 10,000", fmt.Sprintf("%s sessions/s, %s µs CPU each",
			figureOf(f.full, sample.perSecond).show(0), figureOf(f.full, sample.micros).show(2))},
		{"heartbeat of each session every 30 s", fmt.Sprintf("%.1f %% of a core, with the sweep; p99 of a batch %s", f.steadyShare(), short(f.steadyP99))},
		{"stop, start to /readyz", fmt.Sprintf("%s, %s (%s CPU)", short(f.stopped), short(f.ready), short(f.readyCPU))},
	}
	if f.kicked != nil {
		rows = append(rows, []string{"kick of all sessions by a filter", fmt.Sprintf("%s sessions/s, %.1f µs CPU each", number(f.kicked.perSecond(), 0), f.kicked.micros())})
	}
	if f.calm != nil {
		rows = append(rows, f.calm.rows()...)
	}
	table(out, "what|figure", rows...)
	f.writeWhy(out)
	fmt.Fprintf(out, "\nBytes a session are what the memory is above that with %s sessions, by the number of the others.\n", number(float64(f.sizes[0]), 0))
	if f.calm != nil {
		fmt.Fprintln(out)
		f.calm.write(out)
	}
}

// writeWhy writes where the CPU and the memory of the largest server go.
func (f *sessionsFigures) writeWhy(out io.Writer) {
	last := f.turns[len(f.turns)-1]
	writeRooms(out, "a check with "+number(float64(f.o.n), 0)+" live sessions", f.rooms, figureOf(last.samples, sample.micros).median())
	fmt.Fprintf(out, "\nMost of its live heap, by who has asked for it: %s.\n", f.heapText(len(f.heap)))
}

// heapText names the first n who hold memory.
func (f *sessionsFigures) heapText(n int) string {
	var all []string
	for _, h := range f.heap[:min(n, len(f.heap))] {
		all = append(all, fmt.Sprintf("%s (%s MiB)", h.function, number(h.bytes/(1<<20), 1)))
	}
	return strings.Join(all, "; ")
}

// steadyShare is what heartbeats at the pace of game servers take of a core, in %.
func (f *sessionsFigures) steadyShare() float64 {
	return 100 * f.steady.cpu.Seconds() / f.steady.took.Seconds()
}

// grown is what growth says of the largest server, all rounds taken together: a
// collection of its garbage is rare and long, and the median round has none.
func (f *sessionsFigures) grown(of func(sample) float64) float64 {
	return of(together(f.turns[len(f.turns)-1].samples)) / of(together(f.turns[1].samples))
}

// together is one sample of all rounds.
func together(samples []sample) (all sample) {
	var times []time.Duration
	for _, s := range samples {
		all = all.plus(s)
		times = append(times, s.times...)
	}
	return all.timed(times)
}

// growth returns a figure of checks on the largest server by that on the one with
// the fewest sessions, round by round.
func (f *sessionsFigures) growth(of func(sample) float64) figure {
	return ratios(f.turns[len(f.turns)-1].samples, f.turns[1].samples, of)
}

func megabytes(n int) string { return number(float64(n)/(1<<20), 0) + " MiB in all" }

// atRandom is checks of any members, the same in each run.
func (c *crowd) atRandom(name string) *contender {
	random := c.random()
	return &contender{name: name, server: c.process, requests: func(n int) (requests [][]byte, err error) {
		requests = make([][]byte, n)
		for i := range requests {
			who := random(len(c.names))
			agent := c.big
			if who >= bigMembers {
				agent = c.rest
			}
			if requests[i], err = agent.sign(wire.PathSessionsCheck, wire.MemberRequest{Username: c.names[who]}); err != nil {
				return nil, err
			}
		}
		return requests, nil
	}}
}
