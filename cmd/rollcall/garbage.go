package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// headroom is about how much garbage may gather beside what is live, in bytes.
	// A few sessions take less, and Go's default is as much as they. A million take
	// more, but have no pointers: to look for garbage among them costs little, and
	// to let as much gather would double the memory.
	headroom = 48 << 20
	// leastPercent is of what is live, however much that is.
	leastPercent = 20
	// garbageEvery is how often headroom is looked after.
	garbageEvery = time.Second
)

// limitGarbage keeps the garbage that may gather at about headroom, until ctx
// ends, or where sessions are not remote at what is live if that is less. GOGC in
// the environment is the operator's word, and stays.
func limitGarbage(ctx context.Context, remote bool) {
	if os.Getenv("GOGC") != "" {
		return
	}
	if remote {
		// Nothing is live in such a node but some MiB, and what it reads of the engine
		// is garbage. So much is never touched, so it takes no memory; but it counts as
		// live, so that as much garbage may gather beside it.
		ballast := make([]byte, headroom)
		defer runtime.KeepAlive(ballast)
	}
	tick := time.NewTicker(garbageEvery)
	defer tick.Stop()
	set := 100 // Go's default
	for {
		if want := gcPercent(liveBytes()); want*10 < set*9 || want*9 > set*10 {
			debug.SetGCPercent(want) // stops the world for a moment, so not at each small change
			set = want
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is how much garbage may gather, in percent of what is live.
func gcPercent(live uint64) int {
	return int(min(100, max(leastPercent, headroom*100/max(live, 1))))
}

// liveBytes is how much the last collection found live.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
