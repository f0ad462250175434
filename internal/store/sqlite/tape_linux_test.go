package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

func length(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func (d *disk) take(f *os.File, from, to int64) {
	d.t.Helper()
	page := make([]byte, to-from)
	n, err := f.ReadAt(page, from)
	if int64(n) < to-from {
		d.t.Fatalf("read %d to %d: %d, %v", from, to, n, err)
	}
	copy(d.bytes[from:], page)
}

// The legs that were synced have all claims from before the turn on the disk,
// whichever other pages are, and in however many windows the claims went.
func TestLegsAreWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tape := scratch(t, reserve)
	d := &disk{t, make([]byte, 8<<20)}
	d.take(tape.file, 0, headerSize+recordSize)
	windows := make(map[*window]bool)
	for n := 0; n < 100_000; {
		more := random.IntN(10)
		if random.IntN(3) == 0 {
			more = random.IntN(20_000)
		}
		must(t, tape.writeClaims(n, n+more, reserve))
		n += more
		must(t, tape.put(record{markKey, int64(n)}))
		l := tape.turn(record{markKey, int64(n)})
		windows[l.here] = true
		for page := l.to; page < pageEnd(tape.offset); page += pageSize {
			if random.IntN(2) == 0 {
				d.take(tape.file, page, page+pageSize)
			}
		}
		d.take(tape.file, l.from, l.to)
		must(t, errors.Join(tape.sync(l), unmap(l.past)))
		if got := d.claims(); got != n {
			t.Fatalf("%d of %d claims are on the disk", got, n)
		}
	}
	if len(windows) < 4 {
		t.Errorf("%d windows: too few to see what comes between them", len(windows))
	}
}

// A turn after many records leaves the page that it syncs; one after few does
// not, which would make the file grow by a page each time.
func TestTurnsLeaveThePage(t *testing.T) {
	tape := scratch(t, reserve)
	before := tape.offset
	tape.turn(record{markKey, 1})
	if tape.offset != before {
		t.Errorf("a turn of a quiet tape wrote %d bytes", tape.offset-before)
	}
	must(t, tape.writeClaims(0, int(pageSize/recordSize)+1, reserve))
	l := tape.turn(record{markKey, 1})
	if tape.offset < l.to {
		t.Errorf("the next record goes to %d, and all to %d is synced", tape.offset, l.to)
	}
	if again := tape.turn(record{markKey, 1}); again.from != l.to || again.to != l.to+pageSize {
		t.Errorf("the next leg is from %d to %d, want the page at %d", again.from, again.to, l.to)
	}
}

// A segment has room behind its records while it is written, and none when the
// store was closed, another segment has followed, or the next run has begun.
func TestSegmentsAreCut(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now}
	s := open(t, dir, o)
	claim(t, s, "first", c.Now())
	if got := length(t, newest(t, dir)); got != leastWindow {
		t.Errorf("a quiet server's segment has %d bytes, want %d", got, leastWindow)
	}
	c.add(time.Hour)
	claim(t, s, "second", c.Now()) // in another segment
	must(t, s.Close())
	s = open(t, dir, o)
	claim(t, s, "third", c.Now())
	die(t, s)
	died := newest(t, dir)
	if got := length(t, died); got != leastWindow {
		t.Errorf("a dead process has left a segment of %d bytes, want %d", got, leastWindow)
	}
	s = open(t, dir, o)
	for _, nonce := range []string{"second", "third"} {
		if claim(t, s, nonce, c.Now()) {
			t.Errorf("%s was forgotten", nonce)
		}
	}
	must(t, s.Close())
	paths, err := segments(dir)
	must(t, err)
	if len(paths) != 4 {
		t.Fatalf("segments: %v", paths)
	}
	for i, path := range paths {
		s, err := readSegment(path, func(record) {})
		must(t, err)
		if got := length(t, path); got != s.end || s.closed == (i == 0 || path == died) {
			t.Errorf("%s has %d bytes, and ends at %d, closed %v", filepath.Base(path), got, s.end, s.closed)
		}
	}
}

// mappings returns how many there are of segments in dir.
func mappings(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return bytes.Count(text, []byte(dir+"/nonces-"))
}

// Windows that claims have left are unmapped by the next sync, and all of a
// segment when another has followed or the store is closed.
func TestWindowsAreLetGo(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, dir, Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	for i := range 20_000 {
		claim(t, s, fmt.Sprint(i), c.Now())
	}
	claim(t, s, "waits for a sync", c.Now().Add(time.Minute))
	if got := mappings(t, dir); got > 2 {
		t.Errorf("%d windows, want that in use and the next", got)
	}
	c.add(time.Hour)
	claim(t, s, "in another segment", c.Now())
	if got := mappings(t, dir); got != 1 {
		t.Errorf("%d windows of a new segment, and of the one before", got)
	}
	must(t, s.Close())
	if got := mappings(t, dir); got > 0 {
		t.Errorf("%d windows of a store that is closed", got)
	}
}

// A disk without room for the next window refuses claims when the last one is
// full, and not before; when there is room again, it goes on.
func TestFullDiskAhead(t *testing.T) {
	dir := t.TempDir()
	var full atomic.Bool
	s := open(t, dir, Options{reserve: func(f *os.File, start, size int64) (*window, error) {
		if full.Load() {
			return nil, os.NewSyscallError("fallocate", syscall.ENOSPC)
		}
		return reserve(f, start, size)
	}})
	now := time.Now()
	claim(t, s, "first", now)
	full.Store(true)
	n, err := 0, error(nil)
	for ; err == nil && n < 100_000; n++ {
		_, err = s.nonces.Claim(t.Context(), "a1", fmt.Sprint("n", n), now)
	}
	if room := int(leastWindow / recordSize); n < room*9/10 || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("after %d claims in a window for %d: %v", n, room, err)
	}
	if err := s.nonces.Ping(t.Context()); !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a ping of a full disk: %v", err)
	}
	full.Store(false)
	must(t, s.nonces.Ping(t.Context()))
	if claim(t, s, fmt.Sprint("n", n-1), now) {
		t.Error("a claim that was refused has become fresh")
	}
	if !claim(t, s, "new", now) {
		t.Error("a new claim was refused")
	}
	die(t, s)
	s = open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	for _, nonce := range []string{"first", "n0", fmt.Sprint("n", n-2), "new"} {
		if claim(t, s, nonce, now) {
			t.Errorf("%s was forgotten", nonce)
		}
	}
}

// A disk without room for another segment leaves no part of one: the old one goes
// on, and is followed when there is room.
func TestFullDiskForASegment(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	var full atomic.Bool
	s := open(t, dir, Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now, reserve: func(f *os.File, start, size int64) (*window, error) {
		if full.Load() {
			return nil, os.NewSyscallError("fallocate", syscall.ENOSPC)
		}
		return reserve(f, start, size)
	}})
	defer func() { must(t, s.Close()) }()
	for i, want := range []int{1, 1, 2} {
		full.Store(i == 1)
		if !claim(t, s, fmt.Sprint(i), c.Now()) { // waits for a sync
			t.Errorf("claim %d was refused", i)
		}
		if paths, err := segments(dir); err != nil || len(paths) != want {
			t.Errorf("segments after claim %d: %v, %v; want %d", i, paths, err, want)
		}
		c.add(time.Hour)
	}
}

// A page that is gone from under the mapping is an error of the claim, and not
// the end of the process.
func TestFaults(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	now, f := time.Now(), s.nonces.journal.tape.file
	claim(t, s, "before", now)
	size := length(t, f.Name())
	must(t, f.Truncate(0))
	if fresh, err := s.nonces.Claim(t.Context(), "a1", "refused", now); fresh || !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a claim without a page: %v, %v", fresh, err)
	}
	if err := s.nonces.Ping(t.Context()); !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a ping without a page: %v", err)
	}
	must(t, f.Truncate(size))
	if claim(t, s, "refused", now) || !claim(t, s, "new", now) {
		t.Error("it does not go on")
	}
}

func TestMappingsEnd(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	s := open(t, dir, Options{reserve: func(f *os.File, start, size int64) (*window, error) {
		if start > 0 {
			return nil, errors.Join(allocate(f, start, size), errUnmapped)
		}
		return reserve(f, start, size)
	}})
	count := 2 * int(leastWindow/recordSize)
	for i := range count {
		if !claim(t, s, fmt.Sprint(i), now) {
			t.Fatalf("claim %d was refused", i)
		}
	}
	if !claim(t, s, "far", now.Add(time.Minute)) { // is synced
		t.Error("refused")
	}
	if s.nonces.journal.tape.here != nil {
		t.Error("still mapped: nothing was tested")
	}
	die(t, s)
	s = open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	for i := range count {
		if claim(t, s, fmt.Sprint(i), now) {
			t.Fatalf("claim %d was forgotten", i)
		}
	}
}

// Where the file system sets no blocks aside, zeros do, which leave alone what is
// written.
func TestZerosForBlocks(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("written")
	must(t, errors.Join(err, writeZeros(f, 200_000), writeZeros(f, 100_000)))
	got, err := os.ReadFile(f.Name())
	must(t, err)
	if !bytes.Equal(got, append([]byte("written"), make([]byte, 200_000-len("written"))...)) {
		t.Errorf("%d bytes that begin with %q", len(got), got[:10])
	}
}
