package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, echo)
		c := l.dial()
		for range 5 { // each puts the end off
			time.Sleep(s.web.IdleTimeout - time.Second)
			if r, _ := ask(t, c, post("{}")); !r.here {
				t.Fatal("not served here")
			}
		}
		begun := time.Now()
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < s.web.IdleTimeout || took > s.web.IdleTimeout+2*pulseEvery {
			t.Errorf("closed after %v, want %v", took, s.web.IdleTimeout)
		}
	})
}

// A client that does not read its answer is cut off.
func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, echo)
		c := l.dial()
		c.Write([]byte(post("{}")))
		time.Sleep(s.web.WriteTimeout + 2*pulseEvery)
		if text, err := io.ReadAll(c); len(text) > 0 || err != nil {
			t.Errorf("read %q %v, want the end", text, err)
		}
	})
}

// At the end of the server who is idle is closed, and who is in a request or has
// begun to send one is answered, net/http's too.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s, l := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-goOn
			}
			echo(w, r)
		})
		idle, busy, begun, handed := l.dial(), l.dial(), l.dial(), l.dial()
		silent := l.dial() // begins, and says no more
		ask(t, idle, post("{}"))
		slow := strings.Replace(post("{}"), "/v2/a", "/slow", 1)
		busy.Write([]byte(slow))
		begun.Write([]byte(slow[:30]))
		silent.Write([]byte(slow[:30]))
		handed.Write([]byte("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"))
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if text, err := io.ReadAll(idle); len(text) > 0 || err != nil {
			t.Errorf("who is idle gets %q %v", text, err)
		}
		if _, err := l.dial().Write([]byte(slow)); err == nil {
			t.Error("a connection is accepted")
		}
		time.Sleep(2 * patience)
		go begun.Write([]byte(slow[30:]))
		close(goOn)
		for name, c := range map[string]net.Conn{"busy": busy, "begun": begun, "handed": handed} {
			r, s := read(t, c)
			if s.Path != "/slow" || !r.last {
				t.Errorf("%s: %+v, %+v", name, r, s)
			}
			if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
				t.Errorf("%s goes on with %q, %v", name, rest, err)
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if text, err := io.ReadAll(silent); len(text) > 0 || err != nil {
			t.Errorf("who has only begun gets %q %v", text, err)
		}
	})
}

// Who waits for the end of a request that does not end can stop waiting.
func TestShutdownGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s, l := serve(t, func(http.ResponseWriter, *http.Request) { <-goOn })
		c := l.dial()
		c.Write([]byte(post("{}")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returns %v", err)
		}
		s.Close()
		close(goOn)
		if text, err := io.ReadAll(c); len(text) > 0 || err != nil {
			t.Errorf("who was cut off gets %q %v", text, err)
		}
	})
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
		"much": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 100_000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := New(newWeb(h)), newWeb(h)
			defer ours.Close()
			defer theirs.Close()
			p := &pair{ours: listen(t, ours.Serve), theirs: listen(t, theirs.Serve)}
			p.compare(t, []byte(post("{}")))
			p.compare(t, []byte(post("{}")+post("again")))
		})
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

// With TLS, HTTP/1 is served here, HTTP/2 and who speaks no TLS by net/http.
func TestTLS(t *testing.T) {
	like := httptest.NewUnstartedServer(nil)
	like.StartTLS()
	defer like.Close()
	config := like.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	s := New(newWeb(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("the request does not say that it came by TLS")
		}
		echo(w, r)
	}))
	defer s.Close()
	address := listen(t, func(l net.Listener) error { return s.Serve(tls.NewListener(l, config)) })
	for _, by2 := range []bool{false, true} {
		transport := like.Client().Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = by2
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}
		c := &http.Client{Transport: transport}
		for range 2 {
			r, err := c.Post(like.URL+"/a", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if (r.Header.Get(byH1) != "") == by2 || (r.ProtoMajor == 2) != by2 {
				t.Errorf("HTTP/2 %t: %s, served here %t", by2, r.Proto, r.Header.Get(byH1) != "")
			}
		}
		r, err := c.Get(like.URL + "/a")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	got, err := converse(t, address, []byte(post("{}")))
	if len(got) != 1 || got[0].Status != http.StatusBadRequest {
		t.Errorf("who speaks no TLS is answered %+v, %v", got, err)
	}
}

// Serve ends with the listener's failure, and goes on after one that passes.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &failing{failures: []error{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept", passing{})}, io.ErrUnexpectedEOF}}
		if err := New(newWeb(echo)).Serve(l); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Serve returns %v", err)
		}
	})
}

// A failing listener has a failure for each call.
type failing struct{ failures []error }

func (f *failing) Accept() (net.Conn, error) {
	err := f.failures[0]
	f.failures = f.failures[1:]
	return nil, err
}

func (*failing) Close() error   { return nil }
func (*failing) Addr() net.Addr { return &net.TCPAddr{} }

type passing struct{}

func (passing) Error() string   { return "no file descriptors" }
func (passing) Temporary() bool { return true }
func (passing) Timeout() bool   { return false }
