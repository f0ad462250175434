package arcade

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

func TestPage(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	for path, kind := range map[string]string{
		"?token=" + url.QueryEscape(token): "text/html", "/page.js": "text/javascript", "/beat.js": "text/javascript",
		"/page.css": "text/css", "/icon.svg": "image/svg+xml",
	} {
		res, err := http.Get(w.url + path)
		w.must(err)
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		w.must(err)
		h := res.Header
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), kind) || h.Get("Cache-Control") != "no-store" ||
			h.Get("Content-Security-Policy") != policy || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: status %d, %v", path, res.StatusCode, h)
		}
		if strings.Contains(string(text), token) || strings.Contains(strings.ReplaceAll(string(text), `xmlns="http://`, ""), "http://") {
			t.Errorf("%s has the token, or something from elsewhere, in it", path)
		}
	}
	if got := w.sessions(); len(got) != 0 {
		t.Errorf("a GET has begun %v", got)
	}
	w.begin(token, "a")
}

// A game is begun once, goes on when its page is loaded again, and ends when the
// page is gone.
func TestPlay(t *testing.T) {
	w := newWorld(t, func(_ *roll.Options, o *Options) { o.Grace = time.Millisecond })
	token := w.launch("G1")
	a := w.begin(token, "a")
	if a.Game != "G1" || a.Member != "player001" || a.Mode != rollcall.ModeReal || a.Currency != "THB" || a.Device != "pc" || a.BeatMillis != 3000 {
		t.Errorf("got %+v", a)
	}
	if again := w.begin(token, "b"); again.Session != a.Session || len(w.sessions()) != 1 {
		t.Errorf("loaded again: session %s, before %s, of %d", again.Session, a.Session, len(w.sessions()))
	}
	w.call("/leave", token, "a")
	if _, b := w.call("/beat", token, "b"); b.Over != nil || b.Session != a.Session {
		t.Errorf("another page is there, but: %+v", b)
	}
	w.call("/leave", token, "b")
	w.eventually("the session has ended", func() bool { return len(w.sessions()) == 0 })
	if _, b := w.call("/beat", token, "b"); b.Over == nil || b.Over.Type != "left" {
		t.Errorf("a page that comes back: %+v", b)
	}
	if status, b := w.call("/start", token, "c"); status != http.StatusConflict || b.Problem == nil || b.Problem.Code != "launch_used" {
		t.Errorf("the link once more: status %d, %+v", status, b)
	}
	w.eventually("history", func() bool {
		ended, err := w.service.Timeline(t.Context(), "a1", "player001", "", 10)
		w.must(err)
		return len(ended) == 1 && ended[0].Reason == rollcall.EndLeft && strings.HasPrefix(ended[0].Note, "the page was closed, after ")
	})
}

// readStream reads a page's stream until it tells an end.
func readStream(r io.Reader) (v view, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return v, json.Unmarshal([]byte(data), &v)
		}
	}
	return v, errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}

// A kick reaches the page by its stream and by its beats, and is settled.
func TestKick(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	session := w.begin(token, "a").Session
	res, err := http.Get(w.url + "/events?token=" + token)
	w.must(err)
	defer res.Body.Close()
	const message = "<img src=x onerror=alert(1)>\n\u2028 data: 1"
	kick := w.kick(message)
	v, err := readStream(res.Body)
	w.must(err)
	want := over{"kicked", "You were signed out", message}
	if v.Session != session || v.Over == nil || *v.Over != want {
		t.Errorf("stream: got %+v, %+v; want %+v", v, v.Over, want)
	}
	for _, path := range []string{"/beat", "/start"} {
		if _, a := w.call(path, token, "a"); a.Over == nil || *a.Over != want {
			t.Errorf("%s: got %+v, want %+v", path, a, want)
		}
	}
	w.eventually("the kick is settled", func() bool {
		receipts, err := w.service.Receipts(t.Context(), kick.ID, 0, 10)
		w.must(err)
		return len(receipts) == 1 && receipts[0].SessionID == session && !receipts[0].AcknowledgedAt.IsZero() && receipts[0].Note == "settled after the event kicked"
	})
	if held := w.arcade.game.Sessions(); len(held) != 0 {
		t.Errorf("still held: %v", held)
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t, nil)
	refused := func(token, code string) {
		t.Helper()
		status, a := w.call("/start", token, "a")
		if a.Problem == nil || a.Problem.Code != code || a.Problem.Title == "" || status < 400 {
			t.Errorf("got status %d, %+v; want %s", status, a.Problem, code)
		}
	}
	refused("", "launch_unknown")
	refused("nonsense", "launch_unknown")
	refused(w.launch("G2"), "game_not_run")
	voided := w.launch("G1")
	w.must(w.agent.KickMember(t.Context(), "player001"))
	refused(voided, "launch_voided")
	w.begin(w.launch("G1"), "a")
	_, err := w.service.ChangeAgent(t.Context(), "test", "a1", func(a *rollcall.Agent) { a.Limits = rollcall.SessionLimits{PerMember: 1} })
	w.must(err)
	refused(w.launch("G1"), "session_limit")
	token := w.launch("G1")
	_, err = w.service.Drain(t.Context(), "test", "arcade", true)
	w.must(err)
	refused(token, "draining")
	_, err = w.service.SetAgentStatus(t.Context(), "test", "a1", rollcall.AgentBlocked)
	w.must(err)
	refused(token, "draining")
	_, err = w.service.Drain(t.Context(), "test", "arcade", false)
	w.must(err)
	refused(token, "agent_blocked")
}

// Each error that Start can be has a text of its own.
func TestProblemTexts(t *testing.T) {
	for _, err := range []error{
		rollcall.ErrLaunchUnknown, rollcall.ErrLaunchUsed, rollcall.ErrLaunchExpired, rollcall.ErrLaunchVoided, rollcall.ErrGameNotRun,
		rollcall.ErrDraining, rollcall.ErrSessionLimit, rollcall.ErrMemberSuspended, rollcall.ErrAgentRefused, rollcall.ErrStaleBoot,
		rollcall.ErrUnavailable, rollcall.ErrInternal,
	} {
		code, _ := wire.FaultOf(err)
		if p, known := problems[code]; !known || p.Title == "" || p.Message == "" {
			t.Errorf("%s (%v): %+v", code, err, p)
		}
	}
	if p, status := problemOf(errors.New("connection refused")); status != http.StatusInternalServerError || !p.Retry || p.Title == "" {
		t.Errorf("an error that is not known: %d, %+v", status, p)
	}
	for _, e := range []rollcall.EventType{rollcall.EventKicked, rollcall.EventDisplaced, rollcall.EventAgentBlocked} {
		if own, other := overBy(rollcall.Event{Type: e}), overBy(rollcall.Event{Type: "new"}); own.Title == other.Title || own.Message == "" {
			t.Errorf("%s has no words of its own: %+v", e, own)
		}
	}
}

func TestBadCalls(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "token=1", "no page": `{"token":"` + token + `"}`,
		"a long page": `{"token":"` + token + `","page":"` + strings.Repeat("a", 65) + `"}`, "too much": `{"page":"a","x":"` + strings.Repeat("a", maxCall) + `"}`,
	} {
		res, err := http.Post(w.url+"/start", "application/json", strings.NewReader(body))
		w.must(err)
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", name, res.StatusCode)
		}
	}
	req, err := http.NewRequest(http.MethodPost, w.url+"/start", strings.NewReader(`{"token":"`+token+`","page":"a"}`))
	w.must(err)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: status %d, want 403", res.StatusCode)
	}
	res, err = http.Get(w.url + "/events?token=nonsense")
	w.must(err)
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("events of no game: status %d, want 404", res.StatusCode)
	}
	if len(w.sessions()) != 0 {
		t.Error("one of these has begun a session")
	}
}

// Another boot of the game server takes over: the pages are told, and later ones
// find no game.
func TestTakenOver(t *testing.T) {
	w := newWorld(t, func(o *roll.Options, _ *Options) { o.Heartbeat = time.Second })
	token := w.launch("G1")
	id := w.begin(token, "a").Session
	w.eventually("Run beats, and will not boot again", func() bool {
		session, err := w.service.Session(t.Context(), id)
		w.must(err)
		return session.SeenAt.After(session.StartedAt)
	})
	other, err := New(w.options)
	w.must(err)
	w.must(other.Boot(t.Context()))
	if got := w.sessions(); len(got) != 0 {
		t.Errorf("the sessions of the boot before: %v", got)
	}
	w.eventually("the page is told", func() bool {
		_, a := w.call("/beat", token, "a")
		return a.Over != nil && a.Over.Type == "lost"
	})
	if status, a := w.call("/start", w.launch("G1"), "a"); status != http.StatusConflict || a.Problem == nil || a.Problem.Code != "stale_boot" {
		t.Errorf("a later page: status %d, %+v", status, a)
	}
}

// A house player stays without a page; when the lifetime has passed, another can
// be seated.
func TestHousePlayer(t *testing.T) {
	expired := make(chan rollcall.Session, 1)
	w := newWorld(t, func(o *roll.Options, a *Options) {
		o.LeaseTTL, o.Lifetime, o.Heartbeat = 3*time.Second, 3*time.Second, time.Second
		a.Silence, a.Grace = time.Millisecond, time.Millisecond
		a.OnExpired = func(s rollcall.Session) { expired <- s }
	})
	session, err := w.arcade.Seat(t.Context(), w.launch("G1"))
	w.must(err)
	begun := time.Now()
	got := <-expired
	if got.ID != session.ID || time.Since(begun) < 2*time.Second {
		t.Errorf("%s expired after %s, want %s after its lifetime", got.ID, time.Since(begun), session.ID)
	}
	if _, err := w.arcade.Seat(t.Context(), "nonsense"); !errors.Is(err, rollcall.ErrLaunchUnknown) {
		t.Errorf("got %v, want ErrLaunchUnknown", err)
	}
}

// A thousand open pages are told at once, and leave nothing behind.
func TestThousandPages(t *testing.T) {
	const pages = 1000
	w := newWorld(t, nil)
	before := runtime.NumGoroutine()
	browser := &http.Client{Transport: &http.Transport{}}
	told := make(chan error, pages)
	var opened sync.WaitGroup
	room := make(chan struct{}, 32)
	for range pages {
		room <- struct{}{}
		opened.Add(1)
		go func() {
			token := w.launch("G1")
			w.begin(token, "a")
			res, err := browser.Get(w.url + "/events?token=" + token)
			<-room
			opened.Done()
			if err != nil {
				told <- err
				return
			}
			defer res.Body.Close()
			v, err := readStream(res.Body)
			if err == nil && (v.Over == nil || v.Over.Message != "all out") {
				err = fmt.Errorf("got %+v", v)
			}
			told <- err
		}()
	}
	opened.Wait()
	begun := time.Now()
	w.kick("all out")
	for range pages {
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d pages were told within %s", pages, time.Since(begun).Round(time.Millisecond))
	browser.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	w.eventually("all is settled and the goroutines are gone", func() bool {
		return len(w.arcade.game.Sessions()) == 0 && runtime.NumGoroutine() <= before+60 // idle connections to Rollcall
	})
}

// Pages that go away leave nothing behind, though their game goes on.
func TestStreamsEnd(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	w.begin(token, "a")
	before := runtime.NumGoroutine()
	browser := &http.Client{Transport: &http.Transport{}}
	bodies := make([]io.Closer, 100)
	for i := range bodies {
		res, err := browser.Get(w.url + "/events?token=" + token) //nolint:bodyclose // below
		w.must(err)
		bodies[i] = res.Body
	}
	if got := runtime.NumGoroutine(); got < before+100 {
		t.Fatalf("%d goroutines, before %d: are there no streams?", got, before)
	}
	for _, b := range bodies {
		w.must(b.Close())
	}
	closed := time.Now()
	w.eventually("the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+10 })
	if took := time.Since(closed); took > stillHere/2 {
		t.Errorf("the streams ended after %s: at their next word, not when the pages went", took)
	}
}

// A session that the service no longer knows is over for its page.
func TestLost(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	session, err := w.service.Session(t.Context(), w.begin(token, "a").Session)
	w.must(err)
	w.arcade.lose(session, "a test")
	if _, a := w.call("/beat", token, "a"); a.Over == nil || a.Over.Type != "lost" {
		t.Errorf("got %+v, want that it is lost", a)
	}
}

// Run ends though pages are open.
func TestStop(t *testing.T) {
	w := newWorld(t, nil)
	token := w.launch("G1")
	w.begin(token, "a")
	res, err := http.Get(w.url + "/events?token=" + token)
	w.must(err)
	defer res.Body.Close()
	w.stop()
	if _, err := readStream(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream: got %v, want its end", err)
	}
	if again, err := http.Get(w.url); err == nil {
		again.Body.Close()
		t.Error("still listening")
	}
}
