package sqlite

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// A key is the 16 bytes of a UUID, as numbers. A version 7 UUID begins with 48
// bits of Unix ms; of others that is any number.
type key struct{ hi, lo uint64 }

// keyOf returns the key of a text, if that is a UUID in the one form in which they
// are written.
func keyOf(text string) (k key, ok bool) {
	k.hi, k.lo, ok = live.ParseUUID(text)
	return k, ok
}

// keyFrom is the inverse of bytes.
func keyFrom(b []byte) key { return key{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

func (k key) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), k.hi), k.lo)
}

func (k key) String() string { return uuid.UUID(k.bytes()).String() }

func (k key) millis() uint64 { return k.hi >> 16 }

// nanos overflows where the UUID is not of version 7, which does no harm.
func (k key) nanos() int64 { return int64(k.millis() * uint64(time.Millisecond)) }

func (k key) compare(other key) int {
	if c := cmp.Compare(k.hi, other.hi); c != 0 {
		return c
	}
	return cmp.Compare(k.lo, other.lo)
}

// lessSpan returns a key that is at most as great as the first of any batch that
// k lies in.
func (k key) lessSpan() key {
	return key{k.hi - min(k.hi, uint64(batchSpan.Milliseconds()+1)<<16), 0}
}

// A keyed is a record and its key.
type keyed struct {
	key key
	of  *rollcall.RequestRecord
}

// byKey returns the records by key, of those of one key the first, and apart
// those that have none.
func byKey(records []rollcall.RequestRecord) (list []keyed, odd []*rollcall.RequestRecord) {
	list = make([]keyed, 0, len(records))
	for i := range records {
		if k, ok := keyOf(records[i].LogUUID); ok {
			list = append(list, keyed{k, &records[i]})
		} else {
			odd = append(odd, &records[i])
		}
	}
	slices.SortStableFunc(list, func(a, b keyed) int { return a.key.compare(b.key) })
	return slices.CompactFunc(list, func(a, b keyed) bool { return a.key == b.key }), odd
}

// batchSpan is how far apart the records of a batch may be, by their UUIDs and by
// their At: a lookup goes back so far, and a record outlives its time by so much.
// batchCount is how many there may be.
const (
	batchSpan  = 10 * time.Second
	batchCount = 2000
)

// batchOf returns how many of the first records make up a batch, and when the
// youngest of these was.
func batchOf(records []keyed) (n int, newest int64) {
	first := records[0].key.millis()
	oldest := int64(math.MaxInt64)
	newest = math.MinInt64
	for i := range records[:min(len(records), batchCount)] {
		at := records[i].of.At.UnixMilli()
		from, to := min(oldest, at), max(newest, at)
		if i > 0 && (records[i].key.millis()-first > uint64(batchSpan.Milliseconds()) || to-from > batchSpan.Milliseconds()) {
			return i, newest
		}
		oldest, newest = from, to
	}
	return min(len(records), batchCount), newest
}
