package enginetest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPostgres(t *testing.T) {
	var s *PostgresServer
	quick(t, "start", 20*time.Second, func() { s = Postgres(t) })
	var urls []string
	t.Run("databases", func(t *testing.T) {
		quick(t, "ten databases", 10*time.Second, func() {
			for range 10 {
				urls = append(urls, s.Database(t))
			}
		})
		asOwner(t, s, urls[0], "CREATE TABLE mine (name TEXT)")
		want(t, "tables elsewhere", s.SQL(urls[1], "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "0")
		want(t, "tables", s.SQL(urls[0], "SELECT tableowner, tablename FROM pg_tables WHERE tablename = 'mine'"), "rollcall|mine")
		want(t, "rights", s.SQL("postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = 'rollcall'"), "f")
	})
	want(t, "databases left", s.SQL("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'"), "0")
	if again := Postgres(t); again.Addr() != s.Addr() {
		t.Errorf("got another server, want the same")
	}
	defer func() {
		if recover() == nil {
			t.Error("the shared server could be killed")
		}
	}()
	s.Kill()
}

// asOwner runs a statement by the URL that a test is given.
func asOwner(t *testing.T, s *PostgresServer, url, text string) {
	t.Helper()
	if out, err := exec.Command(s.psql, "-X", "-q", "-c", text, url).CombinedOutput(); err != nil {
		t.Errorf("psql: %v: %s", err, out)
	}
}

func TestOwnPostgres(t *testing.T) {
	var s *PostgresServer
	quick(t, "start", 20*time.Second, func() { s = OwnPostgres(t, "-c", "work_mem=5MB", "-c", "fsync=on") })
	url := s.Database(t)
	want(t, "setting", s.SQL(url, "SHOW work_mem"), "5MB")
	want(t, "fsync", s.SQL(url, "SHOW fsync"), "on")
	s.SQL(url, "CREATE TABLE kept AS SELECT 7 AS n")

	busy := busyBackend(t, s)
	family := append([]int{s.p.leader.Pid}, childrenOf(s.p.leader.Pid)...)
	quick(t, "kill", 5*time.Second, s.Kill)
	if err := <-busy; err == nil {
		t.Error("a statement ended well on a server that was killed")
	}
	for _, pid := range family {
		if alive(pid) {
			t.Errorf("process %d outlived the server", pid)
		}
	}
	if len(family) < 5 {
		t.Errorf("got the family %v, want the postmaster and its children", family)
	}
	quick(t, "start anew", 10*time.Second, s.Restart)
	want(t, "rows", s.SQL(url, "SELECT n FROM kept"), "7")
	s.Restart()
	want(t, "rows", s.SQL(url, "SELECT n FROM kept"), "7")
}

// busyBackend has a backend of the server compute for a minute.
func busyBackend(t *testing.T, s *PostgresServer) <-chan error {
	t.Helper()
	busy := make(chan error, 1)
	go func() {
		_, err := s.query("postgres", "SELECT sum(sqrt(n)) FROM generate_series(1, 1000000000) n")
		busy <- err
	}()
	must(t, "wait for the backend", until(nil, func() error {
		if n := s.SQL("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT sum(sqrt%' AND state = 'active'"); n != "1" {
			return fmt.Errorf("%s backends are busy", n)
		}
		return nil
	}))
	return busy
}

// Every process of a server that is paused stands still, and goes on after.
func TestPostgresPause(t *testing.T) {
	s := OwnPostgres(t)
	s.Pause()
	for _, pid := range append(childrenOf(s.p.leader.Pid), s.p.leader.Pid) {
		if got := state(pid); alive(pid) && got != 'T' {
			t.Errorf("process %d: got state %c, want T", pid, got)
		}
	}
	answer := make(chan string)
	go func() {
		text, err := s.query("postgres", "SELECT 1")
		answer <- strings.TrimSpace(fmt.Sprint(text, " ", err))
	}()
	select {
	case text := <-answer:
		t.Errorf("got %q from a server that is paused", text)
	case <-time.After(300 * time.Millisecond): // that nothing comes can only be waited for
	}
	s.Resume()
	want(t, "answer", <-answer, "1 <nil>")
	s.Pause() // and the test's end
}
