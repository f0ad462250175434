package live

import (
	"strings"
	"sync/atomic"
)

// A pool gives equal values one number, and counts who holds it. Numbers are
// small, and given again when nobody holds them. Its methods are called by one at
// a time, but for at.
type pool[T comparable] struct {
	numbers map[T]uint32
	values  vector[T]
	holders []int32
	free    []uint32
}

// hold returns the number of a value, for one more holder.
func (p *pool[T]) hold(value T) uint32 {
	number, ok := p.numbers[value]
	if !ok {
		number = p.add(value)
	}
	p.holders[number]++
	return number
}

func (p *pool[T]) add(value T) (number uint32) {
	if last := len(p.free) - 1; last >= 0 {
		number, p.free = p.free[last], p.free[:last]
	} else {
		number = p.values.grow()
		if p.holders == nil {
			p.holders = make([]int32, 0, vectorChunk)
		}
		p.holders = append(p.holders, 0)
	}
	*p.values.at(number) = value
	if p.numbers == nil {
		p.numbers = make(map[T]uint32)
	}
	p.numbers[value] = number
	return number
}

// release takes a holder away, and reports whether it was the last.
func (p *pool[T]) release(number uint32) (gone bool) {
	if p.holders[number]--; p.holders[number] > 0 {
		return false
	}
	value := p.values.at(number)
	delete(p.numbers, *value)
	*value = *new(T)
	p.free = append(p.free, number)
	return true
}

// at returns the value of a number that somebody holds all the while.
func (p *pool[T]) at(number uint32) T { return *p.values.at(number) }

// A vector is an array that grows and never moves, so that what is in it can be
// read while it grows.
type vector[T any] struct {
	chunks atomic.Pointer[[]*[vectorChunk]T]
	n      int
}

const vectorChunk = 32

func (v *vector[T]) at(i uint32) *T {
	return &(*v.chunks.Load())[i/vectorChunk][i%vectorChunk]
}

// grow returns the index of one more.
func (v *vector[T]) grow() uint32 {
	if v.n%vectorChunk == 0 {
		var chunks []*[vectorChunk]T
		if old := v.chunks.Load(); old != nil {
			chunks = *old
		}
		// What is behind the end of the old slice nobody reads.
		chunks = append(chunks, new([vectorChunk]T))
		v.chunks.Store(&chunks)
	}
	v.n++
	return uint32(v.n - 1)
}

// texts is a pool of texts, which are copied: they may be parts of larger ones.
type texts struct{ pool[string] }

func (t *texts) hold(text string) uint32 {
	number, known := t.numbers[text]
	if !known {
		number = t.add(strings.Clone(text))
	}
	t.holders[number]++
	return number
}
