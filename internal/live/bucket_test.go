package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

// However many keys there are, the memory is bounded, and a key that keeps asking
// hardly profits from it.
func TestBucketsAreBounded(t *testing.T) {
	now := time.Unix(1_770_000_000, 0)
	b := NewBuckets(func() time.Time { return now })
	slow := rollcall.RateLimit{PerSecond: 1, Burst: 10}
	got := 0
	for i := range 400_000 {
		if _, _, err := b.Take(t.Context(), fmt.Sprintf("address %d", i), slow, 1); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			granted, _, _ := b.Take(t.Context(), "greedy", slow, 1)
			got += granted
		}
	}
	if n := b.Len(); n > bucketShards*maxBuckets {
		t.Errorf("%d buckets are held, want at most %d", n, bucketShards*maxBuckets)
	}
	if got > 5*slow.Burst {
		t.Errorf("one that asked 4,000 times got %d, want about %d", got, slow.Burst)
	}
}

// Buckets that are full again go, as others come.
func TestBucketsForgetWhatIsFull(t *testing.T) {
	now := time.Unix(1_770_000_000, 0)
	b := NewBuckets(func() time.Time { return now })
	l := rollcall.RateLimit{PerSecond: 1000, Burst: 10}
	for i := range 200_000 {
		now = now.Add(100 * time.Microsecond) // each is full again after 1 ms
		if granted, _, _ := b.Take(t.Context(), fmt.Sprintf("key %d", i), l, 1); granted != 1 {
			t.Fatal("a new bucket is not full")
		}
	}
	if n := b.Len(); n > bucketShards*8 {
		t.Errorf("%d buckets are held of some 10 that are not full", n)
	}
}

func BenchmarkBuckets(b *testing.B) {
	buckets := NewBuckets(time.Now)
	l := rollcall.RateLimit{PerSecond: rollcall.MaxRate, Burst: rollcall.MaxBurst}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := buckets.Take(b.Context(), "a1 /v2/members/sessions/check", l, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
