package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
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

// A writer commits the changes of sessions in groups: while one commit waits for
// the disk, the next group gathers. Of each group:
//
//  1. each change is planned by the Book, which shows what is committed;
//  2. what they say goes onto one sheet of the log, and what is looked for in tables
//     into rows, all in one transaction, which is committed;
//  3. the Book shows the changes, all of them;
//  4. the callers are answered.
//
// A change that touches what the group touches already waits for the next, so
// that step 1 always sees all that went before; and as the Book never runs ahead
// of the file, a commit that fails needs no undoing. Since 3 ends before 4
// begins, who is answered sees all that was decided by the same state as the own
// change: after a Boot, every session that a former boot could still start is
// there to be ended. A Boot and a Start may therefore share a group.
type writer struct {
	db       *database
	book     *live.Book
	seq      int64  // the last that was given
	sheet    *sheet // of the group
	fold     *folding
	log      *slog.Logger
	now      func() time.Time
	onCommit func(time.Duration, int)
	queue    chan *change
	quit     chan struct{}
	stopped  chan struct{}
	prepared [statements]*sql.Stmt
	waiting  []*change // for the next group
}

// A change is one caller's.
type change struct {
	doing   string
	touches []live.Touch
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
		db: db, book: book, seq: seq, sheet: newSheet(), fold: fold, log: o.Log, now: o.Now, onCommit: o.OnCommit,
		queue: make(chan *change, batchLimit), quit: make(chan struct{}), stopped: make(chan struct{}),
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

func (w *writer) make(ctx context.Context, c *change) error {
	c.done = make(chan error, 1)
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
	defer w.closeStatements()
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
	// Those whom the last commit has answered come again: on one processor they
	// have not run yet, and each would get a commit of its own.
	runtime.Gosched()
	for len(w.waiting) < waitLimit {
		select {
		case c := <-w.queue:
			w.waiting = append(w.waiting, c)
			continue
		default:
		}
		break
	}
	return w.plan(w.disjoint())
}

// disjoint takes from the waiting changes, in order and up to the limit, those
// that do not touch the same.
func (w *writer) disjoint() (group []*change) {
	var touched live.Touched
	rest := w.waiting[:0]
	for _, c := range w.waiting {
		clash := len(group) == batchLimit || touched.Clashes(c.touches)
		// A change that waits keeps those behind it in order too.
		touched.Add(c.touches)
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

// plan plans the group's changes and returns them; those that would make it too
// large wait on, before the others.
func (w *writer) plan(group []*change) []*change {
	total := 0
	w.sheet.clear()
	for i, c := range group {
		if total > rowLimit {
			w.waiting = append(group[i:len(group):len(group)], w.waiting...)
			return group[:i]
		}
		if c.step, c.err = c.plan(); c.err == nil {
			c.err = w.note(c)
		}
		total += c.entries + len(c.rows)
	}
	return group
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
	c.entries, err = w.sheet.note(&c.step, w.book)
	return err
}

func (w *writer) next() int64 {
	w.seq++
	return w.seq
}

// commit makes the changes of one group durable, shows them and answers.
func (w *writer) commit(group []*change) {
	// No deadline: none could end a call of a disk that hangs, and callers have
	// their own.
	ctx := context.Background()
	start := w.now()
	changes, err := w.write(ctx, group)
	if err != nil {
		w.log.LogAttrs(ctx, slog.LevelError, "group commit failed", slog.Int("changes", changes), slog.Any("error", err))
	} else if w.onCommit != nil && changes > 0 {
		w.onCommit(w.now().Sub(start), changes)
	}
	for _, c := range group {
		if c.writes() && err == nil {
			w.book.Apply(&c.step)
			if c.shown != nil {
				c.shown()
			}
		}
	}
	for _, c := range group {
		switch {
		case c.writes():
			c.done <- outage(c.doing, err)
		default: // the Book has answered
			c.done <- c.err
		}
	}
}

// write returns how many changes there are to commit.
func (w *writer) write(ctx context.Context, group []*change) (changes int, err error) {
	for _, c := range group {
		if c.writes() {
			changes++
		}
	}
	if changes == 0 {
		return 0, nil
	}
	return changes, w.put(ctx, group)
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
