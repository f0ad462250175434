package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

func partitions(server *enginetest.PostgresServer, url, table string) string {
	return server.SQL(url, fmt.Sprintf(`SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_inherits JOIN pg_class ON oid = inhrelid
		WHERE inhparent = '%s'::regclass`, table))
}

func TestDayOfID(t *testing.T) {
	at := time.Date(2026, 11, 25, 23, 59, 59, 999e6, time.UTC)
	id := newID(at)
	n, ok := dayOfID(id)
	if !ok || !startOf(n).Equal(at.Truncate(day)) {
		t.Errorf("%s: day %d, %v; want that of %s", id, n, ok, at)
	}
	if id < prefix(startOf(n)) || id >= prefix(startOf(n+1)) || newID(at.Add(time.Millisecond)) < prefix(startOf(n+1)) {
		t.Errorf("%s is not within %s and %s", id, prefix(startOf(n)), prefix(startOf(n+1)))
	}
	for _, odd := range []string{"", "no UUID", strings.Replace(id, "-7", "-4", 1), id + "0", "x" + id[1:]} {
		if _, ok := dayOfID(odd); ok {
			t.Errorf("%q has a day", odd)
		}
	}
}

// Days are made ahead and on demand; what has a day's ID and came before the day
// was there moves into it.
func TestDaysAreMade(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	var later atomic.Int64
	s := open(t, url, Options{Now: func() time.Time { return now.Add(time.Duration(later.Load())) }})
	defer func() { must(t, s.Close()) }()
	eventually(t, 5*time.Second, "the days ahead", func() bool {
		return partitions(server, url, "requests") == "requests_20260310 requests_20260311 requests_20260312 requests_20260313 requests_rest"
	})
	past, future := record(now.AddDate(0, 0, -40)), record(now.AddDate(0, 0, 9))
	must(t, s.history.AddRequests(t.Context(), []rollcall.RequestRecord{past, future}))
	where := func(r rollcall.RequestRecord) string {
		return server.SQL(url, fmt.Sprintf(`SELECT tableoid::regclass FROM requests WHERE id = '%s'`, r.LogUUID))
	}
	if got := where(past) + " " + where(future); got != "requests_20260129 requests_rest" {
		t.Errorf("the records are in %s", got)
	}
	later.Store(int64(7 * day))
	must(t, s.history.AddRequests(t.Context(), []rollcall.RequestRecord{future, record(future.At)}))
	if got := where(future); got != "requests_20260319" {
		t.Errorf("the record is in %s", got)
	}
	if got, err := s.history.RequestsAfter(t.Context(), "", 10); err != nil || len(got) != 3 {
		t.Errorf("got %+v, %v; want three records", got, err)
	}
}

// A day whose rows are all old goes at once, one that is nearly so too; its young
// rows stay. Today never does.
func TestDaysAreDropped(t *testing.T) {
	server := enginetest.Postgres(t)
	url := server.Database(t)
	s := open(t, url, Options{})
	defer func() { must(t, s.Close()) }()
	today := time.Now().UTC().Truncate(day)
	var all []rollcall.EndedSession
	for i := range 300 { // three days, of which the last session of each ends on the next
		began := today.AddDate(0, 0, -3).Add(time.Duration(i/100)*day + time.Duration(i%100)*time.Minute)
		e := ended(fmt.Sprint("m", i), began, time.Minute)
		if i%100 == 99 {
			e.EndedAt = began.Add(day)
		}
		all = append(all, e)
	}
	must(t, s.history.AddEnded(t.Context(), all))
	server.SQL(url, `ANALYZE ended`)
	prune := func(before time.Time, limit, want, left int) {
		t.Helper()
		n, err := s.history.PruneEnded(t.Context(), before, limit)
		must(t, err)
		got, err := s.history.EndedAfter(t.Context(), "", 1000)
		must(t, err)
		if n != want || len(got) != left {
			t.Errorf("before %s: removed %d, left %d; want %d, %d", before, n, len(got), want, left)
		}
	}
	first := "ended_" + today.AddDate(0, 0, -3).Format("20060102")
	prune(today.AddDate(0, 0, -3).Add(10*time.Minute), 4, 4, 296) // within the day: row by row
	if !strings.Contains(partitions(server, url, "ended"), first) {
		t.Errorf("%s is gone too early", first)
	}
	prune(today.AddDate(0, 0, -2), 10, 95, 201) // 96 were left of that day, one of them young
	if strings.Contains(partitions(server, url, "ended"), first) {
		t.Errorf("%s is still there", first)
	}
	if got, err := s.history.Ended(t.Context(), []string{all[99].ID}); err != nil || len(got) != 1 {
		t.Errorf("the young session: %v, %v", got, err)
	}
	prune(today.AddDate(0, 0, -1), 1000, 100, 101) // a day but for one, and the one of before
	prune(today.AddDate(0, 0, 2), 1000, 101, 0)
	if got, today := partitions(server, url, "ended"), "ended_"+today.Format("20060102"); !strings.HasPrefix(got, today) {
		t.Errorf("the days are %s, want them from %s on", got, today)
	}
	prune(today.AddDate(0, 0, 2), 1000, 0, 0)
	again := ended("again", today.AddDate(0, 0, -3), time.Minute) // the day comes back
	must(t, s.history.AddEnded(t.Context(), []rollcall.EndedSession{again}))
	prune(today.AddDate(0, 0, -4), 1000, 0, 1)
}

// What may not be done now must not keep anything out: another holds the table.
func TestDayThatCannotBeMade(t *testing.T) {
	url := enginetest.Postgres(t).Database(t)
	s := open(t, url, Options{})
	defer func() { must(t, s.Close()) }()
	tx, err := s.db.pool.Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }() // Close waits for it
	_, err = tx.Exec(t.Context(), `LOCK TABLE requests_rest IN ROW EXCLUSIVE MODE`)
	must(t, err)
	r := record(time.Now().AddDate(0, 0, -9))
	must(t, s.history.AddRequests(t.Context(), []rollcall.RequestRecord{r}))
	must(t, tx.Rollback(t.Context()))
	_, err = s.history.Request(t.Context(), r.LogUUID)
	must(t, err)
}
