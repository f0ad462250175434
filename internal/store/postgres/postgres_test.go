package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// The clock here is the true one: in the suite's IDs it is, too, so they find
// their days.
func TestStores(t *testing.T) {
	for name, params := range map[string]string{
		"Prepared": "",
		"Pooler":   "&default_query_exec_mode=exec", // as behind PgBouncer, which knows no statement of another transaction
	} {
		t.Run(name, func(t *testing.T) {
			backend := func(t *testing.T, _ func() time.Time) storetest.Backend {
				url := enginetest.Postgres(t).Database(t) + params
				s := open(t, url, Options{})
				t.Cleanup(func() { must(t, s.Close()) })
				return storetest.Backend{Stores: stores(s), Reopen: func(t *testing.T) roll.Stores {
					t.Helper()
					must(t, s.Close())
					s = open(t, url, Options{})
					return stores(s)
				}}
			}
			t.Run("Directory", func(t *testing.T) { storetest.RunDirectory(t, backend) })
			t.Run("History", func(t *testing.T) { storetest.RunHistory(t, backend) })
		})
	}
}

// By a clock of another year no ID has a day here: all is in _rest, and all holds
// alike.
func TestStoresWithoutDays(t *testing.T) {
	storetest.RunHistory(t, func(t *testing.T, now func() time.Time) storetest.Backend {
		s := open(t, enginetest.Postgres(t).Database(t), Options{Now: func() time.Time { return now().AddDate(-3, 0, 0) }})
		t.Cleanup(func() { must(t, s.Close()) })
		return storetest.Backend{Stores: stores(s)}
	})
}

func stores(s *Store) roll.Stores {
	return roll.Stores{Directory: s.Directory(), History: s.History()}
}

func open(t testing.TB, url string, o Options) *Store {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := Open(context.Background(), url, o)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("%s: got %v, want ErrUnavailable", what, err)
	}
}

// eventually asks until it holds, and fails when that takes too long.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		pause(t.Context(), time.Millisecond)
	}
	return time.Since(began)
}

func entry() rollcall.AuditEntry {
	return rollcall.AuditEntry{At: time.Now(), Actor: "test", Action: "change", Subject: "a1"}
}

func addAgent(t *testing.T, s *Store, id string) {
	t.Helper()
	must(t, s.directory.agents.Create(t.Context(), entry(), id, roll.Agent{Agent: rollcall.Agent{ID: id, Status: rollcall.AgentActive, Wallet: rollcall.WalletTransfer}}))
}

func block(s *Store, id string) error {
	_, err := s.directory.agents.Update(context.Background(), entry(), id, func(a *roll.Agent) error {
		a.Status = rollcall.AgentBlocked
		return nil
	})
	return err
}

func isBlocked(s *Store, id string) bool {
	a, err := s.directory.agents.Get(context.Background(), id)
	return err == nil && a.Status == rollcall.AgentBlocked
}

// newID returns an ID of a session that begins at a moment.
func newID(at time.Time) string {
	id := uuid.Must(uuid.NewV7())
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id.String()
}

func ended(username string, began time.Time, lasted time.Duration) rollcall.EndedSession {
	return rollcall.EndedSession{Session: rollcall.Session{
		ID: newID(began), AgentID: "a1", Username: username, GameCode: "g1", Mode: rollcall.ModeReal, GameServer: "s1", BootID: "b1",
		Device: rollcall.DevicePC, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en", Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB",
		Wallet: rollcall.WalletTransfer, LeaseSeconds: 90, StartedAt: began, SeenAt: began, ExpiresAt: began.Add(lasted), EndsAt: began.Add(12 * time.Hour),
	}, EndedAt: began.Add(lasted), Reason: rollcall.EndLeft}
}

func record(at time.Time) rollcall.RequestRecord {
	return rollcall.RequestRecord{LogUUID: newID(at), At: at, Endpoint: "/v2/members/sessions/check", AgentID: "a1", Remote: "127.0.0.1", Status: 200}
}

// A URL that is wrong is told without its password, whichever way it is wrong.
func TestURLErrorsKeepThePassword(t *testing.T) {
	const secret = "s3cr:et"
	for _, text := range []string{
		"", "mysql://u:" + secret + "@h/d", "postgres://u:" + secret + "/x@h:1/d", "postgres://u:" + secret + "#x@h/d",
		"postgres://u:" + secret + "%zz@h/d", "postgres://u:" + secret + "@h:port/d", "postgres://u:" + secret + "@h/d?sslmode=no",
		"postgres://u:" + secret + "@h/d?pool_max_conns=x", "postgres://h/d?sslmode=no&password=" + secret,
		"postgres://u:" + url.QueryEscape(secret) + "@h/d?default_query_exec_mode=" + secret, "user=u password=" + secret,
	} {
		for what, err := range map[string]error{
			"Open": func() error { _, err := Open(t.Context(), text, Options{}); return err }(), "Migrate": Migrate(t.Context(), text, func(string) {}),
		} {
			if err == nil || strings.Contains(err.Error(), "s3cr") || !errors.Is(err, rollcall.ErrInvalid) {
				t.Errorf("%s of %q: %v", what, text, err)
			}
		}
	}
}

func TestNoServer(t *testing.T) {
	began := time.Now()
	_, err := Open(t.Context(), "postgres://u:s3cret@127.0.0.1:1/d?sslmode=disable", Options{})
	wantUnavailable(t, "Open", err)
	if took := time.Since(began); took > 5*time.Second || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("after %s: %v", took, err)
	}
}

// A standby, or a database that is read only for another reason, is none to work
// with.
func TestReadOnly(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	s := open(t, url, Options{})
	defer func() { must(t, s.Close()) }()
	server.SQL(url, `DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$`)
	for _, no := range []bool{false, true} {
		_, err := Open(t.Context(), url, Options{NoMigrate: no})
		wantUnavailable(t, "Open", err)
	}
	s.db.pool.Reset()
	wantUnavailable(t, "Ping", s.directory.Ping(t.Context()))
}

func TestVersions(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	_, err := Open(t.Context(), url, Options{NoMigrate: true})
	if err == nil || !strings.Contains(err.Error(), "run rollcall migrate") {
		t.Errorf("an empty database: %v", err)
	}
	if got := server.SQL(url, `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`); got != "0" {
		t.Errorf("refusing made %s relations", got)
	}
	var lines []string
	must(t, Migrate(t.Context(), url, func(line string) { lines = append(lines, line) }))
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "version 1: ") || !strings.HasPrefix(lines[1], "version 2: ") || lines[2] != "the database is at version 2" {
		t.Errorf("progress: %q", lines)
	}
	must(t, open(t, url, Options{NoMigrate: true}).Close())
	server.SQL(url, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	for _, no := range []bool{false, true} {
		if _, err := Open(t.Context(), url, Options{NoMigrate: no}); err == nil || !strings.Contains(err.Error(), "newer rollcall") {
			t.Errorf("a newer database, NoMigrate %v: %v", no, err)
		}
	}
	if err := Migrate(t.Context(), url, func(string) {}); err == nil || !strings.Contains(err.Error(), "newer rollcall") {
		t.Errorf("migrate: %v", err)
	}
}

func TestFourOpenAtOnce(t *testing.T) {
	url := enginetest.Postgres(t).Database(t)
	var all sync.WaitGroup
	opened := make([]*Store, 4)
	for i := range opened {
		all.Go(func() {
			var err error
			if opened[i], err = Open(context.Background(), url, Options{}); err != nil {
				t.Errorf("opener %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for i, s := range opened {
		if s != nil {
			addAgent(t, s, fmt.Sprint("a", i))
			must(t, s.Close())
		}
	}
}

func wantNotFound(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, rollcall.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
