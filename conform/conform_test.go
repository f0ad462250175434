package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	testKey    = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	testNext   = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
	testSecret = "sk-7Hq2vN4xLw9ZbT3mKc8R"
	testToken  = "eyJhbGciOiJIUzI1NiJ9.eyJhZ2VudElkIjoiYTEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
)

// envelope answers with a code.
func envelope(w http.ResponseWriter, code int, data string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"code":%d,"message":"m"%s,"logUUID":"955585ed-adeb-436e-8be0-ebf2b81b7d15"}`, code, data)
}

// login answers a request for a token, and reports whether it was one.
func login(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path == wire.PathAuth {
		envelope(w, 0, `,"data":{"accessToken":"`+testToken+`","expiresIn":3600,"tokenType":"Bearer"}`)
	}
	return r.URL.Path == wire.PathAuth
}

func optionsFor(t *testing.T, h http.HandlerFunc) Options {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Options{
		BaseURL: s.URL, Rate: 1e6, Strict: true,
		Agents: []Agent{{Role: RolePrimary, AgentID: "a1", APIKey: testKey, NextAPIKey: testNext, SecretKey: testSecret}},
	}
}

func only(o Options, pattern string) Options {
	o.Only = regexp.MustCompile(pattern)
	return o
}

// TestCases holds the list to its own rules, and to the sections of the protocol.
func TestCases(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[a-z]+/[a-z0-9-]+$`)
	for _, c := range Cases() {
		switch {
		case seen[c.ID]:
			t.Errorf("%s stands there twice", c.ID)
		case !form.MatchString(c.ID) || c.Title == "":
			t.Errorf("%q, title %q: want group/name, and a title", c.ID, c.Title)
		case c.Severity != Must && c.Severity != Should && c.Severity != Ours:
			t.Errorf("%s: severity %q", c.ID, c.Severity)
		}
		seen[c.ID] = true
		for section := range strings.SplitSeq(c.Spec, ", ") {
			if !strings.Contains(string(page), "\n**"+section+"**") && !strings.Contains(string(page), "\n## "+section+" ") {
				t.Errorf("%s: docs/protocol.md has no section %q", c.ID, section)
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("got %d cases, want all", len(seen))
	}
}

// A server that gives back everything that it gets, with what it has opened, brings
// no secret into a report.
func TestNoSecrets(t *testing.T) {
	o := optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		if login(w, r) && r.Header.Get(wire.HeaderAuthorization) == "" {
			return
		}
		var in wire.Request
		body, _ := io.ReadAll(r.Body)
		_ = in.Decode(body)
		key, _ := wire.ParseAPIKey(testKey)
		plaintext, _ := key.Open(in.CipherText)
		text, _ := json.Marshal(map[string]any{
			"code": 99, "logUUID": testToken, "message": strings.Join([]string{r.Header.Get(wire.HeaderAuthorization), testKey, testNext, testSecret}, " "),
			"data": map[string]any{"accessToken": "other" + testToken, "secret": "x", "gameLaunchUrl": "https://x/?token=LAUNCHTOKEN", "p": string(plaintext)},
		})
		w.Write(text)
	})
	o.AllowWrites = true
	o.Facts = Facts{Member: "player002", Playing: "player001", Game: "G1", GameURL: o.BaseURL, GameToken: "rcg_TOKEN"}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Count(Fail); n < 150 {
		t.Errorf("%d cases fail, want nearly all", n)
	}
	text, junit := new(strings.Builder), new(strings.Builder)
	asJSON, err := json.Marshal(report)
	if err = errors.Join(err, report.WriteText(text), report.WriteJUnit(junit)); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"JSON": string(asJSON), "text": text.String(), "JUnit": junit.String()} {
		for _, secret := range []string{testKey, testNext, testSecret, testToken, testToken[len(testToken)-20:], "LAUNCHTOKEN", "rcg_TOKEN", swapCase(testSecret)} {
			if at := strings.Index(out, secret); at >= 0 {
				t.Errorf("%s has the secret %s: %.300s", name, secret, out[max(0, at-200):])
			}
		}
	}
}

func TestOptions(t *testing.T) {
	agent := Agent{Role: RolePrimary, AgentID: "a1", APIKey: testKey, SecretKey: testSecret}
	const base = "http://127.0.0.1:1"
	for name, o := range map[string]Options{
		"no URL":         {Agents: []Agent{agent}},
		"no host":        {BaseURL: "http://", Agents: []Agent{agent}},
		"a query":        {BaseURL: base + "?x", Agents: []Agent{agent}},
		"no agent":       {BaseURL: base},
		"no primary":     {BaseURL: base, Agents: []Agent{{Role: RoleOther, AgentID: "a1", APIKey: testKey}}},
		"a short key":    {BaseURL: base, Agents: []Agent{{Role: RolePrimary, AgentID: "a1", APIKey: testKey[2:]}}},
		"no agent ID":    {BaseURL: base, Agents: []Agent{{Role: RolePrimary, APIKey: testKey}}},
		"a wrong fact":   {BaseURL: base, Agents: []Agent{agent}, Facts: Facts{Member: "no name"}},
		"a rate below 0": {BaseURL: base, Agents: []Agent{agent}, Rate: -1},
	} {
		if _, err := Run(t.Context(), o); !errors.Is(err, rollcall.ErrInvalid) || strings.Contains(err.Error(), testKey[2:]) {
			t.Errorf("%s: got %v, want ErrInvalid, and no key in it", name, err)
		}
	}
}

// One clear error is said where there is no such server.
func TestUnreachable(t *testing.T) {
	o := optionsFor(t, nil)
	gone := httptest.NewServer(nil)
	gone.Close()
	o.BaseURL = gone.URL
	if report, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "cannot be reached") || len(report.Results) != 0 {
		t.Errorf("got %d results, %v; want one error", len(report.Results), err)
	}
	o = optionsFor(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
	})
	if report, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "HTTP 404, text/html") || len(report.Results) != 0 {
		t.Errorf("got %d results, %v; want one error", len(report.Results), err)
	}
	o = optionsFor(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"status":"ok"}`)) })
	if _, err := Run(t.Context(), o); err == nil || errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("got %v; want an error that is not of the options", err)
	}
	o.Agents = append(o.Agents, o.Agents[0])
	if _, err := Run(t.Context(), o); !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("got %v; want the role that is given twice", err)
	}
}

// A server that goes away ends the run.
func TestGoesAway(t *testing.T) {
	var n atomic.Int32
	o := optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 10 {
			panic(http.ErrAbortHandler)
		}
		_ = login(w, r)
	})
	report, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "does not answer any more") || report.Stopped == "" || report.OK() {
		t.Errorf("got %v, stopped %q", err, report.Stopped)
	}
	if report.Requests > 40 || len(report.Results) != len(Cases()) {
		t.Errorf("%d requests, %d results", report.Requests, len(report.Results))
	}
}

// One that cuts off what it does not like is not gone.
func TestCutsOff(t *testing.T) {
	o := optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/json" {
			panic(http.ErrAbortHandler)
		}
		nobody(w, r)
	})
	report, err := Run(t.Context(), only(o, "^(wire/content-type-.*|check/unknown-member)$"))
	if err != nil || report.Stopped != "" || report.Results[len(report.Results)-1].Outcome != Pass || report.Count(Fail) < tooManyLost {
		t.Errorf("%v, stopped %q, %d failed; want the last case to pass", err, report.Stopped, report.Count(Fail))
	}
}

// Without a token what needs one is skipped, and one case says what is wrong.
func TestNoToken(t *testing.T) {
	o := optionsFor(t, func(w http.ResponseWriter, _ *http.Request) { envelope(w, 10, "") })
	report, err := Run(t.Context(), only(o, `^(check/unknown-member|auth/right|headers/nonce-missing)$`))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		switch {
		case r.ID == "auth/right" && r.Outcome != Fail:
			t.Errorf("%s: %s", r.ID, r.Outcome)
		case r.ID != "auth/right" && (r.Outcome != Skip || !strings.Contains(r.Reason, "gets no access token: got code 10")):
			t.Errorf("%s: %s, %s", r.ID, r.Outcome, r.Reason)
		}
	}
}

// What is refused for the number of calls is sent again, when the server says.
func TestHonoursRetryAfter(t *testing.T) {
	var mu sync.Mutex
	tries := map[string]int{}
	o := optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		nonce := r.Header.Get(wire.HeaderNonce)
		if tries[nonce]++; tries[nonce] < 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			envelope(w, 77, "")
			return
		}
		if !login(w, r) {
			envelope(w, 8, "")
		}
	})
	report, err := Run(t.Context(), only(o, "^check/unknown-member$"))
	if err != nil || report.Count(Pass) != 1 || report.Requests != 9 {
		t.Errorf("%d passed with %d requests, %v; want 1 with 9", report.Count(Pass), report.Requests, err)
	}
	if got := retryAfter(http.Header{"Retry-After": {"7"}}); got != 7*time.Second {
		t.Errorf("Retry-After 7: got %s", got)
	}
	if got := retryAfter(http.Header{"Retry-After": {"99999"}}); got != maxWait {
		t.Errorf("Retry-After 99999: got %s", got)
	}
}

func TestBounds(t *testing.T) {
	o := optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		if !login(w, r) {
			envelope(w, 8, "")
		}
	})
	o.MaxRequests = 25
	report, err := Run(t.Context(), o)
	if err != nil || report.Requests != 25 || report.Stopped == "" || report.OK() || len(report.Results) != len(Cases()) {
		t.Errorf("%d requests, %d results, stopped %q, %v; want 25 and all", report.Requests, len(report.Results), report.Stopped, err)
	}
	for _, r := range report.Results {
		if r.Outcome == Fail && strings.Contains(r.Reason, errCount.Error()) {
			t.Errorf("%s fails since the run may send no more", r.ID)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.MaxRequests = 0
	seen := 0
	o.Progress = func(Result) {
		if seen++; seen == 5 {
			cancel()
		}
	}
	if report, err = Run(ctx, o); err != nil || report.Stopped != "interrupted" || seen != 5 || report.Results[0].Outcome == Skip {
		t.Errorf("stopped %q after %d cases, %v; want it interrupted after 5", report.Stopped, seen, err)
	}
	o.Progress, o.Timeout = nil, time.Nanosecond
	if report, err = Run(t.Context(), o); err == nil && report.Stopped == "" {
		t.Error("the timeout does nothing")
	}
}

// pace lets a request begin each 50 ms at 20 in a second.
func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPace(20)
	p.now = func() time.Time { return now }
	if err := p.wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t.Context(), 20); err != nil { // 50 ms later, and as long as 20 take
		t.Fatal(err)
	}
	if got := p.next.Sub(now); got != 21*50*time.Millisecond {
		t.Errorf("the next request may begin after %s, want 1.05 s", got)
	}
}

// A clock that is off is measured; the requests carry the server's time.
func TestClock(t *testing.T) {
	ahead := 3 * time.Hour
	off := atomic.Int32{}
	dated := func(w http.ResponseWriter, r *http.Request) {
		server := time.Now().Add(ahead)
		w.Header().Set("Date", server.UTC().Format(http.TimeFormat))
		h, err := wire.ParseHeader(r.Header, false)
		if err == nil && r.URL.Path != wire.PathAuth && h.Time().Sub(server).Abs() > 3*time.Second {
			off.Add(1)
		}
		if !login(w, r) {
			envelope(w, 8, "")
		}
	}
	report, err := Run(t.Context(), only(optionsFor(t, dated), "^check/"))
	if err != nil || off.Load() != 0 {
		t.Errorf("%d requests with a wrong time, %v", off.Load(), err)
	}
	if got := time.Duration(report.ClockOffsetMillis) * time.Millisecond; (got - ahead).Abs() > 2*time.Second {
		t.Errorf("got an offset of %s, want %s", got, ahead)
	}
	report, err = Run(t.Context(), only(optionsFor(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		nobody(w, r)
	}), "^clock/"))
	if err != nil || report.Count(Skip) != len(report.Results) {
		t.Errorf("without a Date %d of %d are skipped, %v", report.Count(Skip), len(report.Results), err)
	}
}

// nobody has tokens, and no member.
func nobody(w http.ResponseWriter, r *http.Request) {
	if !login(w, r) {
		envelope(w, 8, "")
	}
}

// What the credentials cannot test is skipped, each case with what it lacks.
func TestSkips(t *testing.T) {
	report, err := Run(t.Context(), optionsFor(t, nobody))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"signature/hmac": "no agent of role hmac", "wire/two-keys-first": "no agent of role two-keys", "check/no-branch": "no agent of role no-branch",
		"auth/blocked": "no agent of role blocked", "token/other-agent": "no agent of role other", "check/sessions": "fact playing",
		"members/right": "writes are not allowed", "life/kick": "writes are not allowed",
	} {
		at := slices.IndexFunc(report.Results, func(r Result) bool { return r.ID == id })
		if r := report.Results[at]; r.Outcome != Skip || !strings.Contains(r.Reason, want) {
			t.Errorf("%s: %s, %q; want it skipped: %s", id, r.Outcome, r.Reason, want)
		}
	}
}

// Rollcall's own decisions are notes for others, and failures if one is strict.
func TestSeverity(t *testing.T) {
	o := only(optionsFor(t, nobody), "^(envelope/loguuid-header|replay/again)$")
	for strict, want := range map[bool][2]int{false: {1, 1}, true: {2, 0}} {
		o.Strict = strict
		report, err := Run(t.Context(), o)
		if err != nil || report.Count(Fail) != want[0] || report.Count(Note) != want[1] {
			t.Errorf("strict %v: %d failed, %d notes, %v; want %v", strict, report.Count(Fail), report.Count(Note), err, want)
		}
	}
}

func TestVectors(t *testing.T) {
	names, err := fs.Glob(Vectors(), "*")
	want := []string{"hmac.json", "plaintext.json", "refused.json", "schema.json", "seal.json", "signature.json", "signature_refused.json"}
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("got %q, %v; want %q", names, err, want)
	}
}

// What another server refuses by a code of its own is refused all the same; what it
// carries out, or fails on, is not.
func TestRefusal(t *testing.T) {
	for _, row := range []struct {
		code, right wire.Code
		strict, ok  bool
	}{
		{codeAuth, 0, true, true},
		{codeAuth, 0, false, true},
		{wire.CodeParameters, 0, true, false},
		{wire.CodeParameters, 0, false, true},
		{wire.CodeOK, 0, false, false},
		{wire.CodeOK, codeNoMember, false, false},
		{codeNoMember, codeNoMember, false, false},
		{wire.CodeInternal, 0, false, false},
	} {
		run := &trial{r: &runner{o: Options{Strict: row.strict}, mask: newMask()}}
		a := &answer{right: row.right, reply: wire.Reply{Code: row.code}}
		if err := run.judge(&message{}, a, refusedBy(codeAuth)); (err == nil) != row.ok {
			t.Errorf("code %d where a right request gets %d, strict %v: got %v, want ok %v", row.code, row.right, row.strict, err, row.ok)
		}
	}
}
