package h1

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A long answer does not stay in memory.
func TestLongAnswersAreNotKept(t *testing.T) {
	c := newConn(New(newWeb(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1<<20)) })), nowhere{})
	c.n = copy(c.buf, post("{}"))
	length, _ := c.gather()
	c.answer(length)
	if n := cap(c.reply.head) + cap(c.reply.body); n > 2*kept {
		t.Errorf("%d bytes are kept", n)
	}
}

// What a handler writes arrives as it would by net/http.
func TestReplies(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"a text":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("a")); w.Write([]byte("b")) },
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := w.Write([]byte("a")); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body behind 204: %v", err)
			}
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) },
		"two statuses": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusOK)
		},
		"late header":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.Header().Set("Late", "yes") },
		"two values":            func(w http.ResponseWriter, _ *http.Request) { w.Header()["A"] = []string{"b", "c"} },
		"a line end in a value": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", "b\r\nC: d") },
		"no name":               func(w http.ResponseWriter, _ *http.Request) { w.Header()["A B"] = []string{"c"} },
		"its end":               func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"no type":               func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; w.Write([]byte("a")) },
		"late type": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("Content-Type", "a/b")
			w.Write([]byte("a"))
		},
		"late end": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("Connection", "close")
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("a"))
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) },
		"no status":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) },
		"another time": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT") },
		"cookies": func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "d"})
		},
		"much": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 100_000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := New(newWeb(h)), newWeb(h)
			theirs.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			defer ours.Close()
			defer theirs.Close()
			p := &pair{ours: listen(t, ours.Serve), theirs: listen(t, theirs.Serve)}
			p.compare(t, []byte(post("{}")))
			p.compare(t, []byte(post("{}")+post("again")))
		})
	}
}

// How long an answer is has one meaning, whatever the handler says of it.
func TestReplyHasOneLength(t *testing.T) {
	_, l := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Content-Length", "1")
		w.Write([]byte("two"))
	})
	c := l.dial()
	go c.Write([]byte(strings.Replace(post("{}"), "\r\n", "\r\nConnection: close\r\n", 1)))
	text, err := io.ReadAll(c)
	if err != nil || strings.Count(string(text), "Content-Length: 3\r\n") != 1 || strings.Contains(string(text), "Transfer-Encoding") {
		t.Errorf("answered %q, %v", text, err)
	}
}

func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := serve(t, echo)
		c := l.dial()
		for range 3 {
			r, _ := ask(t, c, post("{}"))
			at, err := http.ParseTime(r.Get("Date"))
			if off := time.Since(at); err != nil || off < 0 || off > 2*pulseEvery {
				t.Errorf("%v: %s is %v ago", err, r.Get("Date"), off)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
