package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// Records keep their own checks, though the caller uses its list for the next one
// and what was stored makes room.
func TestRecorderKeepsChecks(t *testing.T) {
	history := memory.New(memory.Options{}).Stores().History
	r := newRecorder(history, NewMetrics(), slog.New(slog.DiscardHandler))
	checks := make([]rollcall.RequestCheck, 0, 100)
	var ids []string
	for i := range 5 * recordBatch {
		checks = checks[:0]
		for c := range i % 40 {
			checks = append(checks, rollcall.RequestCheck{Name: fmt.Sprint(i, " ", c)})
		}
		ids = append(ids, uuid.Must(uuid.NewV7()).String())
		r.add(&rollcall.RequestRecord{LogUUID: ids[i], Checks: checks}, nil)
		if i%(2*recordBatch) == 10 {
			r.storeWaiting(t.Context())
		}
	}
	r.storeWaiting(t.Context())
	for i, id := range ids {
		got, err := history.Request(t.Context(), id)
		must(t, err)
		if len(got.Checks) != i%40 {
			t.Fatalf("record %d: %d checks, want %d", i, len(got.Checks), i%40)
		}
		for c, check := range got.Checks {
			if check.Name != fmt.Sprint(i, " ", c) {
				t.Fatalf("record %d: check %d is %q", i, c, check.Name)
			}
		}
	}
}

// A batch that is whole is stored at once, not at the next tick.
func TestRecorderWakesForABatch(t *testing.T) {
	history := memory.New(memory.Options{}).Stores().History
	r := newRecorder(history, NewMetrics(), slog.New(slog.DiscardHandler))
	for range recordBatch - 1 {
		r.add(&rollcall.RequestRecord{LogUUID: uuid.NewString()}, nil)
	}
	if len(r.batch) != 0 {
		t.Error("it is woken before the batch is whole")
	}
	r.add(&rollcall.RequestRecord{LogUUID: uuid.NewString()}, nil)
	if len(r.batch) != 1 {
		t.Error("it is not woken for a whole batch")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r.run(ctx)
	if list, err := history.RequestsAfter(t.Context(), "", 2*recordBatch); err != nil || len(list) != recordBatch {
		t.Errorf("stored %d, %v; want %d", len(list), err, recordBatch)
	}
}

// Findings are those of a record's own request.
func TestRecorderDiagnoses(t *testing.T) {
	history := memory.New(memory.Options{}).Stores().History
	r := newRecorder(history, NewMetrics(), slog.New(slog.DiscardHandler))
	r.diagnose = func(_ context.Context, request *explain.Request, record *rollcall.RequestRecord) []rollcall.RequestFinding {
		return []rollcall.RequestFinding{{Code: request.Path + " " + record.LogUUID}}
	}
	for round := range 2 {
		for i := range 10 {
			var refused *explain.Request
			if i%3 == 1 {
				refused = &explain.Request{Path: fmt.Sprint("/", round, i)}
			}
			r.add(&rollcall.RequestRecord{LogUUID: fmt.Sprint(round, i)}, refused)
		}
		r.storeWaiting(t.Context())
	}
	for round := range 2 {
		for i := range 10 {
			got, err := history.Request(t.Context(), fmt.Sprint(round, i))
			must(t, err)
			var want []rollcall.RequestFinding
			if i%3 == 1 {
				want = []rollcall.RequestFinding{{Code: "/" + got.LogUUID + " " + got.LogUUID}}
			}
			if !slices.Equal(got.Findings, want) {
				t.Errorf("round %d, record %d: got %+v, want %+v", round, i, got.Findings, want)
			}
		}
	}
}

// A record is handed over without garbage.
func TestRecorderAllocatesNothing(t *testing.T) {
	r := newRecorder(memory.New(memory.Options{}).Stores().History, NewMetrics(), slog.New(slog.DiscardHandler))
	record := rollcall.RequestRecord{LogUUID: uuid.NewString(), At: time.Now(), Checks: make([]rollcall.RequestCheck, 14)}
	for range 2 {
		for range recordBatch {
			r.add(&record, nil)
		}
		r.storeWaiting(t.Context())
	}
	if n := testing.AllocsPerRun(recordBatch-1, func() { r.add(&record, nil) }); n > 0 {
		t.Errorf("%v allocations a record, want none", n)
	}
}

// BenchmarkRecorder is the cost of handing over a record.
func BenchmarkRecorder(b *testing.B) {
	r := newRecorder(memory.New(memory.Options{}).Stores().History, NewMetrics(), slog.New(slog.DiscardHandler))
	record := rollcall.RequestRecord{LogUUID: uuid.NewString(), At: time.Now(), Checks: make([]rollcall.RequestCheck, 14)}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%recordBatch == 0 {
			b.StopTimer()
			r.storeWaiting(b.Context())
			b.StartTimer()
		}
		r.add(&record, nil)
	}
}
