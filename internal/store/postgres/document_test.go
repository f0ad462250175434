package postgres

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

// A record is written as encoding/json writes it, whatever is in it.
func TestRecordIsWrittenAsByEncodingJSON(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	records := []rollcall.RequestRecord{
		{},
		record(at),
		{At: at.Add(time.Nanosecond), Checks: []rollcall.RequestCheck{}, Code: -1, Status: 500, TookNanos: -1 << 63},
		{At: at.In(time.FixedZone("", -3600))},
		{At: at.Truncate(time.Second).In(time.FixedZone("", 0))},
		{At: at.Local()},
	}
	for _, text := range []string{"\x00", "\x1f", `"`, `\`, "<", ">", "&", "\x7f", "é", "\u2028", "\xff", "a\nb", "plain ~!@#$%^*()'/"} {
		records = append(records, rollcall.RequestRecord{
			At: at, LogUUID: text, Endpoint: text, AgentID: text, Username: text, Remote: text,
			Checks: []rollcall.RequestCheck{{Name: text, Passed: true}, {Reason: text}},
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var r rollcall.RequestRecord
		storetest.Fill(random, &r)
		records = append(records, r)
	}
	for i := range records {
		want, err := json.Marshal(&records[i])
		must(t, err)
		got, err := appendRecord([]byte("before "), &records[i])
		must(t, err)
		if string(got) != "before "+string(want) {
			t.Errorf("got %s\nwant before %s", got, want)
		}
	}
	ancient := rollcall.RequestRecord{At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := appendRecord(nil, &ancient); err == nil {
		t.Error("a year that JSON has no form for is written")
	}
}

// BenchmarkRecord is the cost of writing a plain record down.
func BenchmarkRecord(b *testing.B) {
	r := record(time.Now().UTC())
	r.Username = "player001"
	for _, name := range []string{
		"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token", "rate", "cipherText", "nonce", "plaintext", "branch", "member",
	} {
		r.Checks = append(r.Checks, rollcall.RequestCheck{Name: name, Passed: true, TookNanos: 1234})
	}
	b.Run("by hand", func(b *testing.B) {
		b.ReportAllocs()
		var doc []byte
		for b.Loop() {
			doc, _ = appendRecord(doc[:0], &r)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = json.Marshal(&r)
		}
	})
}
