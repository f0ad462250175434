package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, echo)
		c := l.dial()
		for n := range 5 { // each puts the end off
			if n > 0 {
				time.Sleep(s.web.IdleTimeout - time.Second)
			}
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

// Who says nothing at all is not idle, and is cut off sooner.
func TestSilentConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, echo)
		c, begun := l.dial(), time.Now()
		text, err := io.ReadAll(c)
		if took := time.Since(begun); len(text) > 0 || err != nil || took != s.web.ReadHeaderTimeout {
			t.Errorf("closed after %v with %q, %v; want %v", took, text, err, s.web.ReadHeaderTimeout)
		}
	})
}

// Who stood still for longer than an answer may take, as a process that is stopped
// and continued, answers all the same, and with the right time.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, echo)
		old := s.pulse.Load()
		c := l.dial()
		ask(t, c, post("{}"))
		time.Sleep(s.web.WriteTimeout + 10*time.Second)
		s.pulse.Store(old) // nothing beat
		r, _ := ask(t, c, post("{}"))
		if at, err := http.ParseTime(r.Get("Date")); err != nil || time.Since(at) > time.Second {
			t.Errorf("answered as of %s, %v", r.Get("Date"), err)
		}
	})
}

// A handler's context ends when nobody can be answered any more.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration, 1)
		s, l := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			begun := time.Now()
			<-r.Context().Done()
			took <- time.Since(begun)
		})
		l.dial().Write([]byte(post("{}")))
		if d := <-took; d < s.web.WriteTimeout || d > s.web.WriteTimeout+2*pulseEvery {
			t.Errorf("ended after %v, want %v", d, s.web.WriteTimeout)
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
		ended, asked := make(chan error, 1), time.Now()
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
		if took := time.Since(asked); took > s.web.ReadHeaderTimeout+patience {
			t.Errorf("Shutdown takes %v", took)
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

// Whoever waits for the end hears of it.
func TestTwoWaitForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s, l := serve(t, func(http.ResponseWriter, *http.Request) { <-goOn })
		l.dial().Write([]byte(post("{}")))
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- s.Shutdown(t.Context()) }()
			synctest.Wait()
		}
		s.Close()
		close(goOn)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// Serve ends with the listener's failure, and goes on after one that passes.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &failing{failures: []error{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept", passing{})}, io.ErrUnexpectedEOF}}
		s := New(newWeb(echo))
		defer s.Close()
		if err := s.Serve(l); !errors.Is(err, io.ErrUnexpectedEOF) {
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
