package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func claim(t *testing.T, s *Store, nonce string, at time.Time) bool {
	t.Helper()
	fresh, err := s.nonces.Claim(t.Context(), "a1", nonce, at)
	must(t, err)
	return fresh
}

// die leaves the directory as the death of the process does: nothing is closed
// in the files.
func die(t *testing.T, s *Store) {
	t.Helper()
	broken := errors.New("dead")
	s.nonces.journal.broken.Store(&broken) // close writes nothing more
	must(t, s.Close())
}

// The machine dies, and with it every claim that was not synced. What may have
// been lost is refused; what is later is not.
func TestNoncesAfterTheMachineDied(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now, bootID: "boot 1"}
	s := open(t, dir, o)
	start := c.Now()
	if !claim(t, s, "first", start) { // this one waits for a sync, which moves the mark
		t.Fatal("refused")
	}
	synced := size(t, dir)
	if !claim(t, s, "second", start.Add(time.Second)) { // this one does not
		t.Fatal("refused")
	}
	far := start.Add(4 * time.Minute)
	if !claim(t, s, "far ahead", far) { // beyond the mark: waits
		t.Fatal("refused")
	}
	die(t, s)

	o.bootID = "boot 2"
	truncateUnsynced(t, dir, synced) // the worst that the disk may have kept
	s = open(t, dir, o)
	for nonce, at := range map[string]time.Time{"first": start, "second": start.Add(time.Second), "third": start.Add(2 * time.Second), "new": start.Add(markAhead)} {
		if claim(t, s, nonce, at) {
			t.Errorf("%s, from before the machine died, was let in", nonce)
		}
	}
	if !claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a timestamp beyond the mark was refused")
	}
	must(t, s.Close())

	// Closed in good order, another boot refuses nothing more than the first
	// death asks for.
	o.bootID = "boot 3"
	s = open(t, dir, o)
	if claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a claim was forgotten")
	}
	if !claim(t, s, "after boot 3", start.Add(markAhead+2*time.Millisecond)) {
		t.Error("a new claim was refused")
	}
	must(t, s.Close())
}

// size returns where the records of the newest segment end.
func size(t *testing.T, dir string) int64 {
	t.Helper()
	paths, err := segments(dir)
	must(t, err)
	s, err := readSegment(paths[len(paths)-1], func(record) {})
	must(t, err)
	return s.end
}

func truncateUnsynced(t *testing.T, dir string, synced int64) {
	t.Helper()
	paths, err := segments(dir)
	must(t, err)
	must(t, os.Truncate(paths[len(paths)-1], synced))
}

// A claim beyond the mark is on the disk when it is answered; one up to it need
// not be.
func TestClaimsBeyondTheMarkAreSynced(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, t.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	defer func() { must(t, s.Close()) }()
	j := s.nonces.journal
	for i, ahead := range []time.Duration{0, time.Minute, 4 * time.Minute, time.Second, 5 * time.Minute} {
		at := c.Now().Add(ahead)
		claim(t, s, fmt.Sprint("n", i), at)
		j.mu.Lock()
		if waits := len(j.waiters); waits != 0 {
			t.Errorf("answered while %d wait for a sync", waits)
		}
		j.mu.Unlock()
		if mark := j.mark.Load(); at.UnixMilli() > mark && j.dirtyNow() {
			t.Errorf("claim %d, beyond the mark, was answered and not synced", i)
		}
		c.add(time.Second)
	}
}

func (j *journal) dirtyNow() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dirty
}

// The process dies: the kernel has all that was written, and nothing more is
// refused.
func TestNoncesAfterTheProcessDied(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxClockSkew: storetest.MaxClockSkew}
	now := time.Now()
	for round := range 3 {
		s := open(t, dir, o)
		for i := range round {
			if claim(t, s, fmt.Sprint("nonce", i), now) {
				t.Errorf("nonce %d was forgotten", i)
			}
		}
		if !claim(t, s, fmt.Sprint("nonce", round), now) {
			t.Errorf("a new nonce with a timestamp of before was refused in round %d", round)
		}
		die(t, s)
	}
}

func TestTornJournal(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxClockSkew: storetest.MaxClockSkew}
	now := time.Now()
	s := open(t, dir, o)
	claim(t, s, "whole", now)
	claim(t, s, "torn", now)
	die(t, s)
	paths, err := segments(dir)
	must(t, err)
	last := paths[len(paths)-1]
	must(t, os.Truncate(last, size(t, dir)-1))
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000900.log"), nil, 0o600))               // made, and nothing written
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000901.log"), make([]byte, 500), 0o600)) // written as zeros
	s = open(t, dir, o)
	if claim(t, s, "whole", now) {
		t.Error("a whole record before a torn one was forgotten")
	}
	must(t, s.Close())
	damaged := append([]byte("something else"), make([]byte, 100)...)
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000950.log"), damaged, 0o600))
	if _, err := Open(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "nonces-0000000950.log") {
		t.Errorf("a file that is no journal: %v", err)
	}
}

// Segments whose every claim may be forgotten are deleted, and none before.
func TestJournalRotates(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, dir, Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	for i := range 60 {
		c.add(time.Minute)
		if !claim(t, s, fmt.Sprint("n", i), c.Now()) {
			t.Fatalf("claim %d was refused", i)
		}
	}
	must(t, s.Close()) // old segments are deleted behind the claims' backs
	paths, err := segments(dir)
	must(t, err)
	if len(paths) != 3 {
		t.Errorf("%d segments after an hour, want 3", len(paths))
	}
}

func TestRecordsAreWhole(t *testing.T) {
	r := record{key: [16]byte{1, 2, 3}, at: 1_770_000_000_123}
	text := r.bytes()
	if len(text) != recordSize {
		t.Fatalf("%d bytes, want %d", len(text), recordSize)
	}
	got, ok := parseRecord(text)
	if !ok || got != r {
		t.Errorf("got %+v, %v", got, ok)
	}
	for bit := range recordSize * 8 {
		text[bit/8] ^= 1 << (bit % 8)
		if _, ok := parseRecord(text); ok {
			t.Errorf("bit %d changed, and the record is good", bit)
		}
		text[bit/8] ^= 1 << (bit % 8)
	}
	if _, ok := parseRecord(make([]byte, recordSize)); ok {
		t.Error("zeros are a record")
	}
	if binary.BigEndian.Uint64(text[16:]) != 1_770_000_000_123 {
		t.Error("the timestamp is not where the comment draws it")
	}
}

// A journal that cannot be written refuses claims, and goes on when it can be.
func TestJournalThatCannotBeWritten(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, t.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	defer func() { must(t, s.Close()) }()
	j := s.nonces.journal
	claim(t, s, "before", c.Now())
	readOnly, err := os.Open(j.tape.file.Name())
	must(t, err)
	defer readOnly.Close()
	whole := swap(j, &tape{file: readOnly, offset: j.tape.offset})
	for i, ahead := range []time.Duration{0, time.Minute} {
		_, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint("refused", i), c.Now().Add(ahead))
		if !errors.Is(err, rollcall.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
	j.mu.Lock()
	j.dirty = true // what is to be synced cannot be either
	j.mu.Unlock()
	if err := j.sync(); err == nil {
		t.Error("a sync that could not write its mark was good")
	}
	swap(j, whole)
	must(t, j.sync())
	for i, ahead := range []time.Duration{0, time.Minute} {
		if !claim(t, s, fmt.Sprint("after", i), c.Now().Add(ahead)) {
			t.Error("a claim was refused after the fault had passed")
		}
	}
	if claim(t, s, "refused0", c.Now()) {
		t.Error("a claim that was not answered was answered later: it may have been written")
	}
}

// swap has the journal write somewhere else.
func swap(j *journal, to *tape) (was *tape) {
	j.mu.Lock()
	defer j.mu.Unlock()
	was, j.tape = j.tape, to
	return was
}

// A disk that is full refuses claims and harms nothing: when there is room
// again, it goes on, and what was refused stays refused.
func TestFullDiskOfNonces(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	j, now := s.nonces.journal, time.Now()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	must(t, err)
	was := swap(j, &tape{file: full, offset: j.tape.offset})
	if fresh, err := s.nonces.Claim(t.Context(), "a1", "refused", now); fresh || !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a claim on a full disk: %v, %v", fresh, err)
	}
	if err := s.nonces.Ping(t.Context()); !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a ping of a full disk: %v", err)
	}
	must(t, errors.Join(swap(j, was).file.Close(), s.nonces.Ping(t.Context())))
	if claim(t, s, "refused", now) {
		t.Error("a claim that was refused has become fresh")
	}
	if !claim(t, s, "new", now) {
		t.Error("a new claim was refused")
	}
}

// An fsync that fails refuses every claim from then on; the next start does not
// take the file for whole, though the machine has not been down.
func TestFsyncFails(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	var broken atomic.Bool
	o := Options{Now: c.Now, bootID: "boot 1", fsync: func(sync func() error) error {
		if broken.Load() {
			return errors.New("no such luck")
		}
		return sync()
	}}
	s, start := open(t, dir, o), c.Now()
	if !claim(t, s, "first", start) {
		t.Fatal("refused")
	}
	broken.Store(true)
	far := start.Add(time.Minute) // beyond the mark: waits for the fsync
	for _, at := range []time.Time{far, start} {
		if fresh, err := s.nonces.Claim(t.Context(), "a1", at.String(), at); fresh || !errors.Is(err, rollcall.ErrUnavailable) {
			t.Errorf("a claim at %s: %v, %v", at, fresh, err)
		}
	}
	if err := s.nonces.Ping(t.Context()); !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	must(t, s.Close())
	broken.Store(false)
	s = open(t, dir, o)
	defer func() { must(t, s.Close()) }()
	if claim(t, s, "new", start.Add(markAhead)) {
		t.Error("a timestamp up to the mark was let in")
	}
	if !claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a timestamp beyond the mark was refused")
	}
}

// A run that closes answers for the runs before it in the same boot too: it has
// synced what a run that was killed had left to the kernel.
func TestCloseAfterAKill(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{Now: c.Now, bootID: "boot 1"}
	s := open(t, dir, o)
	claim(t, s, "first", c.Now())
	die(t, s)
	must(t, open(t, dir, o).Close())
	o.bootID = "boot 2"
	s = open(t, dir, o)
	defer func() { must(t, s.Close()) }()
	if claim(t, s, "first", c.Now()) {
		t.Error("forgotten")
	}
	if !claim(t, s, "second", c.Now()) {
		t.Error("refused, though all was closed")
	}
}

func TestPingCostsNoSpace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	claim(t, s, "first", time.Now())
	must(t, s.nonces.Ping(t.Context()))
	before := size(t, dir)
	for range 10 {
		must(t, s.nonces.Ping(t.Context()))
	}
	if after := size(t, dir); after != before {
		t.Errorf("%d bytes grew to %d", before, after)
	}
}

// While the disk takes its time, with a new segment too, claims up to the mark
// are answered: this test would hang if they waited.
func TestOrdinaryClaimsDoNotWait(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	var slow atomic.Bool
	entered, release := make(chan bool), make(chan bool)
	dir := t.TempDir()
	s := open(t, dir, Options{Now: c.Now, fsync: func(sync func() error) error {
		if slow.Load() {
			entered <- true
			<-release
		}
		return sync()
	}})
	start := c.Now()
	claim(t, s, "first", start) // moves the mark
	c.add(time.Hour)            // for a new segment
	slow.Store(true)
	answered := make(chan error)
	go func() {
		_, err := s.nonces.Claim(context.Background(), "a1", "far", start.Add(time.Hour))
		answered <- err
	}()
	<-entered
	if segments, err := segments(dir); err != nil || len(segments) != 2 {
		t.Errorf("segments %v, %v; want 2", segments, err)
	}
	for i := range 10 {
		if !claim(t, s, fmt.Sprint("n", i), start) {
			t.Error("refused")
		}
	}
	select {
	case err := <-answered:
		t.Errorf("a claim beyond the mark was answered before it was synced: %v", err)
	default:
	}
	slow.Store(false)
	close(release)
	must(t, <-answered)
	must(t, s.Close())
}

// A record that the disk has changed frees no nonce, its own neither.
func TestDamagedRecord(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	var told bytes.Buffer
	s := open(t, dir, Options{})
	for n := range 100 {
		fresh, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint("n", n), now)
		if must(t, err); !fresh {
			t.Fatal(n)
		}
	}
	must(t, s.Close())
	paths, err := segments(dir)
	must(t, err)
	text, err := os.ReadFile(paths[0])
	must(t, err)
	text[headerSize+10*recordSize+3] ^= 1
	must(t, os.WriteFile(paths[0], text, 0o600))
	for round := range 2 { // and not only the first time
		told.Reset()
		s = open(t, dir, Options{Log: slog.New(slog.NewTextHandler(&told, nil))})
		for n := range 100 {
			fresh, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint("n", n), now)
			if must(t, err); fresh {
				t.Errorf("nonce %d can be used again", n)
			}
		}
		fresh, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint("new", round), now.Add(time.Minute))
		if must(t, err); !fresh {
			t.Error("what is later is refused")
		}
		if !strings.Contains(told.String(), "a record is damaged") {
			t.Errorf("told: %s", &told)
		}
		must(t, s.Close())
	}
}
