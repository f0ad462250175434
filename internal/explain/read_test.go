package explain

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// Captures as tools write them, beside those that TestFaults makes.
func TestRead(t *testing.T) {
	for _, row := range []struct {
		name, text string
		check      func(r *Request) bool
	}{
		{"headers alone", "x-agentid: a\r\nX-Nonce: b\r\n\r\n{}", func(r *Request) bool {
			return r.Method == "" && r.Header.Get("x-agentid") == "a" && string(r.Body) == "{}"
		}},
		{"absolute target", "POST https://h.example/v2/auth?x=1 HTTP/2\nA: b\n\nx", func(r *Request) bool { return r.Path == "/v2/auth" }},
		{"chunked", "POST /v2/auth HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", func(r *Request) bool { return string(r.Body) == "abc" }},
		{"curl -v without a body", "* Trying\n> POST /v2/auth HTTP/1.1\n> x-agentid: a\n>\n* upload\n< HTTP/1.1 200 OK\n< Date: Fri, 30 Jan 2026 03:58:52 GMT\n<\n{\"code\":83,\"message\":\"m\",\"logUUID\":\"u\"}\n", func(r *Request) bool {
			return !r.HasBody && r.Answer.Code == 83 && r.Answer.LogUUID == "u" && r.Answer.At.Equal(time.Date(2026, 1, 30, 3, 58, 52, 0, time.UTC))
		}},
		{"rollcall check --verbose", "\n> POST http://h/v2/auth\n> x-agentid: a\n>\n> {\"cipherText\":\"x\"}\n  cipherText is base64\n< 200 OK\n< {\"code\":84,\"logUUID\":\"u\"}\n", func(r *Request) bool {
			return r.Path == "/v2/auth" && string(r.Body) == `{"cipherText":"x"}` && r.Answer.Code == 84 && r.Answer.Status == 200
		}},
		{"curl's own content type", "$ curl https://h/v2/auth -d '{}'", func(r *Request) bool {
			return r.Method == "POST" && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" && string(r.Body) == "{}"
		}},
		{"curl --json", "curl --json '{}' h.example/v2/auth -u me:you", func(r *Request) bool {
			return r.Path == "/v2/auth" && r.Header.Get("Content-Type") == "application/json" && strings.HasPrefix(r.Header.Get("Authorization"), "Basic ")
		}},
		{"curl with a file", "curl -d @body.json https://h/v2/auth", func(r *Request) bool { return !r.HasBody }},
		{"curl without data", "curl https://h/v2/auth", func(r *Request) bool { return r.Method == "GET" && r.HasBody && len(r.Body) == 0 }},
		{"curl with letters together", "curl -sSXPUT -Hx-nonce:n https://h/v2/auth", func(r *Request) bool { return r.Method == "PUT" && r.Header.Get("x-nonce") == "n" }},
		{"curl ansi", `curl https://h/v2/auth --data-raw $'\x7b\u0022a\'\n\q"}'`, func(r *Request) bool { return string(r.Body) == "{\"a'\n\\q\"}" }},
		{"JSON's list of headers", `{"path":"/v2/auth","headers":[{"name":"x-agentid","value":"a"},{"name":"X-AgentId","value":"b"}],"body":{"cipherText":"x"}}`, func(r *Request) bool {
			return r.Method == "POST" && len(r.Header["X-Agentid"]) == 2 && string(r.Body) == `{"cipherText":"x"}`
		}},
		{"JSON's answer", `{"url":"https://h/v2/auth","headers":{"x-timestamp":1769745532582},"response":{"status":200,"body":{"code":83,"logUUID":"u"}}}`, func(r *Request) bool {
			return r.Header.Get("x-timestamp") == "1769745532582" && !r.HasBody && r.Answer.Code == 83
		}},
		{"PowerShell's UTF-16", wide("POST /v2/auth HTTP/1.1\r\nA: b\r\n\r\n{}"), func(r *Request) bool { return r.Path == "/v2/auth" && string(r.Body) == "{}" }},
	} {
		list, err := Read([]byte(row.text), FormatAuto)
		if err != nil || len(list) != 1 || !row.check(list[0]) {
			t.Errorf("%s: %v", row.name, err)
			if len(list) == 1 {
				t.Errorf("got %+v, body %q, answer %+v", list[0], list[0].Body, list[0].Answer)
			}
		}
	}
}

// What is no capture is refused, and not repeated.
func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":      " \n",
		"prose":        "my secret request does not work",
		"body alone":   `{"cipherText":"secret"}`,
		"open quote":   `curl 'https://h/v2/auth -H secret`,
		"curl alone":   "curl ",
		"option alone": "curl https://h/v2/auth -H",
		"no v2":        `{"log":{"entries":[{"request":{"url":"https://h/secret"}}]}}`,
		"bad JSON":     `{"secret"`,
		"bad headers":  `{"path":"/v2/auth","headers":"secret"}`,
		"many lines":   "POST /v2/auth HTTP/1.1\n" + strings.Repeat("a: b\n", maxHead+1),
	} {
		list, err := Read([]byte(text), FormatAuto)
		if !errors.Is(err, rollcall.ErrInvalid) || list != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, %v", name, list, err)
		}
	}
	if _, err := Read([]byte("x"), "xml"); !errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if _, err := Read(make([]byte, MaxCapture+1), FormatAuto); !errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Of a recording the requests to /v2 are taken, and a nonce that comes twice is seen.
func TestHARWithMany(t *testing.T) {
	m := newSender().send()
	var one map[string]map[string][]json.RawMessage
	if err := json.Unmarshal([]byte(formats["HAR"](m)), &one); err != nil {
		t.Fatal(err)
	}
	entries := one["log"]["entries"]
	all, err := json.Marshal(map[string]any{"log": map[string]any{"entries": append(entries, entries[1])}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := Read(all, FormatHAR)
	if err != nil || len(list) != 2 {
		t.Fatalf("got %d requests, %v", len(list), err)
	}
	for i, want := range []string{"", "nonce-reused"} {
		got := ""
		for _, f := range Explain(list[i], knowledge()).Findings() {
			got += f.Code
		}
		if got != want {
			t.Errorf("request %d: got %q, want %q", i+1, got, want)
		}
	}
}

// pageRow is a kind's row in docs/explain.md.
func pageRow(k Kind) string {
	cell := strings.NewReplacer("|", `\|`, "{v}", "N", "<", "&lt;").Replace
	return "| `" + k.Code + "` | " + cell(k.What) + " | " + cell(k.Mend) + " | " + k.Spec + " |\n"
}

// The tables in docs/explain.md are the code's: every kind, in the same order.
func TestPageHasAllKinds(t *testing.T) {
	text, err := os.ReadFile("../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	want, got := "", ""
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Code] || k.Mend == "" || k.What == "" || k.Spec == "" || k.Step == "" {
			t.Errorf("kind %q is there twice, or not whole", k.Code)
		}
		seen[k.Code] = true
		want += pageRow(k)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			got += line
		}
	}
	if got != want {
		t.Errorf("the page's rows are not the code's, which are:\n%s", want)
	}
}

// What is known decides what is said.
func TestKnowledge(t *testing.T) {
	check := func(name string, change func(*sender), know Knowledge, record *rollcall.RequestRecord, want string) *Report {
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
	refused := func(name, reason string) *rollcall.RequestRecord {
		checks := []rollcall.RequestCheck{}
		for _, step := range []string{"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token"} {
			checks = append(checks, rollcall.RequestCheck{Name: step, Passed: step != name, Reason: map[bool]string{true: reason}[step == name]})
		}
		return &rollcall.RequestRecord{LogUUID: "u", At: sentAt, Code: 83, Status: 200, Checks: checks}
	}
	for reason, want := range map[string]string{
		"authentication failed: token is unverifiable: error while executing keyfunc: token key is unknown": "token-other-environment",
		"authentication failed: token signature is invalid: signature is invalid":                           "token-altered",
		"authentication failed: token was revoked":                                                          "token-revoked",
		"authentication failed: something new":                                                              "token-refused",
	} {
		check(reason, nil, knowledge(), refused("token", reason), want)
	}
	check("agent", nil, knowledge(), refused("agent", "authentication failed: agent is unknown"), "agent-unknown")
	check("blocked", nil, knowledge(), refused("agent", "authentication failed: agent is blocked"), "agent-blocked")
	plainOnHMAC := "authentication failed: x-signature is not that of profile hmac"
	check("profile of the record", nil, knowledge(), refused("signature", plainOnHMAC), "signature-plain-on-hmac")
	used := refused("", "")
	used.Checks = append(used.Checks, rollcall.RequestCheck{Name: "cipherText", Passed: true}, rollcall.RequestCheck{Name: "nonce", Reason: "authentication failed: nonce used before"})
	check("nonce", nil, knowledge(), used, "nonce-reused")

	found := refused("", "")
	found.Code, found.Findings = 84, []rollcall.RequestFinding{{Code: "tag-behind"}, {Code: "of-tomorrow"}}
	r := check("findings of the record", nil, Knowledge{}, found, "tag-behind")
	if !strings.HasPrefix(r.Likely, "Most likely: The tag stands behind the sealed bytes (by the server's record).") {
		t.Errorf("got %q", r.Likely)
	}

	hmacs := func(s *sender) {
		s.sign = func(s *sender, c string) string { return mac(s.key, s.agentID+"|"+s.stamp+"|"+s.nonce+"|"+c) }
	}
	know := knowledge()
	know.Profile = rollcall.SignaturePlain
	check("hmac on plain", hmacs, know, nil, "signature-hmac-on-plain")
	know.Profile = rollcall.SignatureHMAC
	check("plain on hmac", nil, know, nil, "signature-plain-on-hmac")
	know.Agents = nil
	check("hmac without a key", hmacs, know, nil, "")

	// Time: nobody tells when it was sent.
	off := func(s *sender) { s.stamp = wire.FormatTimestamp(sentAt.Add(-7*time.Hour - 2*time.Minute)) }
	off2 := func(s *sender) { off(s); s.issued = sentAt.Add(-8 * time.Hour) }
	r = check("assumed", off2, Knowledge{Now: sentAt}, nil, "clock-time-zone")
	if !r.Findings()[0].Assumed || !strings.Contains(r.Likely, "--at") || !strings.Contains(r.Likely, "a time zone of 7 h, and 2 min of drift") {
		t.Errorf("got %q", r.Likely)
	}
	check("nothing known", off2, Knowledge{}, nil, "")
	check("clock of the record", off2, Knowledge{Now: sentAt.Add(time.Hour)}, &rollcall.RequestRecord{At: sentAt, Code: 83}, "clock-time-zone token-expired")

	// Without a key what the text shows is said.
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
		check(name, sealed(row.seal), Knowledge{At: sentAt}, nil, row.want)
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

func FuzzRead(f *testing.F) {
	m := newSender().send()
	for _, format := range formats {
		f.Add(format(m))
	}
	f.Add("curl -H 'a: b' $'\\x4' \"\\")
	f.Add("> POST / \n<\n< 200\n{")
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range append([]Format{FormatAuto}, Formats...) {
			list, err := Read([]byte(text), format)
			if err != nil && (list != nil || !errors.Is(err, rollcall.ErrInvalid)) {
				t.Fatalf("%s: %v, %v", format, list, err)
			}
			for _, r := range list {
				if len(r.Header) > 201 || len(list) > maxEntries {
					t.Fatalf("%s is not bounded", format)
				}
			}
		}
	})
}

// No request makes Explain panic, and no report shows a key.
func FuzzExplain(f *testing.F) {
	for _, fault := range faults {
		s := newSender()
		fault.make(s)
		m := s.send()
		f.Add(m.path, m.header.Get("x-agentid"), m.header.Get("x-timestamp"), m.header.Get("x-nonce"), m.header.Get("x-signature"), m.header.Get("Authorization"), m.body)
	}
	f.Fuzz(func(t *testing.T, path, agentID, stamp, nonce, signature, authorization, body string) {
		h := http.Header{
			"Content-Type": {"application/json"}, "X-Agentid": {agentID}, "X-Timestamp": {stamp}, "X-Nonce": {nonce}, "X-Signature": {signature},
			"Authorization": {authorization},
		}
		know := knowledge()
		know.Brief = true
		r := Explain(&Request{Method: "POST", Path: path, Header: h, Body: []byte(body), HasBody: true}, know)
		if r.Likely == "" || len(r.Steps) < 5 {
			t.Fatalf("got %+v", r)
		}
		for _, found := range r.Diagnosis() {
			if Expand(found.Code, found.Value).Mend == "" {
				t.Fatalf("no kind %s", found.Code)
			}
		}
		if !strings.Contains(path+agentID+stamp+nonce+signature+authorization+body, ownKey) {
			var text strings.Builder
			r.Print(&text)
			if strings.Contains(text.String(), ownKey) || strings.Contains(text.String(), ownSecret) {
				t.Fatal("a key is shown")
			}
		}
	})
}
