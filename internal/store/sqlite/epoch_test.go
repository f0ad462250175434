package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func epochOf(t *testing.T, dir string, o Options) roll.Epoch {
	t.Helper()
	s := open(t, dir, o)
	defer func() { must(t, s.Close()) }()
	e, err := s.sessions.Epoch(t.Context())
	must(t, err)
	return e
}

func sameEpoch(a, b roll.Epoch) bool { return a.ID == b.ID && a.BeganAt.Equal(b.BeganAt) }

// An epoch lasts as long as nothing is lost: over restarts and over the death of
// the process, but not over a backup that is put back.
func TestEpochs(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000).Add(123)}
	o := Options{Now: c.Now}
	dir := t.TempDir()
	first := epochOf(t, dir, o)
	if first.ID == "" || !first.BeganAt.Equal(c.Now()) {
		t.Errorf("a new store's epoch: %+v", first)
	}
	c.add(time.Hour)
	if again := epochOf(t, dir, o); !sameEpoch(again, first) {
		t.Errorf("after a restart: %+v, want %+v", again, first)
	}
	s := open(t, dir, o)
	died := snapshot(t, dir)
	must(t, s.Close())
	if again := epochOf(t, died, o); !sameEpoch(again, first) {
		t.Errorf("after the death of the process: %+v, want %+v", again, first)
	}

	backup, err := os.ReadFile(filepath.Join(dir, "rollcall.db"))
	must(t, err)
	epochOf(t, dir, o) // goes on after the backup
	must(t, os.WriteFile(filepath.Join(dir, "rollcall.db"), backup, 0o600))
	c.add(time.Hour)
	restored := epochOf(t, dir, o)
	if restored.ID == first.ID || !restored.BeganAt.Equal(c.Now()) {
		t.Errorf("after a backup was put back: %+v, want another than %+v", restored, first)
	}
	if again := epochOf(t, dir, o); !sameEpoch(again, restored) {
		t.Errorf("after that: %+v, want %+v", again, restored)
	}
	must(t, os.Remove(filepath.Join(dir, runFile)))
	if moved := epochOf(t, dir, o); moved.ID == restored.ID {
		t.Error("rollcall.db alone goes on with its epoch")
	}
}

// A Seq is given once, whatever is pruned and however often the store is opened.
func TestSeqsAreGivenOnce(t *testing.T) {
	dir, last := t.TempDir(), int64(0)
	for round := range 4 {
		s := open(t, dir, Options{})
		boot(t, s)
		live, err := start(t.Context(), s, session("player001"))
		must(t, err)
		_, err = s.sessions.End(t.Context(), []string{live.ID}, roll.Ending{At: time.Now(), Reason: rollcall.EndKicked, KickID: "k"})
		must(t, err)
		for _, seq := range seqsOf(t, s) {
			if seq <= last {
				t.Errorf("round %d gave %d again, after %d", round, seq, last)
			}
			last = max(last, seq)
		}
		must(t, s.sessions.Forget(t.Context(), roll.Position{last}))
		for pruned := 1; pruned > 0; {
			pruned, err = s.sessions.PruneEvents(t.Context(), time.Now().Add(time.Hour), 100)
			must(t, err)
		}
		if left := seqsOf(t, s); len(left) != 0 {
			t.Fatalf("left: %v", left)
		}
		if round%2 == 0 {
			dir = snapshot(t, dir) // as the death of the process leaves it
		}
		must(t, s.Close())
	}
}

// seqsOf returns what is in the outbox, as the log has it, and then of the receipts.
func seqsOf(t *testing.T, s *Store) (seqs []int64) {
	t.Helper()
	book := live.NewBook(roll.Epoch{})
	_, _, err := replayed(t.Context(), s.main, book, time.Now())
	must(t, err)
	for _, c := range book.Changes(nil, 1000) {
		seqs = append(seqs, c.Seq)
	}
	rows, err := s.main.read.QueryContext(t.Context(), `SELECT seq FROM receipts`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var seq int64
		must(t, rows.Scan(&seq))
		seqs = append(seqs, seq)
	}
	must(t, rows.Err())
	return seqs
}

// Sessions that the version before stored had neither a lease nor a boot.
func TestOldSessions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	began := time.Now().Add(-time.Hour)
	const doc = `{"id":%q,"agentId":"a1","username":"player001","gameCode":"g1","mode":"real","gameServer":"s1","device":"pc","ip":"192.0.2.1",
		"lang":"en","launch":"real","currency":"THB","brandCurrency":"THB","wallet":"transfer","startedAt":%q,"seenAt":%q,"expiresAt":%q,"endsAt":%q}`
	text := func(at time.Time) string { return at.Format(time.RFC3339Nano) }
	for id, lease := range map[string]time.Duration{"a": 45 * time.Second, "b": 1500 * time.Millisecond, "c": 0} {
		_, err := s.main.write.Exec(`INSERT INTO sessions (id, doc) VALUES ($1, $2)`, id,
			fmt.Sprintf(doc, id, text(began), text(began), text(began.Add(lease)), text(began.Add(12*time.Hour))))
		must(t, err)
	}
	must(t, s.Close())
	c := &clock{now: time.Now()}
	s = open(t, dir, Options{Now: c.Now})
	defer func() { must(t, s.Close()) }()
	for id, want := range map[string]int{"a": 45, "b": 2, "c": 1} {
		got, err := s.sessions.Get(t.Context(), id, c.Now())
		must(t, err)
		if got.LeaseSeconds != want || !got.ExpiresAt.Equal(c.Now().Add(got.Lease())) {
			t.Errorf("%s: lease %d s to %s, want %d s from %s", id, got.LeaseSeconds, got.ExpiresAt, want, c.Now())
		}
	}
	c.add(500 * time.Millisecond)
	if unknown, err := s.sessions.Heartbeat(t.Context(), "s1", []string{"a", "b", "c"}, c.Now()); err != nil || len(unknown) != 0 {
		t.Errorf("a beat: unknown %v, %v", unknown, err)
	}
}
