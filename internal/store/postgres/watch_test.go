package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

func pair(t *testing.T, url string, o Options) (here, there *Store) {
	t.Helper()
	here, there = open(t, url, o), open(t, url, o)
	t.Cleanup(func() {
		must(t, here.Close())
		must(t, there.Close())
	})
	return here, there
}

// settled waits until the watch has its own connection and polls on it.
func settled(t *testing.T, s *Store) {
	t.Helper()
	before := s.watch.certain.Load()
	eventually(t, 5*time.Second, "a poll of the watch", func() bool {
		return s.watch.backend.Load() != 0 && s.watch.certain.Load() != before
	})
}

// A blocked agent is out on another node within milliseconds, by notification:
// polls come too rarely here to bring it.
func TestNotified(t *testing.T) {
	here, there := pair(t, enginetest.Postgres(t).Database(t), Options{PollEvery: 20 * time.Second, MaxStale: time.Minute})
	addAgent(t, here, "a1")
	eventually(t, 5*time.Second, "the agent", func() bool { _, err := there.directory.agents.Get(t.Context(), "a1"); return err == nil })
	must(t, block(here, "a1"))
	t.Logf("seen after %s", eventually(t, time.Second, "the block", func() bool { return isBlocked(there, "a1") }))
	must(t, here.directory.agents.Delete(t.Context(), entry(), "a1"))
	eventually(t, time.Second, "the deletion", func() bool {
		_, err := there.directory.agents.Get(t.Context(), "a1")
		return errors.Is(err, rollcall.ErrNotFound)
	})
}

// Without any notification, as behind a pooler, within 1 s.
func TestPolled(t *testing.T) {
	here, there := pair(t, enginetest.Postgres(t).Database(t), Options{deaf: true})
	addAgent(t, here, "a1")
	for i := range 3 {
		id := fmt.Sprint("b", i)
		addAgent(t, here, id)
		must(t, block(here, id))
		t.Logf("seen after %s", eventually(t, time.Second, "the block", func() bool { return isBlocked(there, id) }))
	}
}

// The connection of the watch is killed; what changes then is seen within 1 s.
// The server that the next one reaches may not have all that the former knew:
// what it has is read whole, whatever its revisions say.
func TestWatchKilled(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	here, there := pair(t, url, Options{})
	addAgent(t, here, "a1")
	addAgent(t, here, "a2")
	settled(t, there)
	pid := there.watch.backend.Load()
	server.SQL(url, `UPDATE agents SET doc = replace(doc, '"active"', '"blocked"') WHERE key = 'a2'`)
	if got := server.SQL(url, fmt.Sprintf(`SELECT pg_terminate_backend(%d)`, pid)); got != "t" {
		t.Fatalf("pg_terminate_backend: %s", got)
	}
	must(t, block(here, "a1"))
	t.Logf("seen after %s", eventually(t, time.Second, "the block", func() bool { return isBlocked(there, "a1") }))
	eventually(t, 5*time.Second, "another connection", func() bool { return there.watch.backend.Load() != pid })
	eventually(t, time.Second, "what the revisions do not tell of", func() bool { return isBlocked(there, "a2") })
}

// Who has missed more changes than are remembered reads the table anew.
func TestForgottenChanges(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	here, there := pair(t, url, Options{deaf: true, PollEvery: 20 * time.Second, MaxStale: time.Minute})
	settledOnce(t, there)
	addAgent(t, here, "a1")
	addAgent(t, here, "a2")
	server.SQL(url, `DELETE FROM changes WHERE rev = 1`)
	must(t, there.watch.poll(t.Context(), there.db.pool))
	for _, id := range []string{"a1", "a2"} {
		if _, err := there.directory.agents.Get(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// settledOnce waits for the first read of the watch.
func settledOnce(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, 5*time.Second, "the watch's connection", func() bool { return s.watch.backend.Load() != 0 })
}

// A restored database has revisions that were here before.
func TestOlderRevision(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	s := open(t, url, Options{})
	defer func() { must(t, s.Close()) }()
	addAgent(t, s, "a1")
	server.SQL(url, `UPDATE revisions SET rev = 0; DELETE FROM changes; DELETE FROM agents`)
	eventually(t, 2*time.Second, "the agent that is no more", func() bool {
		_, err := s.directory.agents.Get(t.Context(), "a1")
		return errors.Is(err, rollcall.ErrNotFound)
	})
}

// A node that is cut off does not go on with what it knew; a member is asked of
// the database, within the deadline.
func TestStaleCopyRefuses(t *testing.T) {
	server := enginetest.OwnPostgres(t)
	s := open(t, server.Database(t), Options{Timeout: time.Second, MaxStale: time.Second})
	defer func() { must(t, s.Close()) }()
	addAgent(t, s, "a1")
	settled(t, s)
	server.Pause()
	get := func() error { _, err := s.directory.agents.Get(t.Context(), "a1"); return err }
	must(t, get()) // a moment's silence is none
	eventually(t, 5*time.Second, "the refusal", func() bool { return get() != nil })
	if age := s.CacheAge(); age < time.Second || age > 2*time.Second {
		t.Errorf("refused at an age of %s, want MaxStale, 1s", age)
	}
	wantUnavailable(t, "a stale copy", get())
	_, err := s.directory.agents.List(t.Context(), "", "", 10)
	wantUnavailable(t, "a list of a stale copy", err)
	var all sync.WaitGroup
	for what, call := range callsOf(s) {
		all.Go(func() {
			began := time.Now()
			wantUnavailable(t, what, call(t.Context()))
			if took := time.Since(began); took > 4*time.Second { // 3 s are for adding
				t.Errorf("%s took %s", what, took)
			}
		})
	}
	all.Wait()
	server.Resume()
	eventually(t, 5*time.Second, "an answer", func() bool { return get() == nil })
	must(t, s.directory.Ping(t.Context()))
}

// callsOf are calls that ask the database, of each sort of deadline.
func callsOf(s *Store) map[string]func(context.Context) error {
	now := time.Now()
	return map[string]func(context.Context) error{
		"ping":    s.directory.Ping,
		"member":  func(ctx context.Context) error { _, err := s.directory.members.Get(ctx, "a1/m"); return err },
		"members": func(ctx context.Context) error { _, err := s.directory.members.List(ctx, "a1/", "", 10); return err },
		"block":   func(context.Context) error { return block(s, "a1") },
		"request": func(ctx context.Context) error { _, err := s.history.Request(ctx, newID(now)); return err },
		"records": func(ctx context.Context) error {
			return s.history.AddRequests(ctx, []rollcall.RequestRecord{record(now)})
		},
		"ended": func(ctx context.Context) error {
			return s.history.AddEnded(ctx, []rollcall.EndedSession{ended("m", now, time.Minute)})
		},
		"around": func(ctx context.Context) error {
			_, err := s.history.EndedAround(ctx, now, rollcall.SessionFilter{}, "", 10)
			return err
		},
		"claim": func(ctx context.Context) error {
			_, err := s.history.ClaimDeliveries(ctx, roll.DeliveryClaim{Now: now, Until: now, PerAgent: 1, Limit: 1})
			return err
		},
	}
}

// Killed and started again under load: what fails is an outage, what was answered
// is there, and it goes on.
func TestServerKilled(t *testing.T) {
	server := enginetest.OwnPostgres(t)
	s := open(t, server.Database(t), Options{})
	defer func() { must(t, s.Close()) }()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	var kept []string
	failed := 0
	for i := range 8 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := roll.MemberKey(fmt.Sprint("a", i), fmt.Sprint("m", n))
				err := s.directory.members.Create(context.Background(), entry(), key, rollcall.Member{Username: key})
				mu.Lock()
				if err == nil {
					kept = append(kept, key)
				} else if failed++; !errors.Is(err, rollcall.ErrUnavailable) {
					t.Errorf("create: %v", err)
				}
				mu.Unlock()
				if err != nil {
					pause(ctx, time.Millisecond)
				}
			}
		})
	}
	count := func() (int, int) { mu.Lock(); defer mu.Unlock(); return len(kept), failed }
	eventually(t, 10*time.Second, "some members", func() bool { n, _ := count(); return n > 100 })
	server.Kill()
	eventually(t, 10*time.Second, "a failure", func() bool { _, n := count(); return n > 0 })
	server.Restart()
	before, _ := count()
	t.Logf("again after %s", eventually(t, 10*time.Second, "members again", func() bool { n, _ := count(); return n > before+100 }))
	stop()
	all.Wait()
	for _, key := range kept {
		if _, err := s.directory.members.Get(t.Context(), key); err != nil {
			t.Fatalf("%s was answered: %v", key, err)
		}
	}
	eventually(t, 5*time.Second, "the directory", func() bool {
		_, err := s.directory.agents.Get(t.Context(), "none")
		return errors.Is(err, rollcall.ErrNotFound)
	})
}

// A change that is committed and cannot be read back is no error, but nothing is
// answered from a copy without it.
func TestReadsItsWrites(t *testing.T) {
	s := open(t, enginetest.Postgres(t).Database(t), Options{PollEvery: time.Hour, MaxStale: 2 * time.Hour, deaf: true})
	defer func() { must(t, s.Close()) }()
	settledOnce(t, s)
	addAgent(t, s, "a1")
	c := s.directory.agents.cache
	c.follow(t.Context(), &database{pool: s.db.pool}) // its time is up before it asks
	_, err := s.directory.agents.Get(t.Context(), "a1")
	wantUnavailable(t, "a copy that is behind", err)
	if err == nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("got %v", err)
	}
	must(t, s.watch.poll(t.Context(), s.db.pool))
	_, err = s.directory.agents.Get(t.Context(), "a1")
	must(t, err)
}
