package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// channel is that of the notifications of changes.
const channel = "rollcall"

// keptChanges is how many changes of a table are remembered. A node that has
// missed more reads the table anew.
const keptChanges = 10_000

// A cache is a copy of a table as it was at a revision. Each change of the table
// makes the next revision and is noted in the table changes; the copy is only
// ever changed by reading those, its own node's changes too, so that they come in
// one order.
type cache[T any] struct {
	name  string
	watch *watch
	of    atomic.Pointer[live.Table[T]]
	// behind is set while a change of this node is committed and could not be
	// read: who reads its own writes must not get what was before.
	behind atomic.Bool

	mu  sync.Mutex // one catches up at a time
	rev int64      // -1: nothing is read yet
}

func newCache[T any](name string, w *watch) *cache[T] {
	return &cache[T]{name: name, watch: w, rev: -1}
}

func (c *cache[T]) get(key string) (*T, error) {
	if err := c.certain(); err != nil {
		return nil, err
	}
	if value := c.of.Load().Get(key); value != nil {
		return value, nil
	}
	return nil, rollcall.ErrNotFound
}

func (c *cache[T]) list(prefix, after string, limit int) ([]*T, error) {
	if err := c.certain(); err != nil {
		return nil, err
	}
	return c.of.Load().List(prefix, after, limit), nil
}

// certain returns an error where the copy may be too old to be answered from.
func (c *cache[T]) certain() error {
	if c.behind.Load() {
		return fmt.Errorf("postgres: read %s: %w: the last change here could not be read back", c.name, rollcall.ErrUnavailable)
	}
	if age := c.watch.age(); age > c.watch.maxStale {
		return fmt.Errorf("postgres: read %s: %w: the copy was last certain %s ago", c.name, rollcall.ErrUnavailable, age)
	}
	return nil
}

// markText makes the next revision, whose row is locked until the commit.
const markText = `
	WITH next AS (UPDATE revisions SET rev = rev + 1 WHERE name = $1 RETURNING rev),
		noted AS (INSERT INTO changes (name, rev, key) SELECT $1, rev, $2 FROM next),
		forgotten AS (DELETE FROM changes WHERE name = $1 AND rev = (SELECT rev FROM next) - $3)
	SELECT pg_notify($4, '') FROM next`

// mark notes in the transaction of a change that there is one.
func (c *cache[T]) mark(ctx context.Context, tx pgx.Tx, key string) error {
	_, err := tx.Exec(ctx, markText, c.name, key, int64(keptChanges), channel)
	return err
}

// follow has the copy see what this node has committed. Where it cannot, the copy
// answers nothing until it has: the change is made, so that is no error of it.
func (c *cache[T]) follow(ctx context.Context, db *database) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.timeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.catchUpLocked(ctx, db.pool, false); err != nil {
		c.behind.Store(true) // until the watch has, which tells the log
	}
}

// A step is one row of what is read to catch up; key is nil where there is none.
type step struct {
	now, rev *int64
	key, doc *string
}

// changesText reads the table's revision and what has changed since $2, all as of
// one moment. A change without a document is a deletion.
func (c *cache[T]) changesText() string {
	return `SELECT r.rev, c.rev, c.key, t.doc FROM revisions r
		LEFT JOIN changes c ON c.name = r.name AND c.rev > $2 LEFT JOIN ` + c.name + ` t ON t.key = c.key
		WHERE r.name = $1 ORDER BY c.rev`
}

func (c *cache[T]) wholeText() string {
	return `SELECT r.rev, NULL::bigint, t.key, t.doc FROM revisions r LEFT JOIN ` + c.name + ` t ON true WHERE r.name = $1`
}

// catchUp brings the copy to the table's revision; with whole set it reads all of
// it whatever has been read.
func (c *cache[T]) catchUp(ctx context.Context, on executor, whole bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.catchUpLocked(ctx, on, whole)
}

func (c *cache[T]) catchUpLocked(ctx context.Context, on executor, whole bool) error {
	if whole || c.rev < 0 {
		return c.load(ctx, on)
	}
	steps, err := c.steps(ctx, on, c.changesText(), c.name, c.rev)
	if err != nil {
		return err
	}
	if !c.continues(steps) {
		return c.load(ctx, on)
	}
	for _, s := range steps {
		if err := c.apply(c.of.Load(), &s); err != nil {
			return err
		}
	}
	c.rev = *steps[0].now
	c.behind.Store(false)
	return nil
}

// continues reports whether steps lead from the copy's revision to the table's:
// they do not where they were forgotten, or the database is an older one now.
func (c *cache[T]) continues(steps []step) bool {
	if len(steps) == 0 {
		return false
	}
	now, first := *steps[0].now, steps[0].rev
	if first == nil {
		return now == c.rev
	}
	return *first == c.rev+1 && now == c.rev+int64(len(steps))
}

// load reads the whole table.
func (c *cache[T]) load(ctx context.Context, on executor) error {
	steps, err := c.steps(ctx, on, c.wholeText(), c.name)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return fmt.Errorf("postgres: %s has no revision", c.name)
	}
	fresh := live.NewTable[T]()
	for _, s := range steps {
		if err := c.apply(fresh, &s); err != nil {
			return err
		}
	}
	c.of.Store(fresh)
	c.rev = *steps[0].now
	c.behind.Store(false)
	return nil
}

func (c *cache[T]) steps(ctx context.Context, on executor, text string, args ...any) (steps []step, err error) {
	err = each(ctx, on, func(rows pgx.Rows) error {
		var s step
		err := rows.Scan(&s.now, &s.rev, &s.key, &s.doc)
		steps = append(steps, s)
		return err
	}, text, args...)
	return steps, outage("read "+c.name, err)
}

// apply puts what a step tells of into a table.
func (c *cache[T]) apply(to *live.Table[T], s *step) error {
	switch {
	case s.key == nil:
	case s.doc == nil:
		to.Delete(*s.key)
	default:
		value, err := decode[T](c.name, *s.doc)
		if err != nil {
			return err
		}
		to.Put(*s.key, value)
	}
	return nil
}

// isAt reports whether the copy is at a revision, and no change of this node is
// missing.
func (c *cache[T]) isAt(rev int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rev == rev && !c.behind.Load()
}

func (c *cache[T]) table() string { return c.name }
