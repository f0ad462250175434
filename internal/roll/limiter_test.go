package roll_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// farLimits are another store's, some time away; or it does not answer.
type farLimits struct {
	roll.Limits

	away  time.Duration
	gone  atomic.Bool
	asked atomic.Int64
}

func (f *farLimits) Take(ctx context.Context, key string, l rollcall.RateLimit, n int) (int, time.Duration, error) {
	f.asked.Add(1)
	time.Sleep(f.away)
	if f.gone.Load() {
		<-ctx.Done()
		return 0, 0, rollcall.ErrUnavailable
	}
	return f.Limits.Take(ctx, key, l, n)
}

func newFar(t *testing.T, away time.Duration) *farLimits {
	t.Cleanup(func() { time.Sleep(time.Second) }) // what is asked for in the background is answered
	return &farLimits{Limits: memory.New(memory.Options{}).Stores().Limits, away: away}
}

func newLimiter(limits roll.Limits, ahead time.Duration) *roll.Limiter {
	return roll.NewLimiter(roll.LimiterOptions{Limits: limits, Local: memory.New(memory.Options{}).Stores().Limits, Ahead: ahead})
}

// However many nodes ask, and however unevenly, they let no more through than the
// limit and the one call of each in a second, and hardly less.
func TestLimiterOfSeveralNodes(t *testing.T) {
	for _, l := range []rollcall.RateLimit{{PerSecond: 1000, Burst: 500}, {PerSecond: 200, Burst: 2000}, {PerSecond: 60, Burst: 60}} {
		synctest.Test(t, func(t *testing.T) {
			const nodes, seconds = 3, 20
			far, start := newFar(t, 2*time.Millisecond), time.Now()
			var mu sync.Mutex
			var through []time.Duration
			var all sync.WaitGroup
			for range nodes {
				limiter := newLimiter(far, roll.DefaultAhead)
				for range 4 {
					all.Go(func() {
						for time.Since(start) < seconds*time.Second {
							if limiter.Allow(t.Context(), "a", l) == nil {
								mu.Lock()
								through = append(through, time.Since(start))
								mu.Unlock()
							}
							time.Sleep(rand.N(time.Second) / time.Duration(l.PerSecond))
							if rand.N(2000) == 0 {
								time.Sleep(rand.N(3 * time.Second))
							}
						}
					})
				}
			}
			all.Wait()
			most := l.Burst + l.PerSecond*seconds
			if got := len(through); got > most+nodes*(seconds+1) || got < most*9/10 {
				t.Errorf("%+v: %d got through in %d s, want %d and hardly less", l, got, seconds, most)
			}
			checkWindows(t, l, nodes, through)
		})
	}
}

// checkWindows holds each window of time to what the Limiter's comment says.
func checkWindows(t *testing.T, l rollcall.RateLimit, nodes int, through []time.Duration) {
	t.Helper()
	for from := 0; from < len(through); from += 17 {
		for to := from; to < len(through); to += 41 {
			window := (through[to] - through[from]).Seconds()
			if most := float64(l.Burst) + float64(l.PerSecond)*(window+1) + float64(nodes)*(window+2); float64(to-from) > most {
				t.Fatalf("%+v: %d got through from %s to %s, want at most %.0f", l, to-from, through[from], through[to], most)
			}
		}
	}
}

// Small limits are exact: each call is asked for.
func TestLimiterIsExactWhereSmall(t *testing.T) {
	for _, l := range []rollcall.RateLimit{{PerSecond: 1, Burst: 3}, {PerSecond: 39, Burst: 50}, {PerSecond: 5000, Burst: 7}} {
		synctest.Test(t, func(t *testing.T) {
			far := newFar(t, 0)
			var got int
			nodes := []*roll.Limiter{newLimiter(far, roll.DefaultAhead), newLimiter(far, roll.DefaultAhead), newLimiter(far, 0)}
			for i := range 300 {
				if nodes[i%3].Allow(t.Context(), "a", l) == nil {
					got++
				}
			}
			if got != l.Burst {
				t.Errorf("%+v: %d got through at once, want %d", l, got, l.Burst)
			}
			err := nodes[0].Allow(t.Context(), "a", l)
			refused, ok := errors.AsType[*roll.RateError](err)
			if !ok || !errors.Is(err, rollcall.ErrTooManyRequests) || refused.RetryAfter <= 0 || refused.RetryAfter > time.Second {
				t.Fatalf("got %v", err)
			}
			time.Sleep(refused.RetryAfter)
			if err := nodes[1].Allow(t.Context(), "a", l); err != nil {
				t.Errorf("%+v: after its RetryAfter: %v", l, err)
			}
		})
	}
}

// A call does not wait for a store that is far away, neither in the first of its
// calls after a pause nor later, and the store is asked seldom.
func TestLimiterDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFar(t, 5*time.Millisecond)
		limiter := newLimiter(far, roll.DefaultAhead)
		l := rollcall.RateLimit{PerSecond: 10_000, Burst: 20_000}
		const calls = 50_000
		waited := 0
		for range calls {
			begun := time.Now()
			if err := limiter.Allow(t.Context(), "a", l); err != nil {
				t.Fatal(err)
			}
			if time.Since(begun) > 0 {
				waited++
			}
			time.Sleep(200 * time.Microsecond)
		}
		if asked := far.asked.Load(); waited > 20 || asked > calls/100 {
			t.Errorf("of %d calls %d waited, and the store was asked %d times", calls, waited, asked)
		}
		for range 5 {
			time.Sleep(10 * time.Second)
			begun := time.Now()
			if err := limiter.Allow(t.Context(), "a", l); err != nil || time.Since(begun) > 0 {
				t.Errorf("after a pause: %v, and it waited for %s", err, time.Since(begun))
			}
		}
	})
}

// Many nodes with little to do do not use a limit up that they all keep to.
func TestLimiterWastesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newFar(t, time.Millisecond)
		l := rollcall.RateLimit{PerSecond: 1000, Burst: 200}
		var all sync.WaitGroup
		for range 30 {
			limiter := newLimiter(far, roll.DefaultAhead)
			all.Go(func() {
				for range 400 {
					time.Sleep(rand.N(100 * time.Millisecond)) // 600 a second of all
					if err := limiter.Allow(t.Context(), "a", l); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}

// A store that does not answer makes nobody wait for long, and each node goes by
// a bucket of its own until it is back.
func TestLimiterWithoutItsStore(t *testing.T) {
	for _, ahead := range []time.Duration{0, roll.DefaultAhead} {
		synctest.Test(t, func(t *testing.T) {
			far := newFar(t, time.Millisecond)
			var local atomic.Int64
			limiter := roll.NewLimiter(roll.LimiterOptions{
				Limits: far, Local: memory.New(memory.Options{}).Stores().Limits, Ahead: ahead, OnLocal: func() { local.Add(1) },
			})
			l := rollcall.RateLimit{PerSecond: 10, Burst: 5}
			far.gone.Store(true)
			begun := time.Now()
			got := 0
			for range 100 {
				if limiter.Allow(t.Context(), "a", l) == nil {
					got++
				}
			}
			if took := time.Since(begun); got != l.Burst || local.Load() != 100 || took > time.Second {
				t.Errorf("%d of 100 got through in %s, %d by the local bucket; want %d", got, took, local.Load(), l.Burst)
			}
			far.gone.Store(false)
			time.Sleep(2 * time.Second)
			for range l.Burst {
				if err := limiter.Allow(t.Context(), "a", l); err != nil {
					t.Errorf("the store is back: %v", err)
				}
			}
			if local.Load() != 100 {
				t.Errorf("%d were judged locally after the store was back", local.Load()-100)
			}
		})
	}
}

// What an operator changes counts at once, and no limit is none.
func TestLimiterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newLimiter(newFar(t, 0), roll.DefaultAhead)
		for range 1000 {
			if err := limiter.Allow(t.Context(), "a", rollcall.RateLimit{}); err != nil {
				t.Fatal(err)
			}
		}
		small, large := rollcall.RateLimit{PerSecond: 1, Burst: 1}, rollcall.RateLimit{PerSecond: 1_000_000}
		if limiter.Allow(t.Context(), "a", small) != nil || limiter.Allow(t.Context(), "a", small) == nil {
			t.Error("want one of two")
		}
		time.Sleep(time.Millisecond)
		if err := limiter.Allow(t.Context(), "a", large); err != nil {
			t.Error(err)
		}
		if err := limiter.Allow(t.Context(), "b", small); err != nil {
			t.Error(err)
		}
	})
}
