package sqlite

import (
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
// Each claim is written (write(2)) before it is answered, so the death of the
// process loses none: the kernel has it. Only the death of the machine can lose
// what was not yet synced. Against that the journal keeps a mark, a time a few
// seconds ahead, and holds to one rule:
//
//	no claim with a timestamp beyond the mark is answered before either the mark
//	has been moved beyond it and synced, or the claim itself has been synced.
//
// So whatever a dead machine has lost has a timestamp up to the mark, and after
// its next start claims up to the mark are refused. Clients whose clocks are
// right never wait: the mark is ahead of them. One whose clock is minutes ahead
// waits for a sync.
//
// Only the goroutine of run moves the mark and changes segments, and it does
// both without the lock while the disk works, so that no claim waits for that.
type journal struct {
	dir    string
	bootID string
	keep   time.Duration
	now    func() time.Time
	fsync  func(*os.File) error
	log    *slog.Logger

	mu      sync.Mutex // of writing
	file    *os.File
	offset  int64
	waiters []chan error
	dirty   bool // claims since the last sync

	// Of the goroutine of run.
	number int
	begun  time.Time // of the segment
	usedAt time.Time // about when the last claim came
	former []string  // earlier segments, oldest first

	mark   atomic.Int64 // Unix ms
	broken atomic.Pointer[error]
	kick   chan struct{}
	quit   chan struct{}
	done   chan struct{}
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
	if err := syncAll(f.paths); err != nil {
		return nil, fmt.Errorf("nonce journal: %w", err)
	}
	file, err := createSegment(dir, f.next, o.bootID, 0)
	if err != nil {
		return nil, fmt.Errorf("nonce journal: %w", err)
	}
	j := &journal{
		dir: dir, bootID: o.bootID, keep: keep, now: o.Now, fsync: o.fsync, log: o.Log,
		file: file, offset: headerSize + recordSize, number: f.next, begun: o.Now(), former: f.paths,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go j.run()
	return j, nil
}

// add writes a claim, and waits for a sync where the rule asks for one.
func (j *journal) add(ctx context.Context, r record) error {
	synced, err := j.write(r)
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
	text := r.bytes()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(text); err != nil {
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

// append writes one record at its place; a part of one that a full disk has left
// is written over by the next. The journal is locked.
func (j *journal) append(text []byte) error {
	if broken := j.broken.Load(); broken != nil {
		return *broken
	}
	if _, err := j.file.WriteAt(text, j.offset); err != nil {
		return err
	}
	j.offset += recordSize
	return nil
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
	t, full := j.turn(next)
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
func (j *journal) successor() (*os.File, error) {
	if j.now().Sub(j.begun) < j.keep {
		return nil, nil
	}
	return createSegment(j.dir, j.number+1, j.bootID, j.mark.Load())
}

// A turn is what one sync has to make durable, and for whom.
type turn struct {
	old, file *os.File // old is nil where the segment goes on
	mark      int64
	waiters   []chan error
}

// turn writes the mark behind all that was written, into the next segment if
// there is one, and takes over those who wait.
func (j *journal) turn(next *os.File) (t turn, full error) {
	t.mark = max(j.now().Add(markAhead).UnixMilli(), j.mark.Load())
	j.mu.Lock()
	defer j.mu.Unlock()
	if next != nil {
		t.old, j.file, j.offset = j.file, next, headerSize+recordSize
		j.number, j.begun = j.number+1, j.now()
	}
	t.file, t.waiters, j.waiters = j.file, j.waiters, nil
	full = j.append(record{markKey, t.mark}.bytes())
	j.dirty = full != nil
	return t, full
}

// flush syncs the segment and the one before it. After an error of fsync nobody
// knows what is on the disk, so the journal is broken from then on: claims are
// refused until the next start. That must not take the segment for whole,
// though the machine has not been down: so the segment renounces its boot.
func (j *journal) flush(t turn) error {
	for _, f := range []*os.File{t.old, t.file} {
		if f == nil {
			continue
		}
		if err := j.fsync(f); err != nil {
			j.broken.Store(&err)
			_, _ = f.WriteAt(header(""), 0) // nothing is left to do where this fails too
			return err
		}
	}
	return nil
}

// retire closes a segment that has been followed, and deletes those of which
// everything may be forgotten: all but the last two, each of which took keep to
// fill.
func (j *journal) retire(old *os.File) {
	if old == nil {
		return
	}
	_ = old.Close() // it is synced, or the journal is broken
	j.former = append(j.former, old.Name())
	for len(j.former) > 2 {
		// One that cannot be deleted takes some room and does no harm.
		if err := os.Remove(j.former[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			j.log.Warn("nonce journal: an old segment stays", slog.Any("error", err))
		}
		j.former = j.former[1:]
	}
}

// ping proves that the disk takes a record. It repeats the mark where the next
// record goes, which costs no space and means nothing new.
func (j *journal) ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(record{markKey, j.mark.Load()}.bytes()); err != nil {
		return err
	}
	j.offset -= recordSize
	return nil
}

// close makes everything durable and says so in the file.
func (j *journal) close() error {
	close(j.quit)
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.broken.Load() == nil {
		err = errors.Join(j.append(record{closedKey, j.now().UnixMilli()}.bytes()), j.fsync(j.file))
	}
	return errors.Join(err, j.file.Close())
}
