package live

import (
	"math"
	"sync/atomic"
)

// An arena holds records one after the other in chunks, which have no pointers
// and never move. A record is known by its offset, in words of 8 bytes: the
// chunk's number and the place in it. What is freed is used again for a record of
// the same size; a chunk in which nothing is held is given back.
//
// One that changes the arena is alone with it. Records can be read meanwhile, by
// who knows that they stay.
type arena struct {
	space  *space
	words  atomic.Pointer[[][]int64] // of each chunk; nil where one was given back
	chunks []chunk
	vacant []uint32       // numbers of chunks that were given back
	last   uint32         // the chunk that has room behind its records
	free   map[int]uint32 // the first free record by size
}

// A chunk is what is known of a part of an arena. It stands apart from the words,
// so that one who reads a record passes by it, and the sweep by the words.
type chunk struct {
	used int32 // words
	held int32 // records
	due  int64 // no record held expires earlier, in Unix ns
}

const (
	// chunkWords is how long a chunk is, but for those of a small arena and those
	// of one large record.
	chunkWords = 1 << chunkBits
	chunkBits  = 10
	// firstChunk is the length of an arena's first chunk; each is twice as long as
	// the one before it.
	firstChunk = 64
	// arenaBits are of an offset.
	arenaBits = 25
	noRecord  = math.MaxUint32
)

// at returns the record at an offset.
func (a *arena) at(offset uint32) record {
	words := (*a.words.Load())[offset>>chunkBits][offset%chunkWords:]
	return words[:record(words).size()]
}

// add copies a record's words into the arena and returns its offset. It is of a
// session that does not expire before due.
func (a *arena) add(r record, due int64) uint32 {
	offset := a.room(len(r))
	copy((*a.words.Load())[offset>>chunkBits][offset%chunkWords:], r)
	c := &a.chunks[offset>>chunkBits]
	c.held++
	c.due = min(c.due, due)
	return offset
}

// room finds room for a record.
func (a *arena) room(size int) (offset uint32) {
	if offset, ok := a.free[size]; ok {
		a.unlink(offset, size)
		return offset
	}
	if len(a.chunks) == 0 || int(a.chunks[a.last].used)+size > len((*a.words.Load())[a.last]) {
		a.open(size)
	}
	c := &a.chunks[a.last]
	offset = a.last<<chunkBits | uint32(c.used)
	c.used += int32(size)
	return offset
}

// open begins a chunk.
func (a *arena) open(size int) {
	if len(a.chunks) > 0 && a.chunks[a.last].held == 0 {
		a.giveBack(a.last)
	}
	words := a.newWords(size)
	if last := len(a.vacant) - 1; last >= 0 {
		a.last, a.vacant = a.vacant[last], a.vacant[:last]
		(*a.words.Load())[a.last], a.chunks[a.last] = words, chunk{due: math.MaxInt64}
		return
	}
	if len(a.chunks) == 1<<(arenaBits-chunkBits) {
		panic("live: 256 MiB of sessions of the same few members")
	}
	a.last = uint32(len(a.chunks))
	a.chunks = append(a.chunks, chunk{due: math.MaxInt64})
	var all [][]int64
	if old := a.words.Load(); old != nil {
		all = *old
	}
	all = append(all, words) // behind the end of the old slice nobody reads
	a.words.Store(&all)
}

// newWords returns memory for a chunk with room for size words at least. Small
// ones, and those of one large record, are of the heap.
func (a *arena) newWords(size int) []int64 {
	n := max(size, firstChunk<<min(len(a.chunks), chunkBits))
	if n < chunkWords || size > chunkWords {
		return make([]int64, max(size, min(n, chunkWords)))
	}
	return a.space.take(1)
}

// remove frees a record, which nobody reads any more.
func (a *arena) remove(offset uint32) {
	number := offset >> chunkBits
	c := &a.chunks[number]
	a.link(offset, a.at(offset))
	if c.held--; c.held > 0 {
		return
	}
	a.each(number, func(at int, r record) { a.unlink(number<<chunkBits|uint32(at), len(r)) })
	if number == a.last {
		c.used, c.due = 0, math.MaxInt64
		return
	}
	a.giveBack(number)
}

// giveBack drops a chunk that has no record any more.
func (a *arena) giveBack(number uint32) {
	words := *a.words.Load()
	a.space.drop(words[number])
	words[number], a.chunks[number] = nil, chunk{due: math.MaxInt64}
	a.vacant = append(a.vacant, number)
}

// Free records of one size are a list in both directions.
//
//	word  what
//	0, 1  offsets of the next and the one before
//	5     as of other records, but without recordHeld

func (a *arena) link(offset uint32, r record) {
	r[wordBody] = int64(len(r)) << sizeShift
	next, ok := a.free[len(r)]
	if !ok {
		next = noRecord
	} else {
		a.at(next)[1] = int64(offset)
	}
	r[0], r[1] = int64(next), noRecord
	if a.free == nil {
		a.free = make(map[int]uint32)
	}
	a.free[len(r)] = offset
}

func (a *arena) unlink(offset uint32, size int) {
	r := a.at(offset)
	next, before := uint32(r[0]), uint32(r[1])
	if next != noRecord {
		a.at(next)[1] = int64(before)
	}
	switch {
	case before != noRecord:
		a.at(before)[0] = int64(next)
	case next != noRecord:
		a.free[size] = next
	default:
		delete(a.free, size)
	}
}

// each calls do with the records of a chunk and their places, free ones too.
func (a *arena) each(number uint32, do func(at int, r record)) {
	words := (*a.words.Load())[number]
	for at := 0; at < int(a.chunks[number].used); {
		r := record(words[at:])
		r = r[:r.size()]
		do(at, r)
		at += len(r)
	}
}

// sessions calls do with the records that are held, by offset, from a chunk on,
// until it returns false.
func (a *arena) sessions(from uint32, do func(offset uint32, r record) bool) {
	for number := from; int(number) < len(a.chunks); number++ {
		words := (*a.words.Load())[number]
		for at := 0; at < int(a.chunks[number].used); {
			r := record(words[at:])
			r = r[:r.size()]
			if r.held() && !do(number<<chunkBits|uint32(at), r) {
				return
			}
			at += len(r)
		}
	}
}
