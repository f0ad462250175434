package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/wire"
)

// Where a call is from is the connection's address, and what a trusted proxy says.
func TestRemote(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.0/8")}
	for _, row := range []struct {
		remote    string
		forwarded []string
		want, key string
	}{
		{"192.0.2.1:1234", nil, "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1", "192.0.2.1"}, // no proxy of ours
		{"10.1.1.1:1", nil, "10.1.1.1", "10.1.1.1"},
		{"10.1.1.1:1", []string{""}, "10.1.1.1", "10.1.1.1"},
		{"10.1.1.1:1", []string{"198.51.100.7"}, "198.51.100.7", "198.51.100.7"},
		{"10.1.1.1:1", []string{"198.51.100.7, 10.2.2.2"}, "198.51.100.7", "198.51.100.7"},
		{"10.1.1.1:1", []string{"203.0.113.9, 198.51.100.7,10.2.2.2"}, "198.51.100.7", "198.51.100.7"}, // the first is made up
		{"10.1.1.1:1", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7", "198.51.100.7"},
		{"10.1.1.1:1", []string{"198.51.100.7, nonsense"}, "10.1.1.1", "10.1.1.1"},
		{"10.1.1.1:1", []string{"nonsense, 10.3.3.3"}, "10.3.3.3", "10.3.3.3"},
		{"10.1.1.1:1", []string{"198.51.100.7:443"}, "198.51.100.7", "198.51.100.7"}, // as some proxies write it
		{"10.1.1.1:1", []string{"[2001:db8:1:2::9]:443"}, "2001:db8:1:2::9", "2001:db8:1:2::/64"},
		{"10.1.1.1:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7", "198.51.100.7"},
		{"[::ffff:10.1.1.1]:1", []string{"2001:db8:1:2:3::4"}, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2::9]:1", nil, "2001:db8:1:2::9", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1", nil, "fe80::1%eth0", "fe80::/64"},
		{"pipe", []string{"198.51.100.7"}, "pipe", "pipe"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = row.remote
		r.Header["X-Forwarded-For"] = row.forwarded
		address, text := trusted.remote(r)
		if text != row.want || keyOf(address, text) != row.key {
			t.Errorf("%s, forwarded for %q: got %s and %s, want %s and %s", row.remote, row.forwarded, text, keyOf(address, text), row.want, row.key)
		}
	}
}

// from makes a request of an address.
func from(address, path string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
	r.RemoteAddr = address + ":1"
	r.Header.Set("Content-Type", "application/json")
	return r
}

// An address that calls too often is refused before anything else is looked at;
// others, operators and health are not.
func TestAddressLimit(t *testing.T) {
	w := newWorld(t, nil)
	begun := time.Now() // the limits' clock stands
	w.o.Addresses = memory.New(memory.Options{Now: func() time.Time { return begun }}).Stores().Limits
	w.o.AddressRate = rollcall.RateLimit{PerSecond: 1, Burst: 3}
	public := w.Public(true)
	ask := func(r *http.Request) *httptest.ResponseRecorder {
		res := httptest.NewRecorder()
		public.ServeHTTP(res, r)
		return res
	}
	for i := range 3 {
		if res := ask(from("192.0.2.1", wire.PathAuth)); res.Code == http.StatusTooManyRequests {
			t.Fatalf("call %d of 3 is refused", i)
		}
	}
	res := ask(from("192.0.2.1", wire.PathAuth))
	if reply, err := wire.ParseReply(res.Body.Bytes()); res.Code != http.StatusTooManyRequests || err != nil || reply.Code != 77 || reply.LogUUID == "" ||
		res.Header().Get("Retry-After") != "1" {
		t.Errorf("v2: got %d %s, %v", res.Code, res.Body, res.Header())
	}
	r := from("192.0.2.1", "/nowhere")
	r.Method = http.MethodGet
	if res := ask(r); res.Code != http.StatusTooManyRequests {
		t.Errorf("an unknown path: got %d, want 429 before all else", res.Code)
	}
	res = ask(from("192.0.2.1", wire.PathGameBoot))
	if res.Code != http.StatusTooManyRequests || !strings.Contains(res.Body.String(), `"too_many_requests"`) || res.Header().Get("Retry-After") != "1" {
		t.Errorf("game: got %d %s, %v", res.Code, res.Body, res.Header())
	}
	if res := ask(from("192.0.2.2", wire.PathAuth)); res.Code == http.StatusTooManyRequests {
		t.Error("another address is refused too")
	}
	w.want(t, "GET", "/admin/v1/agents", "", 200, "", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" })
	if text := w.metrics(t); !strings.Contains(text, `rollcall_refused_total{api="v2",reason="address"} 2`) ||
		!strings.Contains(text, `rollcall_refused_total{api="game",reason="address"} 1`) {
		t.Errorf("metrics do not count the refusals:\n%s", grep(text, "refused_total"))
	}
}

// metrics returns what /metrics says.
func (w *world) metrics(t *testing.T) string {
	t.Helper()
	res := httptest.NewRecorder()
	w.admin.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return res.Body.String()
}

func grep(text, word string) (lines string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			lines += line
		}
	}
	return lines
}

// While all room is taken, and the queue waits in vain, calls of both APIs are
// refused with 503; the other API goes on, and so do health and operators.
func TestOverload(t *testing.T) {
	p := newParlour(t)
	o := p.o
	o.MaxConcurrent, o.Metrics = 1, NewMetrics()
	p.Server = New(o)
	p.admin, p.game = p.Admin(), p.Game()
	must(t, p.gates.v2.enter(t.Context()))
	res := httptest.NewRecorder()
	p.Public(true).ServeHTTP(res, from("192.0.2.1", wire.PathSessionsCheck))
	reply, err := wire.ParseReply(res.Body.Bytes())
	if res.Code != http.StatusServiceUnavailable || err != nil || reply.Code != 7 || res.Header().Get("Retry-After") != "1" {
		t.Errorf("v2: got %d %s", res.Code, res.Body)
	}
	p.gates.v2.full.Store(true) // then nobody waits
	res = httptest.NewRecorder()
	p.Public(true).ServeHTTP(res, from("192.0.2.1", wire.PathSessionsCheck))
	if res.Code != http.StatusServiceUnavailable || res.Header().Get("Retry-After") != "1" {
		t.Errorf("v2, with a full queue: got %d %s", res.Code, res.Body)
	}
	p.gates.v2.full.Store(false)
	if strings.Contains(p.log.String(), "request failed") {
		t.Error("each refusal is a line of the log")
	}
	game := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, wire.PathGameBoot, strings.NewReader(`{"bootId":"b1"}`))
		r.Header.Set("Authorization", "Bearer "+p.token)
		r.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		p.game.ServeHTTP(res, r)
		return res
	}
	if res := game(); res.Code != http.StatusOK {
		t.Errorf("the game API meanwhile: got %d %s", res.Code, res.Body)
	}
	must(t, p.gates.game.enter(t.Context()))
	if res := game(); res.Code != http.StatusServiceUnavailable || res.Header().Get("Retry-After") != "1" || !strings.Contains(res.Body.String(), "overloaded") {
		t.Errorf("game: got %d %s", res.Code, res.Body)
	}
	p.want(t, "GET", "/admin/v1/agents", "", 200, "")
	for _, path := range []string{"/livez", "/readyz"} {
		p.want(t, "GET", path, "", 200, "")
	}
	text := p.metrics(t)
	for _, want := range []string{
		`rollcall_refused_total{api="v2",reason="overload"} 2`, `rollcall_refused_total{api="game",reason="overload"} 1`,
		`rollcall_calls_in_work{api="v2"} 1`, `rollcall_calls_waiting{api="game"} 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics have not %q:\n%s", want, grep(text, "rollcall_"))
		}
	}
	p.gates.v2.leave()
	p.gates.game.leave()
	if res := game(); res.Code != http.StatusOK {
		t.Errorf("game afterwards: got %d %s", res.Code, res.Body)
	}
}

// Who sends its body slowly takes up no room.
func TestSlowBodyTakesNoRoom(t *testing.T) {
	w := newWorld(t, nil)
	w.gates.v2 = newGate(1, time.Now)
	web := httptest.NewServer(w.v2)
	defer web.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	reading := make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL+wire.PathAuth, &slowBody{began: reading, ctx: ctx})
	must(t, err)
	r.ContentLength = 10
	r.Header.Set("Content-Type", "application/json")
	go http.DefaultClient.Do(r)
	<-reading
	res := httptest.NewRecorder()
	w.v2.ServeHTTP(res, from("192.0.2.1", wire.PathAuth))
	if res.Code != http.StatusOK {
		t.Errorf("got %d %s", res.Code, res.Body)
	}
}

// A slowBody sends one byte, and then nothing until ctx ends.
type slowBody struct {
	ctx   context.Context
	began chan struct{}
	once  sync.Once
}

func (b *slowBody) Read(p []byte) (n int, err error) {
	b.once.Do(func() { p[0], n = '{', 1 })
	if n == 1 {
		return 1, nil
	}
	close(b.began)
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

// A game server has 16 streams, and not one more until one ends.
func TestStreamsAreBounded(t *testing.T) {
	p := newParlour(t)
	open := func() (status int, header http.Header, end func()) {
		ctx, hangUp := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+wire.PathGameEvents, nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+p.token)
		res, err := http.DefaultClient.Do(r) //nolint:bodyclose // end does
		must(t, err)
		return res.StatusCode, res.Header, func() { hangUp(); res.Body.Close() }
	}
	var ends []func()
	for i := range maxStreams {
		status, _, end := open()
		if status != http.StatusOK {
			t.Fatalf("stream %d: %d", i, status)
		}
		ends = append(ends, end)
	}
	status, header, end := open()
	end()
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("one more: got %d, %v", status, header)
	}
	ends[0]()
	for deadline := time.Now().Add(10 * time.Second); status != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("none is free although one has ended")
		}
		status, _, end = open()
		ends = append(ends, end)
	}
	for _, end := range ends[1:] {
		end()
	}
}

// Of many refusals of a reason only the first of each second have a record, and all
// count.
func TestRefusalsAreSampled(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Unix(1_770_000_000, 0)
	w.refusals.now = func() time.Time { return now }
	kept := func(reason string) (n int) {
		for range 3 * keptRefusals {
			if w.refusals.pick(reason) {
				n++
			}
		}
		return n
	}
	for range 2 {
		for _, reason := range []string{forLoad, forAddress} {
			if n := kept(reason); n != keptRefusals {
				t.Errorf("%s: %d of %d are kept, want %d", reason, n, 3*keptRefusals, keptRefusals)
			}
		}
		now = now.Add(time.Second)
	}
}

// An operator gives an agent a rate of its own.
func TestAgentRateLimit(t *testing.T) {
	w := newWorld(t, nil)
	w.want(t, "POST", "/admin/v1/agents", `{"id":"a1","wallet":"seamless","rateLimit":{"perSecond":5}}`, 201, "")
	for body, want := range map[string]rollcall.RateLimit{
		`{"rateLimit":{"perSecond":7,"burst":9}}`: {PerSecond: 7, Burst: 9},
		`{"games":[]}`:     {PerSecond: 7, Burst: 9},
		`{"rateLimit":{}}`: {},
	} {
		if body != `{"rateLimit":{}}` {
			w.want(t, "PATCH", "/admin/v1/agents/a1", `{"rateLimit":{"perSecond":7,"burst":9}}`, 200, "")
		}
		w.want(t, "PATCH", "/admin/v1/agents/a1", body, 200, "")
		var a rollcall.Agent
		must(t, json.Unmarshal([]byte(w.want(t, "GET", "/admin/v1/agents/a1", "", 200, "")), &a))
		if a.RateLimit != want {
			t.Errorf("%s: got %+v, want %+v", body, a.RateLimit, want)
		}
	}
	for _, bad := range []string{`{"perSecond":-1}`, `{"burst":5}`, `{"perSecond":1000001}`, `{"perSecond":1,"burst":-1}`, `{"perSecond":1.5}`} {
		w.want(t, "PATCH", "/admin/v1/agents/a1", fmt.Sprintf(`{"rateLimit":%s}`, bad), 400, "invalid")
	}
	if entries, err := w.service.Audit(t.Context(), 0, 1); err != nil || len(entries) != 1 {
		t.Errorf("audit: %v, %v", entries, err)
	}
}
