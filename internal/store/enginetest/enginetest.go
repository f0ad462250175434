// Package enginetest starts real engines for tests: Redis or Valkey alone, with
// Sentinel and as a Cluster, and PostgreSQL. Each is made of processes on free
// ports of the loopback, is ready when it is returned, and is gone at the end of
// the test, or of the test binary however that ends.
//
//	Redis(t, args...)       one server
//	  URL Addr Dir          where it is: redis://127.0.0.1:PORT, host:port, its data
//	  Kill Stop Restart     SIGKILL, SIGTERM, the same port and data again
//	  Pause Resume          SIGSTOP, SIGCONT: it keeps its connections and answers nothing
//	  CLI(args...)          one command to it; its reply as text
//	Sentinel(t, args...)    a master, two replicas, three sentinels
//	  URL                   redis+sentinel://H:P,H:P,H:P/rollcall
//	  Master                whom the sentinels name, a server as above
//	  KillMaster            and who it was; WaitFailover(was) gives the next
//	  WaitFollow            until who was restarted or resumed is a replica
//	  Servers Sentinels     all of them, servers as above
//	Cluster(t, args...)     three masters and a replica each
//	  URL                   redis+cluster://H:P,H:P,H:P
//	  Node(i) Kill(i)       masters are 0 to 2 at first, their replicas 3 to 5
//	  MasterOf(key)         who holds the key's slot now
//	  Move(key, during)     the key's slot to another master, during in between
//	  Reshard(n)            n slots to another master, those with keys first
//	  WaitOK                until all that live agree, and every slot is served
//	Postgres(t)             the test binary's one server
//	OwnPostgres(t, args...) a server that the test may kill
//	  Database(t)           the URL of a fresh database, dropped with t
//	  URL(name) SQL(name, query)
//	  Kill Stop Restart     of its whole family of processes, as above
//	  Pause Resume
//
// args are the engine's own: "--maxmemory", "10mb" and "-c", "fsync=on". What
// goes wrong fails the test that asked for the engine and shows the end of the
// engine's output; a program that is not installed skips it, and fails it where
// ROLLCALL_TEST_REQUIRE is set. ROLLCALL_TEST_REDIS_SERVER names another program
// than redis-server, say valkey-server.
//
// Kill, Pause and Resume may be called from any goroutine, all else from the
// test's own.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience is how long an engine may take for what it does in a moment on a
// machine that is not loaded.
const patience = 30 * time.Second

// program returns the path of a program in PATH.
func program(t testing.TB, name, hint string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, hint)
	}
	return path
}

// missing ends a test that lacks a program: as a failure where the environment
// says that everything has to be there.
func missing(t testing.TB, name, hint string) {
	t.Helper()
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		t.Fatalf("no %s found, and ROLLCALL_TEST_REQUIRE is set; %s", name, hint)
	}
	t.Skipf("no %s found; %s", name, hint)
}

// until asks again and again what is wrong, and returns nil once nothing is. It
// gives up, with what was wrong last, when patience ends or ended is closed.
func until(ended <-chan struct{}, wrong func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := wrong()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the process ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", patience, err)
		case <-tick.C:
		}
	}
}

// check fails the test where an error is given, and lets it go on: so it may be
// called from any goroutine.
func check(t testing.TB, doing string, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("%s: %v", doing, err)
	}
}

// must is check for the test's own goroutine: the test ends.
func must(t testing.TB, doing string, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}
