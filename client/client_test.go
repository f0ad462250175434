package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A v2Service plays the v2 API: it verifies and opens what is sent, and answers
// with what a test wants.
type v2Service struct {
	t   *testing.T
	key *wire.APIKey

	mu     sync.Mutex
	tokens int                                               // handed out; the last one alone is good
	data   string                                            // "": none
	code   wire.Code                                         // of all but auth
	calls  []string                                          // path and plaintext
	before func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

// newV2 makes one, and a Client that calls it and takes no time for its waits.
func newV2(t *testing.T, change ...func(*Options)) (*v2Service, *Client) {
	key, text := wire.NewAPIKey()
	s := &v2Service{t: t, key: key}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	o := Options{
		BaseURL: web.URL + "/", AgentID: "a1", APIKey: text, SecretKey: "secret",
		Sleep: func(context.Context, time.Duration) error { return nil },
	}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	must(t, err)
	return s, c
}

func (s *v2Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && s.before(w, r) {
		return
	}
	login := r.URL.Path == wire.PathAuth
	body, _ := io.ReadAll(r.Body)
	var sealed wire.Request
	must(s.t, sealed.Decode(body))
	head, err := wire.ParseHeader(r.Header, !login)
	must(s.t, err)
	if !head.VerifySignature(rollcall.SignaturePlain, s.key, sealed.CipherText) {
		s.t.Errorf("%s: the signature is not good", r.URL)
	}
	plaintext, err := s.key.Open(sealed.CipherText)
	must(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.URL.Path+" "+string(plaintext))
	good := fmt.Sprintf("token%d", s.tokens)
	switch {
	case login:
		s.tokens++
		w.Write(wire.AppendReply(nil, wire.CodeOK, wire.NewAuthResponse(fmt.Sprintf("token%d", s.tokens)), "u1"))
	case head.AccessToken != good:
		w.Write(wire.AppendReply(nil, 83, nil, "u1"))
	default:
		var data wire.Data
		if s.data != "" {
			data = raw(s.data)
		}
		w.Write(wire.AppendReply(nil, s.code, data, "u1"))
	}
}

type raw string

func (r raw) AppendJSON(dst []byte) []byte { return append(dst, r...) }

func (s *v2Service) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// call does one of the calls; there is none for other names.
func call(ctx context.Context, c *Client, name string) (data any, err error) {
	switch name {
	case "create":
		return nil, c.CreateMember(ctx, "player001", "site-1")
	case "create without site":
		return nil, c.CreateMember(ctx, "player001", "")
	case "open":
		return c.OpenGame(ctx, wire.OpenGameRequest{DeviceType: 1, IPAddress: "192.0.2.1", Lang: "en", GameCode: "G", LaunchType: 2, Username: "player001"})
	case "online":
		return c.Online(ctx)
	case "kick":
		return nil, c.KickMember(ctx, "player001")
	}
	return c.CheckSessions(ctx, "player001")
}

func TestClientCalls(t *testing.T) {
	s, c := newV2(t)
	for _, row := range []struct {
		name, data string
		want       any
		sent       string
		decode     interface{ Decode(plaintext []byte) error }
	}{
		{"create", "", nil, `/v2/members {"username":"player001","siteId":"site-1"}`, &wire.MemberCreateRequest{}},
		{"create without site", "null", nil, `/v2/members {"username":"player001"}`, &wire.MemberCreateRequest{}},
		{
			"open", `{"gameLaunchHtml":null,"gameLaunchUrl":"https://g.example.com/?t=1","mode":"real","more":1}`,
			wire.OpenGameResponse{GameLaunchURL: "https://g.example.com/?t=1", Mode: rollcall.ModeReal},
			`/v2/opengame {"deviceType":1,"ipaddress":"192.0.2.1","lang":"en","gameCode":"G","launchType":2,"username":"player001"}`,
			&wire.OpenGameRequest{},
		},
		{
			"online", `{"userList":["a","b"],"counts":2}`,
			Online{Usernames: []string{"a", "b"}, LogUUID: "u1"},
			`/v2/members/online {}`, &wire.OnlineRequest{},
		},
		{"online", `{"userList":null,"counts":0}`, Online{Usernames: []string{}, LogUUID: "u1"}, `/v2/members/online {}`, &wire.OnlineRequest{}},
		{"kick", "", nil, `/v2/members/sessions/logout {"username":"player001"}`, &wire.MemberRequest{}},
		{"check", "null", Sessions{Active: []Session{}, LogUUID: "u1"}, `/v2/members/sessions/check {"username":"player001"}`, &wire.MemberRequest{}},
	} {
		s.data = row.data
		got, err := call(t.Context(), c, row.name)
		must(t, err)
		if d := cmp.Diff(row.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, d)
		}
		sent := s.took()
		last := sent[len(sent)-1]
		if last != row.sent {
			t.Errorf("%s: got %s, want %s", row.name, last, row.sent)
		}
		_, plaintext, _ := strings.Cut(last, " ")
		must(t, row.decode.Decode([]byte(plaintext)))
	}
	if s.tokens != 1 {
		t.Errorf("%d tokens were asked for, want 1", s.tokens)
	}
}

func TestClientErrors(t *testing.T) {
	s, c := newV2(t)
	for _, row := range []struct {
		name string
		code wire.Code
		want error
	}{
		{"create", 6, rollcall.ErrMemberExists},
		{"create", 81, rollcall.ErrBranchNotConfigured},
		{"open", 5, rollcall.ErrGameNotFound},
		{"open", 8, rollcall.ErrMemberNotFound},
		{"open", 19, rollcall.ErrMemberSuspended},
		{"open", 82, rollcall.ErrSiteMismatch},
		{"open", 86, rollcall.ErrGameRestricted},
		{"online", 77, rollcall.ErrTooManyRequests},
		{"kick", 8, rollcall.ErrMemberNotFound},
		{"check", 8, rollcall.ErrMemberNotFound},
		{"check", 7, rollcall.ErrInternal},
	} {
		s.code = row.code
		_, err := call(t.Context(), c, row.name)
		answer, ok := errors.AsType[*wire.Error](err)
		if !errors.Is(err, row.want) || !ok || answer.LogUUID != "u1" {
			t.Errorf("%s: got %v, want %v with logUUID", row.name, err, row.want)
		}
	}
}

// A token that is refused is asked for again, and not without end.
func TestClientAsksForAnotherToken(t *testing.T) {
	s, c := newV2(t)
	for _, revoked := range []bool{false, true} {
		if revoked {
			s.tokens++
		}
		must(t, c.KickMember(t.Context(), "player001"))
	}
	if got := s.took(); len(got) != 5 { // auth, kick; kick, auth, kick
		t.Errorf("got calls %q, want 5", got)
	}
	s.code = 83
	c.token = ""
	for range 2 {
		if err := c.KickMember(t.Context(), "player001"); !errors.Is(err, rollcall.ErrAuthentication) {
			t.Errorf("got %v, want ErrAuthentication", err)
		}
	}
	if got := s.took(); len(got) != 5 { // auth, kick; kick, auth, kick
		t.Errorf("got calls %q, want 5", got)
	}
}

// Who waits for another's token waits no longer than its own context.
func TestClientWaitsWithItsContext(t *testing.T) {
	s, c := newV2(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == wire.PathAuth {
			close(asked)
			<-answer
		}
		return false
	}
	first := make(chan error)
	go func() { first <- c.KickMember(t.Context(), "player001") }()
	<-asked
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := c.KickMember(ctx, "player001"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context has ended", err)
	}
	close(answer)
	must(t, <-first)
}

func TestClientFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was called with Authorization %q", r.URL, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	s, c := newV2(t)
	must(t, c.KickMember(t.Context(), "player001"))
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusPermanentRedirect)
		return true
	}
	if err := c.KickMember(t.Context(), "player001"); err == nil || !strings.Contains(err.Error(), "308") {
		t.Errorf("got %v, want status 308", err)
	}
}

func TestClientOfBrokenService(t *testing.T) {
	long, _ := json.Marshal(map[string]any{"code": 8, "message": strings.Repeat("é", 100_000), "logUUID": strings.Repeat("x", 100_000)})
	for _, answer := range []string{
		"", "<html>", "{}", "null", "[]", `{"code":"0"}`, string(long),
		`{"code":0}`, `{"code":0,"data":null}`, `{"code":0,"data":{}}`, `{"code":0,"data":"x"}`,
	} {
		s, c := newV2(t)
		s.before = func(w http.ResponseWriter, _ *http.Request) bool {
			io.WriteString(w, answer)
			return true
		}
		err := c.KickMember(t.Context(), "player001")
		if err == nil || !strings.Contains(err.Error(), "access token") || len(err.Error()) > 3000 {
			t.Errorf("%.40q: auth: got %v, want a short error", answer, err)
		}
		c.token, c.refreshAt = "token0", time.Now().Add(time.Hour)
		data, err := call(t.Context(), c, "open")
		if err == nil || len(err.Error()) > 3000 {
			t.Errorf("%.40q: open: got %v and %v, want a short error", answer, data, err)
		}
	}
}

// An answer that may lack sessions says so.
func TestClientSaysPartial(t *testing.T) {
	s, c := newV2(t)
	for _, row := range []struct {
		header string
		want   bool
	}{{"true", true}, {"", false}, {"false", false}} {
		s.before = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set(wire.HeaderPartial, row.header)
			return false
		}
		s.data = "[]"
		sessions, err := c.CheckSessions(t.Context(), "player001")
		must(t, err)
		s.data = `{"userList":[],"counts":0}`
		online, err := c.Online(t.Context())
		must(t, err)
		if sessions.Partial != row.want || online.Partial != row.want {
			t.Errorf("%q: got %v and %v, want %v", row.header, sessions.Partial, online.Partial, row.want)
		}
	}
}

func TestNewRefusesBaseURL(t *testing.T) {
	_, key := wire.NewAPIKey()
	for _, base := range []string{"", "rollcall.example.com", "ftp://rollcall.example.com", "https://", "https://:443", "https://a.example.com/?b", "https://a.example.com/#b", "https://u:p4ss@a.example.com"} {
		_, err := New(Options{BaseURL: base, AgentID: "a1", APIKey: key, SecretKey: "s"})
		if !errors.Is(err, rollcall.ErrInvalid) || !strings.Contains(err.Error(), "BaseURL") || strings.Contains(err.Error(), "p4ss") {
			t.Errorf("%q: got %v, want ErrInvalid", base, err)
		}
	}
}
