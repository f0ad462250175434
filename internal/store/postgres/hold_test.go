package postgres

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// TestURLsThatHideAPassword: one that is not escaped is in no error.
func TestURLsThatHideAPassword(t *testing.T) {
	for _, url := range []string{
		"postgres://rollcall:12/SECRET@h/db", "postgres://rollcall:12#SECRET@h/db", "postgres://rollcall:12?SE=CRET@h/db",
		"postgres://rollcall:12?SECRET@h/db", "postgres://SECRET%2F12@h/db", "postgres:rollcall:12SECRET@h",
	} {
		_, err := Open(t.Context(), url, Options{})
		if !errors.Is(err, rollcall.ErrInvalid) || strings.Contains(err.Error(), "CRET") || strings.Contains(err.Error(), "12") {
			t.Errorf("%s: got %v, want ErrInvalid and nothing of the password", url, err)
		}
		if _, _, err := Version(t.Context(), url); err == nil || strings.Contains(err.Error(), "CRET") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

// TestNotLetIn: who may not connect is told so plainly, once.
func TestNotLetIn(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	nobody := strings.Replace(url, url[strings.Index(url, "//")+2:strings.Index(url, "@")], "nobody:s3cret", 1)
	for text, want := range map[string]string{
		nobody:                            "the password or user is wrong",
		server.URL("none_of_this_exists"): "there is no such database",
	} {
		for _, o := range []Options{{}, {NoMigrate: true}, {Hold: HoldAlone}} {
			o.Log = slog.New(slog.DiscardHandler)
			_, err := Open(t.Context(), text, o)
			if !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "unavailable") {
				t.Errorf("%+v: got %v, want %q", o, err, want)
			}
		}
	}
}

// TestHoldIsInNoWay: the transaction of a hold keeps nothing from being vacuumed,
// and no timeout ends it.
func TestHoldIsInNoWay(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	name := url[strings.LastIndex(url, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	server.SQL(url, `ALTER DATABASE "`+name+`" SET idle_in_transaction_session_timeout = '200ms'`)
	s := open(t, url, Options{Hold: HoldAlone})
	t.Cleanup(func() { must(t, s.Close()) })
	pid := s.hold.conn.PgConn().PID()
	pause(t.Context(), 3*holdEvery/2) // longer than both
	if s.hold.conn == nil || s.hold.conn.PgConn().PID() != pid {
		t.Fatal("the connection was lost")
	}
	got := server.SQL(url, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%hold' AND datname = current_database() AND backend_xmin IS NULL AND backend_xid IS NULL`)
	if got != "1" {
		t.Errorf("got %q, want one that has no snapshot", got)
	}
}
