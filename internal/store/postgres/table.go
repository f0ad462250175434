package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
)

// A table is one roll.Table: an SQL table of JSON documents by key.
type table[T any] struct {
	db   *database
	name string
	// cache holds a copy of the whole table; nil: there is none.
	cache *cache[T]
}

// newTable takes a name that is a constant of this package, never input: SQL
// has no parameter for it. With a watch it has a cache, which the watch keeps
// true.
func newTable[T any](db *database, name string, w *watch) *table[T] {
	t := &table[T]{db: db, name: name}
	if w != nil {
		t.cache = newCache[T](name, w)
		w.caches = append(w.caches, t.cache)
	}
	return t
}

func decode[T any](table, doc string) (*T, error) {
	value := new(T)
	if err := json.Unmarshal([]byte(doc), value); err != nil {
		return nil, fmt.Errorf("postgres: a document of %s: %w", table, err)
	}
	return value, nil
}

func (t *table[T]) encode(value *T) (string, error) {
	doc, err := json.Marshal(value)
	if err != nil {
		return "", verdict{fmt.Errorf("postgres: a document for %s: %w", t.name, err)}
	}
	return string(doc), nil
}

func (t *table[T]) selectByKey() string { return `SELECT doc FROM ` + t.name + ` WHERE key = $1` }

func (t *table[T]) Get(ctx context.Context, key string) (*T, error) {
	if t.cache != nil {
		return t.cache.get(key)
	}
	if !storable(key) {
		return nil, rollcall.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, t.db.timeout)
	defer cancel()
	value, err := t.scan(t.db.pool.QueryRow(ctx, t.selectByKey(), key))
	return value, t.translate("get from ", err)
}

// scan reads the document of the row that selectByKey found.
func (t *table[T]) scan(row pgx.Row) (*T, error) {
	var doc string
	if err := row.Scan(&doc); isNone(err) {
		return nil, rollcall.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	value, err := decode[T](t.name, doc)
	if err != nil {
		return nil, verdict{err}
	}
	return value, nil
}

func (t *table[T]) List(ctx context.Context, prefix, after string, limit int) ([]*T, error) {
	if t.cache != nil {
		return t.cache.list(prefix, after, limit)
	}
	list := []*T{}
	if !storable(prefix, after) {
		return list, nil
	}
	query, from := t.selectPage(prefix, after)
	err := t.db.each(ctx, func(rows pgx.Rows) error {
		value, err := t.scan(rows)
		list = append(list, value)
		return err
	}, query, from, prefix+"\x7f", max(0, limit)) // a key is ASCII, so all that begin with prefix are below that
	if err != nil {
		return nil, t.translate("list ", err)
	}
	return list, nil
}

// selectPage returns the query of a page and its lower bound.
func (t *table[T]) selectPage(prefix, after string) (query, from string) {
	above := ">="
	if after >= prefix {
		above, prefix = ">", after
	}
	return `SELECT doc FROM ` + t.name + ` WHERE key ` + above + ` $1 AND key < $2 ORDER BY key LIMIT $3`, prefix
}

func (t *table[T]) Create(ctx context.Context, entry rollcall.AuditEntry, key string, value T) error {
	_, err := t.store(ctx, &entry, key, func(ctx context.Context, tx pgx.Tx) (string, error) {
		doc, err := t.encode(&value)
		if err != nil {
			return "", err
		}
		done, err := tx.Exec(ctx, `INSERT INTO `+t.name+` (key, doc) VALUES ($1, $2) ON CONFLICT DO NOTHING`, key, doc)
		if err == nil && done.RowsAffected() == 0 {
			err = rollcall.ErrExists
		}
		return doc, err
	})
	return err
}

func (t *table[T]) Update(ctx context.Context, entry rollcall.AuditEntry, key string, change func(*T) error) (*T, error) {
	doc, err := t.store(ctx, &entry, key, func(ctx context.Context, tx pgx.Tx) (string, error) {
		value, err := t.scan(tx.QueryRow(ctx, t.selectByKey()+` FOR UPDATE`, key))
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
		_, err = tx.Exec(ctx, `UPDATE `+t.name+` SET doc = $1 WHERE key = $2`, doc, key)
		return doc, err
	})
	if err != nil {
		return nil, err
	}
	return decode[T](t.name, doc)
}

func (t *table[T]) Delete(ctx context.Context, entry rollcall.AuditEntry, key string) error {
	_, err := t.store(ctx, &entry, key, func(ctx context.Context, tx pgx.Tx) (string, error) {
		done, err := tx.Exec(ctx, `DELETE FROM `+t.name+` WHERE key = $1`, key)
		if err == nil && done.RowsAffected() == 0 {
			err = rollcall.ErrNotFound
		}
		return "", err
	})
	return err
}

// store commits what change does together with its audit entry, and then has the
// cache see it. It returns the document that change returned.
func (t *table[T]) store(ctx context.Context, entry *rollcall.AuditEntry, key string, change func(context.Context, pgx.Tx) (string, error)) (doc string, err error) {
	if !storable(key) {
		return "", rollcall.ErrNotFound
	}
	err = t.db.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if doc, err = change(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, addAuditText, auditArgs(entry)...); err != nil || t.cache == nil {
			return err
		}
		return t.cache.mark(ctx, tx, key)
	})
	if err != nil {
		return "", t.translate("change ", err)
	}
	if t.cache != nil {
		t.cache.follow(ctx, t.db)
	}
	return doc, nil
}

// A verdict is an error that the engine is not to blame for.
type verdict struct{ error }

// translate keeps what is an answer, and makes an outage of the rest.
func (t *table[T]) translate(doing string, err error) error {
	if v, ok := errors.AsType[verdict](err); ok {
		return v.error
	}
	if errors.Is(err, rollcall.ErrNotFound) || errors.Is(err, rollcall.ErrExists) {
		return err
	}
	return outage(doing+t.name, err)
}
