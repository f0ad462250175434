package sqlite

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// written is a pack as the first program wrote it that knew packs.
const written = "01049596f28cc233700180010000000000010070018001000000000002800270018001000000000000007001800100000000000100021a" +
	"036f6e651b093139322e302e322e3100c801f290f98dbe3e09706c61796572303031dc0b00030800011c0b61206c61746572206f6e6500" +
	"01b009ac0200f299f38ebe3e09706c61796572303032dd0b00b009ac020801001d033a3a31539103f2e890e0b43e000001030800010c1e" +
	"07756e6b6e6f776e0001808080808020131f036e6577001dffffffffffffffffff01000000020183017b226c6f6755554944223a22222c" +
	"226174223a22323032362d30322d30335430363a30353a30362e3738393031323334352b30323a3030222c22656e64706f696e74223a22" +
	"222c2272656d6f7465223a22222c22636f6465223a302c22737461747573223a302c22746f6f6b4e616e6f73223a302c22636865636b73" +
	"223a6e756c6c7d"

// packed are the records in it.
func packed() []rollcall.RequestRecord {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789_012_345, time.UTC)
	passed := []rollcall.RequestCheck{{Name: "transport", Passed: true, TookNanos: 1200}, {Name: "a later one", Passed: true, TookNanos: 300}}
	refused := []rollcall.RequestCheck{{Name: "transport", Passed: true, TookNanos: 1}, {Name: "agent", Reason: "unknown", TookNanos: 1 << 40}}
	return []rollcall.RequestRecord{
		{
			LogUUID: "019c219c-8b15-7001-8001-000000000001", At: at, Endpoint: "/v2/auth", AgentID: "one", Username: "player001",
			Remote: "192.0.2.1", Status: 200, TookNanos: 1500, Checks: passed,
		},
		{
			LogUUID: "019c219c-8b15-7001-8001-000000000002", At: at.Add(time.Millisecond), Endpoint: "/v2/auth", AgentID: "one", Username: "player002",
			Remote: "192.0.2.1", Status: 200, TookNanos: 1501, Checks: passed,
		},
		{LogUUID: "019c219c-8c15-7001-8001-000000000000", At: at.Add(-time.Second), Endpoint: "other", Remote: "::1", Code: 83, Status: 401, Checks: refused},
		{LogUUID: "019c219c-8c15-7001-8001-000000000001", At: at.In(time.FixedZone("", 7200)), Endpoint: "new", Remote: "::1", Code: -1, Checks: []rollcall.RequestCheck{}},
	}
}

// What is on disks can be read, so packFormat and knownTexts stay as they are.
func TestPackFormat(t *testing.T) {
	list, _ := byKey(packed())
	now, err := pack(list)
	must(t, err)
	before, err := hex.DecodeString(written)
	must(t, err)
	if !bytes.Equal(now, before) {
		t.Errorf("got %x\nwant %x", now, before)
	}
	got, err := unpack(before)
	must(t, err)
	if d := cmp.Diff(packed(), got); d != "" {
		t.Errorf("unpacked (-want +got):\n%s", d)
	}
}

// A pack that is cut off, goes on, or is of a later format is an error.
func TestDamagedPack(t *testing.T) {
	list, _ := byKey(packed())
	whole, err := pack(list)
	must(t, err)
	for n := range whole {
		if _, err := unpack(whole[:n]); !errors.Is(err, errPack) {
			t.Errorf("the first %d bytes of %d: got %v", n, len(whole), err)
		}
	}
	if _, err := unpack(append(bytes.Clone(whole), 0)); !errors.Is(err, errPack) {
		t.Errorf("a byte more: got %v", err)
	}
	whole[0]++
	if _, err := unpack(whole); err == nil {
		t.Error("a later format is read")
	}
}

// What unpacks packs into what unpacks alike, and nothing panics or takes more
// memory than what there is warrants.
func FuzzUnpack(f *testing.F) {
	list, _ := byKey(packed())
	whole, err := pack(list)
	must(f, err)
	f.Add(whole)
	random := rand.New(rand.NewPCG(1, 2))
	var some []rollcall.RequestRecord
	for range 5 {
		var r rollcall.RequestRecord
		storetest.Fill(random, &r)
		r.LogUUID = newID()
		some = append(some, r)
	}
	list, _ = byKey(some)
	whole, err = pack(list)
	must(f, err)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, from []byte) {
		records, err := unpack(from)
		if err != nil {
			return
		}
		list, odd := byKey(records)
		if len(odd) > 0 {
			t.Fatalf("not a UUID: %q", odd[0].LogUUID)
		}
		if len(list) != len(records) {
			t.Fatalf("%d records have %d keys", len(records), len(list))
		}
		again, err := pack(list)
		must(t, err)
		got, err := unpack(again)
		must(t, err)
		if d := cmp.Diff(records, got); d != "" {
			t.Errorf("again (-want +got):\n%s", d)
		}
	})
}

// A plain check takes few bytes, in a batch and alone.
func TestPackIsSmall(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var many []rollcall.RequestRecord
	for range 1000 {
		many = append(many, checked(random))
	}
	for _, row := range []struct{ n, bound int }{{1, 150}, {1000, 65}} {
		list, _ := byKey(many[:row.n])
		p, err := pack(list)
		must(t, err)
		if each := len(p) / row.n; each > row.bound {
			t.Errorf("a record in a batch of %d: %d bytes, want at most %d", row.n, each, row.bound)
		}
	}
}
