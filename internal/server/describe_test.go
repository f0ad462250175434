package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// Each listener shows the documents of the APIs that are there, to anyone, for GET
// and HEAD only.
func TestDescribe(t *testing.T) {
	w := newWorld(t, nil)
	handlers := map[string]http.Handler{"v2": w.Public(false), "both": w.Public(true), "game": w.Game(), "admin": w.Admin()}
	get := func(listener, method, path string) *httptest.ResponseRecorder {
		res := httptest.NewRecorder()
		handlers[listener].ServeHTTP(res, httptest.NewRequest(method, path, nil))
		return res
	}
	for listener, rows := range map[string]map[string]int{
		"v2":    {"": 200, "v2.html": 200, "game.json": 200, "admin.yaml": 404, "index.html": 404, "/v2.yaml": 404},
		"both":  {"": 200, "v2.yaml": 200, "game.html": 200, "admin.html": 404},
		"game":  {"": 200, "v2.json": 404, "game.yaml": 200, "style.css": 200},
		"admin": {"": 200, "v2.json": 200, "game.json": 200, "admin.json": 200, "none": 404},
	} {
		for name, want := range rows {
			res := get(listener, "GET", "/openapi/"+name)
			if res.Code != want {
				t.Errorf("%s: %q: got %d, want %d", listener, name, res.Code, want)
			}
			if want == 200 && (res.Header().Get("Cache-Control") != "no-cache" || res.Header().Get("ETag") == "" || res.Header().Get("Content-Security-Policy") == "") {
				t.Errorf("%s: %q: %v", listener, name, res.Header())
			}
		}
		if res := get(listener, "HEAD", "/openapi/"); res.Code != 200 || res.Body.Len() > 0 {
			t.Errorf("%s: HEAD: got %d and %d bytes", listener, res.Code, res.Body.Len())
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if res := get(listener, method, "/openapi/"); res.Code != 405 || res.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s: got %d, %v", listener, method, res.Code, res.Header())
			}
		}
	}
	if res := get("v2", "GET", "/openapi"); res.Code != 405 { // a path is compared whole (spec 1.1)
		t.Errorf("/openapi: got %d, want 405", res.Code)
	}
}

// The documents do not get around the limit of an address.
func TestDescribeIsLimited(t *testing.T) {
	w := newWorld(t, nil)
	begun := time.Now() // the limits' clock stands
	w.o.Addresses = memory.New(memory.Options{Now: func() time.Time { return begun }}).Stores().Limits
	w.o.AddressRate = rollcall.RateLimit{PerSecond: 1, Burst: 2}
	for name, h := range map[string]http.Handler{"v2": w.Public(true), "game": w.Game()} {
		for i, want := range []int{200, 200, 429} {
			r := httptest.NewRequest(http.MethodGet, "/openapi/", nil)
			r.RemoteAddr = map[string]string{"v2": "192.0.2.1:1", "game": "192.0.2.2:1"}[name]
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			if res.Code != want {
				t.Errorf("%s: call %d: got %d, want %d", name, i, res.Code, want)
			}
		}
	}
}
