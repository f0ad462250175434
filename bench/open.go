package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// openConns is how many connections requests at a rate find: more than are
	// ever under way, unless the server stands still.
	openConns = 512
	// openFor is how long each measurement lasts.
	openFor = 3 * time.Second
)

// openShares are the parts of its capacity that a server is sent.
var openShares = []float64{0.5, 0.8}

// openFigures are how soon requests are answered that come at a rate.
type openFigures struct {
	o   options
	all []openTurn
}

// An openTurn is one server at one share of its capacity.
type openTurn struct {
	name            string
	share, capacity float64
	samples         []sample
	late            int // of all samples: refused, or not answered within inTime
}

// measureOpen measures, in turns, rollcall and those of its peers that need no
// engine, each at parts of its own capacity.
func measureOpen(ctx context.Context, o options, dir string) (_ report, err error) {
	e, err := newEveryone(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	f := &openFigures{o: o}
	l := lineup{o: &o, all: e.all}
	turns, err := l.measure(ctx, o.requests, o.conns)
	if err != nil {
		return nil, err
	}
	for _, t := range turns {
		for _, share := range openShares {
			capacity := figureOf(t.samples, sample.perSecond).median()
			f.all = append(f.all, openTurn{name: t.name, share: share, capacity: capacity})
		}
	}
	for round := range o.rounds {
		for i := range f.all {
			t := &f.all[i]
			if err := t.measure(ctx, e.all[i/len(openShares)]); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			last := t.samples[round]
			o.tell("round %d of %d: %-44s at %.0f %%: p50 %s, p99 %s", round+1, o.rounds, t.name, 100*t.share, short(last.p50), short(last.p99))
		}
	}
	return f, nil
}

// measure sends a server its share, at even distances.
func (t *openTurn) measure(ctx context.Context, c *contender) error {
	rate := t.share * t.capacity
	requests, err := c.requests(int(rate*openFor.Seconds()) + 1)
	if err != nil {
		return err
	}
	f, err := newFlood(c.server.address, openConns, requests, inTime)
	if err != nil {
		return err
	}
	f.even = true
	s, err := watched(c.server, len(requests), func() error { return f.run(ctx, rate, openFor) })
	if err = errors.Join(err, f.close()); err != nil {
		return err
	}
	if f.refused > f.offered/10 { // it has another reason than that it is busy
		return fmt.Errorf("%d of %d requests were refused", f.refused, f.offered)
	}
	// What was not answered in time took that long at least.
	late := f.late + f.refused
	t.late += late
	t.samples = append(t.samples, s.of(f.offered).timed(append(f.times, slices.Repeat([]time.Duration{inTime}, late)...)))
	return nil
}

func (f *openFigures) write(out io.Writer) {
	var rows [][]string
	for _, t := range f.all {
		at := func(of func(sample) time.Duration) string { return medianTime(t.samples, of).String() }
		rows = append(rows, []string{
			t.name, fmt.Sprintf("%s (%.0f %%)", number(t.share*t.capacity, 0), 100*t.share),
			at(func(s sample) time.Duration { return s.p50 }), at(func(s sample) time.Duration { return s.p99 }),
			at(func(s sample) time.Duration { return s.p999 }), at(func(s sample) time.Duration { return s.max }),
			number(float64(t.late), 0),
		})
	}
	table(out, "server|requests/s (of its capacity)|p50|p99|p99.9|slowest|refused, or later than "+inTime.String(), rows...)
	fmt.Fprintf(out, "\nMedians of %d rounds of %s. Requests come at even distances over %d connections, answered or not; the time of each counts from when it was due.\n",
		f.o.rounds, openFor, openConns)
}
