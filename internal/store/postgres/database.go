package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rollcall-server/rollcall"
)

const defaultConns = 16

// parse reads the URL. pgx hides the password in its errors, where it finds it:
// of a URL that cannot be split nothing is repeated.
func parse(text string, o *Options) (*pgxpool.Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("postgres: %w URL: want postgres://USER:PASSWORD@HOST/DATABASE, with %%XX for what is special in a password",
			rollcall.ErrInvalid)
	}
	if strangeAt(u) {
		return nil, fmt.Errorf("postgres: %w URL: an @ is where none belongs: in a password %%2F stands for /, %%23 for #, %%3F for ? and %%40 for @", rollcall.ErrInvalid)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w URL of %s: %s", rollcall.ErrInvalid, u.Host, reasonOf(err, u))
	}
	switch {
	case o.MaxConns > 0:
		config.MaxConns = int32(o.MaxConns)
	case !u.Query().Has("pool_max_conns"):
		config.MaxConns = defaultConns
	}
	if !u.Query().Has("connect_timeout") {
		config.ConnConfig.ConnectTimeout = max(o.Timeout, time.Second)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "rollcall"
	}
	if config.ConnConfig.ValidateConnect == nil { // a standby may be behind
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, config.ConnConfig.ConnectTimeout)
		defer cancel()
		// A plan over many days looks dear, so PostgreSQL would compile it, which
		// takes longer than the query. A pooler refuses it as a startup parameter.
		_, err := conn.Exec(ctx, `SET jit = off`)
		return err
	}
	return config, nil
}

// CheckURL reports what is wrong with a URL, without connecting.
func CheckURL(text string) error {
	o := Options{}
	o.complete()
	_, err := parse(text, &o)
	return err
}

// strangeAt reports whether an @ stands where none belongs: then a password with
// a / or a # in it seems to be a host and what follows.
func strangeAt(u *url.URL) bool {
	return u.Opaque != "" || strings.Contains(u.Path+u.Fragment+u.RawQuery, "@") || u.User != nil && strings.Contains(u.User.Username(), "/")
}

// reasonOf returns what pgx says is wrong, without the URL in front.
func reasonOf(err error, u *url.URL) string {
	text := err.Error()
	if at := strings.LastIndex(text, "`: "); at >= 0 {
		text = text[at+len("`: "):]
	}
	secrets := []string{u.Query().Get("password"), u.Query().Get("sslpassword")}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password, (&url.URL{User: u.User}).String())
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			return "a parameter is not as it should be"
		}
	}
	return text
}

// A database is a pool of connections. Each call has its deadline: a server that
// is there but does not answer must not hold up who asks.
type database struct {
	pool    *pgxpool.Pool
	timeout time.Duration
}

func openDatabase(ctx context.Context, config *pgxpool.Config, timeout time.Duration) (*database, error) {
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, outage("open", err)
	}
	return &database{pool: pool, timeout: timeout}, nil
}

// An executor is the pool, a connection, or a transaction.
type executor interface {
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}

// change runs do in one transaction.
func (db *database) change(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// exec runs one statement and returns how many rows it was about.
func (db *database) exec(ctx context.Context, text string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	done, err := db.pool.Exec(ctx, text, args...)
	return int(done.RowsAffected()), err
}

// each runs a query and calls scan for each row.
func (db *database) each(ctx context.Context, scan func(pgx.Rows) error, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	return each(ctx, db.pool, scan, text, args...)
}

func each(ctx context.Context, on executor, scan func(pgx.Rows) error, text string, args ...any) error {
	rows, err := on.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// slow returns the database with a deadline so many times as long.
func (db *database) slow(times int) *database {
	return &database{pool: db.pool, timeout: time.Duration(times) * db.timeout}
}

// ping writes, since a standby or a full disk can still be read.
func (db *database) ping(ctx context.Context) error {
	_, err := db.exec(ctx, `UPDATE ping SET count = count + 1`)
	return outage("ping", err)
}

// outage makes an error of the engine a rollcall.ErrUnavailable, and leaves nil
// nil.
func outage(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %s: %w: %w", doing, rollcall.ErrUnavailable, err)
}

// refusal says in plain words why an engine lets nobody in; "" where it is
// something else. Later on such an error is an outage like any.
func refusal(err error) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(e.Code, "28"):
		return "the password or user is wrong, or the user may not connect from here (" + e.Code + ")"
	case e.Code == "3D000":
		return "there is no such database (" + e.Code + ")"
	}
	return ""
}

// isNone reports whether err says that there is no such row.
func isNone(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// storable reports whether PostgreSQL can hold these texts: nothing has another
// one for its name, which is no outage.
func storable(texts ...string) bool {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			return false
		}
	}
	return true
}

// plain makes a text storable.
func plain(text string) string {
	if storable(text) {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// micros returns Unix us, and 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeOf is the inverse of micros.
func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// isBusy reports whether err says that a lock was not to be had in time.
func isBusy(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "55P03" || e.Code == "40P01")
}
