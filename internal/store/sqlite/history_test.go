package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

// oldHistory makes a history.db as it was before batches, with these records.
func oldHistory(t *testing.T, dir string, records []rollcall.RequestRecord) {
	t.Helper()
	ctx := t.Context()
	db := oldFile(t, filepath.Join(dir, "history.db"), "migrations/history", 2)
	for i := range records {
		doc, err := json.Marshal(&records[i])
		must(t, err)
		var key any = records[i].LogUUID
		if id, err := uuid.Parse(records[i].LogUUID); err == nil {
			key = id[:]
		}
		_, err = db.ExecContext(ctx, `INSERT INTO requests (log_uuid, at, doc) VALUES ($1, $2, $3)`, key, records[i].At.UnixMilli(), string(doc))
		must(t, err)
	}
	must(t, db.Close())
}

// allRecords reads all, two at a time.
func allRecords(t *testing.T, s *Store) (list []rollcall.RequestRecord) {
	t.Helper()
	for after := ""; ; after = list[len(list)-1].LogUUID {
		page, err := s.history.RequestsAfter(t.Context(), after, 2)
		must(t, err)
		if list = append(list, page...); len(page) < 2 {
			return list
		}
	}
}

func sameRecords(t *testing.T, what string, got, want []rollcall.RequestRecord) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// What was there before batches is found, listed in its place among what comes
// later, taken for a duplicate, and pruned.
func TestRecordsFromBeforeBatches(t *testing.T) {
	random, ctx, dir := rand.New(rand.NewPCG(1, 2)), t.Context(), t.TempDir()
	var records []rollcall.RequestRecord
	for range 8 {
		records = append(records, checked(random))
	}
	odd := checked(random)
	odd.LogUUID = "no UUID"
	old := []rollcall.RequestRecord{odd, records[0], records[3], records[4], records[7]}
	oldHistory(t, dir, old)
	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	sameRecords(t, "from before", allRecords(t, s), old)
	again := slices.Clone(records)
	for i := range again {
		again[i].Remote = fmt.Sprint("again ", again[i].Remote)
	}
	for _, i := range []int{1, 2, 5, 6} {
		again[i] = records[i]
	}
	must(t, s.history.AddRequests(ctx, again))
	sameRecords(t, "together", allRecords(t, s), append([]rollcall.RequestRecord{odd}, records...))
	for _, want := range append(records, odd) {
		got, err := s.history.Request(ctx, want.LogUUID)
		must(t, err)
		sameRecords(t, "one", []rollcall.RequestRecord{got}, []rollcall.RequestRecord{want})
	}
	gone := 0
	for _, limit := range []int{2, 4, 100} {
		n, err := s.history.Prune(ctx, time.Now().Add(time.Minute), limit)
		must(t, err)
		gone += n
	}
	if left := allRecords(t, s); gone != 9 || len(left) > 0 {
		t.Errorf("pruned %d and left %d, want 9 and 0", gone, len(left))
	}
}

// A record whose logUUID is no UUID, or is written in another way than we do, is
// kept like the others of its batch, under that very text.
func TestOddRecords(t *testing.T) {
	random, ctx := rand.New(rand.NewPCG(1, 2)), t.Context()
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	plain := checked(random)
	want := []rollcall.RequestRecord{}
	for _, id := range []string{"", "019C219C-8B15-7001-8001-000000000001", "no UUID", "{" + newID() + "}"} {
		r := checked(random)
		r.LogUUID = id
		want = append(want, r)
	}
	want = append(want, plain)
	must(t, s.history.AddRequests(ctx, append(slices.Clone(want), want...)))
	got, err := s.history.RequestsAfter(ctx, "", 100)
	must(t, err)
	sameRecords(t, "all but the empty text, which is above none", got, want[1:])
	for _, r := range want {
		got, err := s.history.Request(ctx, r.LogUUID)
		must(t, err)
		sameRecords(t, r.LogUUID, []rollcall.RequestRecord{got}, []rollcall.RequestRecord{r})
	}
	if got, err := s.history.Request(ctx, "urn:uuid:"+plain.LogUUID); err != nil || got.LogUUID != plain.LogUUID {
		t.Errorf("a UUID in another form: got %+v, %v", got, err)
	}
}

// The batches of an AddRequests are as short as a lookup believes.
func TestBatchSpan(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	var records []rollcall.RequestRecord
	for i := range 5000 {
		r := checked(random)
		if i%10 == 0 {
			r.LogUUID = uuid.NewString() // anywhere
		}
		if i == 100 {
			r.At = r.At.Add(-time.Hour)
		}
		records = append(records, r)
	}
	must(t, s.history.AddRequests(t.Context(), records))
	batches := 0
	must(t, query(t.Context(), s.past.read, "read", func(rows *sql.Rows) error {
		var first, last []byte
		var newest int64
		var count int
		var packed []byte
		err := rows.Scan(&first, &last, &newest, &count, &packed)
		list, unpackErr := unpack(packed)
		if err := errors.Join(err, unpackErr); err != nil {
			return err
		}
		batches++
		oldest := slices.MinFunc(list, func(a, b rollcall.RequestRecord) int { return a.At.Compare(b.At) }).At.UnixMilli()
		youngest := slices.MaxFunc(list, func(a, b rollcall.RequestRecord) int { return a.At.Compare(b.At) }).At.UnixMilli()
		if keyFrom(last).lessSpan().compare(keyFrom(first)) > 0 || count > batchCount || youngest != newest || newest-oldest > batchSpan.Milliseconds() {
			t.Errorf("a batch of %d from %x to %x, from %d to %d, %d", count, first, last, oldest, youngest, newest)
		}
		if len(list) != count || list[0].LogUUID != keyFrom(first).String() || list[count-1].LogUUID != keyFrom(last).String() {
			t.Errorf("a row of %d from %x to %x has %d from %s to %s", count, first, last, len(list), list[0].LogUUID, list[count-1].LogUUID)
		}
		return nil
	}, `SELECT first, last, newest, count, records FROM request_batches`))
	if batches < 3 || batches > 1100 {
		t.Errorf("%d batches", batches)
	}
}

// The room of what is pruned is used again.
func TestPruneGivesBackRoom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	pages := func() (n int) {
		must(t, s.past.read.QueryRow(`PRAGMA page_count`).Scan(&n))
		return n
	}
	first := 0
	for round := range 4 {
		for range 20 {
			var batch []rollcall.RequestRecord
			for range 1000 {
				batch = append(batch, checked(random))
			}
			must(t, s.history.AddRequests(t.Context(), batch))
		}
		if round == 0 {
			first = pages()
		}
		for n := 1000; n >= 1000; {
			var err error
			n, err = s.history.Prune(t.Context(), time.Now().Add(time.Minute), 1000)
			must(t, err)
		}
	}
	if n := pages(); first < 100 || n > first+first/10 {
		t.Errorf("%d pages in the end, %d after the first round", n, first)
	}
}

// A batch that does not fit is not there in part.
func TestAddRequestsIsWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	_, err := s.past.write.Exec(`PRAGMA max_page_count = 1`) // SQLite makes it as many as there are
	must(t, err)
	var batch []rollcall.RequestRecord
	for range 5000 {
		batch = append(batch, checked(random))
	}
	if err := s.history.AddRequests(context.Background(), batch); !errors.Is(err, rollcall.ErrUnavailable) {
		t.Fatalf("a full disk: %v", err)
	}
	if list := allRecords(t, s); len(list) > 0 {
		t.Errorf("%d records are there", len(list))
	}
	_, err = s.past.write.Exec(`PRAGMA max_page_count = 1000000`)
	must(t, err)
	must(t, s.history.AddRequests(context.Background(), batch))
}

// Check tells of a batch that cannot be read, and of one that is not what its row
// says.
func TestCheckReadsBatches(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, row := range []struct {
		change string
		faults int
	}{
		{`UPDATE request_batches SET newest = newest`, 0},
		{`UPDATE request_batches SET records = substr(records, 1, length(records) - 1)`, 1},
		{`UPDATE request_batches SET count = count + 1`, 1},
		{`UPDATE request_batches SET first = zeroblob(16)`, 1},
		{`UPDATE request_batches SET last = x'00'`, 1},
	} {
		s := open(t, t.TempDir(), Options{})
		must(t, s.history.AddRequests(t.Context(), []rollcall.RequestRecord{checked(random), checked(random)}))
		_, err := s.past.write.Exec(row.change)
		must(t, err)
		faults, err := s.Check(t.Context())
		must(t, err)
		if len(faults) != row.faults || row.faults > 0 && !strings.Contains(faults[0], "history.db: row 1 of request_batches") {
			t.Errorf("%s: %q, want %d", row.change, faults, row.faults)
		}
		must(t, s.Close())
	}
}
