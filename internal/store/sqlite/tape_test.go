package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// unmapped is a reserver of a system without mappings.
func unmapped(*os.File, int64, int64) (*window, error) { return nil, errUnmapped }

// newest returns the path of the segment that was made last.
func newest(t *testing.T, dir string) string {
	t.Helper()
	paths, err := segments(dir)
	must(t, err)
	return paths[len(paths)-1]
}

func claimed(i int) record {
	return record{live.KeyOfNonce("a1", fmt.Sprint(i)), 1_770_000_000_000 + int64(i)}
}

// scratch returns a tape of its own.
func scratch(t *testing.T, reserve reserver) *tape {
	t.Helper()
	f, err := createSegment(t.TempDir(), 1, "boot 1", 0)
	must(t, err)
	tape, err := newTape(f, reserve)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(unmap(tape.leave()), f.Close())) })
	return tape
}

// writeClaims puts claims, and makes room for them as the journal does.
func (t *tape) writeClaims(from, to int, reserve reserver) error {
	for i := from; i < to; i++ {
		if t.wants() {
			start, size := t.ahead()
			if err := t.extend(reserve(t.file, start, size)); err != nil {
				return err
			}
		}
		if err := t.put(claimed(i)); err != nil {
			return err
		}
	}
	return nil
}

// A disk is what a file has on it: the pages of the legs that were synced, and of
// the others those that the kernel happened to write.
type disk struct {
	t     *testing.T
	bytes []byte
}

// claims returns how many claims can be read, which have to be whole and in order.
func (d *disk) claims() (n int) {
	d.t.Helper()
	next := 0
	_, err := parseSegment(bytes.NewReader(d.bytes), func(r record) {
		i := int(r.at - claimed(0).at)
		if i < next || r != claimed(i) {
			d.t.Fatalf("claim %d or later is %v", next, r)
		}
		next = i + 1
		n++
	})
	must(d.t, err)
	return n
}

// A machine that died may have any page of the last leg on the disk, and not
// those before it. What comes behind a hole is read, and that there is one is told.
func TestHoles(t *testing.T) {
	const count, block = 2000, 4096
	tape := scratch(t, reserve)
	must(t, tape.writeClaims(0, count, reserve))
	must(t, tape.put(record{markKey, 7}))
	must(t, tape.put(record{closedKey, 8}))
	whole, err := os.ReadFile(tape.file.Name())
	must(t, err)
	for _, c := range []struct {
		name     string
		from, to int64
		fill     byte
	}{
		{"a page", 2 * block, 3 * block, 0},
		{"a sector", block + 512, block + 1024, 0},
		{"the last page but one", tape.offset/block*block - block, tape.offset / block * block, 0},
		{"other bytes", 3 * block, 4 * block, 0xa5},
		{"one byte", 5000, 5001, 0},
	} {
		d := &disk{t, slices.Clone(whole)}
		copy(d.bytes[c.from:c.to], bytes.Repeat([]byte{c.fill}, int(c.to-c.from)))
		first, last := (c.from-headerSize)/recordSize, (c.to-1-headerSize)/recordSize
		if want := count - int(last-first) - 1; d.claims() != want {
			t.Errorf("%s: %d claims, want %d", c.name, d.claims(), want)
		}
		s, err := parseSegment(bytes.NewReader(d.bytes), func(record) {})
		if err != nil || !s.holed || s.end != tape.offset {
			t.Errorf("%s: %+v, %v; want a hole, and all behind it", c.name, s, err)
		}
	}
	d := &disk{t, whole}
	if s, err := parseSegment(bytes.NewReader(whole), func(record) {}); d.claims() != count || err != nil || !s.closed || s.holed || s.end != tape.offset {
		t.Errorf("without a hole: %d claims, %+v, %v", d.claims(), s, err)
	}
}

// A machine died with a hole in the journal: what is behind it is refused by its
// timestamp.
func TestStartAfterHoles(t *testing.T) {
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now, bootID: "boot 1"}
	s := open(t, dir, o)
	start := c.Now()
	claim(t, s, "first", start) // is synced, and moves the mark
	for i := range 1000 {
		claim(t, s, fmt.Sprint("n", i), start.Add(time.Second))
	}
	die(t, s)
	f, err := os.OpenFile(newest(t, dir), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(make([]byte, 4096), 4096)
	must(t, errors.Join(err, f.Close()))
	o.bootID = "boot 2"
	s = open(t, dir, o)
	defer func() { must(t, s.Close()) }()
	for _, nonce := range []string{"first", "n0", "n200", "n999", "new"} {
		if claim(t, s, nonce, start.Add(markAhead)) {
			t.Errorf("%s, with a timestamp up to the mark, was let in", nonce)
		}
	}
	if !claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a timestamp beyond the mark was refused")
	}
}

// What a version before wrote is a file without room behind its records.
func TestSegmentsOfBefore(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	old := append(header(kernelBootID()), record{markKey, 0}.bytes()...)
	for i := range 500 {
		old = append(old, record{live.KeyOfNonce("a1", fmt.Sprint("n", i)), now.UnixMilli()}.bytes()...)
	}
	must(t, os.WriteFile(segmentPath(dir, 1), old, 0o600))
	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	for i := range 500 {
		if claim(t, s, fmt.Sprint("n", i), now) {
			t.Errorf("nonce %d was forgotten", i)
		}
	}
	if !claim(t, s, "new", now) {
		t.Error("a new nonce was refused")
	}
}

// While windows and segments change, no claim is lost or refused.
func TestClaimsWhileSegmentsChange(t *testing.T) {
	const sides, each = 4, 4000
	dir, c := t.TempDir(), &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now, bootID: "boot 1"}
	s := open(t, dir, o)
	claim(t, s, "first", c.Now())
	start := c.Now() // up to the mark: none of these waits
	var all sync.WaitGroup
	for side := range sides {
		all.Go(func() {
			for i := range each {
				if fresh, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint(side, "/", i), start); err != nil || !fresh {
					t.Errorf("claim %d of side %d: %v, %v", i, side, fresh, err)
				}
			}
		})
	}
	for i := range 2 {
		c.add(2*storetest.MaxClockSkew + time.Millisecond)
		claim(t, s, fmt.Sprint("another segment", i), c.Now()) // waits for it
	}
	all.Wait()
	die(t, s)
	known := make(map[live.NonceKey]bool)
	f, err := readJournal(dir, "boot 1", func(r record) { known[r.key] = true })
	must(t, err)
	if len(f.paths) != 3 {
		t.Errorf("segments: %v", f.paths)
	}
	for side := range sides {
		for i := range each {
			if !known[live.KeyOfNonce("a1", fmt.Sprint(side, "/", i))] {
				t.Fatalf("claim %d of side %d is in no segment", i, side)
			}
		}
	}
}

// Without mappings, from the start or from some window on, all is as with them.
func TestUnmapped(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Backend {
		dir := t.TempDir()
		o := Options{MaxClockSkew: storetest.MaxClockSkew, Sync: SyncNormal, Now: now, reserve: unmapped}
		s := open(t, dir, o)
		t.Cleanup(func() { must(t, s.Close()) })
		return storetest.Backend{Stores: s.Stores(), Reopen: func(t *testing.T) roll.Stores {
			t.Helper()
			must(t, s.Close())
			s = open(t, dir, o)
			return s.Stores()
		}}
	})
}
