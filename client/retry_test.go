package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A refusal is how a call comes to nothing.
type refusal struct {
	name   string
	answer func(w http.ResponseWriter)
}

func drop(http.ResponseWriter) { panic(http.ErrAbortHandler) }

// says answers as a service, or with an empty text as a proxy, does.
func says(status int, retryAfter, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		io.WriteString(w, cmp.Or(text, "<html>Sorry."))
	}
}

func envelope(code wire.Code) string { return string(wire.AppendReply(nil, code, nil, "u1")) }

// refuse has the next n calls of all paths but auth come to nothing, and returns
// what counts them. Each has to have a nonce and a timestamp of its own.
func (s *v2Service) refuse(n int, answer func(http.ResponseWriter)) (calls func() int) {
	seen := map[string]bool{}
	count := 0
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == wire.PathAuth {
			return false
		}
		s.mu.Lock()
		count++
		first := count <= n
		for _, name := range []string{wire.HeaderNonce, wire.HeaderTimestamp, wire.HeaderSignature} {
			if v := r.Header.Get(name); v == "" || seen[v] {
				s.t.Errorf("%s %q was sent before", name, v)
			} else {
				seen[v] = true
			}
		}
		s.mu.Unlock()
		if first {
			answer(w)
		}
		return first
	}
	return func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return count
	}
}

// waits notes how long a client waits, and has the clock go on by that.
type waits struct {
	now time.Time
	all []time.Duration
}

func (w *waits) options(o *Options) {
	w.now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Now = func() time.Time { return w.now }
	o.Sleep = func(_ context.Context, d time.Duration) error {
		w.all = append(w.all, d)
		w.now = w.now.Add(d)
		return nil
	}
}

// passingRefusals are after which a call that may be carried out twice is repeated;
// once says that one that may not is, too.
var passingRefusals = []struct {
	refusal

	asked time.Duration
	once  bool
}{
	{refusal{"503", says(503, "2", envelope(7))}, 2 * time.Second, false},
	{refusal{"503 without Retry-After", says(503, "", envelope(7))}, 0, false},
	{refusal{"429", says(429, "1", envelope(77))}, time.Second, true},
	{refusal{"77 with status 200", says(200, "", envelope(77))}, 0, true},
	{refusal{"connection lost", drop}, 0, false},
	{refusal{"proxy: 429", says(429, "1", "")}, time.Second, true},
	{refusal{"proxy: 502", says(502, "", "")}, 0, false},
	{refusal{"proxy: 503", says(503, "3", "")}, 3 * time.Second, false},
	{refusal{"proxy: 504", says(504, "", "")}, 0, false},
}

// calls that may be carried out twice.
var repeatable = map[string]string{"check": "[]", "online": `{"userList":[],"counts":0}`, "kick": "", "open": `{"gameLaunchUrl":"https://g.example.com"}`}

func TestClientRepeats(t *testing.T) {
	for _, row := range passingRefusals {
		for name, data := range repeatable {
			w := &waits{}
			s, c := newV2(t, w.options)
			s.data = data
			calls := s.refuse(2, row.answer)
			if _, err := call(t.Context(), c, name); err != nil || calls() != 3 || len(w.all) != 2 {
				t.Errorf("%s: %s: got %v after %d calls and waits of %v, want a third that goes well", row.name, name, err, calls(), w.all)
				continue
			}
			for i, d := range w.all {
				most := minBackoff << i
				if d -= row.asked; d < most/2 || d > most {
					t.Errorf("%s: %s: wait %d was %s more than asked for, want %s to %s", row.name, name, i, d, most/2, most)
				}
			}
		}
	}
}

// What cannot be carried out twice is repeated only where nothing was.
func TestClientMakesAMemberOnce(t *testing.T) {
	for _, row := range passingRefusals {
		w := &waits{}
		s, c := newV2(t, w.options)
		calls := s.refuse(1, row.answer)
		err := c.CreateMember(t.Context(), "player001", "")
		if want := map[bool]int{true: 2, false: 1}[row.once]; calls() != want || (err == nil) != row.once {
			t.Errorf("%s: got %v after %d calls, want %d", row.name, err, calls(), want)
		}
		if errors.Is(err, rollcall.ErrMemberExists) {
			t.Errorf("%s: the answer that got lost became %v", row.name, err)
		}
	}
	// Without a token, or a connection, nothing was carried out.
	w := &waits{}
	s, c := newV2(t, w.options)
	refused := 0
	s.before = func(http.ResponseWriter, *http.Request) bool {
		if refused++; refused < 3 {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if err := c.CreateMember(t.Context(), "player001", ""); err != nil || len(w.all) != 2 {
		t.Errorf("no token at first: got %v after waits of %v", err, w.all)
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	dead.Close()
	c.base = "http://" + dead.Addr().String()
	if err := c.CreateMember(t.Context(), "player001", ""); err == nil || len(w.all) != 4 {
		t.Errorf("nobody listens: got %v after waits of %v", err, w.all)
	}
}

func TestClientDoesNotRepeat(t *testing.T) {
	rows := []refusal{
		{"500", says(500, "1", envelope(7))},
		{"7 with status 200", says(200, "1", envelope(7))},
		{"proxy: 500", says(500, "1", "")},
		{"proxy: 404", says(404, "1", "")},
		{"no data", says(200, "", `{"code":0,"message":"","data":5,"logUUID":"u1"}`)},
		{"no envelope", says(200, "", "")},
	}
	for _, code := range []wire.Code{5, 6, 8, 10, 11, 19, 81, 82, 83, 84, 86, 99} {
		rows = append(rows, refusal{fmt.Sprintf("code %d", code), says(200, "1", fmt.Sprintf(`{"code":%d,"message":"m","logUUID":"u1"}`, code))})
	}
	for _, row := range rows {
		w := &waits{}
		s, c := newV2(t, w.options)
		calls := s.refuse(9, row.answer)
		_, err := c.Online(t.Context())
		if err == nil || calls() != 1 || len(w.all) != 0 {
			t.Errorf("%s: got %v after %d calls, want one", row.name, err, calls())
		}
	}
}

// The error after the last attempt has all that the service has said.
func TestClientGivesUp(t *testing.T) {
	for _, row := range []struct{ attempts, calls int }{{0, 3}, {1, 1}, {5, 5}} {
		w := &waits{}
		s, c := newV2(t, w.options, func(o *Options) { o.Attempts = row.attempts })
		calls := s.refuse(99, says(429, "2", envelope(77)))
		err := c.KickMember(t.Context(), "player001")
		answer, ok := errors.AsType[*Error](err)
		if calls() != row.calls || !ok || !errors.Is(err, rollcall.ErrTooManyRequests) {
			t.Errorf("%d attempts: got %v after %d calls, want %d", row.attempts, err, calls(), row.calls)
			continue
		}
		want := Error{Code: 77, Message: "Too many request, please try again later", LogUUID: "u1", Status: 429, RetryAfter: 2 * time.Second}
		if *answer != want || RetryAfter(err) != 2*time.Second {
			t.Errorf("got %+v, want %+v", *answer, want)
		}
		if said := strings.Contains(err.Error(), fmt.Sprintf("after %d attempts: ", row.calls)); said != (row.calls > 1) {
			t.Errorf("got %q", err)
		}
	}
}

// A wait that is too long, or that the caller would not live to see, is not begun.
func TestClientDoesNotWaitInVain(t *testing.T) {
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, row := range []struct {
		ctx        context.Context
		retryAfter string
		calls      int
	}{
		{t.Context(), "9", 2},
		{t.Context(), "10", 2},
		{t.Context(), "11", 1},
		{soon, "9", 2},
	} {
		w := &waits{}
		s, c := newV2(t, w.options)
		calls := s.refuse(1, says(503, row.retryAfter, envelope(7)))
		if err := c.KickMember(row.ctx, "player001"); (err == nil) != (row.calls == 2) || calls() != row.calls {
			t.Errorf("Retry-After %s: got %v after %d calls, want %d", row.retryAfter, err, calls(), row.calls)
		}
	}
	sooner, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	w := &waits{}
	s, c := newV2(t, w.options)
	s.refuse(1, says(503, "9", envelope(7)))
	if err := c.KickMember(sooner, "player001"); !errors.Is(err, rollcall.ErrInternal) || RetryAfter(err) != 9*time.Second || len(w.all) != 0 {
		t.Errorf("a deadline in 5 s: got %v after waits of %v", err, w.all)
	}
}

// Who gives up while it waits hears both that and what it has waited for.
func TestClientStopsWaiting(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s, c := newV2(t, func(o *Options) {
		o.Sleep = func(ctx context.Context, d time.Duration) error {
			stop()
			return pause(ctx, d)
		}
	})
	calls := s.refuse(9, says(503, "9", envelope(7)))
	err := c.KickMember(ctx, "player001")
	if answer, ok := errors.AsType[*Error](err); !errors.Is(err, context.Canceled) || !ok || answer.LogUUID != "u1" || calls() != 1 {
		t.Errorf("got %v after %d calls", err, calls())
	}
	if err := c.KickMember(ctx, "player001"); !errors.Is(err, context.Canceled) || calls() != 1 {
		t.Errorf("a context that has ended: got %v after %d calls", err, calls())
	}
}

// newVirtualV2 is newV2 over connections in memory, so that time is virtual.
func newVirtualV2(t *testing.T) (*v2Service, *Client) {
	listener := newMemory()
	key, text := wire.NewAPIKey()
	s := &v2Service{t: t, key: key}
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	web.Start()
	transport := &http.Transport{DialContext: listener.dial}
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	c, err := New(Options{BaseURL: web.URL, AgentID: "a1", APIKey: text, SecretKey: "secret", HTTPClient: &http.Client{Transport: transport}})
	must(t, err)
	return s, c
}

// By itself a client waits by the machine's clock.
func TestClientWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newVirtualV2(t)
		s.refuse(2, says(503, "4", envelope(7)))
		begun := time.Now()
		must(t, c.KickMember(t.Context(), "player001"))
		if took := time.Since(begun); took < 8*time.Second || took > 9*time.Second {
			t.Errorf("it took %s, want 8 s", took)
		}
	})
}

// All who need a token wait for one fetch, and hear of its failure.
func TestClientFetchesOneTokenForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newVirtualV2(t)
		c.again.attempts = 1
		release, fetches := make(chan struct{}), 0
		s.before = func(w http.ResponseWriter, r *http.Request) bool {
			fetches++
			<-release
			says(503, "1", envelope(7))(w)
			return true
		}
		const callers = 20
		errs := make(chan error, callers)
		for range callers {
			go func() { errs <- c.KickMember(t.Context(), "player001") }()
		}
		synctest.Wait()
		close(release)
		for range callers {
			if err := <-errs; !errors.Is(err, rollcall.ErrInternal) || !strings.Contains(err.Error(), "access token: ") {
				t.Errorf("got %v", err)
			}
		}
		if fetches != 1 {
			t.Errorf("%d fetches, want 1", fetches)
		}
	})
}

// The fetch of a token goes on for the others where who began it gives up.
func TestClientFetchesForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newVirtualV2(t)
		release := make(chan struct{})
		s.before = func(http.ResponseWriter, *http.Request) bool {
			<-release
			return false
		}
		ctx, stop := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- c.KickMember(ctx, "player001") }()
		synctest.Wait()
		go func() { second <- c.KickMember(t.Context(), "player001") }()
		synctest.Wait()
		stop()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: got %v", err)
		}
		close(release)
		must(t, <-second)
		if s.tokens != 1 {
			t.Errorf("%d tokens were fetched, want 1", s.tokens)
		}
	})
}

// The start of a session is repeated, since the same launch token starts it once.
func TestStartIsRepeated(t *testing.T) {
	for _, row := range []struct {
		name     string
		attempts int
		refuse   func(w http.ResponseWriter)
		calls    int
	}{
		{"connection lost", 0, drop, 3},
		{"503", 0, says(503, "2", `{"error":{"code":"unavailable","message":"m"}}`), 3},
		{"429", 0, says(429, "2", `{"error":{"code":"too_many_requests","message":"m"}}`), 3},
		{"proxy", 0, says(502, "", ""), 3},
		{"more often", 4, drop, 4},
		{"once", 1, drop, 1},
		{"fault of the service", 0, says(500, "2", `{"error":{"code":"internal","message":"m"}}`), 1},
		{"refusal", 0, says(410, "2", `{"error":{"code":"launch_expired","message":"m"}}`), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newService(t, func(o *GameServerOptions) { o.Attempts = row.attempts })
			refused, calls := true, 0
			s.instead = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				if calls++; refused {
					row.refuse(w)
				}
				return refused
			}
			if _, err := g.Start(t.Context(), "s1"); err == nil || calls != row.calls {
				t.Errorf("%s: got %v after %d calls, want %d", row.name, err, calls, row.calls)
			}
			refused = false
			if _, err := g.Start(t.Context(), "s1"); err != nil {
				t.Errorf("%s: then %v", row.name, err)
			}
		})
	}
}

// The log says what was repeated and why, and no secret.
func TestClientLogs(t *testing.T) {
	var text bytes.Buffer
	w := &waits{}
	var secrets []string
	s, c := newV2(t, w.options, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.SecretKey = "s3cret-of-mine"
		secrets = []string{o.APIKey, o.SecretKey, "token1", "player001"}
	})
	s.refuse(1, says(503, "1", envelope(7)))
	must(t, c.KickMember(t.Context(), "player001"))
	for _, want := range []string{"level=DEBUG msg=\"access token fetched\"", "level=WARN msg=\"call is repeated\" path=/v2/members/sessions/logout attempt=1 wait=1.", "logUUID u1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &text)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(text.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, &text)
		}
	}
}

// An error says when the service wants to be asked again, and who waits for that
// gets through.
func TestClientSaysWhenToTryAgain(t *testing.T) {
	s, c := newV2(t, func(o *Options) { o.Attempts = 1 })
	for _, row := range []struct {
		header string
		want   time.Duration
	}{
		{"3", 3 * time.Second}, {"0", 0}, {"", 0}, {"86400", time.Minute}, {"-1", 0}, {"1.5", 0}, {"soon", 0}, {"99999999999999999999", 0},
	} {
		refuse := true
		s.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !refuse || r.URL.Path == wire.PathAuth {
				return false
			}
			w.Header()["Retry-After"] = []string{row.header}
			w.WriteHeader(http.StatusTooManyRequests)
			w.Write(wire.AppendReply(nil, 77, nil, "u1"))
			return true
		}
		err := c.KickMember(t.Context(), "player001")
		if !errors.Is(err, rollcall.ErrTooManyRequests) || RetryAfter(err) != row.want || RetryAfter(fmt.Errorf("wrapped: %w", err)) != row.want {
			t.Errorf("Retry-After %q: got %v, %s; want %s", row.header, err, RetryAfter(err), row.want)
		}
		refuse = false
		if err := c.KickMember(t.Context(), "player001"); err != nil || RetryAfter(err) != 0 {
			t.Errorf("the next call: %v", err)
		}
	}
	if RetryAfter(errors.New("other")) != 0 {
		t.Error("another error says when to try again")
	}
}

// What a game server repeats anyway, it does not repeat sooner than it is asked to.
func TestRunWaitsAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		var boots, streams, beats []time.Time
		s.set(func() {
			s.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
				calls := map[string]*[]time.Time{wire.PathGameBoot: &boots, wire.PathGameEvents: &streams, wire.PathGameHeartbeats: &beats}[r.URL.Path]
				if calls == nil {
					return false
				}
				s.set(func() { *calls = append(*calls, time.Now()) })
				if len(*calls) > 3 {
					return false
				}
				w.Header().Set("Retry-After", "20")
				w.WriteHeader(http.StatusTooManyRequests)
				w.Write([]byte(`{"error":{"code":"too_many_requests","message":"too many requests"}}`))
				return true
			}
		})
		run(t, g)
		after(5 * time.Minute)
		s.set(func() {
			for name, calls := range map[string][]time.Time{"boot": boots, "event stream": streams, "heartbeat": beats} {
				if len(calls) < 4 {
					t.Fatalf("%s: %d calls in 5 minutes, want it to get through", name, len(calls))
				}
				for i := range 3 {
					if d := calls[i+1].Sub(calls[i]); d < 20*time.Second || d > 30*time.Second {
						t.Errorf("%s: repeated after %s, want 20 s", name, d)
					}
				}
			}
		})
	})
}
