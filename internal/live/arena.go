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
	chunks atomic.Pointer[[]*chunk]
	vacant []uint32       // numbers of chunks that were given back
	last   uint32         // the chunk that has room behind its records
	free   map[int]uint32 // the first free record by size
}

// A chunk is a part of an arena.
type chunk struct {
	words []int64
	used  int   // words
	held  int   // records
	due   int64 // no record held expires earlier, in Unix ns
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

// all returns the chunks; nil is in the place of one that was given back.
func (a *arena) all() []*chunk {
	if chunks := a.chunks.Load(); chunks != nil {
		return *chunks
	}
	return nil
}

// at returns the record at an offset.
func (a *arena) at(offset uint32) record {
	words := (*a.chunks.Load())[offset>>chunkBits].words[offset%chunkWords:]
	return words[:record(words).size()]
}

// add copies a record's words into the arena and returns its offset. It is of a
// session that does not expire before due.
func (a *arena) add(r record, due int64) uint32 {
	offset := a.place(len(r))
	c := a.all()[offset>>chunkBits]
	copy(c.words[offset%chunkWords:], r)
	c.held++
	c.due = min(c.due, due)
	return offset
}

// place finds room for a record.
func (a *arena) place(size int) (offset uint32) {
	if offset, ok := a.free[size]; ok {
		a.unlink(offset, size)
		return offset
	}
	chunks := a.all()
	if len(chunks) == 0 || chunks[a.last].used+size > len(chunks[a.last].words) {
		a.open(size)
	}
	c := a.all()[a.last]
	offset = a.last<<chunkBits | uint32(c.used)
	c.used += size
	return offset
}

// open begins a chunk.
func (a *arena) open(size int) {
	chunks := a.all()
	if len(chunks) > 0 && chunks[a.last].held == 0 {
		a.giveBack(a.last)
	}
	c := &chunk{words: make([]int64, max(size, min(chunkWords, firstChunk<<min(len(chunks), chunkBits)))), due: math.MaxInt64}
	if last := len(a.vacant) - 1; last >= 0 {
		a.last, a.vacant = a.vacant[last], a.vacant[:last]
		chunks[a.last] = c
		return
	}
	if len(chunks) == 1<<(arenaBits-chunkBits) {
		panic("live: 256 MiB of sessions of the same few members")
	}
	a.last = uint32(len(chunks))
	chunks = append(chunks, c) // behind the end of the old slice nobody reads
	a.chunks.Store(&chunks)
}

// remove frees a record, which nobody reads any more.
func (a *arena) remove(offset uint32) {
	number := offset >> chunkBits
	c := a.all()[number]
	a.link(offset, a.at(offset))
	if c.held--; c.held > 0 {
		return
	}
	c.each(func(at int, r record) { a.unlink(number<<chunkBits|uint32(at), len(r)) })
	if number == a.last {
		c.used, c.due = 0, math.MaxInt64
		return
	}
	a.giveBack(number)
}

// giveBack drops a chunk that has no record any more.
func (a *arena) giveBack(number uint32) {
	a.all()[number] = nil
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
func (c *chunk) each(do func(at int, r record)) {
	for at := 0; at < c.used; {
		r := record(c.words[at:])
		r = r[:r.size()]
		do(at, r)
		at += len(r)
	}
}

// sessions calls do with the records that are held, by offset, from a chunk on,
// until it returns false.
func (a *arena) sessions(from uint32, do func(offset uint32, r record) bool) {
	for number, c := range a.all() {
		if c == nil || number < int(from) {
			continue
		}
		for at := 0; at < c.used; {
			r := record(c.words[at:])
			r = r[:r.size()]
			if r.held() && !do(uint32(number)<<chunkBits|uint32(at), r) {
				return
			}
			at += len(r)
		}
	}
}
