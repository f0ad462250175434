package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
)

const (
	// batchLimit and rowLimit bound how long one commit takes.
	batchLimit = 1024
	rowLimit   = 8192
	// waitLimit bounds what is looked through for a group. It is far above
	// batchLimit, so that many changes of one member do not keep out all others.
	waitLimit = 16 * batchLimit
)

// A writer commits the changes of sessions in groups. While the disk works on one,
// the next is planned as its changes come. Of each group:
//
//  1. each change is planned by the Book, which shows what is committed; what they
//     say goes onto one sheet of the log, and what is looked for in tables into rows;
//  2. sheet and rows go in one transaction, which is committed;
//  3. the Book shows the changes, all of them;
//  4. the callers are answered.
//
// A change that touches what its group touches, or the one that is on the disk, waits
// for the next: so step 1 always sees all that went before. As the Book never runs
// ahead of the file, a commit that fails needs no undoing; nor does it harm the group
// that was planned meanwhile, which touches nothing of it.
//
// Since 3 ends before 4 begins, who is answered sees all of the own group, and of
// those before. Some have to see more than what they touch: after a Boot, every
// session that a former boot could still start is there to be ended, and after a kick
// began, every one that it did not hinder. So unless a change says that it is narrow,
// nothing is planned while it is on the disk: all that was decided before it is shown
// is in its group, or was before. A Boot and a Start may therefore share a group.
type writer struct {
	db       *database
	book     *live.Book
	seq      int64 // the last that was given
	fold     *folding
	log      *slog.Logger
	now      func() time.Time
	onCommit func(time.Duration, int)
	queue    chan *change
	quit     chan struct{}
	stopped  chan struct{}
	prepared [statements]*sql.Stmt

	planned *group   // the next
	flying  *group   // is on the disk; nil: none
	spare   []*group // to be used again
	waiting []*change
	behind  live.Touched // what the waiting touch
	ahead   atomic.Int64 // how many wait or are planned, for tests

	takeoff chan *group
	landed  chan error
}

// A change is one caller's.
type change struct {
	doing   string
	touches []live.Touch
	// narrow says that no other change has to see it, or it another, but by what
	// both touch.
	narrow bool
	// plan says what is to be done. Its error answers the caller.
	plan func() (live.Step, error)
	// also, if set, does in the transaction what no Step says; shown is called
	// when the Book shows the Step.
	also  func(ctx context.Context, tx *sql.Tx) error
	shown func()
	done  chan error

	step    live.Step
	entries int // on the sheet
	rows    []row
	err     error // of the plan
}

// writes reports whether there is anything to commit.
func (c *change) writes() bool { return c.err == nil && (c.entries+len(c.rows) > 0 || c.also != nil) }

func startWriter(ctx context.Context, db *database, book *live.Book, seq int64, fold *folding, o Options) (*writer, error) {
	w := &writer{
		db: db, book: book, seq: seq, fold: fold, log: o.Log, now: o.Now, onCommit: o.OnCommit,
		queue: make(chan *change, batchLimit), quit: make(chan struct{}), stopped: make(chan struct{}),
		planned: newGroup(), takeoff: make(chan *group), landed: make(chan error, 1),
	}
	for i, text := range statementTexts {
		var err error
		if w.prepared[i], err = db.write.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // closeStatements does
			w.closeStatements()
			return nil, outage("prepare", err)
		}
	}
	go w.run()
	return w, nil
}

func (w *writer) closeStatements() {
	for _, s := range w.prepared {
		if s != nil {
			s.Close()
		}
	}
}

var errStopped = errors.New("the store is closed")

// do has a change made and returns when it is durable and shown. If ctx ends
// while the change waits, it may still be made: what its plan hands over in a
// variable is to be read only where do returns nil.
func (w *writer) do(ctx context.Context, doing string, touches []live.Touch, plan func() (live.Step, error)) error {
	return w.make(ctx, &change{doing: doing, touches: touches, plan: plan})
}

// narrow is do for a change that is narrow.
func (w *writer) narrow(ctx context.Context, doing string, touches []live.Touch, plan func() (live.Step, error)) error {
	return w.make(ctx, &change{doing: doing, touches: touches, plan: plan, narrow: true})
}

func (w *writer) make(ctx context.Context, c *change) error {
	if c.done == nil {
		c.done = make(chan error, 1)
	}
	if err := ctx.Err(); err != nil {
		return outage(c.doing, err) // select would toss a coin
	}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return outage(c.doing, ctx.Err())
	case <-w.quit:
		return outage(c.doing, errStopped)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return outage(c.doing, ctx.Err())
	case <-w.stopped:
		select {
		case err := <-c.done: // answered just before the end
			return err
		default:
			return outage(c.doing, errStopped)
		}
	}
}

// stop finishes the group that is on the disk. Changes that still wait are told
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
	defer w.closeStatements()
	defer close(w.takeoff)
	go w.disk()
	for w.await() {
		w.gather()
		if w.flying != nil {
			w.land(<-w.landed)
		} else {
			w.launch()
		}
	}
}

// await waits for something to do; false means stop.
func (w *writer) await() bool {
	select {
	case <-w.quit:
		if w.flying != nil {
			w.show(w.flying, <-w.landed)
		}
		return false
	default:
	}
	if w.flying != nil || len(w.planned.changes) > 0 {
		return true
	}
	select {
	case c := <-w.queue:
		w.admit(c)
		return true
	case <-w.quit:
		return false
	}
}

// gather takes what else is there. Those whom the last commit has answered come
// again: on one processor they have not run yet, and each would get a commit of its
// own.
func (w *writer) gather() {
	runtime.Gosched()
	w.drain()
	w.ahead.Store(int64(len(w.waiting) + len(w.planned.changes)))
}

func (w *writer) drain() {
	for len(w.queue) > 0 && len(w.waiting) < waitLimit {
		w.admit(<-w.queue)
	}
}

// admit plans a change as one of the next group, or has it wait. One that waits keeps
// those behind it in order too.
func (w *writer) admit(c *change) {
	switch {
	case w.planned.full() || w.flying != nil && w.flying.wide:
		w.waiting = append(w.waiting, c) // as all that come now
	case w.planned.touched.Clashes(c.touches) || w.behind.Clashes(c.touches) || w.flying != nil && w.flying.touched.Clashes(c.touches):
		w.behind.Add(c.touches)
		w.waiting = append(w.waiting, c)
	default:
		w.plan(c)
	}
}

func (w *writer) plan(c *change) {
	g := w.planned
	if c.step, c.err = c.plan(); c.err == nil {
		c.err = w.note(c)
	}
	g.add(c)
}

// note writes what a change says onto the sheet, and the rest into rows, and gives
// both their Seqs.
func (w *writer) note(c *change) (err error) {
	for i := range c.step.Changes {
		c.step.Changes[i].Seq = w.next()
	}
	if c.rows, err = rowsOf(&c.step, w.next); err != nil {
		return err
	}
	c.entries, err = w.planned.sheet.note(&c.step, w.book)
	return err
}

func (w *writer) next() int64 {
	w.seq++
	return w.seq
}

// launch gives the planned group to the disk.
func (w *writer) launch() {
	g := w.planned
	w.planned, w.flying = w.another(), g
	g.log = logged{last: w.fold.size.last}
	if g.writing == 0 {
		w.landed <- nil
		return
	}
	if g.sheet.entries > 0 {
		g.sealed = g.sheet.seal(w.seq)
		g.log.own = int64(len(g.sealed))
		g.log.folded = w.fold.wanted() && w.foldable(context.Background())
	}
	w.takeoff <- g
}

func (w *writer) another() *group {
	n := len(w.spare)
	if n == 0 {
		return newGroup()
	}
	g := w.spare[n-1]
	w.spare = w.spare[:n-1]
	return g
}

// land shows what was on the disk and answers. The disk goes on with the next group
// meanwhile, but where that folds, which needs all shown that is in the log.
func (w *writer) land(err error) {
	w.drain()
	g := w.flying
	w.flying = nil
	if g.log.gaveUp != nil {
		w.fold.giveUp(w.log, g.log.gaveUp)
	}
	if err == nil {
		w.fold.done(&g.log)
	}
	if w.planned.writing > 0 && !w.fold.wanted() {
		w.launch()
	}
	w.show(g, err)
	g.clear()
	w.spare = append(w.spare, g)
	again := w.waiting
	w.waiting = nil
	w.behind.Clear()
	for _, c := range again {
		w.admit(c)
	}
}

// show shows a group that is committed, unless err says that it is not, and answers.
func (w *writer) show(g *group, err error) {
	if err != nil {
		w.log.LogAttrs(context.Background(), slog.LevelError, "group commit failed", slog.Int("changes", g.writing), slog.Any("error", err))
	} else if w.onCommit != nil && g.writing > 0 {
		w.onCommit(g.took, g.writing)
	}
	for _, c := range g.changes {
		if c.writes() && err == nil {
			w.book.Apply(&c.step)
			if c.shown != nil {
				c.shown()
			}
		}
	}
	for _, c := range g.changes {
		answer := c.err // the Book's
		if c.writes() {
			answer = outage(c.doing, err)
		}
		c.done <- answer // from here on it is the caller's
	}
}
