package store

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/postgres"
)

// served are the options of a server.
func served(o Options) Options {
	o.Use = UseServe
	return o
}

// refused opens what is not to be opened, and returns why.
func refused(t *testing.T, what string, o Options) error {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err == nil {
		t.Errorf("%s was opened", what)
		must(t, s.Close())
		return errors.New("opened")
	}
	return err
}

// TestEmbeddedSessionsAreAlone: who has its sessions in its own directory is the
// only one on a PostgreSQL, whose servers would not agree.
func TestEmbeddedSessionsAreAlone(t *testing.T) {
	t.Parallel()
	room := &engineRoom{t: t, redis: enginetest.Redis(t)}
	embedded, shared := served(room.options("postgres")), served(room.options("redis+postgres"))
	other := embedded
	other.Data, shared.Directory = t.TempDir(), embedded.Directory
	move := shared
	move.Use = UseAlone
	held := func(what string, o Options) {
		t.Helper()
		if err := refused(t, what, o); !errors.Is(err, postgres.ErrHeld) {
			t.Errorf("%s: got %v, want ErrHeld", what, err)
		}
	}
	first := openStores(t, embedded)
	held("a second one with embedded sessions", other)
	held("one with Redis beside embedded sessions", shared)
	held("an export beside embedded sessions", move)
	shared.Use = UseBeside
	must(t, openStores(t, shared).Close()) // init, verify
	shared.Use = UseServe
	must(t, first.Close())
	a, b := openStores(t, shared), openStores(t, shared)
	held("one with embedded sessions beside two with Redis", embedded)
	held("an import beside two with Redis", move)
	must(t, a.Close())
	must(t, b.Close())
	must(t, openStores(t, move).Close())
	must(t, openStores(t, embedded).Close())
}

// TestInstallations: sessions in Redis are of one directory; of a second one they
// are refused, whatever the two are.
func TestInstallations(t *testing.T) {
	t.Parallel()
	room := &engineRoom{t: t, redis: enginetest.Redis(t)}
	for _, combo := range []string{"redis", "redis+postgres"} {
		first := room.options(combo)
		must(t, openStores(t, first).Close())
		for _, other := range []string{"redis", "redis+postgres"} {
			o := room.options(other)
			own := o.RedisPrefix
			o.RedisPrefix = first.RedisPrefix
			err := refused(t, other+" on the sessions of "+combo, served(o))
			if !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), `"`+first.RedisPrefix+`"`) || !strings.Contains(err.Error(), "another installation") {
				t.Errorf("%s on the sessions of %s: got %v", other, combo, err)
			}
			o.RedisPrefix = own
			must(t, openStores(t, o).Close())
		}
		must(t, openStores(t, first).Close())
	}
}

// TestNotBegun: a server does not serve from stores that nobody has made, and
// makes nothing in them.
func TestNotBegun(t *testing.T) {
	t.Parallel()
	room := &engineRoom{t: t, redis: enginetest.Redis(t)}
	for _, combo := range combos {
		o := served(room.options(combo))
		o.Begun = true
		none := func(what string) {
			t.Helper()
			if err := refused(t, combo+", "+what, o); !errors.Is(err, ErrNotBegun) || !strings.Contains(err.Error(), "rollcall init") {
				t.Errorf("%s, %s: got %v", combo, what, err)
			}
		}
		none("with nothing in it")
		if o.Directory != "" {
			if have, _, err := postgres.Version(t.Context(), o.Directory); err != nil || have != 0 {
				t.Errorf("%s: the database is at version %d, %v; want it as it was", combo, have, err)
			}
		} else if _, err := os.Stat(filepath.Join(o.Data, "rollcall.db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want no file", combo, err)
		}
		made := o
		made.Begun = false
		s := openStores(t, made)
		must(t, s.Close())
		none("with tables only")
		s = openStores(t, made)
		e := rollcall.AuditEntry{At: time.Now(), Actor: "test", Action: "admin-token.create", Subject: "ann"}
		must(t, s.Directory.AdminTokens().Create(t.Context(), e, "ann", roll.AdminToken{Name: "ann", Hash: []byte{9}}))
		must(t, s.Close())
		must(t, openStores(t, o).Close())
	}
}

// A logBook is a log that can be read while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestHoldComesBack: a server that loses the connection with its lock takes it
// again, and says so; where another has it by then, it says that.
func TestHoldComesBack(t *testing.T) {
	t.Parallel()
	server := enginetest.Postgres(t)
	var log logBook
	o := served(Options{Directory: server.Database(t), Data: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	name := o.Directory[strings.LastIndex(o.Directory, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	cut := func() {
		server.SQL("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%hold' AND datname = '"+name+"'")
	}
	s := openStores(t, o)
	cut()
	logged(t, &log, "and is held again")
	other := o
	other.Data = t.TempDir()
	if err := refused(t, "a second one", other); !errors.Is(err, postgres.ErrHeld) {
		t.Errorf("got %v, want ErrHeld", err)
	}
	// One that was waiting for this takes it.
	taken := make(chan *Stores)
	go func() {
		for {
			if s, err := Open(t.Context(), other); err == nil {
				taken <- s
				return
			} else if !errors.Is(err, postgres.ErrHeld) {
				t.Error(err)
				close(taken)
				return
			}
		}
	}()
	var second *Stores
	for tick := time.NewTicker(100 * time.Millisecond); second == nil; {
		cut()
		select {
		case second = <-taken:
		case <-tick.C:
		}
	}
	logged(t, &log, "another server has taken the database")
	must(t, second.Close())
	must(t, s.Close())
}

func logged(t *testing.T, log *logBook, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !log.has(text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q:\n%s", text, log.text.String())
		}
	}
}
