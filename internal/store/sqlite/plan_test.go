package sqlite

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

// planOf returns how SQLite goes about a query, a line a step.
func planOf(t *testing.T, on *sql.DB, text string, args ...any) string {
	t.Helper()
	rows, err := on.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+text, args...)
	must(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		must(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	must(t, rows.Err())
	return strings.Join(steps, "\n")
}

// What can grow is read by ranges of its indexes.
func TestQueriesAreRanges(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	for _, row := range []struct {
		db         *database
		text, want string
		args       []any
	}{
		{
			s.past, aroundText, "SEARCH ended USING INDEX ended_by_start (started>? AND started<?)",
			[]any{1, 2, "", "", "", "", "", "", "", 10},
		},
		{s.past, claimText, "SEARCH deliveries USING COVERING INDEX deliveries_due (agent=? AND next<?)", []any{1, 2, "[]", 3}},
		{s.past, claimText, "SEARCH deliveries USING COVERING INDEX deliveries_due (agent>?)", []any{1, 2, "[]", 3}},
		{s.past, overlapText, "SEARCH request_batches USING INDEX request_batches_by_key (first>? AND first<?)", []any{"", "", ""}},
		{s.past, afterText, "SEARCH request_batches USING INDEX request_batches_by_key (first>?)", []any{"", ""}},
		{s.past, documentsText, "SEARCH requests USING PRIMARY KEY (log_uuid>? AND log_uuid<?)", []any{"", ""}},
		{s.past, pruneText, "SEARCH request_batches USING COVERING INDEX request_batches_by_time (newest<?)", []any{1, 2}},
		{s.main, `SELECT seq, doc FROM receipts WHERE open = 1 ORDER BY seq`, "SCAN receipts USING INDEX receipts_open", nil},
	} {
		if plan := planOf(t, row.db.read, row.text, row.args...); !strings.Contains(plan, row.want) {
			t.Errorf("%s\n%s\nwant %s", row.text, plan, row.want)
		}
	}
}

// BenchmarkEndedAround is a page of those who were live at a moment, among
// 200,000 sessions of a day.
func BenchmarkEndedAround(b *testing.B) {
	s := open(b, b.TempDir(), Options{Sync: SyncNormal})
	defer func() { must(b, s.Close()) }()
	const n = 200_000
	now := time.Now()
	var batch []rollcall.EndedSession
	for i := range n {
		e := rollcall.EndedSession{Session: session(fmt.Sprint("player", i)), Reason: rollcall.EndLeft}
		e.StartedAt = now.Add(time.Duration(i-n) * 24 * time.Hour / n)
		e.EndedAt = e.StartedAt.Add(20 * time.Minute)
		if batch = append(batch, e); len(batch) == 5000 {
			must(b, s.history.AddEnded(b.Context(), batch))
			batch = nil
		}
	}
	for b.Loop() {
		list, err := s.history.EndedAround(b.Context(), now.Add(-time.Hour), rollcall.SessionFilter{}, "", 100)
		if err != nil || len(list) != 100 {
			b.Fatal(len(list), err)
		}
	}
}
