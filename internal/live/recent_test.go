package live

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func TestRecentForgetsTheOldest(t *testing.T) {
	r := NewRecent[int](10)
	for i := range 100 {
		_, changes := r.Get(strconv.Itoa(i))
		r.Keep(strconv.Itoa(i), &i, changes)
		if zero, _ := r.Get("0"); zero == nil || *zero != 0 {
			t.Fatalf("what was asked for all the time is gone after %d others", i)
		}
		if held := len(r.young) + len(r.old); held > 10 {
			t.Fatalf("%d values are held, want 10 at the most", held)
		}
	}
	if last, _ := r.Get("99"); last == nil {
		t.Error("the last one is gone")
	}
	if second, _ := r.Get("1"); second != nil {
		t.Error("one that was asked for once, long ago, is held")
	}
}

// Whatever is read beside changes, nothing older is got than was there when it was
// asked for.
func TestRecentIsNeverBehind(t *testing.T) {
	r := NewRecent[int64](10)
	var truth atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20_000 {
				least := truth.Load()
				value, changes := r.Get("k")
				if value == nil {
					now := truth.Load()
					value = &now
					r.Keep("k", value, changes)
				}
				if *value < least-1 { // the last change may not have been told yet
					t.Errorf("got %d where %d was there", *value, least)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range 20_000 {
			truth.Add(1)
			r.Change("k")
		}
	})
	all.Wait()
	if value, _ := r.Get("k"); value != nil && *value != truth.Load() {
		t.Errorf("%d is held where %d is", *value, truth.Load())
	}
}
