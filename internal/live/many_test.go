package live

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Sessions of which there are so many that arenas and tables are beside the heap
// are found as long as they are there, and leave nothing of it behind.
func TestManySessionsComeAndGo(t *testing.T) {
	const shards, n = 4, 40_000
	x, random := newIndex(shards), rand.New(rand.NewPCG(1, 2))
	now := time.UnixMilli(1_770_000_000_000).UTC()
	all := make([]rollcall.Session, n)
	for i := range all {
		all[i] = rollcall.Session{
			ID: roll.NewSessionID(now, roll.Home(i)), AgentID: fmt.Sprint("a", i%8/7), Username: fmt.Sprint("m", i), GameCode: "g", GameServer: "s",
			StartedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Minute), EndsAt: now.Add(time.Hour), LeaseSeconds: 60,
		}
	}
	held := make([]bool, n)
	turn := func(i int) {
		if held[i] = !held[i]; held[i] {
			if _, added := x.Add(all[i]); !added {
				t.Fatalf("%s was not added", all[i].Username)
			}
		} else if s, ok := x.Remove(all[i].ID); !ok || s != all[i] {
			t.Fatalf("removed %+v, %v, want %+v", s, ok, all[i])
		}
	}
	check := func() {
		t.Helper()
		for i := range all {
			found := x.OfMember(all[i].AgentID, all[i].Username, now)
			s, active := x.Get(all[i].ID, now)
			if active != held[i] || len(found) == 1 != held[i] || held[i] && (found[0] != all[i] || s != all[i]) {
				t.Fatalf("%s is there: %v, got %+v and %+v", all[i].Username, held[i], found, s)
			}
		}
	}
	for _, i := range random.Perm(n) {
		turn(i)
	}
	if len(x.members[0].arena.space.blocks) == 0 {
		t.Fatal("nothing is beside the heap: this test tries nothing")
	}
	check()
	for range 2 * n {
		turn(random.IntN(n))
	}
	check()
	for i := range held {
		if held[i] {
			turn(i)
		}
	}
	// Of each arena the last chunk stays.
	chunks := 0
	for _, b := range x.members[0].arena.space.blocks {
		chunks += b.used
	}
	if chunks > shards {
		t.Errorf("%d chunks are left, want %d at the most", chunks, shards)
	}
}
