package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
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
// Its files are segments nonces-N.log, each a header of 64 bytes and records of
// 28, all with a CRC-32C in their last 4 bytes; numbers are big-endian:
//
//	header   "rollcall nonces1" | id of the boot, 44 bytes, padded with 0 | crc
//	record   key, 16 bytes | timestamp, Unix ms, 8 bytes | crc
//
// The keys of 16 times 0x00 and 0xff are no nonces but the mark and the sign
// that the journal was closed.
type journal struct {
	dir    string
	bootID string
	keep   time.Duration
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex // of writing
	file    *os.File
	offset  int64
	number  int
	begun   time.Time // of the segment
	former  []string  // earlier segments, oldest first
	waiters []chan error
	dirty   bool // claims since the last sync

	mark   atomic.Int64 // Unix ms
	broken atomic.Pointer[error]
	kick   chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

const (
	journalMagic = "rollcall nonces1"
	headerSize   = 64
	recordSize   = 28

	// markAhead is how far the mark goes ahead of the clock, and syncEvery how
	// often it is moved while there are claims.
	markAhead = 5 * time.Second
	syncEvery = 2 * time.Second
)

var (
	markKey   = live.NonceKey{}
	closedKey = live.NonceKey{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// A record is a claim, or what its key says else.
type record struct {
	key live.NonceKey
	at  time.Time
}

func (r record) bytes() []byte {
	b := make([]byte, 0, recordSize)
	b = append(b, r.key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.at.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseRecord(b []byte) (r record, ok bool) {
	sum := b[recordSize-4:]
	if binary.BigEndian.Uint32(sum) != crc32.Checksum(b[:recordSize-4], castagnoli) {
		return r, false
	}
	return record{live.NonceKey(b[:16]), time.UnixMilli(int64(binary.BigEndian.Uint64(b[16:])))}, true
}

// openJournal begins segment number.
func openJournal(dir string, number int, keep time.Duration, o Options) (*journal, error) {
	j := &journal{
		dir: dir, bootID: o.bootID, keep: keep, now: o.Now, log: o.Log,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	if j.former, err = segments(dir); err != nil {
		return nil, err
	}
	if err := j.begin(number); err != nil {
		return nil, fmt.Errorf("nonce journal: %w", err)
	}
	go j.run()
	return j, nil
}

// begin makes a new segment the current one.
func (j *journal) begin(number int) error {
	f, err := os.OpenFile(j.path(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	header := make([]byte, headerSize-4)
	copy(header, journalMagic)
	copy(header[len(journalMagic):], j.bootID)
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	mark := record{markKey, time.UnixMilli(j.mark.Load())}.bytes()
	if _, err = f.WriteAt(append(header, mark...), 0); err == nil {
		err = errors.Join(f.Sync(), syncDir(j.dir))
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name())) // to try again under its name
	}
	j.file, j.offset, j.number, j.begun = f, headerSize+recordSize, number, j.now()
	return nil
}

func (j *journal) path(number int) string {
	return filepath.Join(j.dir, fmt.Sprintf("nonces-%010d.log", number))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	if broken := j.broken.Load(); broken != nil {
		return nil, *broken
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(r); err != nil {
		return nil, err
	}
	j.dirty = true
	if r.at.UnixMilli() <= j.mark.Load() {
		return nil, nil
	}
	synced = make(chan error, 1)
	j.waiters = append(j.waiters, synced)
	return synced, nil
}

// append writes one record at its place; a part of one that a full disk has left
// is written over by the next.
func (j *journal) append(r record) error {
	if _, err := j.file.WriteAt(r.bytes(), j.offset); err != nil {
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
	for {
		select {
		case <-j.quit:
			return
		case <-j.kick:
		case <-tick.C:
		}
		if err := j.sync(); err != nil {
			j.log.Error("nonce journal", slog.Any("error", err), slog.Bool("refusing_claims_until_restart", j.broken.Load() != nil))
		}
		if j.broken.Load() != nil {
			return
		}
	}
}

// sync moves the mark, makes all that is written durable and wakes who waits for
// it. What cannot be written, as on a full disk, is tried again at the next
// tick. After an error of fsync nobody knows what is on the disk, so the journal
// is broken from then on: claims are refused until the next start, which reads
// the disk itself.
func (j *journal) sync() error {
	file, waiters, mark, err := j.prepareSync()
	if file != nil {
		if err = file.Sync(); err != nil {
			j.broken.Store(&err)
		} else {
			j.mark.Store(mark)
		}
	}
	for _, w := range waiters {
		w <- err
	}
	return err
}

// prepareSync takes over those who wait; what they wrote is in the file. A nil
// file means that there is nothing to sync, or an error that hurts nobody but
// them.
func (j *journal) prepareSync() (file *os.File, waiters []chan error, mark int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.dirty {
		return nil, nil, 0, nil
	}
	waiters, j.waiters = j.waiters, nil
	if j.now().Sub(j.begun) >= j.keep {
		if err := j.rotate(); err != nil {
			return nil, waiters, 0, err
		}
	}
	mark = max(j.now().Add(markAhead).UnixMilli(), j.mark.Load())
	if err := j.append(record{markKey, time.UnixMilli(mark)}); err != nil {
		return nil, waiters, 0, err
	}
	j.dirty = false
	return j.file, waiters, mark, nil
}

// rotate begins a new segment and deletes those of which everything may be
// forgotten: all but the last two, each of which took keep to fill.
func (j *journal) rotate() error {
	old := j.file
	if err := old.Sync(); err != nil {
		j.broken.Store(&err)
		return err
	}
	if err := j.begin(j.number + 1); err != nil {
		return err
	}
	_ = old.Close() // it is synced
	j.former = append(j.former, old.Name())
	for len(j.former) > 2 {
		// One that cannot be deleted takes some room and does no harm.
		if err := os.Remove(j.former[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
			j.log.Warn("nonce journal: an old segment stays", slog.Any("error", err))
		}
		j.former = j.former[1:]
	}
	return nil
}

func (j *journal) ping(ctx context.Context) error {
	if broken := j.broken.Load(); broken != nil {
		return *broken
	}
	return ctx.Err()
}

// close makes everything durable and says so in the file.
func (j *journal) close() error {
	close(j.quit)
	<-j.done
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if broken := j.broken.Load(); broken == nil {
		err = errors.Join(j.append(record{closedKey, j.now()}), j.file.Sync())
	}
	return errors.Join(err, j.file.Close())
}

// found is what the segments of earlier runs say.
type found struct {
	next int // number for a new segment
	// lost is the latest timestamp whose claim may be missing.
	lost time.Time
}

// segments returns the paths of the segments, oldest first.
func segments(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(escapeGlob(dir), "nonces-*.log"))
	slices.Sort(paths)
	return paths, err
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

// readJournals calls claimed for each claim that is in the segments, and returns
// what else they say to a process of boot bootID.
func readJournals(dir, bootID string, claimed func(record)) (found, error) {
	f := found{next: 1}
	paths, err := segments(dir)
	if err != nil {
		return f, err
	}
	var boot string
	var lost time.Time // of that boot
	for _, path := range paths {
		s, err := readSegment(path, claimed)
		if err != nil {
			return f, err
		}
		if s.boot != boot {
			f.lost = latest(f.lost, lost)
			boot, lost = s.boot, time.Time{}
		}
		lost = latest(lost, s.mark)
		if s.closed || s.boot == bootID && bootID != "" {
			lost = time.Time{} // all that was written is there
		}
		var number int
		if _, err := fmt.Sscanf(filepath.Base(path), "nonces-%d.log", &number); err == nil {
			f.next = max(f.next, number+1)
		}
	}
	f.lost = latest(f.lost, lost)
	return f, nil
}

func latest(a, b time.Time) time.Time {
	if cmp.Compare(a.UnixMilli(), b.UnixMilli()) >= 0 {
		return a
	}
	return b
}

// A segment is what one file says.
type segment struct {
	boot   string
	mark   time.Time
	closed bool
}

// readSegment reads up to the first record that is not whole, which is where the
// last run ended.
func readSegment(path string, claimed func(record)) (s segment, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if len(text) < headerSize || len(bytes.Trim(text[:headerSize], "\x00")) == 0 {
		return s, nil // the machine died while it was made: it held nothing yet
	}
	header, rest := text[:headerSize], text[headerSize:]
	if !strings.HasPrefix(string(header), journalMagic) ||
		binary.BigEndian.Uint32(header[headerSize-4:]) != crc32.Checksum(header[:headerSize-4], castagnoli) {
		return s, fmt.Errorf("%s is damaged or no nonce journal", path)
	}
	s.boot = strings.TrimRight(string(header[len(journalMagic):headerSize-4]), "\x00")
	for ; len(rest) >= recordSize; rest = rest[recordSize:] {
		r, ok := parseRecord(rest)
		if !ok {
			return s, nil
		}
		s.closed = r.key == closedKey
		switch r.key {
		case markKey:
			s.mark = latest(s.mark, r.at)
		case closedKey:
		default:
			claimed(r)
		}
	}
	return s, nil
}
