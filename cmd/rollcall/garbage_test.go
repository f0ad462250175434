package main

import (
	"runtime"
	"testing"
)

// Garbage that may gather is as much as is live, up to headroom; and a fifth at
// least.
func TestGCPercent(t *testing.T) {
	for _, row := range []struct {
		live uint64
		want int
	}{
		{0, 100}, {4 << 20, 100}, {48 << 20, 100}, {96 << 20, 50}, {192 << 20, 25}, {240 << 20, 20}, {10 << 30, 20},
	} {
		if got := gcPercent(row.live); got != row.want {
			t.Errorf("%d bytes live: %d %%, want %d", row.live, got, row.want)
		}
	}
}

// What is live is what the collector says: this runtime knows the figure.
func TestLiveBytes(t *testing.T) {
	runtime.GC()
	before := liveBytes()
	big := make([]byte, 64<<20)
	runtime.GC()
	if got := liveBytes(); before == 0 || got < before+32<<20 {
		t.Errorf("%d bytes are live with 64 MiB more than %d", got, before)
	}
	runtime.KeepAlive(big)
}
