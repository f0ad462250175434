package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/auth"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/internal/vault"
	"github.com/rollcall-server/rollcall/wire"
)

// A world is a server over store/memory with one admin, called ann.
type world struct {
	*Server

	t       testing.TB
	stores  roll.Stores
	service *roll.Service
	token   string
	log     *safeBuffer
	v2      http.Handler
	admin   http.Handler
	game    http.Handler
	vault   *vault.Vault
}

// A safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newWorld makes a world; change, if not nil, puts something else in the place
// of a store.
func newWorld(t testing.TB, change func(*roll.Stores)) *world {
	t.Helper()
	keys, err := vault.New(vault.NewKey())
	must(t, err)
	w := &world{t: t, vault: keys, stores: memory.New(memory.Options{MaxClockSkew: auth.DefaultMaxClockSkew}).Stores(), log: new(safeBuffer)}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.service = roll.New(roll.Options{Stores: w.stores, Vault: keys, Log: log})
	must(t, w.service.Prepare(t.Context()))
	w.token, err = w.service.CreateAdminToken(t.Context(), "test", "ann")
	must(t, err)
	if change != nil {
		change(&w.stores)
		w.service = roll.New(roll.Options{Stores: w.stores, Vault: keys, Log: log})
	}
	w.Server = New(Options{
		Service: w.service, Stores: w.stores, Metrics: NewMetrics(), Log: log,
		Auth: auth.New(auth.Options{Directory: w.stores.Directory, Nonces: w.stores.Nonces, Vault: keys}),
	})
	w.v2, w.admin, w.game = w.V2(), w.Admin(), w.Game()
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask makes one call of the operators' API as ann.
func (w *world) ask(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(r)
	}
	res := httptest.NewRecorder()
	w.admin.ServeHTTP(res, r)
	return res
}

// want makes a call and holds status and, for a fault, its code against what is
// wanted. It returns the body.
func (w *world) want(t *testing.T, method, path, body string, status int, code string, change ...func(*http.Request)) string {
	t.Helper()
	res := w.ask(method, path, body, change...)
	text := res.Body.String()
	if res.Code != status || code != "" && !strings.Contains(text, `{"error":{"code":"`+code+`","message":"`) {
		t.Errorf("%s %s %s: got %d %s; want %d %s", method, path, body, res.Code, text, status, code)
	}
	if res.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: Cache-Control %q", method, path, res.Header().Get("Cache-Control"))
	}
	return text
}

// Every call of the operators' API, in the order in which somebody would make
// them: what is right, and what is not.
func TestAdminCalls(t *testing.T) {
	w := newWorld(t, nil)
	const v1 = "/admin/v1"
	rows := []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/branches", `{"id":"THB","currency":"THB"}`, 201, ""},
		{"POST", "/branches", `{"id":"THB","currency":"THB"}`, 409, "exists"},
		{"POST", "/branches", `{"id":"x","currency":"baht"}`, 400, "invalid"},
		{"POST", "/branches", `{"id":"a b","currency":"THB"}`, 400, "invalid"},
		{"GET", "/branches", "", 200, ""},
		{"GET", "/branches/THB", "", 200, ""},
		{"GET", "/branches/USD", "", 404, "not_found"},
		{"PATCH", "/branches/THB", `{"brandCurrency":"USD"}`, 200, ""},
		{"PATCH", "/branches/THB", `{"brandCurrency":""}`, 400, "invalid"},
		{"PATCH", "/branches/USD", `{}`, 404, "not_found"},
		{"POST", "/games", `{"code":"g1","modes":["real"]}`, 201, ""},
		{"POST", "/games", `{"code":"g2","modes":[]}`, 400, "invalid"},
		{"POST", "/games", `{"code":"g2","modes":["real","real"]}`, 400, "invalid"},
		{"POST", "/games", `{"code":"g2","modes":["free"]}`, 400, "invalid"},
		{"GET", "/games", "", 200, ""},
		{"GET", "/games/g1", "", 200, ""},
		{"PATCH", "/games/g1", `{"modes":["real","demo"]}`, 200, ""},
		{"POST", "/agents", `{"id":"a1","branchId":"THB","wallet":"seamless"}`, 201, ""},
		{"POST", "/agents", `{"id":"a1","branchId":"THB","wallet":"seamless"}`, 409, "exists"},
		{"POST", "/agents", `{"id":"a2","branchId":"none","wallet":"seamless"}`, 404, "not_found"},
		{"POST", "/agents", `{"id":"a2","wallet":"gold"}`, 400, "invalid"},
		{"POST", "/agents", `{"id":"a2","wallet":"seamless","apiKey":"short"}`, 400, "invalid"},
		{"POST", "/agents", `{"id":"a2","wallet":"seamless","secretKey":"short"}`, 400, "invalid"},
		{"POST", "/agents", `{"id":"a2","wallet":"seamless"}`, 201, ""},
		{"GET", "/agents", "", 200, ""},
		{"GET", "/agents/a1", "", 200, ""},
		{"GET", "/agents/none", "", 404, "not_found"},
		{"PATCH", "/agents/a1", `{"signature":"hmac"}`, 200, ""},
		{"PATCH", "/agents/a1", `{"signature":"none"}`, 400, "invalid"},
		{"PATCH", "/agents/a1", `{"status":"blocked"}`, 400, "invalid"}, // that is not how
		{"POST", "/agents/a1/api-keys", "", 201, ""},
		{"POST", "/agents/a1/api-keys", "", 409, "in_use"},
		{"POST", "/agents/a1/secret-keys", `{}`, 201, ""},
		{"DELETE", "/agents/a1/api-keys/none", "", 404, "not_found"},
		{"POST", "/agents/a1/revoke-tokens", "", 200, ""},
		{"POST", "/agents/a1/members", `{"username":"m1"}`, 201, ""},
		{"POST", "/agents/a1/members", `{"username":"m1"}`, 409, "exists"},
		{"POST", "/agents/a1/members", `{"username":"m 1"}`, 400, "invalid"},
		{"POST", "/agents/a2/members", `{"username":"m1"}`, 409, "no_branch"},
		{"POST", "/agents/none/members", `{"username":"m1"}`, 404, "not_found"},
		{"GET", "/agents/a1/members", "", 200, ""},
		{"GET", "/agents/a1/members/m1", "", 200, ""},
		{"GET", "/agents/a1/members/m2", "", 404, "not_found"},
		{"PATCH", "/agents/a1/members/m1", `{"siteId":"site-1"}`, 200, ""},
		{"PATCH", "/agents/a1/members/m1", `{"siteId":"site 1"}`, 400, "invalid"},
		{"GET", "/sessions", "", 200, ""},
		{"GET", "/sessions?agent=a1&username=m1", "", 200, ""},
		{"GET", "/sessions?username=m1", "", 400, "invalid"},
		{"GET", "/sessions?game=g1&currency=THB&gameServer=s1", "", 200, ""},
		{"GET", "/sessions/none", "", 404, "not_found"},
		{"GET", "/session-counts", "", 200, ""},
		{"GET", "/session-counts?by=agent,gameServer", "", 200, ""},
		{"GET", "/session-counts?by=moon", "", 400, "invalid"},
		{"PATCH", "/agents/a1", `{"limits":{"perMember":2,"policy":"displace-oldest"},"games":["g1"]}`, 200, ""},
		{"PATCH", "/agents/a1", `{"limits":{"perMember":-1}}`, 400, "invalid"},
		{"PATCH", "/agents/a1", `{"games":["g 1"]}`, 400, "invalid"},
		{"PATCH", "/games/g1", `{"leaseSeconds":30,"heartbeatSeconds":10,"lifetimeSeconds":3600,"launchUrl":"https://g.example/"}`, 200, ""},
		{"PATCH", "/games/g1", `{"heartbeatSeconds":20}`, 400, "invalid"},
		{"PATCH", "/games/g1", `{"lifetimeSeconds":86401}`, 400, "invalid"},
		{"PATCH", "/games/g1", `{"launchUrl":"javascript:alert(1)"}`, 400, "invalid"},
		{"PUT", "/agents/a1/webhook", `{"url":"https://hooks.example/x"}`, 200, ""},
		{"PUT", "/agents/a1/webhook", `{"url":"http://127.0.0.1/x"}`, 400, "invalid"},
		{"PUT", "/agents/none/webhook", `{"url":""}`, 404, "not_found"},
		{"PUT", "/agents/a1/webhook", `{"url":""}`, 200, ""},
		{"POST", "/agents/a1/members/m1/suspend", "", 200, ""},
		{"POST", "/agents/a1/members/m1/unsuspend", "", 200, ""},
		{"POST", "/agents/a1/members/m2/suspend", "", 404, "not_found"},
		{"GET", "/agents/a1/members/m1/history", "", 200, ""},
		{"GET", "/history?at=2026-01-30T03:58:52Z", "", 200, ""},
		{"GET", "/history", "", 400, "invalid"},
		{"GET", "/history?at=2226-01-30T03:58:52Z", "", 400, "invalid"},
		{"POST", "/game-servers", `{"id":"s1","games":["g1"]}`, 201, ""},
		{"POST", "/game-servers", `{"id":"s1"}`, 409, "exists"},
		{"POST", "/game-servers", `{"id":"s 1"}`, 400, "invalid"},
		{"GET", "/game-servers", "", 200, ""},
		{"GET", "/game-servers/s1", "", 200, ""},
		{"PATCH", "/game-servers/s1", `{"games":[]}`, 200, ""},
		{"POST", "/game-servers/s1/token", "", 201, ""},
		{"POST", "/game-servers/s1/drain", "", 200, ""},
		{"POST", "/game-servers/s1/undrain", "", 200, ""},
		{"DELETE", "/game-servers/s1", "", 204, ""},
		{"DELETE", "/game-servers/s1", "", 404, "not_found"},
		{"POST", "/kicks", `{"filter":{"agentId":"a1"},"dryRun":true}`, 201, ""},
		{"POST", "/kicks", `{"filter":{"agentId":"a1","username":"m1"}}`, 201, ""},
		{"POST", "/kicks", `{}`, 400, "invalid"},
		{"POST", "/kicks", `{"filter":{"sessionId":"none"}}`, 404, "not_found"},
		{"GET", "/kicks", "", 200, ""},
		{"GET", "/kicks/none", "", 404, "not_found"},
		{"POST", "/kicks/none/abort", "", 404, "not_found"},
		{"GET", "/webhooks?dead=true", "", 200, ""},
		{"GET", "/webhooks?dead=maybe", "", 400, "invalid"},
		{"POST", "/webhooks/none/retry", "", 404, "not_found"},
		{"POST", "/sessions", `{}`, 405, "method_not_allowed"}, // sessions come from game servers
		{"POST", "/agents/a1/block", "", 200, ""},
		{"POST", "/agents/a1/unblock", "", 200, ""},
		{"DELETE", "/branches/THB", "", 409, "in_use"},
		{"DELETE", "/agents/a1", "", 409, "in_use"},
		{"DELETE", "/agents/a1/members/m1", "", 204, ""},
		{"DELETE", "/agents/a1/members/m1", "", 404, "not_found"},
		{"DELETE", "/agents/a1", "", 204, ""},
		{"DELETE", "/branches/THB", "", 204, ""},
		{"DELETE", "/games/g1", "", 204, ""},
		{"POST", "/token-keys", "", 201, ""},
		{"GET", "/token-keys", "", 200, ""},
		{"POST", "/admin-tokens", `{"name":"ben"}`, 201, ""},
		{"POST", "/admin-tokens", `{"name":"ben"}`, 409, "exists"},
		{"POST", "/admin-tokens", `{"name":""}`, 400, "invalid"},
		{"GET", "/admin-tokens", "", 200, ""},
		{"DELETE", "/admin-tokens/ben", "", 204, ""},
		{"DELETE", "/admin-tokens/ann", "", 409, "in_use"},
		{"GET", "/audit", "", 200, ""},
		{"GET", "/audit?before=x", "", 400, "invalid"},
		{"GET", "/agents?limit=0", "", 400, "invalid"},
		{"GET", "/agents?limit=1001", "", 400, "invalid"},
		{"GET", "/agents?limit=many", "", 400, "invalid"},
		{"GET", "/requests/none", "", 404, "not_found"},
		{"GET", "/none", "", 404, "not_found"},
		{"PUT", "/agents/a1", "", 405, "method_not_allowed"},
		{"DELETE", "/audit", "", 405, "method_not_allowed"},
	}
	for _, row := range rows {
		w.want(t, row.method, v1+row.path, row.body, row.status, row.code)
	}
}

func TestAdminBodies(t *testing.T) {
	w := newWorld(t, nil)
	for _, body := range []string{
		`{"id":"x","currency":"THB","other":1}`, `{"id":"x","id":"x","currency":"THB"}`, `{"id":"x","currency":"THB"}x`, `[]`, `null x`,
		"{\"id\":\"x\xff\",\"currency\":\"THB\"}", `{"ID":"x","currency":"THB"}`, `{"id":1,"currency":"THB"}`, `{`,
	} {
		w.want(t, "POST", "/admin/v1/branches", body, 400, "invalid")
	}
	w.want(t, "POST", "/admin/v1/branches", `{}`, 415, "unsupported_media_type", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	w.want(t, "POST", "/admin/v1/branches", strings.Repeat(" ", maxAdminBody+1), 413, "too_large")
	w.want(t, "POST", "/admin/v1/branches", `{"id":"x","currency":"THB"}`, 403, "cross_origin", func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site") // a page elsewhere in an operator's browser
	})
}

func TestAdminCallers(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/admin/v1/agents", "/debug/pprof/", "/debug/pprof/heap"} {
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic " + w.token, w.token, "Bearer " + w.token + "x", "Bearer " + strings.ToLower(w.token)} {
			w.want(t, "GET", path, "", 401, "unauthorized", func(r *http.Request) { r.Header.Set("Authorization", header) })
		}
		w.want(t, "GET", path, "", 200, "", func(r *http.Request) { r.Header.Set("Authorization", "bearer "+w.token) })
	}
	if res := w.ask("GET", "/admin/v1/agents", "", func(r *http.Request) { r.Header.Del("Authorization") }); res.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("WWW-Authenticate: %q", res.Header().Get("WWW-Authenticate"))
	}
}

// No answer but the one that hands a key out shows it, nor do audit and log.
func TestAdminShowsNoSecrets(t *testing.T) {
	w := newWorld(t, nil)
	var made admin.AgentCreated
	must(t, json.Unmarshal([]byte(w.want(t, "POST", "/admin/v1/agents", `{"id":"a1","wallet":"transfer"}`, 201, "")), &made))
	var key admin.KeyAdded
	must(t, json.Unmarshal([]byte(w.want(t, "POST", "/admin/v1/agents/a1/api-keys", "", 201, "")), &key))
	var token admin.TokenCreated
	must(t, json.Unmarshal([]byte(w.want(t, "POST", "/admin/v1/admin-tokens", `{"name":"ben"}`, 201, "")), &token))
	if len(made.APIKey) != 64 || len(made.SecretKey) != 40 || len(key.Key) != 64 || token.Token == "" {
		t.Errorf("got %+v, %+v, %+v", made, key, token)
	}
	shown := w.want(t, "POST", "/admin/v1/agents/a1/block", "", 200, "")
	for _, path := range []string{"agents", "agents/a1", "audit", "admin-tokens", "token-keys"} {
		shown += w.want(t, "GET", "/admin/v1/"+path, "", 200, "")
	}
	shown += w.log.String()
	for _, secret := range []string{made.APIKey, made.SecretKey, key.Key, token.Token, w.token} {
		if strings.Contains(shown, secret) {
			t.Errorf("a secret is shown: %.8s…", secret)
		}
	}
	if strings.Contains(shown, "sealed") || strings.Contains(shown, "Hash") {
		t.Error("what is at rest is shown")
	}
}

func TestAdminAuditAndPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.want(t, "POST", "/admin/v1/branches", fmt.Sprintf(`{"id":"b%d","currency":"THB"}`, i), 201, "")
	}
	var got []string
	path := "/admin/v1/branches?limit=2"
	for {
		var page admin.Page[rollcall.Branch]
		must(t, json.Unmarshal([]byte(w.want(t, "GET", path, "", 200, "")), &page))
		for _, b := range page.Items {
			got = append(got, b.ID)
		}
		if page.Next == "" {
			break
		}
		path = "/admin/v1/branches?limit=2&after=" + page.Next
	}
	if fmt.Sprint(got) != "[b0 b1 b2 b3 b4]" {
		t.Errorf("got %v", got)
	}
	var audit admin.Page[rollcall.AuditEntry]
	must(t, json.Unmarshal([]byte(w.want(t, "GET", "/admin/v1/audit?limit=1", "", 200, "")), &audit))
	e := audit.Items[0]
	if e.Actor != "ann" || e.Action != "branch.create" || e.Subject != "b4" || time.Since(e.At) > time.Minute || audit.Next == "" {
		t.Errorf("got %+v", audit)
	}
}

// broken is a store that is down, as the contracts say it: the suite of the real
// ones cannot make SQLite fail at will from here.
type broken struct{ roll.Sessions }

var errDown = fmt.Errorf("test: %w: secret cause", rollcall.ErrUnavailable)

func (broken) Ping(context.Context) error { return errDown }
func (broken) Counts(context.Context) ([]rollcall.SessionCount, error) {
	return nil, errDown
}

func (broken) Get(context.Context, string, time.Time) (rollcall.Session, error) {
	panic(errors.New("secret fault"))
}

// A store that is down: 503, told to load balancers too; a fault of ours: 500.
// The cause is in the log, under the answer's id, and not in the answer.
func TestAdminFaults(t *testing.T) {
	w := newWorld(t, func(s *roll.Stores) { s.Sessions = broken{s.Sessions} })
	for path, want := range map[string]int{"/admin/v1/session-counts": 503, "/admin/v1/sessions/x": 500} {
		res := w.ask("GET", path, "")
		var f wire.Fault
		must(t, json.Unmarshal(res.Body.Bytes(), &f))
		if res.Code != want || f.Error.ID == "" || strings.Contains(res.Body.String(), "secret") || !strings.Contains(w.log.String(), f.Error.ID) {
			t.Errorf("%s: got %d %s", path, res.Code, res.Body)
		}
	}
	if !strings.Contains(w.log.String(), "secret cause") || !strings.Contains(w.log.String(), "secret fault") || !strings.Contains(w.log.String(), "goroutine") {
		t.Errorf("the log does not have the causes: %s", w.log)
	}
	w.want(t, "GET", "/livez", "", 200, "")
	if text := w.want(t, "GET", "/readyz", "", 503, ""); !strings.Contains(text, `"store":"sessions"`) || strings.Contains(text, "secret") {
		t.Errorf("/readyz: %s", text)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	w := newWorld(t, nil)
	anyone := func(r *http.Request) { r.Header.Del("Authorization") }
	w.want(t, "GET", "/livez", "", 200, "", anyone)
	w.want(t, "GET", "/readyz", "", 200, "", anyone)
	res := httptest.NewRecorder()
	w.v2.ServeHTTP(res, httptest.NewRequest("POST", "/v2/none", nil))
	text := w.want(t, "GET", "/metrics", "", 200, "", anyone)
	for _, want := range []string{`rollcall_requests_total{code="11",endpoint="other"} 1`, "rollcall_request_duration_seconds_bucket", "rollcall_nonces_held 0", "rollcall_commit_duration_seconds", "rollcall_request_records_dropped_total 0"} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	w.draining.Store(true)
	w.want(t, "GET", "/readyz", "", 503, "", anyone)
}

// faulty is a rule that is broken.
func faulty(context.Context, *exchange) error { panic("secret fault") }

func down(context.Context, *exchange) error { return errDown }

// breaks has an endpoint answer otherwise, and without a token.
func (w *world) breaks(path string, answer func(context.Context, *exchange) error) {
	ep := w.Server.v2[path]
	ep.withToken, ep.answer = false, answer
	w.Server.v2[path] = ep
}

// A panic and an outage are answered 7, and the cause is in the log only.
func TestV2Faults(t *testing.T) {
	w := newWorld(t, nil)
	w.breaks(wire.PathMembers, faulty)
	w.breaks(wire.PathOpenGame, down)
	for path, want := range map[string]int{wire.PathMembers: 500, wire.PathOpenGame: 503} {
		r := httptest.NewRequest("POST", path, strings.NewReader(`{"cipherText":""}`))
		r.Header.Set("Content-Type", "application/json")
		h := wire.Header{AgentID: "a1", Timestamp: "1769745532582", Nonce: strings.Repeat("a", 32), Signature: strings.Repeat("0", 64)}
		h.Set(r.Header)
		res := httptest.NewRecorder()
		w.v2.ServeHTTP(res, r)
		reply, err := wire.ParseReply(res.Body.Bytes())
		must(t, err)
		if res.Code != want || reply.Code != 7 || strings.Contains(res.Body.String(), "secret") || !strings.Contains(w.log.String(), "log_uuid="+reply.LogUUID) {
			t.Errorf("%s: got %d %s", path, res.Code, res.Body)
		}
		if want == 503 && res.Header().Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
	if log := w.log.String(); !strings.Contains(log, "secret fault") || !strings.Contains(log, "server_test.go") {
		t.Errorf("the log has no stack: %s", log)
	}
}

// slowHistory takes no more records until it is let go.
type slowHistory struct {
	roll.History

	let chan struct{}
}

func (h slowHistory) AddRequests(ctx context.Context, records []rollcall.RequestRecord) error {
	<-h.let
	return h.History.AddRequests(ctx, records)
}

// Records never make a request wait: what finds the queue full is dropped and
// counted, and what was queued is stored at the end.
func TestRecorderDropsAndFlushes(t *testing.T) {
	let := make(chan struct{})
	w := newWorld(t, func(s *roll.Stores) { s.History = slowHistory{s.History, let} })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.recorder.run(ctx)
	}()
	last := ""
	for range recordQueue + 3*recordBatch {
		res := httptest.NewRecorder()
		w.v2.ServeHTTP(res, httptest.NewRequest("POST", "/v2/none", nil))
		if last == "" {
			reply, err := wire.ParseReply(res.Body.Bytes())
			must(t, err)
			last = reply.LogUUID
		}
	}
	text := w.want(t, "GET", "/metrics", "", 200, "")
	_, count, _ := strings.Cut(text, "\nrollcall_request_records_dropped_total ")
	count, _, _ = strings.Cut(count, "\n")
	if count == "0" || count == "" {
		t.Errorf("dropped: %q, want some", count)
	}
	close(let)
	stop()
	<-done
	if _, err := w.stores.History.Request(t.Context(), last); err != nil {
		t.Errorf("the first record: %v", err)
	}
	if n := len(w.recorder.waiting.list); n != 0 {
		t.Errorf("%d records are left in the queue", n)
	}
}

func TestClientOfTheAdminAPI(t *testing.T) {
	w := newWorld(t, nil)
	http := httptest.NewServer(w.admin)
	defer http.Close()
	c := admin.New(admin.Options{URL: http.URL + "/", Token: w.token})
	must(t, c.Do(t.Context(), "POST", admin.Path("branches"), admin.BranchCreate{ID: "b1", Currency: "THB"}, nil))
	err := c.Do(t.Context(), "GET", admin.Path("branches", "a/b"), nil, nil)
	if !errors.Is(err, rollcall.ErrNotFound) || !strings.Contains(err.Error(), `branch "a/b"`) {
		t.Errorf("got %v", err)
	}
	err = admin.New(admin.Options{URL: http.URL, Token: "x"}).Do(t.Context(), "GET", admin.Path("branches"), nil, nil)
	if !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("got %v, want ErrAuthentication", err)
	}
	other := httptest.NewServer(w.v2)
	defer other.Close()
	if err := admin.New(admin.Options{URL: other.URL}).Do(t.Context(), "GET", "/", nil, nil); err == nil || !strings.Contains(err.Error(), "is this the right address?") {
		t.Errorf("the v2 listener: %v", err)
	}
}
