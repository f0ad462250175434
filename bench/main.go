// Command bench measures what Rollcall costs: a real server in a process of its
// own on one core, and the load on the others, over loopback. Beside it are a
// floor and peers, measured in turns by the same load, so that ratios hold on
// other machines too.
//
//	go run ./bench            # everything that has a target, into RESULTS.md
//	go run ./bench check      # a check, against a floor of net/http
//	go run ./bench peers      # a check, against everyone else
//	go run ./bench open       # requests at a rate
//	go run ./bench durable    # durable Starts, against a bare loop
//	go run ./bench life       # launches, starts, heartbeats, ends, kicks
//	go run ./bench sessions   # 1,000,000 live sessions
//	go run ./bench streams    # 10,000 event streams
//	go run ./bench overload   # more requests than it can answer
//	go run ./bench engines    # nodes on Redis and PostgreSQL
//	go run ./bench --help
//
// What goes over the connections is sealed, signed and written down before the
// clock starts. Tables go to stdout, what is under way to stderr. README.md says
// what is measured, and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `bench measures what Rollcall costs. It builds the server, runs it on one core
with its embedded store in a temporary directory, and loads it from the other
cores over loopback. Run it from the project's root.

  go run ./bench [WHAT] [FLAGS]
  make bench ARGS="WHAT FLAGS"

WHAT    measures                                              N is         minutes
results  all that has a target, by the parts durable, peers,   sessions,        15
        open, sessions and overload, into bench/RESULTS.md     1000000
        and two plots (the default)
check   requests/s and CPU of a check, against a floor that   -                  1
        reads the body and writes a fixed answer
peers   the same, against servers for Node.js and in Go as    -                  8
        one writes them by hand, and centrifuge's presence;
        on Redis too
open    how soon requests are answered that come at 50 % and   -                 4
        80 % of a server's capacity
durable  durable Starts against a bare append and fsync loop   -                 1
life    launches, starts, heartbeats, ends and kicks, with    sessions of        2
        every change on the disk (--sync full)                a round, 16000
sessions  memory of N live sessions, and what they do to a    sessions,       6-10
        check, to the list of who is online, to heartbeats,   1000000
        to a restart and to a kick of them all
streams  memory and CPU of N idle event streams, and how soon  streams,          1
        one of them has a kick                                10000
overload  what of 1, 2 and 4 times its capacity is answered   clients,           1
        in time, with and without --max-concurrent            8000

engines  checks of 1 and 3 nodes on Redis, on a Cluster, and   sessions,         8
        with 10,000, 1,000,000 and 5,000,000 sessions           1000000

  go run ./bench sessions -n 50000     # a try, in a minute
  make bench ARGS="-n 50000 -rounds 2 -requests 5000"     # all of it, in 5 minutes; not to be quoted
  make bench ARGS="-parts peers,open -into /tmp"          # some of it

Flags:
`

type options struct {
	n        int
	rounds   int
	requests int
	conns    int
	core     int
	floor    string
	raw      bool
	engine   string
	profile  string
	brief    bool // leave out what has no target
	parts    string
	into     string
	progress io.Writer
}

// A report is what was measured.
type report interface {
	// write writes it as tables in Markdown.
	write(out io.Writer)
}

// A kind is what can be measured, with its N.
type kind struct {
	n   int
	run func(ctx context.Context, o options, dir string) (report, error)
}

var kinds map[string]kind

func init() { // not above: results measures some of them
	kinds = map[string]kind{
		"results":  {1_000_000, measureResults},
		"check":    {0, measureCheck},
		"peers":    {0, measurePeers},
		"open":     {0, measureOpen},
		"durable":  {0, measureDurable},
		"life":     {16_000, measureLife},
		"sessions": {1_000_000, measureSessions},
		"streams":  {10_000, measureStreams},
		"overload": {8_000, measureOverload},
		"engines":  {1_000_000, measureEngines},
	}
}

func main() {
	o := options{progress: os.Stderr}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&o.n, "n", 0, "`N` of what is measured; 0: as above")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each figure is taken, in turns, after one time that does not count")
	flags.IntVar(&o.requests, "requests", 0, "checks of one measurement; 0: 40,000 of results, else 60,000")
	flags.StringVar(&o.profile, "profile", "", "`file` for a CPU profile of checks, taken behind the rounds of what measures checks")
	flags.IntVar(&o.conns, "conns", 64, "connections that checks are spread over")
	flags.IntVar(&o.core, "core", 0, "the `core` that the servers run on; the load takes the others")
	flags.StringVar(&o.parts, "parts", allParts, "which `parts` results has, with commas between")
	flags.StringVar(&o.into, "into", "bench", "the `folder` that results are written to")
	flags.StringVar(&o.floor, "floor", "", "be the floor, with the answer in this `file` (for bench itself)")
	flags.BoolVar(&o.raw, "raw", false, "be the floor without HTTP (for bench itself)")
	flags.StringVar(&o.engine, "engine", "", "be a client of Redis alone, by this `file` (for bench itself)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	what, args := "results", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		what, args = args[0], args[1:]
	}
	_ = flags.Parse(args) // it exits
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, what, flags.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, what string, rest []string) (err error) {
	if o.floor != "" {
		return serveFloor(ctx, o.floor, o.raw, os.Stdout)
	}
	if o.engine != "" {
		return serveEngine(ctx, o.engine, os.Stdout)
	}
	kind, ok := kinds[what]
	switch {
	case !ok:
		return fmt.Errorf("%q cannot be measured: want one of %s; see --help", what, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	case len(rest) > 0:
		return fmt.Errorf("%q is too much; see --help", rest)
	case o.n < 0 || o.rounds < 1 || o.requests != 0 && o.requests < 100 || o.conns < 1:
		return errors.New("want -n 0 or more, -rounds and -conns 1 or more, -requests 0, or 100 or more")
	}
	if o.n == 0 {
		o.n = kind.n
	}
	if o.requests == 0 {
		if o.requests = 60_000; what == "results" {
			o.requests = wholeRequests
		}
	}
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(ctx, "./cmd/rollcall", filepath.Join(dir, "rollcall")); err != nil {
		return err
	}
	found, err := kind.run(ctx, o, dir)
	if err == nil {
		found.write(os.Stdout)
	}
	return err
}

func (o *options) tell(format string, args ...any) {
	fmt.Fprintf(o.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
