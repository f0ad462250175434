package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

const victimOf = "ROLLCALL_TEST_VICTIM"

// TestVictim is the process that TestKilledProcess kills.
func TestVictim(t *testing.T) {
	if os.Getenv(victimOf) == "" {
		t.Skip("runs only as a child of TestKilledProcess") // by its nature
	}
	s := open(t, ".", Options{Sync: SyncNormal, foldLeast: 10_000})
	boot(t, s)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				if err := visit(s, fmt.Sprint("player", i%5), i%3 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// visit starts a session, claims a nonce, may end the session, and says what was
// answered.
func visit(s *Store, username string, end bool) error {
	ctx := context.Background()
	say := func(word, id string) { fmt.Fprintf(os.Stdout, "%s %s\n", word, id) }
	live, err := start(ctx, s, session(username))
	if err != nil {
		return err
	}
	say("started", live.ID)
	fresh, err := s.nonces.Claim(ctx, "a1", live.ID, time.Now())
	if err != nil || !fresh {
		return fmt.Errorf("claim: %v, %w", fresh, err)
	}
	say("claimed", live.ID)
	if end {
		say("ending", live.ID)
		if _, err = s.sessions.End(ctx, []string{live.ID}, left()); err == nil {
			say("ended", live.ID)
		}
	}
	return err
}

// What a process answered before it was killed has happened: each Start is
// there, each End stays ended, each nonce is used.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
	victim.Dir, victim.Env = dir, append(os.Environ(), victimOf+"="+t.Name())
	output, err := victim.StdoutPipe()
	must(t, err)
	must(t, victim.Start())
	said := make(map[string][]string)
	lines := bufio.NewScanner(output)
	for n := 0; lines.Scan(); n++ {
		if word, what, ok := strings.Cut(lines.Text(), " "); ok {
			said[word] = append(said[word], what)
		}
		if n == 6000 {
			must(t, victim.Process.Kill()) // what is in the pipe is read to its end
		}
	}
	must(t, lines.Err())
	if err := victim.Wait(); err == nil || len(said["ended"]) == 0 {
		t.Fatalf("the victim: %v, said %v", err, said)
	}

	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	ended := make(map[string]bool)
	for _, id := range said["ending"] {
		ended[id] = true // or not: nobody was told
	}
	for _, id := range said["started"] {
		if _, err := s.sessions.Get(t.Context(), id, time.Now()); err != nil && !ended[id] {
			t.Errorf("started and not there: %s", id)
		}
	}
	for _, id := range said["ended"] {
		if _, err := s.sessions.Get(t.Context(), id, time.Now()); !errors.Is(err, rollcall.ErrNotFound) {
			t.Errorf("ended and there again: %s, %v", id, err)
		}
	}
	for _, id := range said["claimed"] {
		if claim(t, s, id, time.Now()) {
			t.Errorf("claimed twice: %s", id)
		}
	}
}

// fill stores n sessions, of as many members, in one transaction whose pages stay in
// SQLite's write-ahead log.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	_, err := s.main.write.Exec(`PRAGMA wal_autocheckpoint = 0`)
	must(t, err)
	must(t, s.main.change(context.Background(), func(tx *sql.Tx) error {
		m := &mover{ctx: context.Background(), tx: tx, sheet: newSheet(), last: s.sessions.writer.fold.size.last}
		for i := range n {
			live := session(fmt.Sprintf("player%05d", i))
			if err := errors.Join(m.sheet.session(&live), m.flushFull()); err != nil {
				return err
			}
		}
		return m.flush()
	}))
}

// snapshot copies what a store that is open has in its files, which is what the
// death of the process leaves.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "snapshot")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func TestManySessionsFromTheLog(t *testing.T) {
	const n = 50_000
	dir := t.TempDir()
	s := open(t, dir, Options{})
	fill(t, s, n)
	died := snapshot(t, dir)
	must(t, s.Close())
	start := time.Now()
	s = open(t, died, Options{})
	t.Logf("%d sessions: open again after %s", n, time.Since(start).Round(time.Millisecond))
	defer func() { must(t, s.Close()) }()
	counts, err := s.sessions.Counts(t.Context())
	must(t, err)
	if len(counts) != 1 || counts[0].Count != n {
		t.Errorf("got %+v, want %d", counts, n)
	}
	list, err := s.sessions.OfMember(t.Context(), "a1", "player49999", time.Now())
	must(t, err)
	if len(list) != 1 {
		t.Errorf("the last member has %d sessions, want 1", len(list))
	}
}

const claimerOf = "ROLLCALL_TEST_CLAIMER"

// TestClaimer is the process that TestKilledClaimer kills.
func TestClaimer(t *testing.T) {
	if os.Getenv(claimerOf) == "" {
		t.Skip("runs only as a child of TestKilledClaimer") // by its nature
	}
	s := open(t, ".", Options{})
	var all sync.WaitGroup
	for side := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				nonce := fmt.Sprint(side, "/", i)
				if fresh, err := s.nonces.Claim(t.Context(), "a1", nonce, time.Now()); err != nil || !fresh {
					t.Errorf("claim: %v, %v", fresh, err)
					return
				}
				fmt.Fprintf(os.Stdout, "claimed %s\n", nonce)
			}
		})
	}
	all.Wait()
}

// A process that is killed while it claims, several windows on, has left each
// claim that it answered in the kernel's pages: a copy of the files has them too.
func TestKilledClaimer(t *testing.T) {
	dir := t.TempDir()
	claimer := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClaimer$")
	claimer.Dir, claimer.Env = dir, append(os.Environ(), claimerOf+"="+t.Name())
	output, err := claimer.StdoutPipe()
	must(t, err)
	must(t, claimer.Start())
	var claimed []string
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if nonce, ok := strings.CutPrefix(lines.Text(), "claimed "); ok {
			claimed = append(claimed, nonce)
		}
		if len(claimed) == 10_000 {
			must(t, claimer.Process.Kill()) // what is in the pipe is read to its end
		}
	}
	must(t, lines.Err())
	if err := claimer.Wait(); err == nil || len(claimed) < 10_000 {
		t.Fatalf("the claimer: %v, claimed %d", err, len(claimed))
	}
	if got := size(t, dir); got <= leastWindow {
		t.Errorf("records up to %d only: no window was changed", got)
	}
	for _, dir := range []string{snapshot(t, dir), dir} {
		s := open(t, dir, Options{})
		for _, nonce := range claimed {
			if claim(t, s, nonce, time.Now()) {
				t.Errorf("claimed twice: %s", nonce)
			}
		}
		must(t, s.Close())
	}
}
