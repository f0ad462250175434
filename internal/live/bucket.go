package live

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

// unit is a token's size. By a clock in µs a bucket gets PerSecond units in each
// tick, so that everything is whole numbers, which Lua's floats hold exactly too:
// a bucket in Redis does the very same. (GCRA's one number, the time at which the
// bucket is full, would be rounded at each take, by a third where a token takes
// 1.4 µs.)
const unit = 1_000_000

// A bucket is a token bucket; its times are Unix µs.
type bucket struct {
	level int64 // in units, at the moment at
	at    int64
	full  int64 // when it is full again, and may be forgotten
}

// take takes up to n tokens at now. wait is in how many µs there is one, where
// it got none.
func (b *bucket) take(now int64, l rollcall.RateLimit, n int) (granted int, wait int64) {
	most, rate := int64(l.Burst)*unit, int64(l.PerSecond)
	b.level = min(b.level, most) // the limit may have changed
	// Before it is multiplied the time is compared: it may be years.
	if passed := now - b.at; passed >= ceil(most-b.level, rate) {
		b.level = most
	} else if passed > 0 {
		b.level += passed * rate
	}
	granted = int(min(int64(n), b.level/unit))
	b.level -= int64(granted) * unit
	b.at = now
	b.full = now + ceil(most-b.level, rate)
	if granted == 0 {
		wait = ceil(unit-b.level, rate)
	}
	return granted, wait
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

const (
	bucketShards = 64
	// maxBuckets bounds a shard; all of them hold some 30 MB at the most.
	maxBuckets = 4096
	// lookAt is how many others a new bucket looks at. Those that are full go, so
	// that they are a quarter of all at the most in the long run.
	lookAt = 4
)

// Buckets are token buckets in this process's memory: roll.Limits of one node.
// One that is full again is forgotten. Where more of them are not full than fit,
// some are forgotten at random: who has so many keys is not bound by a bucket.
// They are safe for concurrent use.
type Buckets struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [bucketShards]bucketShard
}

type bucketShard struct {
	mu sync.Mutex
	of map[string]*bucket
}

// NewBuckets makes Buckets that go by now.
func NewBuckets(now func() time.Time) *Buckets {
	b := &Buckets{now: now, seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].of = make(map[string]*bucket)
	}
	return b
}

// Take is roll.Limits.Take, and never fails.
func (b *Buckets) Take(_ context.Context, key string, l rollcall.RateLimit, n int) (granted int, retryAfter time.Duration, err error) {
	s := &b.shards[maphash.String(b.seed, key)%bucketShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	// Within the lock, or a clock that two read in turns would go back.
	now := b.now().UnixMicro()
	one, ok := s.of[key]
	if !ok {
		s.makeRoom(now)
		one = &bucket{level: int64(l.Burst) * unit, at: now}
		s.of[key] = one
	}
	granted, wait := one.take(now, l, n)
	return granted, time.Duration(wait) * time.Microsecond, nil
}

// makeRoom looks at a few buckets, others each time, and forgets those that are
// full; one of them in any case where there are too many. So a take costs the
// same however many there are.
func (s *bucketShard) makeRoom(now int64) {
	looked := 0
	for key, one := range s.of { // in an order that is another each time
		if looked++; looked > lookAt {
			return
		}
		if one.full <= now || len(s.of) >= maxBuckets {
			delete(s.of, key)
		}
	}
}

// Len returns how many buckets are held.
func (b *Buckets) Len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.of)
		s.mu.Unlock()
	}
	return n
}
