package live_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

func session(id, username string, now time.Time) rollcall.Session {
	return rollcall.Session{
		ID: id, AgentID: "a1", Username: username, GameCode: "g1", Mode: rollcall.ModeReal, GameServer: "s1", LeaseSeconds: 90,
		StartedAt: now, SeenAt: now, ExpiresAt: now.Add(90 * time.Second), EndsAt: now.Add(12 * time.Hour),
	}
}

// What has expired is returned with the lease that it had in the end.
func TestExpiredHasItsLastLease(t *testing.T) {
	x, start := live.NewIndex(), time.UnixMilli(1_770_000_000_000)
	x.Add(session("s", "m", start))
	beat := start.Add(time.Minute)
	if !x.Renew("s", "s1", beat) {
		t.Fatal("the beat was refused")
	}
	end := beat.Add(90 * time.Second)
	if early := x.Expired(end.Add(-1), 10); len(early) != 0 {
		t.Errorf("expired early: %+v", early)
	}
	for range 2 { // until Remove
		got := x.Expired(end, 10)
		if len(got) != 1 || !got[0].ExpiresAt.Equal(end) || !got[0].SeenAt.Equal(beat) {
			t.Fatalf("got %+v, want one that expired at %s", got, end)
		}
	}
	if _, active := x.Get("s", end.Add(-1)); active || x.Renew("s", "s1", end.Add(-1)) {
		t.Error("what was handed out as expired is shown or renewed")
	}
	if got, ok := x.Remove("s"); !ok || !got.ExpiresAt.Equal(end) {
		t.Errorf("Remove: %+v, %v", got, ok)
	}
	if again := x.Expired(end, 10); len(again) != 0 {
		t.Errorf("removed and expired: %+v", again)
	}
}

// Beats from many sides leave the latest, whatever their order.
func TestBeatsNeverGoBack(t *testing.T) {
	x, start := live.NewIndex(), time.UnixMilli(1_770_000_000_000)
	x.Add(session("s", "m", start))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { x.Renew("s", "s1", start.Add(time.Duration(i)*time.Second)) })
	}
	all.Wait()
	last := start.Add(49 * time.Second)
	if s, ok := x.Get("s", last); !ok || !s.SeenAt.Equal(last) || !s.ExpiresAt.Equal(last.Add(90*time.Second)) {
		t.Errorf("got %+v, %v", s, ok)
	}
}

// Adds, beats, sweeps and removals of the same few from all sides end with as
// many as the counts say, and each is removed once.
func TestIndexFromAllSides(t *testing.T) {
	x, now := live.NewIndex(), time.UnixMilli(1_770_000_000_000)
	var added, removed atomic.Int64
	remove := func(id string) {
		if _, ok := x.Remove(id); ok {
			removed.Add(1)
		}
	}
	var all sync.WaitGroup
	for i := range 400 {
		id, username := fmt.Sprint("s", i%20), fmt.Sprint("m", i%3)
		all.Go(func() {
			if _, ok := x.Add(session(id, username, now)); ok {
				added.Add(1)
			}
			x.Renew(id, "s1", now.Add(time.Second))
			for _, s := range x.Expired(now.Add(time.Duration(i%2)*time.Hour), 3) {
				remove(s.ID)
			}
			if i%5 == 0 {
				for _, s := range x.AllOfMember("a1", username) {
					remove(s.ID)
				}
			}
			remove(id)
			x.OfMember("a1", username, now)
		})
	}
	all.Wait()
	left := 0
	for _, c := range x.Counts() {
		left += c.Count
	}
	if want := added.Load() - removed.Load(); int64(left) != want {
		t.Errorf("%d are counted, %d were added and not removed", left, want)
	}
}

func filled(b *testing.B, n int) (*live.Index, time.Time) {
	b.Helper()
	x, now := live.NewIndex(), time.UnixMilli(1_770_000_000_000)
	for i := range n {
		x.Add(session(fmt.Sprint("s", i), fmt.Sprint("m", i), now))
	}
	return x, now
}

// BenchmarkOfMember is the read of every check, with 100,000 live sessions.
func BenchmarkOfMember(b *testing.B) {
	x, now := filled(b, 100_000)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if len(x.OfMember("a1", "m4711", now)) != 1 {
				b.Error("not found")
			}
		}
	})
}

// BenchmarkRenew is one session's share of a Heartbeat.
func BenchmarkRenew(b *testing.B) {
	x, now := filled(b, 100_000)
	for b.Loop() {
		if !x.Renew("s4711", "s1", now) {
			b.Fatal("not renewed")
		}
	}
}

// BenchmarkExpired is a sweep that finds nothing, with 100,000 live sessions.
func BenchmarkExpired(b *testing.B) {
	x, now := filled(b, 100_000)
	for b.Loop() {
		if len(x.Expired(now, 1000)) != 0 {
			b.Fatal("expired")
		}
	}
}

// BenchmarkClaim is a nonce's way through the set.
func BenchmarkClaim(b *testing.B) {
	set, now := live.NewNonces(10*time.Minute), time.UnixMilli(1_770_000_000_000)
	nonce := make([]byte, 32)
	for i := 0; b.Loop(); i++ {
		nonce = fmt.Appendf(nonce[:0], "%032d", i)
		if !set.Claim(live.KeyOfNonce("a1", string(nonce)), now) {
			b.Fatal("refused")
		}
	}
}
