// Command bench measures what Rollcall costs: a real server in a process of its
// own on one core, and the load on the others, over loopback. Where a figure has
// a floor, both are measured in turns by the same load, so that the ratio holds
// on other machines too.
//
//	go run ./bench            # a check, against a floor of net/http
//	go run ./bench life       # launches, starts, heartbeats, ends, kicks
//	go run ./bench sessions   # 1,000,000 live sessions
//	go run ./bench streams    # 10,000 event streams
//	go run ./bench overload   # more requests than it can answer
//	go run ./bench engines    # nodes on Redis and PostgreSQL
//	go run ./bench --help
//
// What goes over the connections is sealed, signed and written down before the
// clock starts. Tables for the README go to stdout, what is under way to stderr.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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
check   requests/s and CPU of a check, against a floor that   -                  1
        reads the body and writes a fixed answer (the default)
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

Flags:
`

type options struct {
	n        int
	rounds   int
	requests int
	conns    int
	core     int
	floor    string
	profile  string
	progress io.Writer
}

// kinds is what can be measured, and the N of each.
var kinds = map[string]struct {
	n   int
	run func(ctx context.Context, o options, dir string, out io.Writer) error
}{
	"check":    {0, runCheck},
	"life":     {16_000, runLife},
	"sessions": {1_000_000, runSessions},
	"streams":  {10_000, runStreams},
	"overload": {8_000, runOverload},
	"engines":  {1_000_000, runEngines},
}

func main() {
	o := options{progress: os.Stderr}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&o.n, "n", 0, "`N` of what is measured; 0: as above")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each figure is taken, in turns, after one time that does not count")
	flags.IntVar(&o.requests, "requests", 60000, "checks of one measurement")
	flags.StringVar(&o.profile, "profile", "", "`file` for a CPU profile of checks, taken behind the rounds of what measures checks")
	flags.IntVar(&o.conns, "conns", 64, "connections that checks are spread over")
	flags.IntVar(&o.core, "core", 0, "the `core` that the servers run on; the load takes the others")
	flags.StringVar(&o.floor, "floor", "", "be the floor, with the answer in this `file` (for bench itself)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	what, args := "check", os.Args[1:]
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
		return serveFloor(ctx, o.floor, os.Stdout)
	}
	kind, ok := kinds[what]
	switch {
	case !ok:
		return fmt.Errorf("%q cannot be measured: want check, life, sessions, streams, overload or engines; see --help", what)
	case len(rest) > 0:
		return fmt.Errorf("%q is too much; see --help", rest)
	case o.n < 0 || o.rounds < 1 || o.requests < 100 || o.conns < 1:
		return errors.New("want -n 0 or more, -rounds and -conns 1 or more, -requests 100 or more")
	}
	if o.n == 0 {
		o.n = kind.n
	}
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(ctx, filepath.Join(dir, "rollcall")); err != nil {
		return err
	}
	return kind.run(ctx, o, dir, os.Stdout)
}

func (o *options) tell(format string, args ...any) {
	fmt.Fprintf(o.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
