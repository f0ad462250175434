package sqlite

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// A tape is the file of the segment that the journal writes.
//
// Records go into a shared mapping of the file where the system has one that
// serves (see reserve). What is stored there is in the kernel's pages of the file
// like what is written, so the death of the process takes nothing of it; and a
// store does not wait, as write(2) does for milliseconds while the file system
// commits something: it has to note the file's new time first.
//
// A store that faults would wait like that, and worse: the Go runtime does not
// know that the thread stands still. So a claim is to find its page in the
// mapping, present and writable. Pages are made so ahead, and a sync, by which
// they become read-only until the next fault, leaves out the page that the next
// claim goes to (see fill).
type tape struct {
	file   *os.File
	offset int64            // where the next record goes
	text   [recordSize]byte // of the record that is being written

	here *window // where offset is; nil: records are written by write(2)
	next *window // nil: not made yet
	// asked says that next has been asked for since the last turn.
	asked bool

	// Of the goroutine of run, but that windows are left under the lock.
	past   []*window // have been left, and are not synced
	synced int64     // a page's start: those before are on the disk
}

// A window is a part of a file that is mapped, and for which the file system has
// set blocks aside. Its ends are ends of pages. Windows overlap by a page, so that
// each record is within one.
type window struct {
	start int64 // in the file
	mem   []byte
}

// A reserver maps a part of a file, as reserve does.
type reserver func(f *os.File, start, size int64) (*window, error)

var (
	pageSize = int64(os.Getpagesize())

	// A window is as long as what the segment has before it, within these bounds: a
	// quiet server has one of the least.
	leastWindow = max(64<<10, 4*pageSize)
	mostWindow  = 16 * leastWindow

	errNoRoom = errors.New("no room ahead in the segment")
	// errUnmapped: the file system has no shared mappings, or the system none that
	// are trusted here.
	errUnmapped = errors.New("not mapped")
)

// newTape writes to a file that holds a header and a mark.
func newTape(f *os.File, reserve reserver) (*tape, error) {
	t := &tape{file: f, offset: headerSize + recordSize}
	w, err := reserve(f, 0, leastWindow)
	if err != nil && !errors.Is(err, errUnmapped) {
		return nil, err
	}
	t.here = w
	return t, nil
}

// put writes one record at its place; a part of one that a full disk has left
// is written over by the next.
func (t *tape) put(r record) error {
	r.encode(t.text[:])
	if err := t.write(t.text[:]); err != nil {
		return err
	}
	t.offset += recordSize
	return nil
}

func (t *tape) write(text []byte) error {
	if t.here == nil {
		_, err := t.file.WriteAt(text, t.offset)
		return err
	}
	if t.offset+recordSize > t.here.end() {
		if t.next == nil {
			return errNoRoom
		}
		t.past, t.here, t.next = append(t.past, t.here), t.next, nil
	}
	return t.here.store(t.offset, text)
}

// wants reports whether it is time to make the next window.
func (t *tape) wants() bool {
	return t.here != nil && t.next == nil && t.offset > t.here.start+int64(len(t.here.mem)/2)
}

// ahead is where the next window begins and how long it is.
func (t *tape) ahead() (start, size int64) {
	end := t.here.end()
	return end - pageSize, min(max(end, leastWindow), mostWindow)
}

// extend takes the next window, or goes on without a mapping where there is none
// to be had.
func (t *tape) extend(w *window, err error) error {
	if errors.Is(err, errUnmapped) {
		t.past, t.here = append(t.past, t.here), nil
		return nil
	}
	t.next = w
	return err
}

// A leg is what a sync has to make durable of a tape: all up to a page's end.
type leg struct {
	past     []*window // have been left
	here     *window   // nil: the whole file
	from, to int64
}

// turn ends a leg. It writes r up to the end of the page, so that the next record
// goes to one that the sync leaves alone. While few records come that does not
// pay: the page goes on, and is synced again.
func (t *tape) turn(r record) leg {
	l := leg{t.past, t.here, t.synced, pageEnd(t.offset)}
	if t.here != nil && l.to-l.from >= 2*pageSize {
		for t.offset < l.to && t.put(r) == nil {
		}
	}
	l.past, l.here = t.past, t.here
	t.past, t.asked = nil, false
	t.synced = min(l.to, t.offset/pageSize*pageSize)
	return l
}

func pageEnd(offset int64) int64 { return (offset + pageSize - 1) / pageSize * pageSize }

// sync makes a leg durable.
//
// What was stored in a mapping needs msync by POSIX. On Linux that is fsync of
// the pages that it names, and fsync of the file covers mapped pages too: a page
// is read-only in the mapping while it is clean, so the kernel knows each that was
// stored to.
func (t *tape) sync(l leg) error {
	if l.here == nil {
		return t.file.Sync()
	}
	for _, w := range append(l.past, l.here) {
		if err := w.sync(l.from, l.to); err != nil {
			return err
		}
	}
	l.here.warm(t.synced, l.to+(l.to-l.from)) // as much as the last leg took
	return nil
}

// cut makes the file as long as its records, and all of it durable.
func (t *tape) cut() error { return errors.Join(t.file.Truncate(t.offset), t.file.Sync()) }

// leave returns all windows: there are none from now on.
func (t *tape) leave() []*window {
	all := append(t.past, t.here, t.next)
	t.past, t.here, t.next = nil, nil, nil
	return all
}

// unmap lets windows go. What was stored stays: it is the kernel's to write.
func unmap(windows []*window) (err error) {
	for _, w := range windows {
		if w != nil {
			err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(w.mem)))
		}
	}
	return err
}

func (w *window) end() int64 { return w.start + int64(len(w.mem)) }

// store copies a record to its place in the file. A page that cannot be had (the
// disk fails, or the file system wants new blocks for a page that has some, and
// is full) is a SIGBUS, which is to be the claim's error and not the end of the
// process.
func (w *window) store(at int64, text []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = faultOf(p)
		}
	}()
	copy(w.mem[at-w.start:], text)
	return nil
}

// faultOf returns the error of a fault, and goes on with any other panic.
func faultOf(p any) error {
	fault, ok := p.(interface {
		error
		Addr() uintptr
	})
	if !ok {
		panic(p)
	}
	return fmt.Errorf("the mapped page is gone: %w", fault)
}

// sync makes what the window has of this part of the file durable.
func (w *window) sync(from, to int64) error {
	from, to = max(from, w.start), min(to, w.end())
	if from >= to {
		return nil
	}
	return os.NewSyscallError("msync", unix.Msync(w.mem[from-w.start:to-w.start], unix.MS_SYNC))
}

// warm makes this part of the window writable again, which a sync has ended.
func (w *window) warm(from, to int64) {
	from, to = max(from, w.start), min(to, w.end())
	if from < to {
		populate(w.mem[from-w.start : to-w.start])
	}
}
