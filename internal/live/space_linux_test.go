//go:build linux && !race

package live

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Mapped returns how much memory an Index has beside the heap, in bytes.
func (x *Index) Mapped() int { return len(x.members[0].arena.space.blocks) * blockBytes }

// addresses is how many bytes of addresses the process has.
func addresses(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(text)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// Who forgets an Index need not empty it: its memory goes with it.
func TestForgottenSpacesAreUnmapped(t *testing.T) {
	const blocks = 64
	before := addresses(t)
	var s space
	for range blocks {
		s.take(blockChunks)
	}
	if got := addresses(t) - before; got < blocks*blockBytes {
		t.Fatalf("%d bytes were mapped, want %d", got, blocks*blockBytes)
	}
	runtime.GC()
	if got := addresses(t) - before; got < blocks*blockBytes {
		t.Fatalf("%d bytes are left of a space that is in use, want %d", got, blocks*blockBytes)
	}
	runtime.KeepAlive(&s)
	for range 1000 {
		runtime.GC()
		if addresses(t)-before < blocks*blockBytes/2 {
			return
		}
	}
	t.Errorf("%d bytes of addresses are left, want few", addresses(t)-before)
}

// A block that is empty is unmapped at once.
func TestEmptyBlocksAreUnmapped(t *testing.T) {
	var s space
	before := addresses(t)
	for range 200 {
		s.drop(s.take(blockChunks))
	}
	if got := addresses(t) - before; got > 100*blockBytes {
		t.Errorf("%d bytes of addresses are left", got)
	}
}
