package roll_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/webhook"
)

// A hook is one webhook as a receiver got it.
type hook struct {
	id, signature, at string
	body              []byte
}

// receive starts a receiver that answers with status.
func receive(t *testing.T, status int) (string, <-chan hook) {
	t.Helper()
	got := make(chan hook, 16)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- hook{r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Signature"), r.Header.Get("Webhook-Timestamp"), body}
		w.WriteHeader(status)
	}))
	t.Cleanup(web.Close)
	return web.URL + "/hook", got
}

// serve runs the service by the real clock, as webhooks go over real
// connections, until the test ends.
func (w *world) serve(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(t.Context())
	}()
	t.Cleanup(func() { <-done })
}

func next(t *testing.T, from <-chan hook) hook {
	t.Helper()
	select {
	case h := <-from:
		return h
	case <-time.After(20 * time.Second):
		t.Fatal("no webhook came within 20 s")
		return hook{}
	}
}

// An agent that asked for it is told of its sessions, signed so that it can tell
// who says so.
func TestWebhooks(t *testing.T) {
	w := newWorld(t)
	to, got := receive(t, http.StatusNoContent)
	text, err := w.SetWebhook(t.Context(), "ann", "a1", to)
	must(t, err)
	secret, err := webhook.ParseSecret(text)
	must(t, err)
	w.serve(t)
	left := w.play(t)
	w.end(t, left.ID)
	kicked := w.play(t)
	must(t, w.KickMember(t.Context(), w.caller(t), "player001"))
	types := make(map[string]string)
	for range 4 {
		h := next(t, got)
		var body struct {
			Type string
			Data struct {
				SessionID, Username, Reason string
			}
		}
		must(t, json.Unmarshal(h.body, &body))
		types[body.Data.SessionID] += body.Type + " "
		seconds, err := time.Parse(time.RFC3339, "1970-01-01T00:00:00Z")
		must(t, err)
		var unix int64
		must(t, json.Unmarshal([]byte(h.at), &unix))
		if want := webhook.Sign(secret, h.id, seconds.Add(time.Duration(unix)*time.Second), h.body); h.signature != want {
			t.Errorf("signature %s, want %s", h.signature, want)
		}
		if body.Data.Username != "player001" || strings.Contains(string(h.body), "lobby") {
			t.Errorf("got %s", h.body)
		}
	}
	has := func(id string, want ...string) {
		for _, kind := range want {
			if !strings.Contains(types[id], kind+" ") {
				t.Errorf("of %s got %s, want %v", id, types[id], want)
			}
		}
	}
	has(left.ID, rollcall.WebhookStarted, rollcall.WebhookEnded)
	has(kicked.ID, rollcall.WebhookStarted, rollcall.WebhookKicked)
}

// A receiver that is gone for good is given up at once, one that fails is tried
// again, and an operator can have a dead one sent again.
func TestWebhookFailures(t *testing.T) {
	w := newWorld(t)
	to, got := receive(t, http.StatusGone)
	_, err := w.SetWebhook(t.Context(), "ann", "a1", to)
	must(t, err)
	w.serve(t)
	s := w.play(t)
	first := next(t, got)
	dead := w.eventually(t, true)
	if dead.ID != first.id || dead.Attempts != 1 || dead.SessionID != s.ID || !strings.Contains(dead.LastError, "410") {
		t.Errorf("got %+v", dead)
	}
	to, failing := receive(t, http.StatusInternalServerError)
	_, err = w.SetWebhook(t.Context(), "ann", "a1", to)
	must(t, err)
	_, err = w.RetryDelivery(t.Context(), "ann", dead.ID)
	must(t, err)
	if h := next(t, failing); h.id != dead.ID {
		t.Errorf("got webhook %s, want %s again", h.id, dead.ID)
	}
	waiting := w.eventually(t, false)
	if waiting.Attempts != 1 || waiting.NextAt.Before(waiting.CreatedAt.Add(4*time.Second)) {
		t.Errorf("got %+v, want it to wait", waiting)
	}
	_, err = w.RetryDelivery(t.Context(), "ann", "none")
	wantErr(t, err, rollcall.ErrNotFound)
	_, err = w.SetWebhook(t.Context(), "ann", "a1", "")
	must(t, err)
	_, err = w.RetryDelivery(t.Context(), "ann", dead.ID)
	must(t, err)
	deadline, tick := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		list, err := w.Deliveries(t.Context(), "a1", false, "", 10)
		must(t, err)
		if len(list) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the agent wants none, and there are %+v", list)
		case <-tick.C:
		}
	}
}

// eventually waits until there is a delivery that was tried, and returns it.
func (w *world) eventually(t *testing.T, dead bool) rollcall.WebhookDelivery {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for {
		list, err := w.Deliveries(t.Context(), "a1", dead, "", 10)
		must(t, err)
		for _, d := range list {
			if d.Attempts > 0 {
				return d
			}
		}
		select {
		case <-deadline:
			t.Fatal("no delivery after 20 s")
		case <-tick.C:
		}
	}
}

func TestWebhookTargets(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"ftp://x.example", "https://169.254.169.254/latest", "nonsense", "https://user:pw@x.example/"} {
		_, err := w.SetWebhook(t.Context(), "ann", "a1", bad)
		wantErr(t, err, rollcall.ErrInvalid)
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("the error repeats the URL: %v", err)
		}
	}
	_, err := w.SetWebhook(t.Context(), "ann", "nobody", "https://hooks.example/")
	wantErr(t, err, rollcall.ErrNotFound)
}
