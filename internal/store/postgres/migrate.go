package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Numbers of PostgreSQL's advisory locks; "roll" in front.
const (
	migrateLock = 0x726f6c6c_00000001
	daysLock    = 0x726f6c6c_00000002
)

// Migrate brings the database at url to this program's version, while others may
// use it, and calls progress with a line for each step. Of several at a time one
// does the work. A database of a newer rollcall is an error that says so.
func Migrate(ctx context.Context, url string, progress func(string)) error {
	o := Options{}
	o.complete()
	config, err := parse(url, &o)
	if err != nil {
		return err
	}
	if err := migrate(ctx, config.ConnConfig, progress); err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	return nil
}

// migrate holds a lock in a transaction of a connection of its own: a pooler
// that gives each transaction another connection leaves that one alone.
func migrate(ctx context.Context, config *pgx.ConnConfig, progress func(string)) error {
	conn, err := dial(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it ends the transaction, too
	tx, err := conn.Begin(ctx)
	if err != nil {
		return outage("lock", err)
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
		return outage("lock", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	return migrateLocked(ctx, db, progress)
}

func migrateLocked(ctx context.Context, db *sql.DB, progress func(string)) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		return err
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return newer(have, want)
	}
	for {
		step, err := provider.UpByOne(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			progress(fmt.Sprintf("the database is at version %d", want))
			return nil
		}
		if err != nil {
			return err
		}
		progress(fmt.Sprintf("version %d: done in %s", step.Source.Version, step.Duration))
	}
}

func newer(have, want int64) error {
	return fmt.Errorf("the database was written by a newer rollcall: it is at version %d, this one knows %d", have, want)
}

// Version returns the version of the database at url, 0 where there is nothing in
// it yet, and the one that this program brings it to. It changes nothing.
func Version(ctx context.Context, url string) (have, known int64, err error) {
	o := Options{}
	o.complete()
	config, err := parse(url, &o)
	if err != nil {
		return 0, 0, err
	}
	return versions(ctx, config.ConnConfig)
}

func versions(ctx context.Context, config *pgx.ConnConfig) (have, known int64, err error) {
	conn, err := dial(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var any bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&any); err != nil {
		return 0, 0, outage("read version", err)
	}
	if any {
		err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	}
	if err != nil {
		return 0, 0, outage("read version", err)
	}
	known, err = newestVersion()
	return have, known, err
}

// checkVersion refuses a database that is not at this program's version. It
// changes nothing.
func checkVersion(ctx context.Context, config *pgx.ConnConfig) error {
	have, want, err := versions(ctx, config)
	switch {
	case err != nil:
		return err
	case have > want:
		return newer(have, want)
	case have < want:
		return fmt.Errorf("the database is at version %d, this rollcall needs %d: run rollcall migrate", have, want)
	}
	return nil
}

// newestVersion is the number in front of the last file's name.
func newestVersion() (int64, error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(files[len(files)-1].Name(), "_")
	return strconv.ParseInt(number, 10, 64)
}
