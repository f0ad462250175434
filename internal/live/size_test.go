package live_test

import (
	"runtime"
	"testing"

	"github.com/rollcall-server/rollcall/internal/live"
)

// What a live session costs, everything included: bytes, beside the heap too, and
// objects that the garbage collector knows.
func TestSessionsAreSmall(t *testing.T) {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := live.NewIndex()
	for i := range n {
		x.Add(crowdSession(i, agents[i%len(agents)]))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := float64(int(after.HeapAlloc-before.HeapAlloc)+x.Mapped()) / n
	objects := float64(after.HeapObjects-before.HeapObjects) / n
	t.Logf("%.1f bytes and %.4f objects a session", bytes, objects)
	if bytes > 100 {
		t.Errorf("a session takes %.1f bytes, want at most 100", bytes)
	}
	if objects > 0.1 {
		t.Errorf("there are %.3f objects a session, want at most 0.1", objects)
	}
	runtime.KeepAlive(x)
}

// A check's read allocates the answer: its sessions, and the texts of their IDs.
func TestReadsAllocateTheAnswer(t *testing.T) {
	c := newCrowd(1000)
	if n := testing.AllocsPerRun(1000, func() { c.index.OfMember(agents[1], c.names[11], c.now) }); n > 2 {
		t.Errorf("OfMember: %v allocations, want at most 2", n)
	}
	if n := testing.AllocsPerRun(1000, func() { c.index.OfMember(agents[1], "nobody", c.now) }); n > 0 {
		t.Errorf("OfMember of nobody: %v allocations, want none", n)
	}
	if n := testing.AllocsPerRun(1000, func() { c.index.Renew(c.ids[7], servers[3], c.now) }); n > 0 {
		t.Errorf("Renew: %v allocations, want none", n)
	}
}
