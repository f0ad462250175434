package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
)

// A group is the changes of one commit. It is used again and again.
type group struct {
	changes []*change
	touched live.Touched
	sheet   *sheet
	size    int  // entries and rows
	writing int  // changes that write
	wide    bool // one is not narrow

	// Of the commit.
	sealed []byte // the sheet; nil: it is empty
	log    logged
	took   time.Duration
}

// A logged is what a commit does to the log.
type logged struct {
	last   int64 // the id of its last sheet
	bytes  int64 // of its sheets
	own    int64 // of the group's own
	folded bool
	gaveUp error // why it did not fold, though it was to
}

func newGroup() *group { return &group{sheet: newSheet()} }

func (g *group) clear() {
	clear(g.changes)
	g.touched.Clear()
	g.sheet.clear()
	*g = group{changes: g.changes[:0], touched: g.touched, sheet: g.sheet}
}

func (g *group) full() bool { return len(g.changes) >= batchLimit || g.size > rowLimit }

func (g *group) add(c *change) {
	g.changes = append(g.changes, c)
	g.touched.Add(c.touches)
	g.size += c.entries + len(c.rows)
	g.wide = g.wide || !c.narrow
	if c.writes() {
		g.writing++
	}
}

// onSheet reports whether all that the group writes is on its sheet.
func (g *group) onSheet() bool {
	return !slices.ContainsFunc(g.changes, func(c *change) bool { return c.writes() && (len(c.rows) > 0 || c.also != nil) })
}

// disk commits one group after the other.
func (w *writer) disk() {
	for g := range w.takeoff {
		start := w.now()
		// No deadline: none could end a call of a disk that hangs, and callers have
		// their own.
		before := g.log
		err := w.put(context.Background(), g)
		if err != nil && before.folded {
			// What fails may be the folding, and nobody waits for that. Were the group
			// on the disk after all, its sheet would have no place there again.
			g.log = logged{last: before.last, own: before.own, gaveUp: err}
			err = w.put(context.Background(), g)
		}
		g.took = w.now().Sub(start)
		w.landed <- err
	}
}

// put commits a group. Where that writes its sheet and nothing else, one statement
// does.
func (w *writer) put(ctx context.Context, g *group) (err error) {
	if !g.log.folded && g.onSheet() {
		return g.log.add(g.sealed, func(r row) error {
			_, err := w.prepared[r.statement].ExecContext(ctx, r.args...)
			return err
		})
	}
	return w.db.change(ctx, func(tx *sql.Tx) error {
		b := &batch{ctx: ctx, tx: tx, prepared: &w.prepared}
		if g.log.folded {
			if err := w.fold.write(b, &g.log); err != nil {
				return err
			}
		}
		if g.sealed != nil {
			if err := g.log.add(g.sealed, b.exec); err != nil {
				return err
			}
		}
		for _, c := range g.changes {
			if err := b.put(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// add writes a sheet by exec.
func (l *logged) add(sheet []byte, exec func(row) error) error {
	l.last++
	l.bytes += int64(len(sheet))
	return exec(row{addSheet, []any{l.last, sheet}})
}

func (b *batch) put(c *change) error {
	if !c.writes() {
		return nil
	}
	for _, r := range c.rows {
		if err := b.exec(r); err != nil {
			return err
		}
	}
	if c.also != nil {
		return c.also(b.ctx, b.tx)
	}
	return nil
}
