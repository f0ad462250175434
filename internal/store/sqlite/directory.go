package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A directory keeps its tables in rollcall.db, and all but the members in memory
// as well.
type directory struct {
	db          *database
	agents      *table[roll.Agent]
	branches    *table[rollcall.Branch]
	games       *table[rollcall.Game]
	members     *table[rollcall.Member]
	gameServers *table[roll.GameServer]
	adminTokens *table[roll.AdminToken]
	tokenKeys   *table[roll.TokenKey]
}

func openDirectory(ctx context.Context, db *database) (*directory, error) {
	d := &directory{
		db:          db,
		agents:      newTable[roll.Agent](db, "agents", true),
		branches:    newTable[rollcall.Branch](db, "branches", true),
		games:       newTable[rollcall.Game](db, "games", true),
		members:     newTable[rollcall.Member](db, "members", false),
		gameServers: newTable[roll.GameServer](db, "game_servers", true),
		adminTokens: newTable[roll.AdminToken](db, "admin_tokens", true),
		tokenKeys:   newTable[roll.TokenKey](db, "token_keys", true),
	}
	return d, errors.Join(d.agents.load(ctx), d.branches.load(ctx), d.games.load(ctx), d.gameServers.load(ctx),
		d.adminTokens.load(ctx), d.tokenKeys.load(ctx), d.members.prepare(ctx))
}

func (d *directory) Agents() roll.Table[roll.Agent]           { return d.agents }
func (d *directory) Branches() roll.Table[rollcall.Branch]    { return d.branches }
func (d *directory) Games() roll.Table[rollcall.Game]         { return d.games }
func (d *directory) Members() roll.Table[rollcall.Member]     { return d.members }
func (d *directory) GameServers() roll.Table[roll.GameServer] { return d.gameServers }
func (d *directory) AdminTokens() roll.Table[roll.AdminToken] { return d.adminTokens }
func (d *directory) TokenKeys() roll.Table[roll.TokenKey]     { return d.tokenKeys }
func (d *directory) Ping(ctx context.Context) error           { return d.db.ping(ctx) }

func (d *directory) Note(ctx context.Context, entries ...rollcall.AuditEntry) error {
	return outage("note", d.db.change(ctx, func(tx *sql.Tx) error {
		for _, entry := range entries {
			if err := addAudit(ctx, tx, entry); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (d *directory) Audit(ctx context.Context, before int64, limit int) ([]rollcall.AuditEntry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := d.db.read.QueryContext(ctx,
		`SELECT seq, at, actor, action, subject, detail FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2`, before, limit)
	if err != nil {
		return nil, outage("list audit", err)
	}
	defer rows.Close()
	entries := []rollcall.AuditEntry{}
	for rows.Next() {
		var e rollcall.AuditEntry
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &e.Detail); err != nil {
			return nil, outage("read audit", err)
		}
		e.At = time.UnixMilli(at).UTC()
		entries = append(entries, e)
	}
	return entries, outage("list audit", rows.Err())
}

func addAudit(ctx context.Context, tx *sql.Tx, e rollcall.AuditEntry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)`,
		e.At.UnixMilli(), e.Actor, e.Action, e.Subject, e.Detail)
	return err
}

// A table is one roll.Table: an SQL table of JSON documents by key.
type table[T any] struct {
	db   *database
	name string
	// cache, where there is one, holds just what is committed. Where there is none,
	// byKey reads one document, and recent holds those of late.
	cache  *live.Table[T]
	byKey  *sql.Stmt
	recent *live.Recent[T]
	// changing keeps the cache in the order of the commits.
	changing sync.Mutex
}

// recentMembers is how many members are in memory, at some 300 bytes.
const recentMembers = 32 << 10

// newTable takes a name that is a constant of this package, never input: SQL
// has no parameter for it.
func newTable[T any](db *database, name string, cached bool) *table[T] {
	t := &table[T]{db: db, name: name}
	if cached {
		t.cache = live.NewTable[T]()
	} else {
		t.recent = live.NewRecent[T](recentMembers)
	}
	return t
}

// prepare readies a table without a cache. Closing the database closes the
// statement.
func (t *table[T]) prepare(ctx context.Context) (err error) {
	t.byKey, err = t.db.read.PrepareContext(ctx, t.selectByKey())
	return outage("prepare "+t.name, err)
}

func (t *table[T]) selectByKey() string { return `SELECT doc FROM ` + t.name + ` WHERE key = $1` }

func (t *table[T]) load(ctx context.Context) error {
	rows, err := t.db.read.QueryContext(ctx, `SELECT key, doc FROM `+t.name)
	if err != nil {
		return outage("load "+t.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, doc string
		if err := rows.Scan(&key, &doc); err != nil {
			return outage("load "+t.name, err)
		}
		value, err := t.decode(doc)
		if err != nil {
			return err
		}
		t.cache.Put(key, value)
	}
	return outage("load "+t.name, rows.Err())
}

func (t *table[T]) decode(doc string) (*T, error) {
	value := new(T)
	if err := json.Unmarshal([]byte(doc), value); err != nil {
		return nil, fmt.Errorf("sqlite: a document of %s: %w", t.name, err)
	}
	return value, nil
}

func (t *table[T]) encode(value *T) (string, error) {
	doc, err := json.Marshal(value)
	if err != nil {
		return "", verdict{fmt.Errorf("sqlite: a document for %s: %w", t.name, err)}
	}
	return string(doc), nil
}

func (t *table[T]) Get(ctx context.Context, key string) (*T, error) {
	if t.cache == nil {
		return t.read(ctx, key)
	}
	if value := t.cache.Get(key); value != nil {
		return value, nil
	}
	return nil, rollcall.ErrNotFound
}

// read is Get where there is no cache.
func (t *table[T]) read(ctx context.Context, key string) (*T, error) {
	value, changes := t.recent.Get(key)
	if value != nil {
		return value, nil
	}
	value, err := t.scan(t.byKey.QueryRowContext(ctx, key))
	if err == nil {
		t.recent.Keep(key, value, changes)
	}
	return value, err
}

// scan reads the document of the row that selectByKey found.
func (t *table[T]) scan(row *sql.Row) (*T, error) {
	var doc string
	err := row.Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, rollcall.ErrNotFound
	}
	if err != nil {
		return nil, outage("get from "+t.name, err)
	}
	return t.decode(doc)
}

func (t *table[T]) List(ctx context.Context, prefix, after string, limit int) ([]*T, error) {
	if t.cache != nil {
		return t.cache.List(prefix, after, limit), nil
	}
	query, from := t.selectPage(prefix, after)
	// A key is ASCII, so all that begin with prefix are below prefix + 0x7f.
	rows, err := t.db.read.QueryContext(ctx, query, from, prefix+"\x7f", limit)
	if err != nil {
		return nil, outage("list "+t.name, err)
	}
	defer rows.Close()
	list := []*T{}
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, outage("list "+t.name, err)
		}
		value, err := t.decode(doc)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, outage("list "+t.name, rows.Err())
}

// selectPage returns the query of a page and its lower bound. It has one: given
// two, SQLite may take the lower for its start and read all that is between.
func (t *table[T]) selectPage(prefix, after string) (query, from string) {
	above := ">="
	if after >= prefix {
		above, prefix = ">", after
	}
	return `SELECT doc FROM ` + t.name + ` WHERE key ` + above + ` $1 AND key < $2 ORDER BY key LIMIT $3`, prefix
}

func (t *table[T]) Create(ctx context.Context, entry rollcall.AuditEntry, key string, value T) error {
	_, err := t.store(ctx, entry, key, func(tx *sql.Tx) (string, error) {
		doc, err := t.encode(&value)
		if err != nil {
			return "", err
		}
		done, err := tx.ExecContext(ctx, `INSERT INTO `+t.name+` (key, doc) VALUES ($1, $2) ON CONFLICT DO NOTHING`, key, doc)
		return doc, oneRow(done, err, rollcall.ErrExists)
	})
	return err
}

func (t *table[T]) Update(ctx context.Context, entry rollcall.AuditEntry, key string, change func(*T) error) (*T, error) {
	return t.store(ctx, entry, key, func(tx *sql.Tx) (string, error) {
		value, err := t.scan(tx.QueryRowContext(ctx, t.selectByKey(), key))
		if err != nil {
			return "", err
		}
		if err := change(value); err != nil {
			return "", verdict{err}
		}
		doc, err := t.encode(value)
		if err != nil {
			return "", err
		}
		done, err := tx.ExecContext(ctx, `UPDATE `+t.name+` SET doc = $1 WHERE key = $2`, doc, key)
		return doc, oneRow(done, err, rollcall.ErrNotFound)
	})
}

func (t *table[T]) Delete(ctx context.Context, entry rollcall.AuditEntry, key string) error {
	_, err := t.store(ctx, entry, key, func(tx *sql.Tx) (string, error) {
		done, err := tx.ExecContext(ctx, `DELETE FROM `+t.name+` WHERE key = $1`, key)
		return "", oneRow(done, err, rollcall.ErrNotFound)
	})
	return err
}

// store commits what change does together with its audit entry, and then brings
// the cache up to date with the document that change returns, "" for none.
func (t *table[T]) store(ctx context.Context, entry rollcall.AuditEntry, key string, change func(*sql.Tx) (string, error)) (value *T, err error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.recent != nil {
		defer t.recent.Change(key)
	}
	var doc string
	err = t.db.change(ctx, func(tx *sql.Tx) error {
		if doc, err = change(tx); err != nil {
			return err
		}
		return addAudit(ctx, tx, entry)
	})
	if err != nil {
		return nil, t.translate(err)
	}
	if doc != "" {
		if value, err = t.decode(doc); err != nil {
			return nil, err
		}
	}
	if t.cache != nil && value != nil {
		t.cache.Put(key, value)
	} else if t.cache != nil {
		t.cache.Delete(key)
	}
	return value, nil
}

// A verdict is an error that the engine is not to blame for.
type verdict struct{ error }

// translate keeps what is an answer, and makes an outage of the rest.
func (t *table[T]) translate(err error) error {
	if v, ok := errors.AsType[verdict](err); ok {
		return v.error
	}
	for _, answer := range []error{rollcall.ErrNotFound, rollcall.ErrExists, rollcall.ErrUnavailable} {
		if errors.Is(err, answer) {
			return err
		}
	}
	return outage("change "+t.name, err)
}

// oneRow returns otherwise unless the statement changed a row.
func oneRow(done sql.Result, err, otherwise error) error {
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, otherwise)
	}
	return nil
}
