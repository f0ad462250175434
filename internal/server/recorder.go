package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/internal/roll"
)

const (
	// recordQueue is how many records may wait; at 1 KiB each, 16 MiB.
	recordQueue = 16384
	// recordBatch is how many are stored at once. Where there is but one processor a
	// batch takes it from requests: in SQLite for 0.1 ms, and 0.4 µs a record.
	recordBatch = 500
	// recordEvery bounds how long a record waits to be stored.
	recordEvery = 250 * time.Millisecond
	// recordTimeout bounds how long one batch may take.
	recordTimeout = 10 * time.Second
)

// A recorder stores request records in batches, off the requests' way. A record
// that finds the queue full, or whose batch cannot be stored, is dropped and
// counted.
type recorder struct {
	history roll.History
	metrics *Metrics
	log     *slog.Logger
	batch   chan struct{} // holds an element where a batch waits
	ids     ids           // of the records
	// diagnose makes the findings of a record whose request is given.
	diagnose func(context.Context, *explain.Request, *rollcall.RequestRecord) []rollcall.RequestFinding

	mu      sync.Mutex
	waiting records
	spare   records // empty, for what comes while waiting is stored
}

// records are request records, the checks of most of them in one piece, and those
// few whose requests are to be diagnosed.
type records struct {
	list    []rollcall.RequestRecord
	checks  []rollcall.RequestCheck
	refused []refusedRecord
}

// A refusedRecord is the request of the record at a place of the list.
type refusedRecord struct {
	at      int
	request *explain.Request
}

func newRecorder(h roll.History, m *Metrics, log *slog.Logger) *recorder {
	return &recorder{history: h, metrics: m, log: log, batch: make(chan struct{}, 1)}
}

// add copies a record with its checks. It never waits for the store, and it wakes
// nobody but for a whole batch: to do so for each record would cost more than the
// record. refused is the request where it is to be diagnosed; nil: it is not.
func (r *recorder) add(record *rollcall.RequestRecord, refused *explain.Request) {
	r.mu.Lock()
	n := len(r.waiting.list)
	if n < recordQueue {
		r.waiting.add(record)
		if refused != nil {
			r.waiting.refused = append(r.waiting.refused, refusedRecord{n, refused})
		}
	}
	r.mu.Unlock()
	switch n + 1 {
	case recordBatch:
		select {
		case r.batch <- struct{}{}:
		default:
		}
	case recordQueue + 1:
		r.metrics.dropped(1)
	}
}

// add makes room for the checks of a batch at a time. What is full stays with the
// records that are in it.
func (w *records) add(record *rollcall.RequestRecord) {
	from, n := len(w.checks), len(record.Checks)
	if cap(w.checks)-from < n {
		w.checks, from = make([]rollcall.RequestCheck, 0, max(n, recordBatch*checksOfRecord)), 0
	}
	w.checks = append(w.checks, record.Checks...)
	w.list = append(w.list, *record)
	w.list[len(w.list)-1].Checks = w.checks[from : from+n : from+n]
}

// checksOfRecord is how many checks a record usually has.
const checksOfRecord = 16

// run stores records until ctx ends, and then those that still wait.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.batch:
		case <-tick.C:
		case <-ctx.Done():
			r.storeWaiting(ctx)
			return
		}
		r.storeWaiting(ctx)
	}
}

// storeWaiting stores all that wait when it begins.
func (r *recorder) storeWaiting(ctx context.Context) {
	r.mu.Lock()
	w := r.waiting
	r.waiting, r.spare = r.spare, records{}
	r.mu.Unlock()
	for _, f := range w.refused {
		if ctx.Err() != nil {
			break // whoever stops the server does not wait for it
		}
		w.list[f.at].Findings = r.diagnose(ctx, f.request, &w.list[f.at])
	}
	for list := w.list; len(list) > 0; {
		n := min(len(list), recordBatch)
		r.store(ctx, list[:n])
		list = list[n:]
	}
	if cap(w.list) > 4*recordBatch {
		return // that was a time of distress
	}
	clear(w.refused) // the requests
	r.spare = records{w.list[:0], w.checks[:0], w.refused[:0]}
}

func (r *recorder) store(ctx context.Context, batch []rollcall.RequestRecord) {
	// A batch that has begun is finished even when the server is told to stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := r.history.AddRequests(ctx, batch); err != nil {
		r.metrics.dropped(len(batch))
		r.log.LogAttrs(ctx, slog.LevelError, "request records dropped", slog.Int("count", len(batch)), slog.Any("error", err))
	}
}
