package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A journal makes claimed nonces durable without an fsync on a request's way.
//
// Each claim is in the kernel's pages of the file (see tape) before it is
// answered, so the death of the process loses none. Only the death of the machine
// can lose what was not yet synced. Against that the journal keeps a mark, a time a
// few seconds ahead, and holds to one rule:
//
//	no claim with a timestamp beyond the mark is answered before either the mark
//	has been moved beyond it and synced, or the claim itself has been synced.
//
// So whatever a dead machine has lost has a timestamp up to the mark, and after
// its next start claims up to the mark are refused. Clients whose clocks are
// right never wait: the mark is ahead of them. One whose clock is minutes ahead
// waits for a sync.
//
// Only the goroutine of run moves the mark and changes segments, and that of
// runAhead makes room ahead of need. Both work without the lock while the disk
// does, so that no claim waits for that, unless claims outrun runAhead.
type journal struct {
	dir     string
	bootID  string
	keep    time.Duration
	now     func() time.Time
	fsync   func(sync func() error) error
	reserve reserver
	log     *slog.Logger

	mu      sync.Mutex // of writing
	tape    *tape
	waiters []chan error
	dirty   bool // claims since the last sync

	growing sync.Mutex // who holds it makes room for the tape, or lets go of one

	// Of the goroutine of run.
	number int
	begun  time.Time // of the segment
	usedAt time.Time // about when the last claim came
	former []string  // earlier segments, oldest first

	mark   atomic.Int64 // Unix ms
	broken atomic.Pointer[error]
	kick   chan struct{}
	ahead  chan struct{}
	quit   chan struct{}
	done   chan struct{} // run has ended
	grown  chan struct{} // runAhead has ended
}

const (
	// markAhead is how far the mark goes ahead of the clock, and syncEvery how
	// often it is moved while there are claims, and for markLinger after the
	// last: one who calls each half minute does not wait either.
	markAhead  = 5 * time.Second
	syncEvery  = 2 * time.Second
	markLinger = time.Minute
)

// openJournal begins a segment after those that were found.
func openJournal(dir string, f found, keep time.Duration, o Options) (*journal, error) {
	if err := f.cut(); err != nil {
		return nil, fmt.Errorf("nonce journal: %w", err)
	}
	j := &journal{
		dir: dir, bootID: o.bootID, keep: keep, now: o.Now, fsync: o.fsync, reserve: o.reserve, log: o.Log,
		number: f.next, begun: o.Now(), former: f.paths,
		kick: make(chan struct{}, 1), ahead: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}), grown: make(chan struct{}),
	}
	var err error
	if j.tape, err = j.begin(f.next, 0); err != nil {
		return nil, fmt.Errorf("nonce journal: %w", err)
	}
	go j.run()
	go j.runAhead()
	return j, nil
}

// begin makes a segment.
func (j *journal) begin(number int, mark int64) (*tape, error) {
	f, err := createSegment(j.dir, number, j.bootID, mark)
	if err != nil {
		return nil, err
	}
	t, err := newTape(f, j.reserve)
	if err != nil {
		// A segment that says nothing but a mark would have claims up to it refused.
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return t, nil
}

// add writes a claim, and waits for a sync where the rule asks for one.
func (j *journal) add(ctx context.Context, r record) error {
	var synced chan error
	err := j.withRoom(func() (err error) {
		synced, err = j.write(r)
		return err
	})
	if err != nil || synced == nil {
		return err
	}
	select {
	case j.kick <- struct{}{}:
	default: // a kick is waiting already
	}
	select {
	case err := <-synced:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.done:
		return errStopped
	}
}

// write returns what to wait for, nil for nothing.
func (j *journal) write(r record) (synced chan error, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(r); err != nil {
		return nil, err
	}
	j.dirty = true
	if r.at <= j.mark.Load() {
		return nil, nil
	}
	synced = make(chan error, 1)
	j.waiters = append(j.waiters, synced)
	return synced, nil
}

// append writes one record, and asks for room in time. The journal is locked.
func (j *journal) append(r record) error {
	if broken := j.broken.Load(); broken != nil {
		return *broken
	}
	if j.tape.wants() && !j.tape.asked {
		j.tape.asked = true
		select {
		case j.ahead <- struct{}{}:
		default: // it is asked for already
		}
	}
	return j.tape.put(r)
}

// withRoom does what asks for room, and makes some where there is none.
func (j *journal) withRoom(do func() error) error {
	err := do()
	for errors.Is(err, errNoRoom) {
		if err = j.grow(); err == nil {
			err = do()
		}
	}
	return err
}

// runAhead makes room before the claims need it.
func (j *journal) runAhead() {
	defer close(j.grown)
	for {
		select {
		case <-j.quit:
			return
		case <-j.ahead:
		}
		if err := j.grow(); err != nil { // asked for again after the next sync
			j.log.Warn("nonce journal: no room for more claims", slog.Any("error", err))
		}
	}
}

// grow sees to it that there is room ahead.
func (j *journal) grow() error {
	j.growing.Lock()
	defer j.growing.Unlock()
	t, start, size := j.wants()
	if t == nil {
		return nil
	}
	w, err := j.reserve(t.file, start, size)
	j.mu.Lock()
	defer j.mu.Unlock()
	return t.extend(w, err)
}

// wants returns the tape if it is to be extended, and by what. Until it has been,
// its claims stay where they are: there is no other window.
func (j *journal) wants() (t *tape, start, size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.tape.wants() {
		return nil, 0, 0
	}
	start, size = j.tape.ahead()
	return j.tape, start, size
}

// run syncs: when somebody waits, and every so often while there are claims.
func (j *journal) run() {
	defer close(j.done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for j.broken.Load() == nil {
		select {
		case <-j.quit:
			return
		case <-j.kick:
		case <-tick.C:
		}
		if err := j.sync(); err != nil {
			j.log.Error("nonce journal", slog.Any("error", err), slog.Bool("refusing_claims_until_restart", j.broken.Load() != nil))
		}
	}
}

// sync moves the mark, makes all that is written durable and wakes who waits for
// it. What the disk has no room for is tried again at the next call.
func (j *journal) sync() error {
	if !j.wanted() {
		return nil
	}
	next, err := j.successor()
	if err != nil {
		j.log.Error("nonce journal: the segment goes on for want of a new one", slog.Any("error", err))
	}
	grown := j.grow() // for the mark's sake
	t, full := j.turn(next)
	if errors.Is(full, errNoRoom) {
		full = cmp.Or(grown, full)
	}
	err = j.flush(t)
	if err == nil && full == nil {
		j.mark.Store(t.mark)
	}
	for _, w := range t.waiters {
		w <- err // where only the mark had no room, what they wrote is synced
	}
	j.retire(t.old)
	return errors.Join(full, err)
}

// wanted reports whether there is, or soon may be, something to sync.
func (j *journal) wanted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dirty {
		j.usedAt = j.now()
	}
	return !j.usedAt.IsZero() && j.now().Sub(j.usedAt) < markLinger
}

// successor makes the next segment if this one is old enough.
func (j *journal) successor() (*tape, error) {
	if j.now().Sub(j.begun) < j.keep {
		return nil, nil
	}
	return j.begin(j.number+1, j.mark.Load())
}

// A turn is what one sync has to make durable, and for whom.
type turn struct {
	old, tape *tape // old is nil where the segment goes on
	leg       leg
	mark      int64
	waiters   []chan error
}

// turn writes the mark behind all that was written, into the next segment if
// there is one, and takes over those who wait.
func (j *journal) turn(next *tape) (t turn, full error) {
	t.mark = max(j.now().Add(markAhead).UnixMilli(), j.mark.Load())
	j.mu.Lock()
	defer j.mu.Unlock()
	if next != nil {
		t.old, j.tape = j.tape, next
		j.number, j.begun = j.number+1, j.now()
	}
	t.tape, t.waiters, j.waiters = j.tape, j.waiters, nil
	full = j.append(record{markKey, t.mark})
	t.leg = j.tape.turn(record{markKey, t.mark})
	j.dirty = full != nil
	return t, full
}

// flush syncs the segment before this one, and this one, and lets go of the
// windows that no claim writes to any more.
func (j *journal) flush(t turn) error {
	defer j.unmap(t.leg.past)
	if t.old != nil {
		j.unmap(j.leave(t.old))
		if err := j.settle(t.old, t.old.cut); err != nil {
			return err
		}
	}
	return j.settle(t.tape, func() error { return t.tape.sync(t.leg) })
}

// settle syncs. After an error of fsync nobody knows what is on the disk, so the
// journal is broken from then on: claims are refused until the next start. That
// must not take the segment for whole, though the machine has not been down: so
// the segment renounces its boot.
func (j *journal) settle(t *tape, sync func() error) error {
	err := j.fsync(sync)
	if err != nil {
		j.broken.Store(&err)
		_, _ = t.file.WriteAt(header(""), 0) // nothing is left to do where this fails too
	}
	return err
}

// leave takes the windows of a tape when nobody is making another.
func (j *journal) leave(t *tape) []*window {
	j.growing.Lock()
	defer j.growing.Unlock()
	return t.leave()
}

func (j *journal) unmap(windows []*window) {
	if err := unmap(windows); err != nil { // it takes some memory and does no harm
		j.log.Warn("nonce journal: memory stays mapped", slog.Any("error", err))
	}
}

// retire closes a segment that has been followed, and deletes those of which
// everything may be forgotten: all but the last two, each of which took keep to
// fill.
func (j *journal) retire(old *tape) {
	if old == nil {
		return
	}
	_ = old.file.Close() // it is synced, or the journal is broken
	j.former = append(j.former, old.file.Name())
	for len(j.former) > 2 {
		// One that cannot be deleted takes some room and does no harm.
		if err := os.Remove(j.former[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			j.log.Warn("nonce journal: an old segment stays", slog.Any("error", err))
		}
		j.former = j.former[1:]
	}
}

// ping proves that a record can be written. It repeats the mark where the next
// record goes, which costs no space and means nothing new.
func (j *journal) ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.withRoom(func() error {
		j.mu.Lock()
		defer j.mu.Unlock()
		if err := j.append(record{markKey, j.mark.Load()}); err != nil {
			return err
		}
		j.tape.offset -= recordSize
		return nil
	})
}

// close makes everything durable, says so in the file, and cuts it.
func (j *journal) close() error {
	close(j.quit)
	<-j.done
	<-j.grown
	var err error
	if j.broken.Load() == nil {
		err = j.withRoom(func() error { return j.append(record{closedKey, j.now().UnixMilli()}) })
	}
	j.unmap(j.tape.leave())
	if j.broken.Load() == nil {
		err = errors.Join(err, j.fsync(j.tape.cut))
	}
	return errors.Join(err, j.tape.file.Close())
}
