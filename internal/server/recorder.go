package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/internal/roll"
)

const (
	// recordQueue is how many records may wait; at 300 bytes each, some MB.
	recordQueue = 16384
	// recordBatch is small, since a batch takes the processor from requests where
	// there is but one: with 1000, p99 was 54 ms on one core, with 100 14 ms.
	recordBatch = 100
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
	queue   chan recorded
	// diagnose makes the findings of a record whose request is given.
	diagnose func(context.Context, *explain.Request, *rollcall.RequestRecord) []rollcall.RequestFinding
}

// A recorded is a record on its way to the store.
type recorded struct {
	rollcall.RequestRecord

	// refused is the request, where it is to be diagnosed; nil: it is not.
	refused *explain.Request
}

func newRecorder(h roll.History, m *Metrics, log *slog.Logger) *recorder {
	return &recorder{history: h, metrics: m, log: log, queue: make(chan recorded, recordQueue)}
}

// finished returns the record as it is stored.
func (r *recorder) finished(ctx context.Context, e *recorded) rollcall.RequestRecord {
	if e.refused != nil {
		e.Findings = r.diagnose(context.WithoutCancel(ctx), e.refused, &e.RequestRecord)
	}
	return e.RequestRecord
}

// add never waits.
func (r *recorder) add(record rollcall.RequestRecord, refused *explain.Request) {
	select {
	case r.queue <- recorded{record, refused}:
	default:
		r.metrics.dropped(1)
	}
}

// run stores records until ctx ends, and then those that are still queued.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	batch := make([]rollcall.RequestRecord, 0, recordBatch)
	for {
		select {
		case e := <-r.queue:
			batch = append(batch, r.finished(ctx, &e))
			if len(batch) < recordBatch {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx), batch)
			return
		}
		r.store(ctx, batch)
		batch = batch[:0]
	}
}

// flush stores batch and all that is queued.
func (r *recorder) flush(ctx context.Context, batch []rollcall.RequestRecord) {
	for {
		select {
		case e := <-r.queue:
			if batch = append(batch, r.finished(ctx, &e)); len(batch) < recordBatch {
				continue
			}
			r.store(ctx, batch)
			batch = batch[:0]
		default:
			r.store(ctx, batch)
			return
		}
	}
}

func (r *recorder) store(ctx context.Context, batch []rollcall.RequestRecord) {
	if len(batch) == 0 {
		return
	}
	// A batch that has begun is finished even when the server is told to stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := r.history.AddRequests(ctx, batch); err != nil {
		r.metrics.dropped(len(batch))
		r.log.LogAttrs(ctx, slog.LevelError, "request records dropped", slog.Int("count", len(batch)), slog.Any("error", err))
	}
}
