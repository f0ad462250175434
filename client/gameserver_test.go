package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

func TestNewGameServerRefuses(t *testing.T) {
	for name, change := range map[string]func(*GameServerOptions){
		"no address":     func(o *GameServerOptions) { o.BaseURL = "" },
		"no scheme":      func(o *GameServerOptions) { o.BaseURL = "rollcall.example.com" },
		"no host":        func(o *GameServerOptions) { o.BaseURL = "http://" },
		"query":          func(o *GameServerOptions) { o.BaseURL += "/?a=b" },
		"no token":       func(o *GameServerOptions) { o.Token = "" },
		"token of lines": func(o *GameServerOptions) { o.Token = testToken + "\n" },
		"boot ID":        func(o *GameServerOptions) { o.BootID = "a b" },
	} {
		o := GameServerOptions{BaseURL: "https://rollcall.example.com", Token: testToken}
		g, err := NewGameServer(o)
		must(t, err)
		if len(g.bootID) != 36 || !rollcall.ValidID(g.bootID) {
			t.Errorf("boot ID: got %q, want a UUID", g.bootID)
		}
		change(&o)
		if _, err := NewGameServer(o); !errors.Is(err, rollcall.ErrInvalid) || strings.Contains(err.Error(), testToken) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestStartAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s2", "s1", "s1")
		wantHeld(t, g, "s1", "s2")
		must(t, g.End(t.Context(), "s1", wire.EndRequest{Reason: rollcall.EndLeft}))
		wantHeld(t, g, "s2")
		wantCalls(t, s.all(), "/game/v1/sessions/s1/end left")
		for _, row := range []struct {
			id  string
			end wire.EndRequest
		}{
			{"", wire.EndRequest{}},
			{"..", wire.EndRequest{}},
			{"s2/x", wire.EndRequest{}},
			{"s2", wire.EndRequest{Reason: "bored"}},
			{"s2", wire.EndRequest{Reason: rollcall.EndDisplaced}},
			{"s2", wire.EndRequest{Reason: rollcall.EndAgentBlocked}},
			{"s2", wire.EndRequest{Note: strings.Repeat("x", 1001)}},
		} {
			if err := g.End(t.Context(), row.id, row.end); !errors.Is(err, rollcall.ErrInvalid) {
				t.Errorf("%+v: got %v, want ErrInvalid", row, err)
			}
		}
		s.set(func() { s.fault = rollcall.ErrLaunchExpired })
		_, err := g.Start(t.Context(), "s3")
		var fault *wire.FaultError
		if !errors.Is(err, rollcall.ErrLaunchExpired) || !errors.As(err, &fault) || fault.Status != http.StatusGone {
			t.Errorf("got %v, want the fault launch_expired", err)
		}
		wantHeld(t, g, "s2")
	})
}

func TestEndIsKeptWhileUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s1", "s2", "s3")
		s.set(func() { s.down = true })
		for _, id := range []string{"s1", "s2"} {
			err := g.End(t.Context(), id, wire.EndRequest{Reason: rollcall.EndLeft})
			if err == nil || !strings.Contains(err.Error(), "kept") {
				t.Errorf("got %v, want an error that says that the end is kept", err)
			}
		}
		wantHeld(t, g, "s3")
		if g.Heartbeat(t.Context()) == nil {
			t.Error("got a heartbeat from a service that is down")
		}
		s.set(func() { s.down = false })
		must(t, g.End(t.Context(), "s2", wire.EndRequest{}))
		must(t, g.Heartbeat(t.Context()))
		must(t, g.Heartbeat(t.Context()))
		wantCalls(t, s.all(), "/game/v1/sessions/s2/end ",
			"beat b1 [s3] []", "beat b1 [] [{s1 {left }}]", "beat b1 [s3] []")
	})
}

func TestTokenIsNeverTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, g := newService(t, func(o *GameServerOptions) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		s.stream = func(_ int, _ string, out func(string)) { out("data: " + strings.Repeat("x", maxLine) + "\n\n") }
		for _, change := range []func(){
			func() { s.down = true },
			func() { s.down, s.fault = false, rollcall.ErrUnavailable },
			func() { s.fault = nil },
		} {
			s.set(change)
			_, err := g.Start(t.Context(), "launch-secret")
			fmt.Fprintln(&log, err, g.End(t.Context(), "s1", wire.EndRequest{}), g.Heartbeat(t.Context()))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		must(t, g.Run(ctx))
		s.set(func() { s.down = true })
		ctx, stop = context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		must(t, g.Run(ctx))
		text := log.String()
		for _, want := range []string{"token too long", "EOF", "unavailable"} {
			if !strings.Contains(text, want) {
				t.Errorf("the log does not tell of %q: %s", want, text)
			}
		}
		if strings.Contains(text, testToken) || strings.Contains(text, "launch-secret") {
			t.Errorf("a token is in the log: %s", text)
		}
	})
}

// Who is sent elsewhere with the token does not go there, whatever is asked.
func TestGameServerFollowsNoRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s1")
		var streams int
		s.set(func() {
			s.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
				switch r.URL.Path {
				case wire.PathGameBoot, wire.PathGameHeartbeats:
					return false
				case wire.PathGameEvents:
					streams++
				case "/elsewhere":
					t.Errorf("%s %s%s was called", r.Method, r.Host, r.URL)
					return true
				}
				http.Redirect(w, r, "http://192.0.2.1:8080/elsewhere", http.StatusTemporaryRedirect)
				return true
			}
		})
		if _, err := g.Start(t.Context(), "s2"); err == nil || !strings.Contains(err.Error(), "307") {
			t.Errorf("got %v, want status 307", err)
		}
		run(t, g)
		after(time.Minute)
		if streams < 2 {
			t.Errorf("%d streams were asked for, want it tried again", streams)
		}
	})
}

// What a proxy in front of the service says is not the service's word.
func TestEndIsKeptWhileProxyAnswers(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusUnauthorized, http.StatusNotFound, http.StatusBadGateway} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newService(t, nil)
			begin(t, s, g, "s1")
			s.set(func() {
				s.instead = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
					w.WriteHeader(status)
					io.WriteString(w, "<html>not now</html>")
					return true
				}
			})
			err := g.End(t.Context(), "s1", wire.EndRequest{Note: "won 3"})
			if err == nil || !strings.Contains(err.Error(), "kept") {
				t.Errorf("%d: got %v, want the end kept", status, err)
			}
			if err := g.Heartbeat(t.Context()); err == nil || final(err) {
				t.Errorf("%d: got %v, want an error that is not final", status, err)
			}
			s.set(func() { s.instead = nil })
			must(t, g.Heartbeat(t.Context()))
			wantCalls(t, s.all(), "beat b1 [] [{s1 { won 3}}]")
		})
	}
}

func TestAnswersThatMeanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s1")
		var answer string
		s.set(func() {
			s.instead = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				io.WriteString(w, answer)
				return true
			}
		})
		for _, answer = range []string{"", "{}", "null", "[]", "<html>", `{"epoch":`, `{"session":{"id":"a b"}}`, `{"session":{"id":".."}}`} {
			_, booting := g.Boot(t.Context())
			_, starting := g.Start(t.Context(), "s2")
			if beating := g.Heartbeat(t.Context()); booting == nil || starting == nil || beating == nil {
				t.Errorf("%q: got %v, %v and %v, want three errors", answer, booting, starting, beating)
			}
			wantHeld(t, g, "s1")
		}
	})
}

func TestAnswerWithoutEnd(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("["), spaces{})
	if _, err := readBody(endless); !errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	err := readFault(&http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(spaces{})})
	if fault, ok := errors.AsType[*wire.FaultError](err); !ok || fault.Status != http.StatusBadRequest {
		t.Errorf("got %v, want a fault", err)
	}
}

// spaces never ends.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
