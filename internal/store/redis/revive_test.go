package redis

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// A lease that ran out while nobody swept begins afresh, and no heartbeat hears
// before that its session is unknown; a lifetime that is over stays over.
func TestRevive(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	kept, over := n.session("player1"), n.session("player2")
	over.EndsAt = over.ExpiresAt
	n.boot("s1", "b1")
	must(t, n.begin(t.Context(), kept))
	must(t, n.begin(t.Context(), over))
	later := n.Now().Add(kept.Lease() + time.Minute)
	_, err := n.engine.do(t.Context(), "test", write("SET", n.sessions.swept(), micros(n.clock.ofEngine().Add(-10*time.Minute))))
	must(t, err)
	_, err = n.sessions.Heartbeat(t.Context(), "s1", []string{kept.ID}, later)
	wantUnavailable(t, "a heartbeat before the sweep", err)
	ended, err := n.sessions.Expire(t.Context(), later, 10)
	must(t, err)
	if len(ended) != 1 || ended[0].ID != over.ID {
		t.Errorf("expired: %+v, want the one whose lifetime is over", ended)
	}
	unknown, err := n.sessions.Heartbeat(t.Context(), "s1", []string{kept.ID, over.ID}, later)
	must(t, err)
	if len(unknown) != 1 || unknown[0] != over.ID {
		t.Errorf("unknown: %v, want %s", unknown, over.ID)
	}
	got, err := n.sessions.Get(t.Context(), kept.ID, later)
	must(t, err)
	if want := later.Add(kept.Lease()); !got.ExpiresAt.Equal(want.Truncate(time.Microsecond)) {
		t.Errorf("expires at %s, want %s", got.ExpiresAt, want)
	}
	if ended, err = n.sessions.Expire(t.Context(), got.ExpiresAt, 10); err != nil || len(ended) != 1 {
		t.Errorf("expired: %+v, %v; want it swept as ever from now on", ended, err)
	}
}
