package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// onlineFigures are of the call that lists an agent's members online.
type onlineFigures struct {
	members, bytes int
	first          sample
	again          []sample
	pauses         []time.Duration // between calls while checks are made; 0: back to back; <0: none
	calls          []int
	checks         [][]sample
}

// steadyChecks is how many checks a second are made beside the calls: few enough
// that each is answered at once, unless something is in its way.
const steadyChecks = 2000

// online measures the list of members online, and checks beside it.
func (c *crowd) online(ctx context.Context) (*onlineFigures, error) {
	f := &onlineFigures{}
	ask := func() (sample, error) {
		request, err := c.big.sign(wire.PathMembersOnline, wire.OnlineRequest{})
		if err != nil {
			return sample{}, err
		}
		return load(ctx, c.process, job{address: c.address, requests: [][]byte{request}, conns: 1, take: func(_ int, body []byte) error {
			f.bytes = len(body)
			return nil
		}})
	}
	f.members = min(c.size, bigMembers)
	var err error
	if f.first, err = ask(); err != nil {
		return nil, err
	}
	for range 4 {
		some, err := c.rounds(ask)
		if err != nil {
			return nil, err
		}
		f.again = append(f.again, some...)
	}
	f.pauses = []time.Duration{-1, time.Second, 0}
	f.calls, f.checks = make([]int, len(f.pauses)), make([][]sample, len(f.pauses))
	for round := range c.o.rounds {
		for i, pause := range f.pauses {
			if err := c.keep(ctx); err != nil {
				return nil, err
			}
			s, err := c.beside(ctx, pause, ask, &f.calls[i])
			if err != nil {
				return nil, err
			}
			f.checks[i] = append(f.checks[i], s)
			c.o.tell("round %d of %d: checks, %s: p99 %s, max %s", round+1, c.o.rounds, pauseName(pause), s.p99, s.max)
		}
	}
	return f, nil
}

// beside makes checks, a fixed number a second, while ask is called with a pause
// between the calls.
func (c *crowd) beside(ctx context.Context, pause time.Duration, ask func() (sample, error), calls *int) (sample, error) {
	requests, err := c.atRandom("").requests(4 * steadyChecks)
	if err != nil {
		return sample{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	var asking sync.WaitGroup
	var failed error
	if pause >= 0 {
		asking.Go(func() {
			for ctx.Err() == nil && failed == nil {
				if _, failed = ask(); ctx.Err() != nil {
					failed = nil
					return
				}
				*calls++
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	s, err := load(ctx, c.process, job{address: c.address, requests: requests, conns: c.o.conns, rate: steadyChecks})
	stop()
	asking.Wait()
	if err == nil {
		err = failed
	}
	return s, err
}

func pauseName(pause time.Duration) string {
	switch {
	case pause < 0:
		return "no call of online"
	case pause == 0:
		return "online called back to back"
	}
	return "online called every " + pause.String()
}

func (f *onlineFigures) rows() [][]string {
	cpu := func(s sample) float64 { return float64(s.cpu.Milliseconds()) }
	return [][]string{{
		fmt.Sprintf("online, of %s members (%s bytes)", number(float64(f.members), 0), number(float64(f.bytes), 0)),
		fmt.Sprintf("first call %s (%.0f ms CPU), then %s (%.1f ms CPU)", short(f.first.max), cpu(f.first),
			medianTime(f.again, func(s sample) time.Duration { return s.max }), f.meanCPU()),
	}}
}

// meanCPU is of the calls behind the first, in ms: one is below what /proc tells.
func (f *onlineFigures) meanCPU() float64 {
	var all sample
	for _, s := range f.again {
		all = all.plus(s)
	}
	return all.micros() / 1000
}

func (f *onlineFigures) write(out io.Writer) {
	var rows [][]string
	for i, pause := range f.pauses {
		samples := f.checks[i]
		rows = append(rows, []string{
			fmt.Sprintf("%s/s, %s", number(steadyChecks, 0), pauseName(pause)),
			number(float64(f.calls[i])/float64(len(samples)), 0),
			medianTime(samples, func(s sample) time.Duration { return s.p50 }).String(),
			medianTime(samples, func(s sample) time.Duration { return s.p99 }).String(),
			medianTime(samples, func(s sample) time.Duration { return s.max }).String(),
		})
	}
	table(out, "checks|calls of online meanwhile|p50|p99|slowest", rows...)
	fmt.Fprintf(out, "\nMedians of %d rounds of 4 s; the time of a check counts from when it was due.\n", len(f.checks[0]))
}
