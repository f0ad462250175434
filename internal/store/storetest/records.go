package storetest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
)

var ofRecords = map[string]func(*testing.T, *fixture){
	"RecordsWhole":          testRecordsWhole,
	"RecordsReopen":         testRecordsReopen,
	"RecordsPruneInBatches": testRecordsPruneInBatches,
	"RecordsAgainstAModel":  testRecordsAgainstAModel,
}

// Fill sets all that v points to, each field of it and of what is in it, to
// something that is not its zero value, and slices to one to three elements. What
// is stored by a form of its own is held to it, so that no field that comes later
// is forgotten. It knows the types that are stored as JSON.
func Fill(random *rand.Rand, v any) { fill(random, reflect.ValueOf(v).Elem()) }

func fill(random *rand.Rand, v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // others are not in what is stored
	case reflect.String:
		v.SetString(fmt.Sprintf("é\"<%x", random.Uint64()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1 + random.Int64N(100))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1 + random.Uint64N(100))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1 + random.Float64())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+random.IntN(3), 3))
		for i := range v.Len() {
			fill(random, v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(random, key)
		fill(random, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if at, ok := reflect.TypeAssert[*time.Time](v.Addr()); ok {
			*at = time.Unix(1_770_000_000+random.Int64N(1e6), random.Int64N(1e6)*1000).UTC()
			return
		}
		for _, field := range v.Fields() {
			fill(random, field)
		}
	default:
		panic("Fill knows no " + v.Type().String())
	}
}

// testRecordsWhole: all that is in a record comes back, of records that are empty
// too, and what the caller does with a list afterwards is nothing to the store.
func testRecordsWhole(t *testing.T, f *fixture) {
	ctx, random := t.Context(), rand.New(rand.NewPCG(rand.Uint64(), 0))
	records := []rollcall.RequestRecord{
		{LogUUID: newID(), At: f.now.UTC()},
		{LogUUID: newID(), At: f.now.UTC(), Checks: []rollcall.RequestCheck{}, Code: -1, TookNanos: -1},
		{LogUUID: newID(), At: f.now.In(time.FixedZone("", 3600))},
		{LogUUID: newID(), At: time.Date(1066, 10, 14, 9, 0, 0, 0, time.UTC)},
		{LogUUID: uuid.NewString(), At: f.now.UTC()},
	}
	for range 20 {
		var r rollcall.RequestRecord
		Fill(random, &r)
		r.LogUUID = newID()
		records = append(records, r)
	}
	given := slices.Clone(records)
	for i := range given {
		given[i].Checks = slices.Clone(given[i].Checks)
	}
	must(t, f.History.AddRequests(ctx, given))
	for i := range given {
		clear(given[i].Checks)
	}
	for _, want := range records {
		got, err := f.History.Request(ctx, want.LogUUID)
		must(t, err)
		wantSame(t, "record", got, want)
	}
}

func testRecordsReopen(t *testing.T, f *fixture) {
	want := []rollcall.RequestRecord{f.record("player001"), f.record("player002")}
	must(t, f.History.AddRequests(t.Context(), want))
	f.reopen(t)
	got, err := f.History.RequestsAfter(t.Context(), "", 10)
	must(t, err)
	wantSame(t, "records", got, want)
}

// pruneSlack is how much longer a backend may keep a record, with those that it
// keeps it together with.
const pruneSlack = 10 * time.Second

// timedID returns a version 7 UUID of a moment.
func timedID(random *rand.Rand, at time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|random.Uint64N(1<<16))
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}

// What is pruned is old, and all that is old enough is pruned, a part at a time.
func testRecordsPruneInBatches(t *testing.T, f *fixture) {
	ctx, random := t.Context(), rand.New(rand.NewPCG(1, 2))
	const n = 3000
	for part := range slices.Chunk(make([]rollcall.RequestRecord, n), 500) {
		for i := range part {
			at := f.now.Add(time.Duration(random.Int64N(int64(time.Minute)))).UTC()
			part[i] = rollcall.RequestRecord{LogUUID: timedID(random, at), At: at}
		}
		must(t, f.History.AddRequests(ctx, part))
	}
	before, gone := f.now.Add(40*time.Second), 0
	for {
		some, err := f.History.Prune(ctx, before, 100)
		must(t, err)
		if gone += some; some < 100 {
			break
		}
	}
	left, err := f.History.RequestsAfter(ctx, "", n)
	must(t, err)
	young := 0
	for _, r := range left {
		if r.At.Before(before.Add(-pruneSlack)) {
			t.Fatalf("a record of %s is left, of before %s", r.At, before)
		}
		if !r.At.Before(before) {
			young++
		}
	}
	if gone+len(left) != n || young < n/4 {
		t.Errorf("%d are gone and %d left, %d of them young; of %d", gone, len(left), young, n)
	}
}

// records is a model of request records.
type records struct {
	*fixture
	*rand.Rand

	of map[string]rollcall.RequestRecord
}

// Batches come in any order, overlap, and repeat what is there.
func testRecordsAgainstAModel(t *testing.T, f *fixture) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := &records{fixture: f, Rand: rand.New(rand.NewPCG(seed, 0)), of: map[string]rollcall.RequestRecord{}}
	for range 60 {
		switch r.IntN(10) {
		case 0:
			r.prune(t)
		case 1, 2:
			r.compare(t)
		default:
			r.add(t)
		}
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	r.compare(t)
}

func (r *records) add(t *testing.T) {
	t.Helper()
	batch := make([]rollcall.RequestRecord, r.IntN(80))
	begin := r.now.Add(time.Duration(r.IntN(60)) * time.Second)
	for i := range batch {
		batch[i] = r.one(begin)
	}
	must(t, r.History.AddRequests(t.Context(), batch))
	for _, b := range batch {
		if _, there := r.of[b.LogUUID]; !there {
			r.of[b.LogUUID] = b
		}
	}
}

// one makes a record of about a moment, or of one that is there.
func (r *records) one(begin time.Time) rollcall.RequestRecord {
	at := begin.Add(time.Duration(r.Int64N(int64(4 * time.Second))))
	if r.IntN(20) == 0 {
		at = at.Add(time.Duration(r.IntN(48)-24) * time.Hour)
	}
	record := r.record(fmt.Sprint("player", r.IntN(1000)))
	record.LogUUID, record.At = timedID(r.Rand, at), at.Truncate(time.Microsecond).UTC()
	switch r.IntN(20) {
	case 0:
		record.LogUUID = uuid.NewString()
	case 1, 2, 3:
		for id := range r.of { // any
			record.LogUUID = id
			break
		}
	}
	return record
}

func (r *records) ids() []string { return slices.Sorted(maps.Keys(r.of)) }

// compare reads all, page by page, and some by their own.
func (r *records) compare(t *testing.T) {
	t.Helper()
	ids, limit, after := r.ids(), 1+r.IntN(100), ""
	for rest := ids; ; {
		page, err := r.History.RequestsAfter(t.Context(), after, limit)
		must(t, err)
		want := []rollcall.RequestRecord{}
		for _, id := range rest[:min(limit, len(rest))] {
			want = append(want, r.of[id])
		}
		wantSame(t, "page after "+after, page, want)
		if rest = rest[len(want):]; len(want) == 0 || t.Failed() {
			break
		}
		after = want[len(want)-1].LogUUID
	}
	for range min(10, len(ids)) {
		id := ids[r.IntN(len(ids))]
		got, err := r.History.Request(t.Context(), id)
		must(t, err)
		wantSame(t, "record", got, r.of[id])
	}
	_, err := r.History.Request(t.Context(), timedID(r.Rand, r.now))
	wantErr(t, err, rollcall.ErrNotFound)
}

// prune takes over what is left, which the contract leaves open by pruneSlack.
func (r *records) prune(t *testing.T) {
	t.Helper()
	before, gone := r.now.Add(time.Duration(r.IntN(30))*time.Second), 0
	for n := 10; n >= 10; gone += n {
		var err error
		n, err = r.History.Prune(t.Context(), before, 10)
		must(t, err)
	}
	left, err := r.History.RequestsAfter(t.Context(), "", len(r.of)+1)
	must(t, err)
	kept := make(map[string]bool)
	for _, l := range left {
		kept[l.LogUUID] = true
	}
	for id, had := range r.of {
		if kept[id] && had.At.Before(before.Add(-pruneSlack)) || !kept[id] && !had.At.Before(before) {
			t.Errorf("a record of %s, pruned before %s: is there: %v", had.At, before, kept[id])
		}
		if !kept[id] {
			delete(r.of, id)
		}
	}
	if len(left) != len(r.of) || gone < 0 {
		t.Errorf("%d are left, want %d", len(left), len(r.of))
	}
}
