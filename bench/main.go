// Command bench measures what a check costs: requests per second and CPU of the
// server per request, of rollcall and of a floor, which is a net/http handler
// that reads the body and writes a fixed answer of the same size. Both are
// processes of their own, on one core, measured in turns by the same load.
//
//	go run ./bench
//
// The load runs on the other cores. Every request to rollcall is a new one with
// its own nonce, sealed and signed before the clock starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"
)

type options struct {
	rounds   int
	requests int
	conns    int
	core     int
	floor    string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each server is measured, in turns")
	flag.IntVar(&o.requests, "requests", 60000, "requests of one measurement")
	flag.IntVar(&o.conns, "conns", 64, "connections that the requests are spread over")
	flag.IntVar(&o.core, "core", 0, "the core that the servers run on; the load takes the others")
	flag.StringVar(&o.floor, "floor", "", "be the floor, with this answer (for the bench itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := serveFloor(ctx, o.floor, os.Stdout)
	if o.floor == "" {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	box, err := startSandbox(ctx, dir, o.core)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.stop()) }()
	signer, err := newSigner(ctx, box)
	if err != nil {
		return err
	}
	floor, err := startFloor(ctx, dir, o.core, signer.answer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	if err := leaveCore(o.core); err != nil {
		return err
	}
	measured, err := measure(ctx, o, signer, []*process{floor, box}, progress)
	if err != nil {
		return err
	}
	report(out, o, measured[0], measured[1], len(signer.answer))
	return nil
}

// measure loads the servers in turns, after a warm-up that does not count.
func measure(ctx context.Context, o options, signer *signer, servers []*process, progress io.Writer) ([][]sample, error) {
	measured := make([][]sample, len(servers))
	for round := range o.rounds + 1 {
		for i, server := range servers {
			requests, err := signer.sign(o.requests, server.address)
			if err != nil {
				return nil, err
			}
			s, err := load(ctx, server, requests, o.conns)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", server.name, err)
			}
			if round > 0 {
				measured[i] = append(measured[i], s)
			}
			fmt.Fprintf(progress, "round %d of %d: %-9s %6.0f requests/s, %5.1f µs CPU a request\n",
				round, o.rounds, server.name, s.perSecond(), s.cpuMicros())
		}
	}
	return measured, nil
}

// A sample is one measurement.
type sample struct {
	requests int
	took     time.Duration
	cpu      time.Duration // user and system, of the server's process
	p50, p99 time.Duration
}

func (s sample) perSecond() float64 { return float64(s.requests) / s.took.Seconds() }
func (s sample) cpuMicros() float64 { return s.cpu.Seconds() * 1e6 / float64(s.requests) }

func report(out io.Writer, o options, floor, box []sample, size int) {
	fmt.Fprintf(out, "%d rounds of %d requests over %d connections, answers of %d bytes, servers on one core.\n\n",
		o.rounds, o.requests, o.conns, size)
	fmt.Fprintln(out, "| server | requests/s | server CPU µs a request | p50 | p99 |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	for _, row := range []struct {
		name    string
		samples []sample
	}{{"floor: net/http, fixed answer", floor}, {"rollcall: the check", box}} {
		fmt.Fprintf(out, "| %s | %.0f | %.1f | %s | %s |\n", row.name,
			median(row.samples, sample.perSecond), median(row.samples, sample.cpuMicros),
			medianOf(row.samples, func(s sample) time.Duration { return s.p50 }),
			medianOf(row.samples, func(s sample) time.Duration { return s.p99 }))
	}
	var ratios []float64
	for i := range floor {
		ratios = append(ratios, box[i].cpuMicros()/floor[i].cpuMicros())
	}
	slices.Sort(ratios)
	fmt.Fprintf(out, "\nCPU of a check ÷ CPU of the floor: %.2f (%.2f–%.2f), medians and extremes of %d rounds.\n",
		ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], len(ratios))
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func medianOf(samples []sample, of func(sample) time.Duration) time.Duration {
	return time.Duration(median(samples, func(s sample) float64 { return float64(of(s)) })).Round(time.Microsecond)
}
