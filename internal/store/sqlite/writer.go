package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/rollcall-server/rollcall"
)

// batchLimit bounds how long one commit takes.
const batchLimit = 1024

// A writer commits the changes of sessions in groups: while one commit waits for
// the disk, the next group gathers. Of each group:
//
//  1. each change is held against the index, which shows what is committed, and
//     puts its rows into one transaction;
//  2. the transaction is committed;
//  3. the index shows the changes, and the callers are answered.
//
// A change that touches a member whom the group touches already waits for the
// next, so that step 1 always sees all that went before; and as the index never
// runs ahead of the file, a commit that fails needs no undoing.
type writer struct {
	db       *database
	log      *slog.Logger
	now      func() time.Time
	onCommit func(time.Duration, int)
	queue    chan *change
	quit     chan struct{}
	stopped  chan struct{}
	add, del *sql.Stmt
	waiting  []*change // for the next group
}

// A change is one caller's.
type change struct {
	touches []string
	// plan puts rows into the batch and returns what shows them in the index.
	// Its error answers the caller and must leave no rows behind, but for an
	// engine's, which fails the batch.
	plan func(b *batch) (show func(), err error)
	show func()
	done chan error
}

// A batch is the transaction of one group.
type batch struct {
	ctx      context.Context
	tx       *sql.Tx
	add, del *sql.Stmt
	rows     int
}

func startWriter(ctx context.Context, db *database, o Options) (*writer, error) {
	w := &writer{
		db: db, log: o.Log, now: o.Now, onCommit: o.OnCommit,
		queue: make(chan *change, batchLimit), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	var err error
	if w.add, err = db.write.PrepareContext(ctx, `INSERT INTO sessions (id, agent, doc) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`); err != nil {
		return nil, outage("prepare", err)
	}
	if w.del, err = db.write.PrepareContext(ctx, `DELETE FROM sessions WHERE id = $1`); err != nil {
		return nil, outage("prepare", err)
	}
	go w.run()
	return w, nil
}

var errStopped = errors.New("the store is closed")

// do has a change made and returns when it is durable and shown. If ctx ends
// while the change waits, it may still be made.
func (w *writer) do(ctx context.Context, doing string, touches []string, plan func(*batch) (func(), error)) error {
	c := &change{touches: touches, plan: plan, done: make(chan error, 1)}
	if err := ctx.Err(); err != nil {
		return outage(doing, err) // select would toss a coin
	}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return outage(doing, ctx.Err())
	case <-w.quit:
		return outage(doing, errStopped)
	}
	select {
	case err := <-c.done:
		return answer(doing, err)
	case <-ctx.Done():
		return outage(doing, ctx.Err())
	case <-w.stopped:
		select {
		case err := <-c.done: // answered just before the end
			return answer(doing, err)
		default:
			return outage(doing, errStopped)
		}
	}
}

// answer keeps the one error that is an answer, and makes an outage of the rest.
func answer(doing string, err error) error {
	if errors.Is(err, rollcall.ErrNotFound) {
		return err
	}
	return outage(doing, err)
}

// stop finishes the group that is under way. Changes that still wait are told
// that the store is closed.
func (w *writer) stop() {
	if w == nil {
		return
	}
	close(w.quit)
	<-w.stopped
}

func (w *writer) run() {
	defer close(w.stopped)
	defer w.del.Close()
	defer w.add.Close()
	for {
		group := w.gather()
		if group == nil {
			return
		}
		w.commit(group)
	}
}

// gather waits for a change and takes with it what else is there, up to the
// limit; nil means stop.
func (w *writer) gather() []*change {
	if len(w.waiting) == 0 {
		select {
		case c := <-w.queue:
			w.waiting = append(w.waiting, c)
		case <-w.quit:
			return nil
		}
	}
	for len(w.waiting) < batchLimit {
		select {
		case c := <-w.queue:
			w.waiting = append(w.waiting, c)
			continue
		default:
		}
		break
	}
	return w.disjoint()
}

// disjoint takes from the waiting changes, in order, those that touch no member
// twice.
func (w *writer) disjoint() (group []*change) {
	touched := make(map[string]bool)
	rest := w.waiting[:0]
	for _, c := range w.waiting {
		clash := false
		for _, member := range c.touches {
			clash = clash || touched[member]
		}
		// A change that waits keeps those behind it in order too.
		for _, member := range c.touches {
			touched[member] = true
		}
		if clash {
			rest = append(rest, c)
		} else {
			group = append(group, c)
		}
	}
	clear(w.waiting[len(rest):])
	w.waiting = rest
	return group
}

// commit makes the changes of one group durable, shows them and answers.
func (w *writer) commit(group []*change) {
	// No deadline: none could end a call of a disk that hangs, and callers have
	// their own.
	ctx := context.Background()
	start := w.now()
	planned, rows, err := w.write(ctx, group)
	if err != nil {
		w.log.LogAttrs(ctx, slog.LevelError, "group commit failed", slog.Int("changes", len(planned)), slog.Any("error", err))
	} else if w.onCommit != nil && rows > 0 {
		w.onCommit(w.now().Sub(start), rows)
	}
	for _, c := range planned {
		if err == nil {
			c.show()
		}
		c.done <- err
	}
}

// write returns the changes that still are to be answered: all but those that
// their plan has answered.
func (w *writer) write(ctx context.Context, group []*change) (planned []*change, rows int, err error) {
	tx, err := w.db.write.BeginTx(ctx, nil)
	if err != nil {
		return group, 0, err
	}
	b := &batch{ctx: ctx, tx: tx, add: tx.StmtContext(ctx, w.add), del: tx.StmtContext(ctx, w.del)}
	for i, c := range group {
		show, err := c.plan(b)
		if errors.Is(err, rollcall.ErrNotFound) {
			c.done <- err
			continue
		}
		if err != nil {
			_ = tx.Rollback() // SQLite may have done so itself
			return append(planned, group[i:]...), 0, err
		}
		c.show = show
		planned = append(planned, c)
	}
	return planned, b.rows, w.db.commit(tx)
}

func (b *batch) insert(id, agentID, doc string) error {
	b.rows++
	_, err := b.add.ExecContext(b.ctx, id, agentID, doc)
	return err
}

func (b *batch) remove(id string) error {
	b.rows++
	_, err := b.del.ExecContext(b.ctx, id)
	return err
}
