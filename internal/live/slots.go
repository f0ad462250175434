package live

// slots is a hash table of numbers (offsets of records), of which it knows no
// keys: who asks compares. Of each it keeps 8 bits of the hash, the tag, beside
// it, so that few others are compared; 0 is of an empty slot. It has no pointers,
// and takes 5 bytes for each slot, of which 67 to 87 % are used.
//
//	tags   [ 0 | 7f | 21 | 7f |  0 | … ]   1 byte each
//	refs   [   | r1 | r2 | r3 |    | … ]   4 bytes each
//
// A number lies at its hash's home or, where that is taken, in the next slot that
// was empty: so all slots between are taken, and a search ends at an empty one.
// What is removed leaves no mark: those behind it move up.
//
// It grows all at once, which takes as long as 50 ns for each number. So a large
// set is spread over many tables.
type slots struct {
	tags []uint8
	refs []uint32
	n    int // how many are used
}

// leastSlots is the size of a table with anything in it.
const leastSlots = 8

func tagOf(hash uint64) uint8 { return max(1, uint8(hash>>32)) }

// home is where a search for a hash begins.
func (t *slots) home(hash uint64) int {
	return int(uint64(uint32(hash)) * uint64(len(t.tags)) >> 32)
}

// A search goes through the numbers that may be of a hash.
type search struct {
	next int
	at   int // of the number that was found last
	tag  uint8
}

func (t *slots) search(hash uint64) search { return search{next: t.home(hash), tag: tagOf(hash)} }

// find returns the next number; false: there is no other.
func (t *slots) find(s *search) (ref uint32, ok bool) {
	if len(t.tags) == 0 {
		return 0, false
	}
	for {
		tag := t.tags[s.next]
		if tag == 0 {
			return 0, false
		}
		s.at = s.next
		s.next = t.after(s.next)
		if tag == s.tag {
			return t.refs[s.at], true
		}
	}
}

func (t *slots) after(at int) int {
	if at++; at == len(t.tags) {
		return 0
	}
	return at
}

// add holds a number under its hash. hashOf returns the hash of those held.
func (t *slots) add(hash uint64, ref uint32, hashOf func(ref uint32) uint64) {
	if (t.n+1)*8 > len(t.tags)*7 {
		t.resize(max(leastSlots, (t.n+1)*3/2), hashOf)
	}
	t.put(hash, ref)
	t.n++
}

func (t *slots) put(hash uint64, ref uint32) {
	at := t.home(hash)
	for t.tags[at] != 0 {
		at = t.after(at)
	}
	t.tags[at], t.refs[at] = tagOf(hash), ref
}

func (t *slots) resize(size int, hashOf func(ref uint32) uint64) {
	old := *t
	t.tags, t.refs = make([]uint8, size), make([]uint32, size)
	for at, tag := range old.tags {
		if tag != 0 {
			t.put(hashOf(old.refs[at]), old.refs[at])
		}
	}
}

// cut removes the number at a place that a search has found. One behind it moves
// there, if its search would pass the gap; then what is behind that one may.
func (t *slots) cut(gap int, hashOf func(ref uint32) uint64) {
	for at := t.after(gap); t.tags[at] != 0; at = t.after(at) {
		home := t.home(hashOf(t.refs[at]))
		if t.distance(home, at) >= t.distance(gap, at) {
			t.tags[gap], t.refs[gap] = t.tags[at], t.refs[at]
			gap = at
		}
	}
	t.tags[gap] = 0
	if t.n--; len(t.tags) > 8*leastSlots && t.n*4 < len(t.tags) {
		t.resize(t.n*3/2, hashOf)
	}
}

// distance is how many slots it is from one to another, forwards.
func (t *slots) distance(from, to int) int {
	if to < from {
		return to - from + len(t.tags)
	}
	return to - from
}
