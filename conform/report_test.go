package conform

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"
)

func sample() Report {
	result := func(id string, o Outcome) Result {
		return Result{Case: Case{ID: id, Title: "a title", Spec: "4.2", Severity: Must}, Outcome: o, TookMillis: 12}
	}
	failed := result("wire/b", Fail)
	failed.Reason, failed.Sent, failed.Want, failed.Came = "got code 0, want code 84 & <more>", "POST /x\n\n{\"a\":\"\x00\x1b\"}", "code 84", "HTTP 200 OK"
	failed.LogUUID = "955585ed-adeb-436e-8be0-ebf2b81b7d15"
	note := result("auth/c", Note)
	note.Severity, note.Reason = Ours, "got HTTP status 401"
	skipped := result("auth/d", Skip)
	skipped.Reason = "the credentials have no agent of role hmac"
	skipped2 := skipped
	skipped2.ID = "auth/e"
	return Report{
		BaseURL: "http://x", StartedAt: time.Date(2026, 1, 30, 3, 58, 52, 0, time.UTC), TookMillis: 1234, Requests: 7, ClockOffsetMillis: -25_320_000,
		Results: []Result{result("wire/a", Pass), failed, note, skipped, skipped2},
	}
}

func TestText(t *testing.T) {
	const want = `FAIL wire/b (spec 4.2, must)
  a title
  got code 0, want code 84 & <more>
  sent:
    POST /x
    
    {"a":"` + "\x00\x1b" + `"}
  want:
    code 84
  came:
    HTTP 200 OK
  look further: the server's records of logUUID 955585ed-adeb-436e-8be0-ebf2b81b7d15

Notes: Rollcall's own rules, which another server need not follow (--strict makes them count).
  auth/c: got HTTP status 401

Skipped, 2: the credentials have no agent of role hmac
  auth/d auth/e

The server's clock is -7h2m0s from this machine's; the requests carried the server's time.
http://x: 1 passed, 1 failed, 1 notes, 2 skipped; 7 requests in 1.2s.
`
	r, got := sample(), new(strings.Builder)
	if err := r.WriteText(got); err != nil || got.String() != want {
		t.Errorf("%v, got:\n%s\nwant:\n%s", err, got, want)
	}
}

// TestJUnit reads the XML to its end, and back.
func TestJUnit(t *testing.T) {
	r, out := sample(), new(strings.Builder)
	if err := r.WriteJUnit(out); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(strings.NewReader(out.String()))
	for {
		if _, err := dec.Token(); err == io.EOF { //nolint:errorlint // it is returned as it is
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, out)
		}
	}
	var got junitSuites
	if err := xml.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Suites) != 2 || got.Suites[0].Name != "wire" || got.Suites[1].Name != "auth" {
		t.Fatalf("got %+v, want the suites wire and auth", got.Suites)
	}
	wire, auth := got.Suites[0], got.Suites[1]
	if wire.Tests != 2 || wire.Failures != 1 || wire.Skipped != 0 || wire.Time != "0.024" || wire.Timestamp != "2026-01-30T03:58:52" {
		t.Errorf("wire: %+v", wire)
	}
	if f := wire.Cases[1].Failure; f == nil || f.Type != "must" || f.Message != "got code 0, want code 84 & <more>" || !strings.Contains(f.Text, "955585ed") {
		t.Errorf("failure: %+v", f)
	}
	if auth.Tests != 3 || auth.Failures != 0 || auth.Skipped != 3 || auth.Cases[0].Skipped.Message != "note: got HTTP status 401" {
		t.Errorf("auth: %+v", auth)
	}
	if c := wire.Cases[0]; c.Failure != nil || c.Skipped != nil || c.Name != "wire/a" || c.ClassName != "conform.wire" {
		t.Errorf("the case that passed: %+v", c)
	}
}

func TestJSON(t *testing.T) {
	r := sample()
	r.Results = r.Results[:2]
	r.Results[1].Sent = ""
	text, err := json.Marshal(r)
	const want = `{"baseUrl":"http://x","startedAt":"2026-01-30T03:58:52Z","tookMillis":1234,"requests":7,"strict":false,"clockOffsetMillis":-25320000,"results":[` +
		`{"id":"wire/a","title":"a title","spec":"4.2","severity":"must","writes":false,"outcome":"pass","tookMillis":12},` +
		`{"id":"wire/b","title":"a title","spec":"4.2","severity":"must","writes":false,"outcome":"fail","reason":"got code 0, want code 84 \u0026 \u003cmore\u003e",` +
		`"want":"code 84","came":"HTTP 200 OK","logUUID":"955585ed-adeb-436e-8be0-ebf2b81b7d15","tookMillis":12}]}`
	if err != nil || string(text) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, text, want)
	}
}
