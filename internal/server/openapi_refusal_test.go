package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/memory"
	"github.com/rollcall-server/rollcall/wire"
)

// Stores that are down, as the contracts say it, and one that is at fault.
type (
	downDirectory    struct{ roll.Directory }
	downNonces       struct{ roll.Nonces }
	downHistory      struct{ roll.History }
	faultyDirectory  struct{ roll.Directory }
	downTable[T any] struct{ roll.Table[T] }
)

func (downDirectory) Ping(context.Context) error { return errDown }
func (downNonces) Ping(context.Context) error    { return errDown }
func (downHistory) Ping(context.Context) error   { return errDown }

func (downTable[T]) Get(context.Context, string) (*T, error) { return nil, errDown }

func (d downDirectory) AdminTokens() roll.Table[roll.AdminToken] {
	return downTable[roll.AdminToken]{d.Directory.AdminTokens()}
}

func (d downDirectory) GameServers() roll.Table[roll.GameServer] {
	return downTable[roll.GameServer]{d.Directory.GameServers()}
}

func (faultyDirectory) AdminTokens() roll.Table[roll.AdminToken] { panic("secret fault") }
func (faultyDirectory) GameServers() roll.Table[roll.GameServer] { panic("secret fault") }

// A refuser makes each call of an API in a way that is refused.
type refuser struct {
	t      *testing.T
	api    string
	h      http.Handler
	token  string
	routes []string // as the document has them
}

var anyParameter = regexp.MustCompile(`\{\}`)

// each makes every call once, with names that nothing has, and wants this status of
// it; 0: any that is documented.
func (f refuser) each(status int, change func(*http.Request), only func(route string) bool) {
	f.t.Helper()
	n := 0
	for _, route := range f.routes {
		if only != nil && !only(route) {
			continue
		}
		n++
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if documents()[f.api].HasBody(route) {
			body = "{}"
		}
		r := httptest.NewRequest(method, anyParameter.ReplaceAllString(path, "none"), strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+f.token)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if change != nil {
			change(r)
		}
		res := httptest.NewRecorder()
		if f.h.ServeHTTP(res, r); status != 0 && res.Code != status {
			f.t.Errorf("%s: got %d %.200s, want %d", route, res.Code, res.Body, status)
		}
	}
	if n == 0 {
		f.t.Errorf("no call is to be answered %d", status)
	}
}

// pages reports whether a route answers page by page, and looks at that first.
func (f refuser) pages(route string) bool {
	return documents()[f.api].HasQuery(route, "limit") && !strings.Contains(route, "/kicks/{}")
}

func (f refuser) hasBody(route string) bool { return documents()[f.api].HasBody(route) }

// of returns the routes of an API that ask who calls.
func refused(t *testing.T, api string, h http.Handler, token string) refuser {
	t.Helper()
	f := refuser{t: t, api: api, h: h, token: token}
	for _, route := range documents()[api].Routes() {
		if !strings.HasPrefix(route, "GET /livez") && route != "GET /readyz" && route != "GET /metrics" {
			f.routes = append(f.routes, route)
		}
	}
	return f
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		other := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		r.Body, r.ContentLength = other.Body, other.ContentLength
		r.Header.Set("Content-Type", "application/json")
	}
}

func noToken(r *http.Request)   { r.Header.Del("Authorization") }
func notJSON(r *http.Request)   { r.Header.Set("Content-Type", "text/plain") }
func elsewhere(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }

// Every call of the operators' API refuses what every call has to refuse.
func TestAdminRefuses(t *testing.T) {
	w := newWorld(t, nil)
	f := refused(t, "admin", w.admin, w.token)
	f.each(0, nil, func(route string) bool { return strings.Contains(route, "{}") }) // nothing has that name
	f.each(401, noToken, nil)
	f.each(403, elsewhere, func(route string) bool { return !strings.HasPrefix(route, "GET ") })
	f.each(400, body("[]"), f.hasBody)
	f.each(413, body(strings.Repeat(" ", maxAdminBody+1)), f.hasBody)
	f.each(415, notJSON, f.hasBody)
	f.each(400, func(r *http.Request) { r.URL.RawQuery = "limit=0" }, f.pages)
	w.want(t, "POST", v1+"/agents/none/members", `{"username":"m1"}`, 404, "not_found")
	w.want(t, "POST", "/livez", "", 405, "method_not_allowed")
	w.want(t, "POST", "/none", "", 403, "cross_origin", elsewhere)
	down := newWorld(t, func(s *roll.Stores) { s.Directory = downDirectory{s.Directory} })
	refused(t, "admin", down.admin, down.token).each(503, nil, nil)
	faulty := newWorld(t, func(s *roll.Stores) { s.Directory = faultyDirectory{s.Directory} })
	refused(t, "admin", faulty.admin, faulty.token).each(500, nil, nil)
}

// So does every call of the game servers' API.
func TestGameRefuses(t *testing.T) {
	p := newParlour(t)
	f := refused(t, "game", p.game, p.token)
	f.each(401, noToken, nil)
	f.each(400, body("[]"), f.hasBody)
	f.each(413, body(strings.Repeat(" ", maxGameBody+1)), f.hasBody)
	f.each(415, notJSON, f.hasBody)
	begun := time.Now() // the limits' clock stands
	p.o.Addresses = memory.New(memory.Options{Now: func() time.Time { return begun }}).Stores().Limits
	p.o.AddressRate = rollcall.RateLimit{PerSecond: 1, Burst: 1}
	p.game.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/game/v1/none", nil))
	p.game.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/game/v1/none", nil))
	f.each(429, nil, nil)
	for status, change := range map[int]func(*roll.Stores){
		503: func(s *roll.Stores) { s.Directory = downDirectory{s.Directory} },
		500: func(s *roll.Stores) { s.Directory = faultyDirectory{s.Directory} },
	} {
		w := newWorld(t, change)
		refused(t, "game", w.game, strings.Replace(w.token, "rca_", "rcg_", 1)).each(status, nil, nil)
	}
}

// And every call of the v2 API.
func TestV2Refuses(t *testing.T) {
	w := newWorld(t, nil)
	f := refused(t, "v2", w.v2, "")
	f.each(413, body(strings.Repeat(" ", maxBody+1)), nil)
	f.each(415, notJSON, nil)
	f.each(405, func(r *http.Request) { r.Method = http.MethodGet }, nil)
	for _, broken := range []struct {
		status int
		answer func(context.Context, *exchange) error
	}{{500, faulty}, {503, down}} {
		for path := range w.Server.v2 {
			w.breaks(path, broken.answer)
		}
		f.each(broken.status, func(r *http.Request) {
			body(`{"cipherText":""}`)(r)
			h := wire.Header{AgentID: "a1", Timestamp: "1769745532582", Nonce: strings.Repeat("a", 32), Signature: strings.Repeat("0", 64)}
			h.Set(r.Header)
		}, nil)
	}
}
