package explain

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// examine holds what is found in a request to what is wanted.
func examine(t *testing.T, name string, change func(*sender), know Knowledge, record *rollcall.RequestRecord, want string) *Report {
	t.Helper()
	s := newSender()
	if change != nil {
		change(s)
	}
	list, err := Read([]byte(formats["raw CRLF"](s.send())), FormatHTTP)
	if err != nil {
		t.Fatal(err)
	}
	know.Record = record
	r := Explain(list[0], know)
	noSecret(t, r)
	got := ""
	for _, f := range r.Findings() {
		got += f.Code + " "
	}
	if strings.TrimSpace(got) != want {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
	return r
}

// refused is a record in which one check was not passed; "": none.
func refused(name, reason string) *rollcall.RequestRecord {
	checks := []rollcall.RequestCheck{}
	for _, step := range []string{"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token"} {
		checks = append(checks, rollcall.RequestCheck{Name: step, Passed: step != name, Reason: map[bool]string{true: reason}[step == name]})
	}
	return &rollcall.RequestRecord{LogUUID: "u", At: sentAt, Code: 83, Status: 200, Checks: checks}
}

// The record tells what nobody else knows.
func TestRecord(t *testing.T) {
	for reason, want := range map[string]string{
		"authentication failed: token is unverifiable: error while executing keyfunc: token key is unknown": "token-other-environment",
		"authentication failed: token signature is invalid: signature is invalid":                           "token-altered",
		"authentication failed: token was revoked":                                                          "token-revoked",
		"authentication failed: something new":                                                              "token-refused",
	} {
		examine(t, reason, nil, knowledge(), refused("token", reason), want)
	}
	examine(t, "agent", nil, knowledge(), refused("agent", "authentication failed: agent is unknown"), "agent-unknown")
	examine(t, "blocked", nil, knowledge(), refused("agent", "authentication failed: agent is blocked"), "agent-blocked")
	plainOnHMAC := "authentication failed: x-signature is not that of profile hmac"
	examine(t, "profile of the record", nil, knowledge(), refused("signature", plainOnHMAC), "signature-plain-on-hmac")
	used := refused("", "")
	used.Checks = append(used.Checks, rollcall.RequestCheck{Name: "cipherText", Passed: true}, rollcall.RequestCheck{Name: "nonce", Reason: "authentication failed: nonce used before"})
	examine(t, "nonce", nil, knowledge(), used, "nonce-reused")

	found := refused("", "")
	found.Code, found.Findings = 84, []rollcall.RequestFinding{{Code: "tag-behind"}, {Code: "of-tomorrow"}}
	r := examine(t, "findings of the record", nil, Knowledge{}, found, "tag-behind")
	if !strings.HasPrefix(r.Likely, "Most likely: The tag stands behind the sealed bytes (by the server's record).") {
		t.Errorf("got %q", r.Likely)
	}

	badPlain := refused("plaintext", "parameters error: username is not 1 to 25 ASCII letters or digits")
	badPlain.Code, badPlain.Checks = 11, append(badPlain.Checks, rollcall.RequestCheck{Name: "plaintext", Reason: "parameters error: username is not right"})
	examine(t, "plaintext by the record", plain(`{"username":"a b"}`), Knowledge{}, badPlain, "plaintext-refused")
}

func hmacs(s *sender) {
	s.sign = func(s *sender, c string) string { return mac(s.key, s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c) }
}

// The profile decides which signature is right.
func TestProfile(t *testing.T) {
	know := knowledge()
	know.Profile = rollcall.SignaturePlain
	examine(t, "hmac on plain", hmacs, know, nil, "signature-hmac-on-plain")
	know.Profile = rollcall.SignatureHMAC
	examine(t, "plain on hmac", nil, know, nil, "signature-plain-on-hmac")
	know.Agents = nil
	examine(t, "hmac without a key", hmacs, know, nil, "")
	examine(t, "on hmac, without a key", signed(func(s *sender, c string) string { return s.agentID + s.stamp + s.nonce + c }), know, nil, "signature-no-separators signature-plain-on-hmac")
	know.Profile = ""
	r := examine(t, "hmac, perhaps", hmacs, know, nil, "")
	if s := r.step(stepSignature); s.Verdict != Unknown || !strings.Contains(s.Found, "whether it is an hmac one cannot be known without the API key") {
		t.Errorf("got %+v", s)
	}
	know.Profile = rollcall.SignaturePlain
	examine(t, "not hmac", hmacs, know, nil, "signature-unknown")
	know = knowledge()
	know.Agents = know.Agents[1:]
	examine(t, "keys of others", nil, know, nil, "")
	examine(t, "keys of others, hmac", hmacs, know, nil, "")
}

// An agent's own profile counts, where none is given for the request.
func TestProfileOfTheAgent(t *testing.T) {
	know := knowledge()
	know.Agents[0].Profile = rollcall.SignatureHMAC
	examine(t, "plain on hmac", nil, know, nil, "signature-plain-on-hmac")
	know.Profile = rollcall.SignaturePlain
	examine(t, "given otherwise", nil, know, nil, "")
	know = knowledge()
	know.Agents[0].Profile = rollcall.SignaturePlain
	examine(t, "hmac on plain", hmacs, know, nil, "signature-hmac-on-plain")
	examine(t, "the record knows better", nil, know, refused("signature", "authentication failed: x-signature is not that of profile hmac"), "signature-plain-on-hmac")
	know = knowledge()
	know.Agents[1].Profile = rollcall.SignatureHMAC
	examine(t, "another agent's", nil, know, nil, "")
	know.Agents[0].ID, know.Agents[0].Profile = "", rollcall.SignatureHMAC
	examine(t, "of whoever it is", nil, know, nil, "signature-plain-on-hmac")
}

func ahead(d time.Duration) func(*sender) {
	return func(s *sender) { s.stamp = wire.FormatTimestamp(sentAt.Add(d)) }
}

// The time of sending may be known, assumed, or neither.
func TestTimeOfSending(t *testing.T) {
	off := func(s *sender) { ahead(-7*time.Hour - 2*time.Minute)(s); s.issued = sentAt.Add(-8 * time.Hour) }
	r := examine(t, "assumed, old", off, Knowledge{Now: sentAt}, nil, "")
	if s := r.step(stepTime); s.Verdict != Unknown || !strings.Contains(s.Found, "7 h 2 min behind now; --at says when it was sent") {
		t.Errorf("got %+v", s)
	}
	examine(t, "nothing known", off, Knowledge{}, nil, "")
	examine(t, "clock of the record", off, Knowledge{Now: sentAt.Add(time.Hour)}, &rollcall.RequestRecord{At: sentAt, Code: 83}, "clock-time-zone token-expired")
	examine(t, "assumed, within what is allowed", ahead(4*time.Minute), Knowledge{Now: sentAt}, nil, "")
}

// A request cannot come from the future, so what is ahead of now is wrong. But what is
// certain goes first, and a record holds only that.
func TestAheadOfNow(t *testing.T) {
	r := examine(t, "assumed", ahead(48*time.Hour), Knowledge{Now: sentAt}, nil, "clock-ahead")
	if !r.Findings()[0].Assumed || !strings.Contains(r.Likely, "and more if it was sent before: say with --at") {
		t.Errorf("got %q", r.Likely)
	}
	if got := r.Diagnosis(); len(got) > 0 {
		t.Errorf("a record holds %+v", got)
	}
	r = examine(t, "with another", func(s *sender) {
		ahead(48 * time.Hour)(s)
		s.sign = func(s *sender, c string) string { return sha(s.agentID + s.stamp + s.nonce + c) }
	}, Knowledge{Now: sentAt}, nil, "clock-ahead signature-no-separators")
	if !strings.HasPrefix(r.Likely, "Most likely: The values are signed without") || strings.Contains(r.Likely, "--at") {
		t.Errorf("got %q", r.Likely)
	}
	if got := r.Diagnosis(); len(got) != 1 || got[0].Code != "signature-no-separators" {
		t.Errorf("a record holds %+v", got)
	}
}

// Whether a token had expired is not known by a time that is only assumed.
func TestTokenByAssumedTime(t *testing.T) {
	undated := func(s *sender) { s.stamp = "then"; s.issued = sentAt.Add(-3 * time.Hour) }
	r := examine(t, "no time but now", undated, Knowledge{Now: sentAt}, nil, "timestamp-malformed")
	if s := r.step(stepToken); s.Verdict != Unknown || !strings.Contains(s.Found, "expired by now; whether it was when it was sent, --at tells") {
		t.Errorf("got %+v", s)
	}
	examine(t, "given", undated, Knowledge{At: sentAt}, nil, "timestamp-malformed token-expired")
	expired := func(s *sender) { s.issued = sentAt.Add(-3 * time.Hour) }
	examine(t, "by x-timestamp", expired, Knowledge{Now: sentAt.Add(24 * time.Hour)}, nil, "token-expired")
	early := func(s *sender) { s.stamp = "then"; s.issued = sentAt.Add(10 * time.Minute) }
	r = examine(t, "of the future", early, Knowledge{Now: sentAt}, nil, "timestamp-malformed token-not-yet")
	if f := r.step(stepToken).Findings[0]; !f.Assumed {
		t.Errorf("got %+v", f)
	}
	examine(t, "by a clock ahead of now", ahead(48*time.Hour), Knowledge{Now: sentAt}, nil, "clock-ahead")
}

// Seconds are cut, not rounded: the part of one that is missing is no lag.
func TestSecondsAreNoLag(t *testing.T) {
	for after, want := range map[time.Duration]string{0: ", 0 s ahead of ", time.Second: ", 1.6 s behind "} {
		s := newSender()
		s.stamp = s.stamp[:10]
		m := s.send()
		r := Explain(&Request{Method: m.method, Path: m.path, Header: m.header, Body: []byte(m.body), HasBody: true}, Knowledge{At: sentAt.Add(after)})
		if got := r.step(stepTime).Found; !strings.Contains(got, want) {
			t.Errorf("%s later: got %q, want %q", after, got, want)
		}
	}
}

// Where nothing is found wrong, an answer that says otherwise is not passed over.
func TestNothingFoundThoughRefused(t *testing.T) {
	r := examine(t, "refused", nil, Knowledge{}, &rollcall.RequestRecord{Code: 83}, "")
	if want := "Nothing wrong was found here, though the answer is code 83 (" + wire.Code(83).Message() + ")."; r.Likely != want {
		t.Errorf("got %q, want %q", r.Likely, want)
	}
	r = examine(t, "accepted", nil, knowledge(), &rollcall.RequestRecord{}, "")
	if r.Likely != "Nothing wrong was found." {
		t.Errorf("got %q", r.Likely)
	}
}

// Without a key what the text shows is said.
func TestWithoutKey(t *testing.T) {
	for name, row := range map[string]struct {
		seal func([]byte, string) string
		want string
	}{
		"URL-safe": {urlSafe, "url-safe-base64"},
		"hex":      {func([]byte, string) string { return strings.Repeat("0a", 60) }, "hex"},
		"folded":   {func(k []byte, p string) string { return sealRight(k, p) + "\n" }, "base64-newlines"},
		"one base64": {func(k []byte, p string) string {
			iv, tag, sealed := parts(k, 12, 16, p, "")
			return b64(append(append(iv, tag...), sealed...))
		}, "layout-wrong"},
	} {
		r := examine(t, name, sealed(row.seal), Knowledge{At: sentAt}, nil, row.want)
		if got := r.step(stepCipherText).Found; strings.Contains(got, "its layout is right") || !strings.Contains(got, "without the API key") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	r := examine(t, "right", nil, Knowledge{At: sentAt}, nil, "")
	if got := r.step(stepCipherText).Found; !strings.HasPrefix(got, "its layout is right") {
		t.Errorf("right: got %q", got)
	}
}

// The most likely cause is one that the answer's code can come from.
func TestMostLikely(t *testing.T) {
	s := newSender()
	s.path = wire.PathSessionsCheck + "/"
	s.sign = func(s *sender, c string) string { return sha(s.agentID + s.stamp + s.nonce + c) }
	list, err := Read([]byte(formats["JSON"](s.send())), FormatAuto)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]string{11: "The path has a slash", 83: "The values are signed without"} {
		list[0].Answer = &Answer{Status: http.StatusOK, Code: code, HasCode: true}
		if got := Explain(list[0], knowledge()).Likely; !strings.HasPrefix(got, "Most likely: "+want) {
			t.Errorf("code %d: got %q", code, got)
		}
	}
}

// A search is bounded, whatever is in the request.
func TestBounded(t *testing.T) {
	s := newSender()
	s.plaintext = `{"username":"` + strings.Repeat("x", 44<<10) + `"}`
	s.key = random(32)
	s.sign = func(*sender, string) string { return sha("something else") }
	m := s.send()
	know := knowledge()
	for range maxAgents {
		know.Agents = append(know.Agents, Agent{ID: "more", APIKeys: []string{otherKey}, Secret: ownSecret})
	}
	for _, brief := range []bool{true, false} {
		know.Brief = brief
		list, err := Read([]byte(formats["JSON"](m)), FormatAuto)
		if err != nil {
			t.Fatal(err)
		}
		x := &exam{req: list[0], know: know, rep: newReport(list[0])}
		x.fund()
		x.body()
		if !x.hasCipherText {
			t.Fatal("no cipherText")
		}
		before := x.budget
		x.keys = candidates(know.Agents, ownID)
		if x.search().ok {
			t.Fatal("opened")
		}
		// Each step takes what it needs and sees only then that nothing is left.
		if left := x.budget; left < -3*maxBody || brief && left != 0 || !brief && before-left < 1<<20 {
			t.Errorf("brief %v: %d of the budget are left of %d", brief, left, before)
		}
	}
}
