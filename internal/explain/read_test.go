package explain

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
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
		{"body left out", "POST /v2/auth HTTP/1.1\r\nContent-Length: 90\r\n\r\n", func(r *Request) bool { return !r.HasBody }},
		{"HAR's body left out", `{"log":{"entries":[{"request":{"method":"POST","url":"https://h/v2/auth","headers":[{"name":"content-length","value":"90"}]}}]}}`, func(r *Request) bool { return !r.HasBody }},
		{"HAR's base64", `{"log":{"entries":[{"request":{"url":"https://h/v2/auth","postData":{"text":"e30=","encoding":"base64"}},"response":{"status":200}}]}}`, func(r *Request) bool { return string(r.Body) == "{}" && r.Answer.Status == 200 }},
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
		{"JSON's method in small letters", `{"method":"post","path":"/v2/auth","headers":{}}`, func(r *Request) bool { return r.Method == "POST" }},
		{"HAR's method in small letters", `{"log":{"entries":[{"request":{"method":"post","url":"https://h/v2/auth"}}]}}`, func(r *Request) bool { return r.Method == "POST" }},
		// A method is compared with case, and curl sends the one that it is given as it is.
		{"curl's method in small letters", "curl -X post https://h/v2/auth", func(r *Request) bool { return r.Method == "post" }},
		{"a method in small letters", "post /v2/auth HTTP/1.1\r\nA: b\r\n\r\n{}", func(r *Request) bool { return r.Method == "post" }},
		{"length beyond the body", "POST /v2/auth HTTP/1.1\r\nContent-Length: 90\r\n\r\n{}\r\n", func(r *Request) bool { return string(r.Body) == "{}" && r.HasBody }},
		{"length before the body's end", "POST /v2/auth HTTP/1.1\r\nContent-Length: 2\r\n\r\n{\"a\":1}\r\n", func(r *Request) bool { return string(r.Body) == `{"a":1}` }},
		{"length with a line end", "POST /v2/auth HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}\n\n\n", func(r *Request) bool { return string(r.Body) == "{}\n" }},
		{"length of the whole body", "POST /v2/auth HTTP/1.1\r\nContent-Length: 4\r\n\r\n{}\n\n", func(r *Request) bool { return string(r.Body) == "{}\n\n" }},
		{"length below zero", "POST /v2/auth HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}", func(r *Request) bool { return string(r.Body) == "{}" }},
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
		"axios":        `{"config":{"method":"post","headers":{"x-agentid":"secret"}}}`,
		"URL alone":    `{"method":"POST","url":"https://h/secret"}`,
		"nulls":        `{"method":"POST","url":"https://h/secret","headers":null,"body":null}`,
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

// A log has many exchanges, indented, and lines of its own behind them.
func TestReadLog(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\nContent-Type: application/json\n\n" + `{"code":84,"message":"Decryption Failed","logUUID":"u"}` + "\n\n2026-01-30 ERROR it does not work\n"
	// A right request, answered wrongly: nothing is found, and the answer is read.
	first, second := rawText(newSender().send(), "\n")+"\n\n", rawText(newSender().send(), "\n")+"\n\n"
	log := first + answer + second + answer
	for name, text := range map[string]string{
		"as it is": log,
		"indented": "    " + strings.ReplaceAll(log, "\n", "\n    "),
		"curl -v":  marked2(first) + marked2(second),
	} {
		list, err := Read([]byte(text), FormatAuto)
		if err != nil || len(list) != 2 {
			t.Errorf("%s: got %d requests, %v", name, len(list), err)
			continue
		}
		for _, r := range list {
			if found := Explain(r, knowledge()).Findings(); len(found) > 0 {
				t.Errorf("%s: got %+v", name, found)
			}
			if r.Answer == nil || !r.Answer.HasCode || r.Answer.Code != 84 {
				t.Errorf("%s: got the answer %+v, want code 84", name, r.Answer)
			}
		}
		if list[0].Header.Get("X-Nonce") == list[1].Header.Get("X-Nonce") {
			t.Errorf("%s: the requests are one", name)
		}
	}
}

// marked2 is a request with an answer as curl -v shows them, but for the body.
func marked2(raw string) string {
	head, _, _ := strings.Cut(raw, "\n\n")
	return "> " + strings.ReplaceAll(head, "\n", "\n> ") + "\n>\n< HTTP/1.1 200 OK\n<\n" + `{"code":84,"message":"","logUUID":"u"}` + "\n"
}

// What may be a key or a password is not shown, wherever it stands.
func TestSecretsInOddPlaces(t *testing.T) {
	key := strings.Repeat("5a", 32)
	for _, text := range []string{
		"POST /v2/auth?cb=https://x/" + key + " HTTP/1.1\nx-agentid: " + key + "\n\n{}",
		"POST /v2/" + key + "/auth;k=" + key + " HTTP/1.1\nx-agentid: a\n\n{}",
		"POST //user:" + key + "@host/v2/auth HTTP/1.1\nx-agentid: a\n\n{}",
		"curl --pass a/" + key + " https://user:" + key + "@h/v2/auth -d {}",
	} {
		list, err := Read([]byte(text), FormatAuto)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		Explain(list[0], Knowledge{}).Print(&out)
		if strings.Contains(out.String(), key) || !strings.Contains(out.String(), "/auth") {
			t.Errorf("%s", out.String())
		}
	}
}

// JSON captures are as programs happen to write them.
func TestReadJSONForms(t *testing.T) {
	for name, text := range map[string]string{
		"status as text":   `{"path":"/v2/auth","headers":{},"body":{},"response":{"status":"200","body":{"code":10}}}`,
		"answer as text":   `{"path":"/v2/auth","headers":{},"body":{},"answer":"{\"code\":10}"}`,
		"answer as object": `{"path":"/v2/auth","headers":{},"body":{},"answer":{"code":10,"message":""}}`,
		"request inside":   `{"request":{"path":"/v2/auth","headers":{"x-agentid":"a"},"body":{}},"response":{"status":200,"body":"{\"code\":10}"}}`,
	} {
		list, err := Read([]byte(text), FormatAuto)
		if err != nil || list[0].Path != "/v2/auth" || list[0].Answer == nil || list[0].Answer.Code != 10 {
			t.Errorf("%s: got %+v, %v", name, list, err)
		}
	}
	_, err := Read([]byte(`{"config":{}}`), FormatAuto)
	if err == nil || !strings.Contains(err.Error(), `it has neither headers nor body: want {"method", "url", "headers"`) {
		t.Errorf("got %v", err)
	}
	_, err = Read([]byte(`{"path":["secret"]}`), FormatAuto)
	if err == nil || !strings.Contains(err.Error(), `member "Path" is of another type`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
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
	for _, k := range kinds {
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
