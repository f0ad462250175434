package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	// durableCallers is how many wait for the disk at a time, in both.
	durableCallers = 256
	// durableEach is how many Starts, or records, one measurement has.
	durableEach = 30_000
	// recordSize is how long a record of the bare loop is: about a session.
	recordSize = 300
)

// durableFigures are Starts that survive a loss of power, and the least that this
// can cost on the same disk.
type durableFigures struct {
	o            options
	starts, bare figure // in a second
	groups       figure // records that went with one fsync of the bare loop
}

// measureDurable measures the embedded store's durable Starts, by the benchmark
// that is beside it, in turns with a bare loop.
func measureDurable(ctx context.Context, o options, dir string) (report, error) {
	test := filepath.Join(dir, "sqlite.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", test, "./internal/store/sqlite")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build the store's benchmark: %w", err)
	}
	f := &durableFigures{o: o}
	for round := range o.rounds + 1 {
		starts, err := durableStarts(ctx, test, dir)
		if err != nil {
			return nil, err
		}
		bare, group, err := bareLoop(dir)
		if err != nil {
			return nil, err
		}
		o.tell("round %d of %d: %.0f durable Starts/s, %.0f records/s of a bare loop, %.0f with each fsync", round, o.rounds, starts, bare, group)
		if round > 0 {
			f.starts, f.bare, f.groups = append(f.starts, starts), append(f.bare, bare), append(f.groups, group)
		}
	}
	return f, nil
}

var nsPerOp = regexp.MustCompile(`(?m)^BenchmarkStart/full\S*\s+\d+\s+([\d.]+) ns/op`)

// durableStarts runs the store's benchmark once.
func durableStarts(ctx context.Context, test, dir string) (perSecond float64, err error) {
	cmd := exec.CommandContext(ctx, test, "-test.run", "^$", "-test.bench", "^BenchmarkStart$/^full$", "-test.benchtime", fmt.Sprintf("%dx", durableEach))
	cmd.Dir, cmd.Stderr = "internal/store/sqlite", os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // the disk of the bare loop
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the store's benchmark: %w", err)
	}
	found := nsPerOp.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("the store's benchmark says %s", text)
	}
	ns, err := strconv.ParseFloat(string(found[1]), 64)
	return 1e9 / ns, err
}

// bareLoop is the least that durability takes: callers hand records to one writer,
// who appends all that wait, has the disk confirm them, and lets the callers go.
func bareLoop(dir string) (perSecond, group float64, err error) {
	file, err := os.CreateTemp(dir, "bare-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	records := make(chan chan error, durableCallers)
	groups := make(chan int)
	go func() { groups <- appendAll(file, records) }()
	errs := make([]error, durableCallers)
	begun := time.Now()
	var callers sync.WaitGroup
	for c := range errs {
		callers.Go(func() {
			done := make(chan error, 1)
			for i := c; i < durableEach && errs[c] == nil; i += durableCallers {
				records <- done
				errs[c] = <-done
			}
		})
	}
	callers.Wait()
	took := time.Since(begun)
	close(records)
	return durableEach / took.Seconds(), durableEach / float64(<-groups), errors.Join(errs...)
}

// appendAll is the writer. It returns how often it waited for the disk.
func appendAll(file *os.File, records <-chan chan error) (groups int) {
	record := make([]byte, recordSize)
	for first := range records {
		waiting, text := []chan error{first}, append([]byte(nil), record...)
		for len(records) > 0 {
			waiting, text = append(waiting, <-records), append(text, record...)
		}
		_, err := file.Write(text)
		err = errors.Join(err, file.Sync())
		for _, done := range waiting {
			done <- err
		}
		groups++
	}
	return groups
}

// ratio is Starts by the bare loop's records, round by round.
func (f *durableFigures) ratio() figure {
	all := make(figure, len(f.starts))
	for i := range all {
		all[i] = f.starts[i] / f.bare[i]
	}
	return all
}

func (f *durableFigures) write(out io.Writer) {
	table(out, "what|in a second|by the bare loop",
		[]string{"durable Starts (`--sync full`)", f.starts.show(0), f.ratio().show(2)},
		[]string{"a bare loop: append, fsync, by groups", f.bare.show(0), "1"})
	fmt.Fprintf(out, "\nMedian (and extremes) of %d rounds of %s, %d callers at once, on the same disk and on all cores. A record of the bare loop has %d bytes,\n"+
		"and %s of them go with an fsync. The Starts are the embedded store's own, without HTTP: `go test -bench Start ./internal/store/sqlite`.\n",
		f.o.rounds, number(durableEach, 0), durableCallers, recordSize, f.groups.show(0))
}
