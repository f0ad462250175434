package h1

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// However a request is cut in two, and whoever serves it then, it is answered.
func TestRequestInTwoParts(t *testing.T) {
	text := "POST /v2/a HTTP/1.1\r\nHost: h\r\nx-agentid: a1\r\nContent-Length: 2\r\n\r\n{}"
	_, l := serve(t, echo)
	for cut := 1; cut < len(text); cut++ {
		c := l.dial()
		c.Write([]byte(text[:cut])) // has been read when it returns
		r, s := ask(t, c, text[cut:])
		if string(s.Body) != "{}" || s.Header.Get("X-Agentid") != "a1" || !r.here {
			t.Errorf("cut at %d: %+v by %v", cut, s, r)
		}
		r, s = ask(t, c, "\r\n"+text) // line ends in a part of their own
		if string(s.Body) != "{}" || !r.here {
			t.Errorf("the second behind a cut at %d: %+v by %v", cut, s, r)
		}
		c.Close()
	}
}

// Who takes longer is net/http's, with all that was sent, and its limits hold.
func TestSlowSenders(t *testing.T) {
	text := "POST /v2/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
	for _, cut := range []int{1, 20, len(text) - 1} {
		synctest.Test(t, func(t *testing.T) {
			_, l := serve(t, echo)
			c := l.dial()
			c.Write([]byte(text[:cut]))
			time.Sleep(patience + time.Second)
			if r, s := ask(t, c, text[cut:]); string(s.Body) != "{}" || r.here {
				t.Errorf("cut at %d: %+v by %v", cut, s, r)
			}
			c = l.dial()
			c.Write([]byte(text[:cut]))
			begun := time.Now()
			got, _ := io.ReadAll(c)
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("who sends no more than %d bytes is cut off after %v, with %q", cut, took, got)
			}
		})
	}
}

// A panic costs its own connection and nothing else.
func TestPanic(t *testing.T) {
	var logged strings.Builder
	s, l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			w.Write([]byte("half of it"))
			panic("the handler's")
		}
		echo(w, r)
	})
	s.web.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(&logged, nil), slog.LevelError)
	bad, good := l.dial(), l.dial()
	go bad.Write([]byte(strings.Replace(post("{}"), "/v2/a", "/panic", 1)))
	if text, err := io.ReadAll(bad); len(text) > 0 || err != nil {
		t.Errorf("the answer is %q %v, want none", text, err)
	}
	if !strings.Contains(logged.String(), "the handler's") {
		t.Errorf("the log has %q", &logged)
	}
	if r, _ := ask(t, good, post("{}")); !r.here {
		t.Error("the others are not served")
	}
}
