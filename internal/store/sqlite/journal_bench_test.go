package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
)

// BenchmarkClaimBesideSyncs is the time of a claim, 40,000 in a second, while
// somebody else has the file system commit as fast as it can: what it is to most,
// to 1 in 1,000 and to 1 in 10,000.
func BenchmarkClaimBesideSyncs(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, Options{})
	defer func() { must(b, s.Close()) }()
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { appendAndSync(b, filepath.Join(dir, "other"), stop) })
	took := make([]time.Duration, b.N)
	next := time.Now()
	for i := range took {
		for time.Until(next) > 0 {
		}
		start := time.Now()
		must(b, s.nonces.journal.add(b.Context(), record{live.KeyOfNonce("a1", fmt.Sprint(i)), start.UnixMilli()}))
		took[i] = time.Since(start)
		next = next.Add(25 * time.Microsecond)
		if late := time.Since(next); late > time.Millisecond {
			next = next.Add(late) // what could not come is not made up for
		}
	}
	b.StopTimer()
	close(stop)
	all.Wait()
	slices.Sort(took)
	for name, of := range map[string]int{"p99": 100, "p99.9": 1000, "p99.99": 10_000} {
		b.ReportMetric(float64(took[len(took)-1-len(took)/of]), "ns-"+name)
	}
}

func appendAndSync(b *testing.B, path string, stop chan struct{}) {
	f, err := os.Create(path)
	must(b, err)
	defer f.Close()
	for page := make([]byte, 4096); ; {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := f.Write(page); err != nil || f.Sync() != nil {
			b.Error("append:", err)
			return
		}
	}
}
