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

// A contender is a server that is measured beside others.
type contender struct {
	name   string
	server *process
	// requests makes n of them, of which each is good once.
	requests func(n int) ([][]byte, error)
	// engine, if set, is the CPU that what is behind the server has used.
	engine func() (time.Duration, error)
	// do, if set, is what is measured in the place of requests.
	do func(ctx context.Context, n, conns int) (sample, error)
}

// A turn is the samples of one contender.
type turn struct {
	name    string
	samples []sample
	rss     int // behind the last, in bytes
	// repeated counts measurements that were made again, since an answer refused.
	repeated int
}

// A lineup is contenders that are measured in turns.
type lineup struct {
	o   *options
	all []*contender
	// between, if set, is called before each measurement.
	between func(context.Context) error
}

// measure loads each contender with n requests over conns connections, one after
// the other, and again, o.rounds times. A first round does not count.
func (l *lineup) measure(ctx context.Context, n, conns int) ([]turn, error) {
	turns := make([]turn, len(l.all))
	for round := range l.o.rounds + 1 {
		for i, c := range l.all {
			if l.between != nil {
				if err := l.between(ctx); err != nil {
					return nil, err
				}
			}
			s, err := l.again(ctx, c, n, conns, &turns[i].repeated)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			l.o.tell("round %d of %d: %-44s %6.0f requests/s, %5.1f µs CPU a request, p99 %s", round, l.o.rounds, c.name, s.perSecond(), s.micros(), short(s.p99))
			turns[i].name = c.name
			if round > 0 {
				turns[i].samples = append(turns[i].samples, s)
			}
			if turns[i].rss, err = c.server.rss(); err != nil {
				return nil, err
			}
		}
	}
	return turns, nil
}

// again measures a contender, and up to twice more where it refuses a request: a
// server may, where the machine has other work. It is counted.
func (l *lineup) again(ctx context.Context, c *contender, n, conns int, repeated *int) (s sample, err error) {
	for range 3 {
		s, err = c.measure(ctx, n, conns)
		if refused := refusalError(""); !errors.As(err, &refused) {
			return s, err
		}
		*repeated++
		l.o.tell("again, since %v", err)
	}
	return s, err
}

// measure takes one sample.
func (c *contender) measure(ctx context.Context, n, conns int) (s sample, err error) {
	var engine time.Duration
	if c.engine != nil {
		if engine, err = c.engine(); err != nil {
			return s, err
		}
	}
	if c.do != nil {
		s, err = c.do(ctx, n, conns)
	} else {
		s, err = c.load(ctx, n, conns)
	}
	if err != nil || c.engine == nil {
		return s, err
	}
	after, err := c.engine()
	s.engine = after - engine
	return s, err
}

func (c *contender) load(ctx context.Context, n, conns int) (sample, error) {
	requests, err := c.requests(n)
	if err != nil {
		return sample{}, err
	}
	var times []time.Duration
	s, err := watched(c.server, n, func() (err error) {
		times, err = chase(ctx, c.server.address, conns, requests)
		return err
	})
	return s.timed(times), err
}

// timed is the same measurement with the percentiles of these times.
func (s sample) timed(times []time.Duration) sample {
	if len(times) == 0 {
		return s
	}
	slices.Sort(times)
	s.times = times
	at := func(part int) time.Duration { return times[len(times)*part/1000] }
	s.p50, s.p99, s.p999, s.max = at(500), at(990), at(999), times[len(times)-1]
	return s
}

// members are those of an agent that are asked for: the i-th time by of.
type members struct {
	name  string
	agent *signer
	of    func(i int) string
}

// checks is a server that is sent checks of members.
func checks(server *process, m members) *contender {
	return &contender{name: m.name, server: server, requests: func(n int) ([][]byte, error) {
		return m.agent.signAll(n, wire.PathSessionsCheck, func(i int) any { return wire.MemberRequest{Username: m.of(i)} })
	}}
}

// always is a server that is sent the same request again and again.
func always(name string, server *process, request []byte) *contender {
	return &contender{name: name, server: server, requests: func(n int) ([][]byte, error) {
		return slices.Repeat([][]byte{request}, n), nil
	}}
}

// writeTurns writes the turns, each with the ratio of its CPU to that of the first.
func writeTurns(out io.Writer, turns []turn) {
	head := "server|requests/s|server CPU µs a request|p50|p99|p99.9|CPU ÷ floor|memory"
	var rows [][]string
	for _, t := range turns {
		rows = append(rows, []string{
			t.name,
			figureOf(t.samples, sample.perSecond).show(0),
			t.microsText(),
			medianTime(t.samples, func(s sample) time.Duration { return s.p50 }).String(),
			medianTime(t.samples, func(s sample) time.Duration { return s.p99 }).String(),
			medianTime(t.samples, func(s sample) time.Duration { return s.p999 }).String(),
			ratios(t.samples, turns[0].samples, sample.micros).show(2),
			number(float64(t.rss)/(1<<20), 0) + " MiB",
		})
	}
	table(out, head, rows...)
	for _, t := range turns {
		if t.repeated > 0 {
			fmt.Fprintf(out, "\n%s: %d measurements were made again, since an answer refused.\n", t.name, t.repeated)
		}
	}
}

// microsText says what CPU a request takes, and what of it the engine takes
// beside.
func (t *turn) microsText() string {
	text := figureOf(t.samples, sample.micros).show(1)
	if t.samples[0].engine > 0 {
		text += " + " + figureOf(t.samples, sample.engineMicros).show(1) + " of the engine"
	}
	return text
}
