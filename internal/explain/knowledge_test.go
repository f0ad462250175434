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

// The profile decides which signature is right.
func TestProfile(t *testing.T) {
	hmacs := func(s *sender) {
		s.sign = func(s *sender, c string) string { return mac(s.key, s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c) }
	}
	know := knowledge()
	know.Profile = rollcall.SignaturePlain
	examine(t, "hmac on plain", hmacs, know, nil, "signature-hmac-on-plain")
	know.Profile = rollcall.SignatureHMAC
	examine(t, "plain on hmac", nil, know, nil, "signature-plain-on-hmac")
	know.Agents = nil
	examine(t, "hmac without a key", hmacs, know, nil, "")
	know.Profile = ""
	examine(t, "hmac, perhaps", hmacs, know, nil, "")
	know.Profile = rollcall.SignaturePlain
	examine(t, "not hmac", hmacs, know, nil, "signature-unknown")
	know = knowledge()
	know.Agents = know.Agents[1:]
	examine(t, "keys of others", nil, know, nil, "")
	examine(t, "keys of others, hmac", hmacs, know, nil, "")
}

// The time of sending may be known, assumed, or neither.
func TestTimeOfSending(t *testing.T) {
	off := func(s *sender) { s.stamp = wire.FormatTimestamp(sentAt.Add(-7*time.Hour - 2*time.Minute)) }
	off2 := func(s *sender) { off(s); s.issued = sentAt.Add(-8 * time.Hour) }
	r := examine(t, "assumed", off2, Knowledge{Now: sentAt}, nil, "clock-time-zone")
	if !r.Findings()[0].Assumed || !strings.Contains(r.Likely, "--at") || !strings.Contains(r.Likely, "a time zone of 7 h, and 2 min of drift") {
		t.Errorf("got %q", r.Likely)
	}
	examine(t, "nothing known", off2, Knowledge{}, nil, "")
	examine(t, "clock of the record", off2, Knowledge{Now: sentAt.Add(time.Hour)}, &rollcall.RequestRecord{At: sentAt, Code: 83}, "clock-time-zone token-expired")
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
		examine(t, name, sealed(row.seal), Knowledge{At: sentAt}, nil, row.want)
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
