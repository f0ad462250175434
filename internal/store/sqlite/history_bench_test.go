package sqlite

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-server/rollcall"
)

// checked is the record of a check that was answered with 0.
func checked(random *rand.Rand) rollcall.RequestRecord {
	r := rollcall.RequestRecord{
		LogUUID: newID(), At: time.Now().UTC(), Endpoint: "/v2/members/sessions/check", AgentID: "agent",
		Username: fmt.Sprintf("player%06d", random.IntN(1e6)), Remote: "192.0.2.17", Status: 200, TookNanos: 20_000 + random.Int64N(100_000),
	}
	for _, name := range []string{
		"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token", "rate", "cipherText", "nonce", "plaintext", "branch", "member",
	} {
		r.Checks = append(r.Checks, rollcall.RequestCheck{Name: name, Passed: true, TookNanos: 100 + random.Int64N(5000)})
	}
	return r
}

// cpu is the time that the process has had of processors.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var t unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// BenchmarkAddRequests is the cost of a record in batches of 100 and of 1,000, as
// time and as time of processors, and how much of the disk one takes.
func BenchmarkAddRequests(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			defer func() { must(b, s.Close()) }()
			random := rand.New(rand.NewPCG(1, 2))
			batch := make([]rollcall.RequestRecord, 0, size)
			b.ReportAllocs()
			b.StopTimer()
			var took time.Duration
			for n := range b.N {
				if batch = append(batch, checked(random)); len(batch) == size || n == b.N-1 {
					b.StartTimer()
					before := cpu(b)
					must(b, s.history.AddRequests(b.Context(), batch))
					took += cpu(b) - before
					b.StopTimer()
					batch = batch[:0]
				}
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "cpu-ns/op")
			var pages, free int
			must(b, s.past.read.QueryRow(`SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count`).Scan(&pages, &free))
			b.ReportMetric(float64(pages-free)*4096/float64(b.N), "B/record")
		})
	}
}
