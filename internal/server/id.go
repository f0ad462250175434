package server

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// ids makes logUUIDs: version 7 UUIDs (RFC 9562, 5.7), each greater than all before
// it. It is safe for concurrent use.
type ids struct {
	last atomic.Int64 // when the last one was made, by ticks
}

// ticks are in a ms: the 12 bits behind it say how many have passed (RFC 9562, 6.2,
// method 3).
const ticks = 1 << 12

// next returns the one of a moment, or of a little later where another has that.
//
//	ms since 1970   48 bits
//	version, 7       4
//	ticks           12
//	variant, 2       2
//	random          62
func (i *ids) next(at time.Time, random *randomBytes) string {
	moment := i.claim(at)
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(moment/ticks)<<16|0x7000|uint64(moment%ticks))
	binary.BigEndian.PutUint64(id[8:], random.next()>>2|1<<63)
	var text [36]byte
	for _, part := range [...]struct{ from, to, at int }{{0, 4, 0}, {4, 6, 9}, {6, 8, 14}, {8, 10, 19}, {10, 16, 24}} {
		hex.Encode(text[part.at:], id[part.from:part.to])
		if part.at > 0 {
			text[part.at-1] = '-'
		}
	}
	return string(text[:])
}

// claim returns ticks since 1970 that nobody else has.
func (i *ids) claim(at time.Time) int64 {
	ms, rest := at.UnixMilli(), at.Nanosecond()%int(time.Millisecond)
	now := ms*ticks + int64(rest)*ticks/int64(time.Millisecond)
	for {
		last := i.last.Load()
		next := max(now, last+1)
		if i.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// randomBytes are cryptographically random, and each is used once. They are read
// many at a time.
type randomBytes struct {
	bytes [256]byte
	left  int
}

func (r *randomBytes) next() uint64 {
	const size = 8
	if r.left < size {
		rand.Read(r.bytes[:])
		r.left = len(r.bytes)
	}
	r.left -= size
	return binary.NativeEndian.Uint64(r.bytes[r.left:])
}
