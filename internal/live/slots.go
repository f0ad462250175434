package live

// slots is a hash table of numbers (offsets of records), of which it knows no
// keys: who asks compares. They lie in lines, which are as long as those of the
// processor's cache, so that a search mostly waits for memory once. Beside each
// number stands its tag, 8 bits of its hash, so that few others are compared; 0 is
// of an empty place, and behind it all are empty. A table has no pointers, and
// takes 64 bytes for each 12 places, of which 58 to 87 % are used.
//
//	line  [ 7f 21 7f 00 … | r1 r2 r3  … |      ]
//	        12 tags         12 refs       4 bytes are free
//
// A number lies in its hash's home or, where that is full, in the next line that
// was not: so all lines between are full, and a search ends at one that is not.
// What is removed leaves no mark: those behind it move up.
//
// It grows all at once, which takes as long as 50 ns for each number. So a large
// set is spread over many tables.
type slots struct {
	lines []line
	n     int    // how many places are used
	space *space // of large tables; nil: they are of the heap
}

// A line is places of some numbers.
type line struct {
	tags [perLine]uint8
	refs [perLine]uint32
	_    uint32
}

const (
	perLine   = 12
	lineWords = 8
)

func tagOf(hash uint64) uint8 { return max(1, uint8(hash>>32)) }

// home is the line where a search for a hash begins.
func (t *slots) home(hash uint64) int {
	return int(uint64(uint32(hash)) * uint64(len(t.lines)) >> 32)
}

// A search goes through the numbers that may be of a hash.
type search struct {
	line, next int  // where it goes on
	at         spot // of the number that was found last
	tag        uint8
}

// A spot is where a number is.
type spot struct{ line, at int }

func (t *slots) search(hash uint64) search { return search{line: t.home(hash), tag: tagOf(hash)} }

// find returns the next number; false: there is no other.
func (t *slots) find(s *search) (ref uint32, ok bool) {
	if len(t.lines) == 0 {
		return 0, false
	}
	for {
		l := &t.lines[s.line]
		for at := s.next; at < perLine; at++ {
			switch l.tags[at] {
			case 0:
				return 0, false
			case s.tag:
				s.at, s.next = spot{s.line, at}, at+1
				return l.refs[at], true
			}
		}
		s.line, s.next = t.after(s.line), 0
	}
}

// set puts another number of the same hash in a place.
func (t *slots) set(at spot, ref uint32) { t.lines[at.line].refs[at.at] = ref }

// each calls do with all numbers.
func (t *slots) each(do func(ref uint32)) {
	for i := range t.lines {
		l := &t.lines[i]
		for at := 0; at < perLine && l.tags[at] != 0; at++ {
			do(l.refs[at])
		}
	}
}

func (t *slots) after(line int) int {
	if line++; line == len(t.lines) {
		return 0
	}
	return line
}

// add holds a number under its hash. hashOf returns the hash of those held.
func (t *slots) add(hash uint64, ref uint32, hashOf func(ref uint32) uint64) {
	if (t.n+1)*8 > len(t.lines)*perLine*7 {
		t.resize((t.n+1)*3/2, hashOf)
	}
	t.put(hash, ref)
	t.n++
}

func (t *slots) put(hash uint64, ref uint32) {
	at := t.home(hash)
	for t.lines[at].full() {
		at = t.after(at)
	}
	t.lines[at].add(tagOf(hash), ref)
}

// resize makes room for so many numbers.
func (t *slots) resize(size int, hashOf func(ref uint32) uint64) {
	old := *t
	t.lines = t.space.lines((size + perLine - 1) / perLine)
	old.each(func(ref uint32) { t.put(hashOf(ref), ref) })
	t.space.dropLines(old.lines)
}

// cut removes the number at a place that a search has found. One behind it moves
// there, if its search would end at the gap; then what is behind that one may.
func (t *slots) cut(at spot, hashOf func(ref uint32) uint64) {
	gap := at.line
	full := t.lines[gap].full()
	t.lines[gap].cut(at.at)
	for next := t.after(gap); full; next = t.after(next) {
		l := &t.lines[next]
		full = l.full()
		if at, ok := t.astray(next, gap, hashOf); ok {
			t.lines[gap].add(l.tags[at], l.refs[at])
			l.cut(at)
			gap = next
		}
	}
	if t.n--; len(t.lines) > leastShrunk && t.n*4 < len(t.lines)*perLine {
		t.resize(t.n*3/2, hashOf)
	}
}

// leastShrunk is how many lines a table keeps.
const leastShrunk = 6

// astray returns the place of a number in a line that a search finds only behind
// the gap.
func (t *slots) astray(line, gap int, hashOf func(ref uint32) uint64) (at int, ok bool) {
	l := &t.lines[line]
	for at := 0; at < perLine && l.tags[at] != 0; at++ {
		if t.distance(t.home(hashOf(l.refs[at])), line) >= t.distance(gap, line) {
			return at, true
		}
	}
	return 0, false
}

// distance is how many lines it is from one to another, forwards.
func (t *slots) distance(from, to int) int {
	if to < from {
		return to - from + len(t.lines)
	}
	return to - from
}

func (l *line) full() bool { return l.tags[perLine-1] != 0 }

// used returns how many places are used.
func (l *line) used() (n int) {
	for n < perLine && l.tags[n] != 0 {
		n++
	}
	return n
}

// add uses one more place of a line that is not full.
func (l *line) add(tag uint8, ref uint32) {
	n := l.used()
	l.tags[n], l.refs[n] = tag, ref
}

// cut removes a number; the last takes its place.
func (l *line) cut(at int) {
	last := l.used() - 1
	l.tags[at], l.refs[at] = l.tags[last], l.refs[last]
	l.tags[last] = 0
}
