// Package sqlite is the embedded durable backend: a directory with two SQLite
// files and the nonce journal, for one process on one machine.
//
//	rollcall.db    directory, audit, live sessions, launches, events, outbox
//	history.db     request records, ended sessions and webhooks, apart so that
//	               they never hold up a Start
//	nonces-*.log   the nonces in use (see journal)
//	RUN            the run that wrote rollcall.db last (see run)
//	LOCK           held while a process has the directory open
//
// What every request reads is in memory as well (internal/live) and is read from
// there.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named sqlite

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

//go:embed migrations
var migrations embed.FS

// Sync is how far a commit of sessions and directory goes before it is answered.
type Sync string

const (
	// SyncFull waits for the disk (fsync of the write-ahead log): what was
	// answered survives loss of power.
	SyncFull Sync = "full"
	// SyncNormal waits for the operating system: what was answered survives the
	// death of the process; loss of power may take the last moments with it, and
	// leaves the rest whole.
	SyncNormal Sync = "normal"
)

// Options configure a Store. The zero value works.
type Options struct {
	// MaxClockSkew sets how long nonces are remembered: twice as long at least;
	// 0: 5 min (spec 2).
	MaxClockSkew time.Duration
	// Sync is for rollcall.db, and for what history.db takes over from it; "":
	// SyncFull.
	Sync Sync
	// Moved says that what comes next was in another store until now: an epoch
	// begins, so that sessions from before can be announced, and requests that
	// were signed before are refused, in later runs too.
	Moved bool
	// Salvage has rows of the log that are damaged taken out, which are otherwise a
	// reason not to open it. See Salvaged.
	Salvage bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log is told what no caller is; nil: slog.Default.
	Log *slog.Logger
	// OnCommit, if set, is told of each group commit of sessions.
	OnCommit func(took time.Duration, changes int)

	// bootID stands in for the kernel's in tests; fsync comes between the journal
	// and each of its syncs, and reserve makes its room.
	bootID  string
	fsync   func(sync func() error) error
	reserve reserver
	// foldLeast has smaller logs folded in tests; 0: foldLeast.
	foldLeast int64
}

// complete puts in the defaults. An unknown Sync is no default: who has misspelt
// it would promise what is not kept.
func (o *Options) complete() error {
	o.Sync = cmp.Or(o.Sync, SyncFull)
	if o.Sync != SyncFull && o.Sync != SyncNormal {
		return fmt.Errorf("sync: %w: want %s or %s", rollcall.ErrInvalid, SyncFull, SyncNormal)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MaxClockSkew = cmp.Or(o.MaxClockSkew, 5*time.Minute)
	o.Log = cmp.Or(o.Log, slog.Default())
	o.foldLeast = cmp.Or(o.foldLeast, foldLeast)
	if o.fsync == nil {
		o.fsync = func(sync func() error) error { return sync() }
	}
	if o.reserve == nil {
		o.reserve = reserve
	}
	if o.bootID == "" {
		o.bootID = kernelBootID()
	}
	return nil
}

// A Store is an open data directory. It is safe for concurrent use.
type Store struct {
	lock      *os.File
	main      *database
	past      *database
	directory *directory
	sessions  *sessions
	nonces    *nonces
	history   *history
	// limits are in memory: a restart fills all buckets, and no other process is
	// there to share them with.
	limits *live.Buckets
}

// Open opens the directory dir, and makes it where it is not there. A second
// Open of a directory that is open, in this process or another, is an error that
// says so.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("sqlite: open %s: %w", dir, err), s.Close())
		}
	}()
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if s.main, err = openDatabase(ctx, filepath.Join(dir, "rollcall.db"), "migrations/main", o.Sync); err != nil {
		return nil, err
	}
	if s.past, err = openDatabase(ctx, filepath.Join(dir, "history.db"), "migrations/history", SyncNormal); err != nil {
		return nil, err
	}
	if s.directory, err = openDirectory(ctx, s.main); err != nil {
		return nil, err
	}
	if s.sessions, err = openSessions(ctx, s.main, dir, o); err != nil {
		return nil, err
	}
	if s.nonces, err = openNonces(dir, o); err != nil {
		return nil, err
	}
	if s.history, err = openHistory(ctx, s.past, o.Sync); err != nil {
		return nil, err
	}
	s.limits = live.NewBuckets(o.Now)
	return s, nil
}

// Stores returns the Store as its contracts.
func (s *Store) Stores() roll.Stores {
	return roll.Stores{Directory: s.directory, Sessions: s.sessions, Nonces: s.nonces, History: s.history, Limits: s.limits}
}

// Installation returns what tells the installation from all others that is in the
// directory.
func (s *Store) Installation(ctx context.Context) (id string, err error) {
	err = s.main.read.QueryRowContext(ctx, `SELECT installation FROM meta`).Scan(&id)
	return id, outage("read the installation", err)
}

// Close finishes what was begun and frees the directory. Nothing may be called
// after it, or be under way.
func (s *Store) Close() error {
	var errs []error
	if s.sessions != nil {
		errs = append(errs, s.sessions.close())
	}
	if s.nonces != nil {
		errs = append(errs, s.nonces.close())
	}
	for _, db := range []*database{s.main, s.past} {
		if db != nil {
			errs = append(errs, db.close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// A database is one SQLite file: one connection that writes, since SQLite has
// one writer at a time, and some that only read.
type database struct {
	write *sql.DB
	read  *sql.DB
}

const readers = 4

func openDatabase(ctx context.Context, path, migration string, sync Sync) (_ *database, err error) {
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db := &database{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", filepath.Base(path), err), db.close())
		}
	}()
	level := "_pragma=synchronous(" + string(sync) + ")"
	if db.write, err = sql.Open("sqlite", dsn(path, "_txlock=immediate", "_pragma=journal_mode(WAL)", level)); err != nil {
		return nil, err
	}
	db.write.SetMaxOpenConns(1)
	if err := migrate(ctx, db.write, migration); err != nil {
		return nil, err
	}
	if db.read, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return nil, err
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	return db, nil
}

func dsn(path string, options ...string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"}
	if !filepath.IsAbs(path) {
		u.Path, u.Opaque = "", (&url.URL{Path: path}).EscapedPath()
	}
	for _, option := range options {
		u.RawQuery += "&" + option
	}
	return u.String()
}

// migrate brings the file to this program's version, and refuses one that is
// newer.
func migrate(ctx context.Context, db *sql.DB, dir string) error {
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("written by a newer rollcall: version %d, this one knows %d", have, want)
	}
	_, err = provider.Up(ctx)
	return err
}

func (db *database) close() error {
	var errs []error
	for _, pool := range []*sql.DB{db.read, db.write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// change runs do in one transaction on the connection that writes.
func (db *database) change(ctx context.Context, do func(*sql.Tx) error) error {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return transact(ctx, conn, do)
}

// changeSynced is a change that waits for as much as sync says, whatever the file
// was opened with.
func (db *database) changeSynced(ctx context.Context, sync Sync, do func(*sql.Tx) error) error {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA synchronous = `+string(sync)); err != nil {
		return err
	}
	err = transact(ctx, conn, do)
	_, back := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = normal`)
	return errors.Join(err, back)
}

// transact leaves no transaction behind when it fails: SQLite keeps one open that
// it could not commit, as on a full disk, and database/sql does not know it.
func transact(ctx context.Context, conn *sql.Conn, do func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // SQLite may have done so itself
		return err
	}
	if err := tx.Commit(); err != nil {
		// That there is no transaction any more is no news.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		return err
	}
	return nil
}

// ping writes, since a disk that is full or gone can still be read.
func (db *database) ping(ctx context.Context) error {
	_, err := db.write.ExecContext(ctx, `UPDATE ping SET count = count + 1`)
	return outage("ping", err)
}

// outage makes an error of the engine a rollcall.ErrUnavailable, and leaves nil
// nil.
func outage(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlite: %s: %w: %w", doing, rollcall.ErrUnavailable, err)
}
