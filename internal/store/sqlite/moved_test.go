package sqlite

import (
	"database/sql"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// oldFile makes a file as a version before has left it.
func oldFile(t *testing.T, path, dir string, version int64) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)"))
	must(t, err)
	files, err := fs.Sub(migrations, dir)
	must(t, err)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	must(t, err)
	_, err = provider.UpTo(t.Context(), version)
	must(t, err)
	return db
}

// oldTables fills the tables of before the log, and returns what they hold.
func oldTables(t *testing.T, db *sql.DB) (h holding, keys []string) {
	t.Helper()
	insert := func(text string, key, value any) {
		doc, err := json.Marshal(value)
		must(t, err)
		_, err = db.Exec(text, key, string(doc))
		must(t, err)
	}
	h.Launches = make(map[string]roll.Launch)
	for i := range 2500 {
		s := session("player001")
		insert(`INSERT INTO sessions (id, doc) VALUES ($1, $2)`, s.ID, s)
		s.SeenAt, s.ExpiresAt = time.Time{}, time.Time{}
		h.Sessions = append(h.Sessions, s)
		l := roll.Launch{Key: newID(), Session: session("player002"), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute), Voided: i%2 == 0}
		insert(`INSERT INTO launches (key, doc) VALUES ($1, $2)`, l.Key, l)
		h.Launches[l.Key], keys = l, append(keys, l.Key)
		c := roll.Change{Seq: int64(10 + 2*i), EndedSession: rollcall.EndedSession{Session: session("player003"), EndedAt: time.Now(), Reason: rollcall.EndLeft}}
		insert(`INSERT INTO outbox (seq, doc) VALUES ($1, $2)`, c.Seq, c)
		h.Outbox = append(h.Outbox, c)
	}
	return h, keys
}

// What versions before the log have left is held, given no Seq again, and is in the
// log from then on.
func TestTablesOfBeforeTheLog(t *testing.T) {
	dir := t.TempDir()
	db := oldFile(t, filepath.Join(dir, "rollcall.db"), "migrations/main", 3)
	want, keys := oldTables(t, db)
	must(t, db.Close())
	for range 2 {
		s := open(t, dir, Options{})
		if d := cmp.Diff(want, holdingOf(s.sessions.book, keys), byValue); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if last := want.Outbox[len(want.Outbox)-1].Seq; s.sessions.writer.seq != last {
			t.Errorf("goes on from Seq %d, want %d", s.sessions.writer.seq, last)
		}
		if n := rowsInTables(t, s.main); n != 0 {
			t.Errorf("%d rows are left in the tables", n)
		}
		must(t, s.Close())
	}
}

func rowsInTables(t *testing.T, db *database) (n int) {
	t.Helper()
	must(t, db.read.QueryRow(`SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM launches) + (SELECT count(*) FROM outbox)`).Scan(&n))
	return n
}

// A disk that is full leaves the tables as they are.
func TestTablesStayOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollcall.db")
	old := oldFile(t, path, "migrations/main", 3)
	want, keys := oldTables(t, old)
	must(t, old.Close())
	db, err := openDatabase(t.Context(), path, "migrations/main", SyncFull)
	must(t, err)
	defer func() { must(t, db.close()) }()
	rows := rowsInTables(t, db)
	_, err = db.write.Exec(`PRAGMA max_page_count = 1`) // SQLite makes it as many as there are
	must(t, err)
	if err := moveTables(t.Context(), db); err == nil {
		t.Fatal("the disk was not full")
	}
	if n := rowsInTables(t, db); n != rows {
		t.Errorf("%d rows are left in the tables, want %d", n, rows)
	}
	_, err = db.write.Exec(`PRAGMA max_page_count = 1073741823`)
	must(t, err)
	must(t, moveTables(t.Context(), db))
	book := live.NewBook(roll.Epoch{})
	_, _, err = replayed(t.Context(), db, book, time.Now())
	must(t, err)
	if d := cmp.Diff(want, holdingOf(book, keys), byValue); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
