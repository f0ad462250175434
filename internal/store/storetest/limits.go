package storetest

import (
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var ofLimits = map[string]func(*testing.T, *fixture){
	"LimitBurst":     testLimitBurst,
	"LimitRefill":    testLimitRefill,
	"LimitAtOnce":    testLimitAtOnce,
	"LimitKeys":      testLimitKeys,
	"LimitChanged":   testLimitChanged,
	"LimitClockBack": testLimitClockBack,
	"LimitRandom":    testLimitRandom,
}

// RunLimits runs the part of the suite that is about roll.Limits alone; open opens
// empty ones whose clock is now.
func RunLimits(t *testing.T, open func(t *testing.T, now func() time.Time) roll.Limits) {
	for name, test := range ofLimits {
		t.Run(name, func(t *testing.T) {
			f := &fixture{}
			f.set(time.UnixMilli(1_770_000_000_000))
			f.Limits = open(t, func() time.Time { return *f.clock.Load() })
			test(t, f)
		})
	}
}

// wantTake takes n and holds what came back against what is wanted.
func (f *fixture) wantTake(t *testing.T, key string, l rollcall.RateLimit, n, granted int, retryAfter time.Duration) {
	t.Helper()
	got, wait, err := f.Limits.Take(t.Context(), key, l, n)
	if err != nil || got != granted || wait != retryAfter {
		t.Fatalf("take %d of %q under %+v: got %d, %s, %v; want %d, %s", n, key, l, got, wait, err, granted, retryAfter)
	}
}

func testLimitBurst(t *testing.T, f *fixture) {
	l := rollcall.RateLimit{PerSecond: 10, Burst: 5}
	f.wantTake(t, "a", l, 1, 1, 0)
	f.wantTake(t, "a", l, 3, 3, 0)
	f.wantTake(t, "a", l, 3, 1, 0) // what is left
	for range 3 {
		f.wantTake(t, "a", l, 1, 0, 100*time.Millisecond) // and asking costs nothing
	}
	f.set(f.now.Add(time.Hour))
	f.wantTake(t, "a", l, 100, 5, 0) // never more than the burst
	f.wantTake(t, "new", rollcall.RateLimit{PerSecond: 1, Burst: 1}, 100, 1, 0)
	most := rollcall.RateLimit{PerSecond: rollcall.MaxRate, Burst: rollcall.MaxBurst}
	f.wantTake(t, "most", most, rollcall.MaxBurst-1, rollcall.MaxBurst-1, 0)
	f.wantTake(t, "most", most, 2, 1, 0)
	f.wantTake(t, "most", most, 1, 0, time.Microsecond)
	f.set(f.now.Add(time.Microsecond))
	f.wantTake(t, "most", most, 2, 1, 0)
}

// A third of a second is no whole number of µs: a token is not there too early,
// and what is left of a µs is not lost.
func testLimitRefill(t *testing.T, f *fixture) {
	l := rollcall.RateLimit{PerSecond: 3, Burst: 2}
	start := f.now
	f.wantTake(t, "a", l, 2, 2, 0)
	f.wantTake(t, "a", l, 1, 0, 333_334*time.Microsecond)
	f.set(start.Add(333_333 * time.Microsecond))
	f.wantTake(t, "a", l, 1, 0, time.Microsecond)
	f.set(start.Add(333_334 * time.Microsecond))
	f.wantTake(t, "a", l, 1, 1, 0)
	f.set(start.Add(time.Second))
	f.wantTake(t, "a", l, 9, 2, 0)
	f.wantTake(t, "a", l, 1, 0, 333_334*time.Microsecond)
	total := 0
	for step := range 300 { // each second three, for good
		f.set(start.Add(time.Second + time.Duration(step+1)*100*time.Millisecond))
		granted, _, err := f.Limits.Take(t.Context(), "a", l, 9)
		must(t, err)
		total += granted
	}
	if total != 90 {
		t.Errorf("got %d in 30 s, want 90", total)
	}
}

// Of whatever takes at once, all together get what is there.
func testLimitAtOnce(t *testing.T, f *fixture) {
	const burst = 1000
	l := rollcall.RateLimit{PerSecond: 7, Burst: burst}
	for round := range 3 {
		key := fmt.Sprintf("round %d", round)
		var got atomic.Int64
		var all sync.WaitGroup
		for side := range 32 {
			all.Go(func() {
				for {
					granted, _, err := f.Limits.Take(t.Context(), key, l, 1+side%3)
					if err != nil {
						t.Error(err)
					}
					if granted == 0 {
						return
					}
					got.Add(int64(granted))
				}
			})
		}
		all.Wait()
		if got.Load() != burst {
			t.Errorf("got %d tokens, want %d", got.Load(), burst)
		}
	}
}

func testLimitKeys(t *testing.T, f *fixture) {
	l := rollcall.RateLimit{PerSecond: 1, Burst: 2}
	for _, key := range []string{"a", "a/b", "a b", "A", "{a}", "a\x00", "é", "a:1"} {
		f.wantTake(t, key, l, 3, 2, 0)
	}
	f.wantTake(t, "a", l, 3, 0, time.Second)
}

func testLimitChanged(t *testing.T, f *fixture) {
	f.wantTake(t, "a", rollcall.RateLimit{PerSecond: 10, Burst: 100}, 40, 40, 0)
	f.wantTake(t, "a", rollcall.RateLimit{PerSecond: 10, Burst: 50}, 10, 10, 0) // 60 were left: 50 fit
	f.wantTake(t, "a", rollcall.RateLimit{PerSecond: 20, Burst: 1000}, 99, 40, 0)
	f.wantTake(t, "a", rollcall.RateLimit{PerSecond: 20, Burst: 1000}, 1, 0, 50*time.Millisecond)
	f.set(f.now.Add(time.Second))
	f.wantTake(t, "a", rollcall.RateLimit{PerSecond: 5, Burst: 1000}, 99, 5, 0) // the rate that counts is the last one named
}

func testLimitClockBack(t *testing.T, f *fixture) {
	l := rollcall.RateLimit{PerSecond: 10, Burst: 10}
	f.wantTake(t, "a", l, 10, 10, 0)
	f.set(f.now.Add(-time.Hour))
	f.wantTake(t, "a", l, 1, 0, 100*time.Millisecond)
	f.set(f.now.Add(200 * time.Millisecond)) // it goes on from there
	f.wantTake(t, "a", l, 3, 2, 0)
}

// An exactBucket is a bucket kept the simplest way: in fractions.
type exactBucket struct {
	tokens *big.Rat
	at     time.Time
}

func (b *exactBucket) take(now time.Time, l rollcall.RateLimit, n int) (granted int, wait time.Duration) {
	burst := new(big.Rat).SetInt64(int64(l.Burst))
	if b.tokens == nil {
		b.tokens, b.at = burst, now
	}
	passed := big.NewRat(max(0, now.Sub(b.at).Microseconds()), 1_000_000)
	come := passed.Mul(passed, big.NewRat(int64(l.PerSecond), 1))
	b.tokens = minRat(come.Add(come, minRat(b.tokens, burst)), burst)
	b.at = now
	whole := new(big.Int).Quo(b.tokens.Num(), b.tokens.Denom())
	granted = min(n, int(whole.Int64()))
	b.tokens = new(big.Rat).Sub(b.tokens, big.NewRat(int64(granted), 1))
	if granted > 0 {
		return granted, 0
	}
	missing := new(big.Rat).Sub(big.NewRat(1_000_000, 1), new(big.Rat).Mul(b.tokens, big.NewRat(1_000_000, 1)))
	missing.Quo(missing, big.NewRat(int64(l.PerSecond), 1))
	up := new(big.Int).Add(missing.Num(), missing.Denom())
	up.Sub(up, big.NewInt(1)).Quo(up, missing.Denom())
	return 0, time.Duration(up.Int64()) * time.Microsecond
}

func minRat(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) < 0 {
		return new(big.Rat).Set(a)
	}
	return new(big.Rat).Set(b)
}

// Whatever is taken, at whatever times and under whatever limits, a backend does
// what the model does, to the token and the µs.
func testLimitRandom(t *testing.T, f *fixture) {
	check, start := 0, f.now
	rapid.Check(t, func(r *rapid.T) {
		check++ // so that each has buckets of its own
		f.set(start)
		model := map[string]*exactBucket{}
		limit := rapid.Custom(func(r *rapid.T) rollcall.RateLimit {
			most := rapid.SampledFrom([]int{5, 100, 30_000, rollcall.MaxRate}).Draw(r, "most")
			return rollcall.RateLimit{PerSecond: rapid.IntRange(1, most).Draw(r, "perSecond"), Burst: rapid.IntRange(1, most).Draw(r, "burst")}
		})
		limits := rapid.SliceOfN(limit, 1, 3).Draw(r, "limits")
		take := func(key string, l rollcall.RateLimit, n int) {
			if model[key] == nil {
				model[key] = &exactBucket{}
			}
			want, wantWait := model[key].take(f.now, l, n)
			got, wait, err := f.Limits.Take(t.Context(), key, l, n)
			if err != nil || got != want || wait != wantWait {
				r.Fatalf("take %d of %q under %+v: got %d, %s, %v; want %d, %s", n, key, l, got, wait, err, want, wantWait)
			}
		}
		keys := []string{fmt.Sprint(check, " 1"), fmt.Sprint(check, " 2")}
		for _, key := range keys { // a new bucket may have another forgotten that is full
			take(key, limits[0], 1)
		}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			scale := rapid.SampledFrom([]int64{0, 3, 1000, 1_000_000, 1e12}).Draw(r, "scale")
			f.set(f.now.Add(time.Duration(rapid.Int64Range(-scale/8, scale).Draw(r, "passed")) * time.Microsecond))
			key := rapid.SampledFrom(keys).Draw(r, "key")
			l := rapid.SampledFrom(limits).Draw(r, "limit")
			take(key, l, rapid.IntRange(1, 1+rapid.SampledFrom([]int{0, 2, l.Burst}).Draw(r, "up to")).Draw(r, "n"))
		}
	})
}
