package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/wire"
)

// records has all stored that waits, and returns the records of these answers.
func (w *world) records(t *testing.T, logUUIDs []string) (records []rollcall.RequestRecord) {
	t.Helper()
	w.recorder.storeWaiting(t.Context())
	for _, id := range logUUIDs {
		r, err := w.stores.History.Request(t.Context(), id)
		must(t, err)
		records = append(records, r)
	}
	return records
}

// seconds sends a request whose timestamp is in seconds, from an address of its own,
// and returns its logUUID.
func (w *world) seconds(t *testing.T, path string) string {
	t.Helper()
	addresses.Add(1)
	return w.secondsFrom(t, path, fmt.Sprintf("192.0.%d.%d:1", addresses.Load()/256, addresses.Load()%256))
}

var addresses atomic.Uint32

func (w *world) secondsFrom(t *testing.T, path, address string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"cipherText":"x"}`))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", "application/json")
	h := wire.Header{AccessToken: "a.b.c", AgentID: "a1", Timestamp: "1769745532", Nonce: strings.Repeat("a", 32), Signature: strings.Repeat("0", 64)}
	h.Set(r.Header)
	res := httptest.NewRecorder()
	w.v2.ServeHTTP(res, r)
	reply, err := wire.ParseReply(res.Body.Bytes())
	must(t, err)
	return reply.LogUUID
}

// Refused requests are looked into until there are too many of them in a second, and
// all have their records.
func TestDiagnosesAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	at := func(ms int64) {
		now := func() time.Time { return time.UnixMilli(ms) }
		w.diagnoses.each.now, w.diagnoses.all.now = now, now
	}
	at(1769745532582)
	var ids []string
	for range 3 * diagnosesPerSecond {
		ids = append(ids, w.seconds(t, wire.PathSessionsCheck))
	}
	for i, r := range w.records(t, ids) {
		found := len(r.Findings) > 0 && r.Findings[0].Code == "timestamp-seconds"
		if want := i < diagnosesPerSecond; found != want {
			t.Errorf("record %d: got %v, want a finding: %v", i, r.Findings, want)
		}
	}
	at(1769745533582)
	if r := w.records(t, []string{w.seconds(t, wire.PathSessionsCheck)})[0]; len(r.Findings) == 0 {
		t.Error("a second later nothing is looked into")
	}
}

// One address does not use up what others need, and who stops the server does not
// wait for diagnoses.
func TestDiagnosesAreShared(t *testing.T) {
	w := newWorld(t, nil)
	now := func() time.Time { return time.UnixMilli(1769745532582) }
	w.diagnoses.each.now, w.diagnoses.all.now = now, now
	var ids []string
	for range 2 * diagnosesPerSecond {
		ids = append(ids, w.secondsFrom(t, wire.PathSessionsCheck, "198.51.100.7:1"))
	}
	ids = append(ids, w.seconds(t, wire.PathSessionsCheck))
	found := 0
	records := w.records(t, ids)
	for _, r := range records[:len(records)-1] {
		found += min(len(r.Findings), 1)
	}
	if last := records[len(records)-1]; found != diagnosesPerAddress || len(last.Findings) == 0 {
		t.Errorf("got %d findings for one address, %v for another", found, last.Findings)
	}
	late := w.seconds(t, wire.PathSessionsCheck)
	ended, end := context.WithCancel(t.Context())
	end()
	w.recorder.run(ended)
	if r, err := w.stores.History.Request(t.Context(), late); err != nil || len(r.Findings) != 0 {
		t.Errorf("at the end: got %v, %v; want a record without findings", r.Findings, err)
	}
}

// A key that is sent as the agent's name does not stay in the record.
func TestKeyAsAgentID(t *testing.T) {
	w := newWorld(t, nil)
	key := strings.Repeat("5a", 32)
	r := httptest.NewRequest(http.MethodPost, wire.PathSessionsCheck, strings.NewReader(`{"cipherText":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	h := wire.Header{AccessToken: "a.b.c", AgentID: key, Timestamp: "1769745532582", Nonce: strings.Repeat("a", 32), Signature: strings.Repeat("0", 64)}
	h.Set(r.Header)
	res := httptest.NewRecorder()
	w.v2.ServeHTTP(res, r)
	reply, err := wire.ParseReply(res.Body.Bytes())
	must(t, err)
	if got := w.records(t, []string{reply.LogUUID})[0]; got.AgentID != "5a5a5a5a..." || strings.Contains(fmt.Sprint(got), key) {
		t.Errorf("got %+v", got)
	}
}

// Strangers who try paths do not use up what integrators need.
func TestOtherPathsAreNotDiagnosed(t *testing.T) {
	w := newWorld(t, nil)
	var ids []string
	for range 2 * diagnosesPerSecond {
		ids = append(ids, w.seconds(t, "/wp-login.php"))
	}
	ids = append(ids, w.seconds(t, "/v2/member/online"))
	records := w.records(t, ids)
	if last := records[len(records)-1]; len(records[0].Findings) != 0 || len(last.Findings) == 0 || last.Findings[0].Code != "path-unknown" {
		t.Errorf("got %v and %v", records[0].Findings, last.Findings)
	}
}

// A diagnosis that fails leaves the record as it is.
func TestDiagnosisThatPanics(t *testing.T) {
	w := newWorld(t, nil)
	id := w.seconds(t, wire.PathSessionsCheck)
	right := w.o.Auth
	w.o.Auth = nil
	r := w.records(t, []string{id})[0]
	w.o.Auth = right
	if len(r.Findings) != 0 || r.Code != 83 || !strings.Contains(w.log.String(), "diagnosis failed") {
		t.Errorf("got %+v, log %s", r, w.log)
	}
}

// What is answered with another code is not kept for a diagnosis.
func TestOnlyRefusalsAreDiagnosed(t *testing.T) {
	w := newWorld(t, nil)
	r := httptest.NewRequest(http.MethodPost, wire.PathSessionsCheck, nil)
	for code, want := range map[int]bool{0: false, 7: false, 8: false, 77: false, 81: false, 10: true, 11: true, 83: true, 84: true} {
		x := &exchange{turn: turn{record: rollcall.RequestRecord{Code: code}}}
		if got := w.refusedRequest(x, r) != nil; got != want {
			t.Errorf("code %d: got %v, want %v", code, got, want)
		}
	}
	x := &exchange{}
	if n := testing.AllocsPerRun(100, func() {
		if w.refusedRequest(x, r) != nil {
			t.Error("an answered request is kept")
		}
	}); n != 0 {
		t.Errorf("an accepted request costs %v allocations more, want 0", n)
	}
}

// A finding whose code is of another version is shown without its words.
func TestShownFindings(t *testing.T) {
	w := newWorld(t, nil)
	record := rollcall.RequestRecord{LogUUID: "01a20d5b-61a0-7d0e-8c55-0f2f5d1b7a31", Endpoint: "other", At: time.Now(), Checks: []rollcall.RequestCheck{}, Findings: []rollcall.RequestFinding{
		{Code: "clock-time-zone", Value: -25320000}, {Code: "of-tomorrow", Value: 3},
	}}
	must(t, w.stores.History.AddRequests(t.Context(), []rollcall.RequestRecord{record}))
	text := w.want(t, http.MethodGet, "/admin/v1/requests/"+record.LogUUID, "", 200, "")
	for _, want := range []string{`"findings":[{"code":"clock-time-zone","value":-25320000,"what":"x-timestamp is 7 h 2 min behind`, `{"code":"of-tomorrow","value":3}]`} {
		if !strings.Contains(text, want) || strings.Count(text, `"findings"`) != 1 {
			t.Errorf("got %s, want %s in it", text, want)
		}
	}
	if got := explain.Expand("of-tomorrow", 3); got.What != "" {
		t.Errorf("got %+v", got)
	}
}
