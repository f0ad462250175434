package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

func newClient(t *testing.T, address string) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}, DisableCache: true, ConnWriteTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestLimits(t *testing.T) {
	address := enginetest.Redis(t).Addr()
	client := newClient(t, address)
	var opened atomic.Int64
	storetest.RunLimits(t, func(_ *testing.T, now func() time.Time) roll.Limits {
		return newLimits(client, fmt.Sprintf("test%d", opened.Add(1)), now)
	})
}

// By the server's own clock: nodes share a bucket, and it is gone when it is
// full again.
func TestLimitsByTheServersClock(t *testing.T) {
	address := enginetest.Redis(t).Addr()
	client := newClient(t, address)
	ctx := t.Context()
	one, other := newLimits(client, "r", nil), newLimits(newClient(t, address), "r", nil)
	l := rollcall.RateLimit{PerSecond: 1, Burst: 3}
	for i, want := range []int{2, 1, 0} {
		granted, wait, err := []*limits{one, other, one}[i].Take(ctx, "a", l, 2)
		if err != nil || granted != want || (wait > 0) != (want == 0) || wait > time.Second {
			t.Fatalf("take %d: got %d, %s, %v; want %d", i, granted, wait, err, want)
		}
	}
	left, err := client.Do(ctx, client.B().Pttl().Key(one.key("a")).Build()).AsInt64()
	if err != nil || left <= 0 || left > 3002 {
		t.Errorf("the bucket is kept for %d ms (%v), want until it is full in 3 s", left, err)
	}
	if _, _, err := one.Take(ctx, "fast", rollcall.RateLimit{PerSecond: rollcall.MaxRate, Burst: 10}, 10); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		n, err := client.Do(ctx, client.B().Exists().Key(one.key("fast")).Build()).AsInt64()
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the bucket is still there when it is full: %v", err)
		}
		if n == 0 {
			return
		}
	}
}

func TestLimitsWithoutAServer(t *testing.T) {
	server := enginetest.Redis(t)
	l := newLimits(newClient(t, server.Addr()), "r", nil)
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	granted, _, err := l.Take(ctx, "a", rollcall.RateLimit{PerSecond: 1, Burst: 1}, 1)
	if granted != 0 || !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("got %d, %v; want ErrUnavailable", granted, err)
	}
}

// Three nodes that take ahead, on one real server and under load: together they
// let through what the limit says, and one call of each in a second, and hardly
// less.
func TestLimitsOfThreeNodes(t *testing.T) {
	address := enginetest.Redis(t).Addr()
	const nodes, took = 3, 2 * time.Second
	l := rollcall.RateLimit{PerSecond: 2000, Burst: 1000}
	var through, calls atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for range nodes {
		limiter := roll.NewLimiter(roll.LimiterOptions{
			Limits: newLimits(newClient(t, address), "r", nil), Local: live.NewBuckets(time.Now), Ahead: roll.DefaultAhead,
			OnLocal: func() { t.Error("the server did not answer in time") },
		})
		for range 4 {
			all.Go(func() {
				for time.Since(begun) < took {
					calls.Add(1)
					if limiter.Allow(t.Context(), "a", l) == nil {
						through.Add(1)
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
	}
	all.Wait()
	seconds := time.Since(begun).Seconds()
	want := int64(float64(l.Burst) + float64(l.PerSecond)*seconds)
	if got := through.Load(); got > want+nodes*int64(seconds+1) || got < want*8/10 {
		t.Errorf("%d of %d calls got through in %.2f s, want %d and hardly less", got, calls.Load(), seconds, want)
	}
}
