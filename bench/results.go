package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// allParts are the parts of the results, in the order in which they are measured:
// durable first, since it uses all cores, and the others leave one to the servers.
const allParts = "durable,peers,open,sessions,overload"

// What a whole run has at the least.
const (
	wholeSessions = 1_000_000
	wholeRounds   = 5
	wholeRequests = 40_000
	// openRounds are those of the part open, whose figures are medians of times.
	openRounds = 3
	// quiet is how busy a machine may be on which figures hold.
	quiet = 0.05
)

// results are all figures of one run; nil is what was not measured.
type results struct {
	o        options
	machine  [][]string
	begun    time.Time
	took     time.Duration
	busiest  float64 // of the machine, in the pauses between the parts
	durable  *durableFigures
	peers    *peerFigures
	open     *openFigures
	sessions *sessionsFigures
	overload *overloadFigures
}

// measureResults measures all parts that were asked for, and writes RESULTS.md
// and its plots.
func measureResults(ctx context.Context, o options, dir string) (report, error) {
	parts := strings.Split(o.parts, ",")
	r := &results{o: o, machine: machineRows(ctx), begun: time.Now()}
	for _, part := range parts {
		if !slices.Contains(strings.Split(allParts, ","), part) {
			return nil, fmt.Errorf("%q is no part of the results: want some of %s", part, allParts)
		}
	}
	for part := range strings.SplitSeq(allParts, ",") {
		if !slices.Contains(parts, part) {
			continue
		}
		r.busiest = max(r.busiest, busy(ctx, 2*time.Second))
		o.tell("== %s (the machine was %.0f %% busy before)", part, 100*r.busiest)
		own, err := subdirectory(dir, part)
		if err != nil {
			return nil, err
		}
		if err := r.measure(ctx, part, own); err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
		if err := os.RemoveAll(own); err != nil {
			return nil, err
		}
	}
	r.took = time.Since(r.begun)
	return r, r.save()
}

// measure measures one part.
func (r *results) measure(ctx context.Context, part, dir string) error {
	o := r.o
	o.brief = true
	var found report
	var err error
	switch part {
	case "durable":
		found, err = measureDurable(ctx, o, dir)
		r.durable, _ = found.(*durableFigures)
	case "peers":
		found, err = measurePeers(ctx, o, dir)
		r.peers, _ = found.(*peerFigures)
	case "open":
		o.rounds = min(o.rounds, openRounds)
		found, err = measureOpen(ctx, o, dir)
		r.open, _ = found.(*openFigures)
	case "sessions":
		found, err = measureSessions(ctx, o, dir)
		r.sessions, _ = found.(*sessionsFigures)
	case "overload":
		o.n = kinds["overload"].n
		found, err = measureOverload(ctx, o, dir)
		r.overload, _ = found.(*overloadFigures)
	}
	return err
}

// shortcomings says why the run is not one to quote, each a reason.
func (r *results) shortcomings() (all []string) {
	add := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(r.o.rounds < wholeRounds, "%d rounds instead of %d", r.o.rounds, wholeRounds)
	add(r.o.requests < wholeRequests, "%s requests a measurement instead of %s", number(float64(r.o.requests), 0), number(wholeRequests, 0))
	add(r.o.n < wholeSessions, "%s live sessions instead of %s", number(float64(r.o.n), 0), number(wholeSessions, 0))
	add(r.o.parts != allParts, "only these parts: %s", r.o.parts)
	add(r.busiest > quiet, "other programs took up to %.0f %% of the machine in the pauses between the parts", 100*r.busiest)
	if r.peers != nil {
		for _, why := range r.peers.missing {
			add(true, "not measured: %s", why)
		}
	}
	return all
}

// save writes RESULTS.md, and the plots of what was measured.
func (r *results) save() error {
	var text bytes.Buffer
	r.writeAll(&text)
	file := func(name string) string { return filepath.Join(r.o.into, name) }
	err := os.WriteFile(file("RESULTS.md"), text.Bytes(), 0o644) //nolint:gosec // G306: to be read by all
	if r.peers != nil {
		err = errors.Join(err, os.WriteFile(file("cpu.svg"), []byte(r.peers.drawBars(64)), 0o644)) //nolint:gosec // G306: as above
	}
	if r.sessions != nil {
		err = errors.Join(err, os.WriteFile(file("sessions.svg"), []byte(r.sessions.drawCurves()), 0o644)) //nolint:gosec // G306: as above
	}
	return err
}

// write writes which targets hold; all the rest is in RESULTS.md.
func (r *results) write(out io.Writer) {
	r.writeTargets(out)
	fmt.Fprintf(out, "\nAll figures: %s, written after %s.\n", filepath.Join(r.o.into, "RESULTS.md"), r.took.Round(time.Second))
	for _, why := range r.shortcomings() {
		fmt.Fprintf(out, "Not to be quoted: %s.\n", why)
	}
}

func (r *results) writeAll(out io.Writer) {
	fmt.Fprintf(out, "# Results\n\nWritten by `make bench`; what is measured, and how, is in [README.md](README.md). Change nothing here by hand.\n\n")
	if all := r.shortcomings(); len(all) > 0 {
		fmt.Fprintf(out, "**Not to be quoted.** This run shows that everything works, no more:\n\n")
		for _, why := range all {
			fmt.Fprintf(out, "- %s\n", why)
		}
		fmt.Fprintln(out)
	}
	table(out, "where|", r.machine...)
	fmt.Fprintf(out, "\nOne run of %s. In the pauses between its parts other programs took %.0f %% of the machine at the most.\n\n## Targets\n\n",
		r.took.Round(time.Second), 100*r.busiest)
	r.writeTargets(out)
	if r.peers != nil {
		fmt.Fprintf(out, "\n![Server CPU of a request](cpu.svg)\n")
	}
	if r.sessions != nil {
		fmt.Fprintf(out, "\n![What a check and the memory cost with more and more live sessions](sessions.svg)\n")
	}
	for _, s := range r.sections() {
		fmt.Fprintf(out, "\n## %s\n\n", s.title)
		s.of.write(out)
	}
}

// A section is a part of RESULTS.md.
type section struct {
	title string
	of    report
}

// sections are those that were measured.
func (r *results) sections() (all []section) {
	if r.peers != nil {
		all = append(all, section{"Everyone, in turns", r.peers})
	}
	if r.open != nil {
		all = append(all, section{"At a rate", r.open})
	}
	if r.sessions != nil {
		all = append(all, section{"Live sessions", r.sessions})
	}
	if r.durable != nil {
		all = append(all, section{"Durable Starts", r.durable})
	}
	if r.overload != nil {
		all = append(all, section{"Overload", r.overload})
	}
	return all
}
