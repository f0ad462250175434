package redis

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// Slots move to another master while all is in use: nothing is lost, and no call
// has an error other than that the engine is out.
func TestReshard(t *testing.T) {
	t.Parallel() // it waits most of the time
	cluster := enginetest.Cluster(t)
	o := fresh()
	o.Timeout = time.Second
	n := open(t, cluster.URL(), o)
	held := n.start("player1")
	calls := n.run(6)
	calls.more(100)
	cluster.Reshard(12)
	// Of a slot that is half on its way, keys are at both ends.
	home := roll.HomeOf("a1", "player1")
	p := n.keys().of(home)
	cluster.Move(p.tag, func() {
		for range 2 {
			unknown, err := n.sessions.Heartbeat(t.Context(), "s1", []string{held.ID}, n.Now())
			if err != nil {
				wantUnavailable(t, "heartbeat", err)
			} else if len(unknown) > 0 {
				t.Errorf("the session is unknown while its slot moves")
			}
		}
		list, err := n.sessions.OfMember(t.Context(), "a1", "player1", n.Now())
		if err != nil {
			wantUnavailable(t, "check", err) // what belongs together is apart
		} else if idsOf(list) != held.ID {
			t.Errorf("[%s] is there while the slot moves, want [%s]", idsOf(list), held.ID)
		}
		counts, err := n.sessions.Counts(t.Context())
		if err != nil {
			wantUnavailable(t, "count", err)
		} else if len(counts) == 0 {
			t.Error("no session is counted while a slot moves")
		}
	})
	calls.more(100)
	calls.check()
	k, e := n.kickOf("player1")
	ended, err := n.sessions.EndMember(t.Context(), "a1", "player1", e, &k)
	if must(t, err); len(ended) != 1 || ended[0].Reason != rollcall.EndKicked {
		t.Errorf("ended %v, want the session", ended)
	}
	t.Logf("%d sessions, a call took %v at the most, %d found a slot on its way", len(calls.started), calls.longest, calls.failed)
}
