package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// A weather stands between an example and the sandbox, and does to it what a busy
// day does: it refuses the first login and the first check for want of time, says
// that the first token is good for a minute, spoils that of the first creation, as
// if it had been revoked, and in the last check says that sessions may be missing.
type weather struct {
	url     string
	sandbox http.Handler // nil: a gateway whose service is down

	mu    sync.Mutex
	calls map[string]int
	seen  []sighting
}

// A sighting is one request as it came.
type sighting struct {
	path, nonce, token string
	at                 time.Time
	// refused is when it may come again; zero where it went through.
	refused time.Time
}

// newWeather has sandbox, a URL, behind it; empty: nothing.
func newWeather(t *testing.T, sandbox string) *weather {
	t.Helper()
	w := &weather{calls: map[string]int{}}
	if sandbox != "" {
		u, err := url.Parse(sandbox)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.ModifyResponse = w.change
		w.sandbox = proxy
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// at returns c with the weather's address.
func (w *weather) at(c Credentials) Credentials {
	c.BaseURL = w.url
	c.Agents = slices.Clone(c.Agents)
	return c
}

func (w *weather) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[r.URL.Path]++
	s := sighting{path: r.URL.Path, nonce: r.Header.Get(wire.HeaderNonce), token: r.Header.Get(wire.HeaderAuthorization), at: time.Now()}
	switch first := w.calls[r.URL.Path] == 1; {
	case w.sandbox == nil:
		http.Error(to, "<html>502 Bad Gateway</html>", http.StatusBadGateway)
	case first && r.URL.Path == wire.PathAuth:
		s.refused = refuse(to, http.StatusTooManyRequests, 77)
	case first && r.URL.Path == wire.PathSessionsCheck:
		s.refused = refuse(to, http.StatusServiceUnavailable, wire.CodeInternal)
	case first && r.URL.Path == wire.PathMembers:
		r.Header.Set(wire.HeaderAuthorization, "Bearer revoked")
		w.sandbox.ServeHTTP(to, r)
	default:
		w.sandbox.ServeHTTP(to, r)
	}
	w.seen = append(w.seen, s)
}

// change changes how long the first token is said to be good, and says that the
// last check lacks sessions. It is called by ServeHTTP.
func (w *weather) change(r *http.Response) error {
	const firstLogin = 2 // behind the one that is refused
	switch path := r.Request.URL.Path; {
	case path == wire.PathSessionsCheck && w.calls[path] == checksInWeather:
		r.Header.Set(wire.HeaderPartial, "true")
		return nil
	case path != wire.PathAuth || w.calls[path] != firstLogin:
		return nil
	}
	text, err := io.ReadAll(r.Body)
	text = bytes.Replace(text, []byte(`"expiresIn":3600`), []byte(`"expiresIn":60`), 1)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return err
}

// refuse answers as Rollcall does, and returns when the request may come again.
func refuse(to http.ResponseWriter, status int, code wire.Code) time.Time {
	to.Header().Set("Content-Type", "application/json")
	to.Header().Set("Retry-After", "1")
	to.WriteHeader(status)
	fmt.Fprintf(to, `{"code":%d,"message":%q,"logUUID":"955585ed-adeb-436e-8be0-ebf2b81b7d15"}`, code, code.Message())
	return time.Now().Add(time.Second)
}

// sightings returns what has come.
func (w *weather) sightings() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// checksInWeather is how many checks an example sends, the refused one too. With
// wrong keys it does not get beyond the login.
const checksInWeather = 7

// judge looks at how an example has taken it.
func (w *weather) judge(t *testing.T) {
	t.Helper()
	seen := w.sightings()
	// The first login and its repetition, one when that token has a minute left, one
	// for the spoilt token, and one for each of the wrong keys.
	for path, want := range map[string]int{wire.PathAuth: 6, wire.PathMembers: 3, wire.PathSessionsCheck: checksInWeather, wire.PathMembersOnline: 1} {
		if w.calls[path] != want {
			t.Errorf("%s: got %d calls, want %d", path, w.calls[path], want)
		}
	}
	nonces := map[string]bool{}
	for i, s := range seen {
		if nonces[s.nonce] {
			t.Errorf("%s: the nonce is used again", s.path)
		}
		nonces[s.nonce] = true
		if s.path == wire.PathAuth && s.token != "" {
			t.Error("a login carries a token")
		}
		if s.refused.IsZero() {
			continue
		}
		// A login may come first: the token can have aged while it waited.
		next := slices.IndexFunc(seen[i+1:], func(next sighting) bool { return next.path == s.path })
		if next < 0 || seen[i+1+next].at.Before(s.refused) || seen[i+1].at.Before(s.refused) {
			t.Errorf("%s: after a refusal it does not come again, or before it may", s.path)
		}
	}
}
