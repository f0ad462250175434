package live

import (
	"runtime"
	"sync"
	"unsafe"
)

// A space is memory for what has no pointers and is asked for at random, in large
// blocks that are not of the heap: the garbage collector neither knows them nor
// lets as much garbage pile up as they are large, so it runs as with few sessions
// and new objects stay in the caches. Where the system gives pages of a block's
// size, the processor's tables of pages hold them all.
//
// Who uses a part of it keeps the space in reach all the while. A nil space gives
// memory of the heap. It is safe for concurrent use.
type space struct {
	mu     sync.Mutex
	blocks []*block
}

// A block is a part of a space, given out by chunks.
type block struct {
	words []int64
	taken [blockChunks]bool
	used  int
	unmap func()
	// forgotten unmaps the block when nobody knows the space any more.
	forgotten runtime.Cleanup
}

const (
	blockChunks = 1 << (blockBits - 3 - chunkBits)
	blockBits   = 21 // 2 MiB, a large page on most machines
	blockBytes  = 1 << blockBits
)

// take returns n chunks of memory in one piece; what is in it may be anything.
func (s *space) take(n int) []int64 {
	if s == nil || n > blockChunks {
		return make([]int64, n*chunkWords)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blocks {
		if words := b.take(n); words != nil {
			return words
		}
	}
	words, unmap := mapBlock()
	if words == nil { // the system gives no more of this kind
		return make([]int64, n*chunkWords)
	}
	b := &block{words: words, unmap: unmap, forgotten: runtime.AddCleanup(s, func(unmap func()) { unmap() }, unmap)}
	s.blocks = append(s.blocks, b)
	return b.take(n)
}

// drop takes back what take has returned. Other memory is left to the collector.
func (s *space) drop(words []int64) {
	if s == nil || len(words) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.blocks {
		at := b.chunkOf(words)
		if at < 0 {
			continue
		}
		b.drop(at, len(words)/chunkWords)
		if b.used == 0 {
			s.blocks = append(s.blocks[:i], s.blocks[i+1:]...)
			b.forgotten.Stop()
			b.unmap()
		}
		return
	}
}

// take returns n chunks, or nil where there is no room for them.
func (b *block) take(n int) []int64 {
	if b.used+n > blockChunks {
		return nil
	}
	run := 0
	for at, taken := range b.taken {
		if run++; taken {
			run = 0
		}
		if run == n {
			return b.give(at+1-n, n)
		}
	}
	return nil
}

func (b *block) give(at, n int) []int64 {
	for i := range n {
		b.taken[at+i] = true
	}
	b.used += n
	return b.words[at*chunkWords : (at+n)*chunkWords : (at+n)*chunkWords]
}

func (b *block) drop(at, n int) {
	for i := range n {
		b.taken[at+i] = false
	}
	b.used -= n
}

// chunkOf returns the chunk at which words begin, -1 where they are of no block or
// another.
func (b *block) chunkOf(words []int64) int {
	at := uintptr(unsafe.Pointer(&words[0])) - uintptr(unsafe.Pointer(&b.words[0])) //nolint:gosec // G103: addresses are only compared
	if at >= blockBytes {                                                           // below the block too
		return -1
	}
	return int(at / (8 * chunkWords))
}

// lines returns n empty lines of a table, or some more.
func (s *space) lines(n int) []line {
	if s == nil || n*lineWords < chunkWords {
		return make([]line, n)
	}
	words := s.take((n*lineWords + chunkWords - 1) / chunkWords)
	clear(words)
	return unsafe.Slice((*line)(unsafe.Pointer(&words[0])), len(words)/lineWords) //nolint:gosec // G103: a line is as long as lineWords, and has no pointers
}

// dropLines takes back what lines has returned.
func (s *space) dropLines(lines []line) {
	if len(lines) > 0 {
		s.drop(unsafe.Slice((*int64)(unsafe.Pointer(&lines[0])), len(lines)*lineWords)) //nolint:gosec // G103: as in lines
	}
}
