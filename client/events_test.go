package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A stream that is cut, within an event too, goes on behind the last whole one.
func TestRunResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		failing := true
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(_ context.Context, e rollcall.Event) error {
				told = append(told, e.ID)
				if e.ID == "x3" && failing {
					failing = false
					return rollcall.ErrStaleBoot // the author's, not the service's
				}
				return nil
			}
		})
		s.stream = func(n int, _ string, out func(string)) {
			switch n {
			case 0:
				out(sse("x1", "s1") + strings.TrimSuffix(sse("x2", "s2"), "\n"))
				cut()
			case 1:
				out(": hello\n\n" + strings.ReplaceAll(sse("x2", "s2"), "\n", "\r\n"))
				out(sse("x3", "s3") + sse("x4", "s4"))
			case 2:
				out(sse("x3", "s3") + "id: x4\ndata: {\n\n" + sse("x5", "s5"))
			}
		}
		begin(t, s, g, "s1", "s2", "s9")
		run(t, g)
		after(2 * time.Second)
		wantCalls(t, s.did(), "boot b1", `events behind "c0"`, "ack [x1]", `events behind "x1"`, "ack [x2]",
			`events behind "x2"`, "ack [x3]", "ack [x5]")
		if want := []string{"x1", "x2", "x3", "x3", "x5"}; !slices.Equal(told, want) {
			t.Errorf("told: got %v, want %v", told, want)
		}
		wantHeld(t, g, "s9")
	})
}

// Comments keep a stream, which HTTPClient's Timeout does not bound; without a
// word for 45 s it is opened anew.
func TestRunLeavesSilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		s.stream = func(n int, _ string, out func(string)) {
			for range 20 {
				if n == 0 {
					time.Sleep(15 * time.Second) // virtual
					out(":\n")
				}
			}
		}
		run(t, g)
		after(345*time.Second - time.Nanosecond)
		wantCalls(t, s.did(), "boot b1", `events behind "c0"`)
		after(time.Second)
		wantCalls(t, s.did(), `events behind "c0"`)
	})
}

// Heartbeats go on while OnEvent is at work, and so does its event's stream.
func TestRunWithSlowOnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(context.Context, rollcall.Event) error {
				time.Sleep(10 * time.Minute) // virtual
				return nil
			}
		})
		s.stream = func(_ int, _ string, out func(string)) { out(sse("x1", "s1")) }
		s.answer.End = []rollcall.Event{kicked("x1", "s1")}
		begin(t, s, g, "s1")
		run(t, g)
		after(9 * time.Minute)
		if n := len(s.beatsAt); n < 18 {
			t.Errorf("got %d heartbeats in 9 minutes, want 18 at least", n)
		}
		wantHeld(t, g, "s1")
		after(time.Minute + time.Second)
		wantHeld(t, g)
		wantCalls(t, slices.Compact(s.did()), "boot b1", `events behind "c0"`, "ack [x1]")
	})
}

// In a new epoch the events are others, even of the same ID.
func TestRunListensAnewInNewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		s.stream = func(n int, _ string, out func(string)) { out(sse("x1", fmt.Sprintf("s%d", n))) }
		begin(t, s, g, "s0", "s1", "s2")
		run(t, g)
		after(time.Second)
		wantCalls(t, s.did(), "boot b1", `events behind "c0"`, "ack [x1]")
		s.set(func() { s.epoch = "e2" })
		after(31 * time.Second)
		wantCalls(t, s.did(), "announce b1 [s1 s2]", `events behind ""`, "ack [x1]")
		wantHeld(t, g, "s2")
	})
}

func TestRunEnds(t *testing.T) {
	for _, fault := range []error{rollcall.ErrStaleBoot, rollcall.ErrAuthentication} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newService(t, nil)
			s.down = true
			ended := make(chan error)
			go func() { ended <- g.Run(t.Context()) }()
			after(time.Minute)
			s.set(func() { s.down = false })
			after(10 * time.Second)
			wantCalls(t, s.did(), "boot b1", `events behind "c0"`)
			if err := g.Run(t.Context()); !errors.Is(err, rollcall.ErrInUse) {
				t.Errorf("a second Run: got %v, want ErrInUse", err)
			}
			s.set(func() { s.fault = fault })
			begun := time.Now()
			if err := <-ended; !errors.Is(err, fault) || time.Since(begun) > 30*time.Second {
				t.Errorf("got %v after %s, want %v by the next heartbeat", err, time.Since(begun), fault)
			}
			if err := g.Run(t.Context()); !errors.Is(err, fault) {
				t.Errorf("booting: got %v, want %v", err, fault)
			}
		})
	}
}

// A final error ends OnEvent's context; Run ends after it.
func TestRunEndsWithBusyOnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done bool
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(ctx context.Context, _ rollcall.Event) error {
				<-ctx.Done()
				time.Sleep(time.Second) // virtual
				done = true
				return ctx.Err()
			}
		})
		s.answer.End = []rollcall.Event{kicked("x1", "s1")}
		ended := make(chan error)
		go func() { ended <- g.Run(t.Context()) }()
		after(time.Second)
		s.set(func() { s.fault = rollcall.ErrStaleBoot })
		begun := time.Now()
		if err := <-ended; !errors.Is(err, rollcall.ErrStaleBoot) || !done || time.Since(begun) > 31*time.Second {
			t.Errorf("got %v after %s, OnEvent had returned: %t; want ErrStaleBoot by the next heartbeat and true", err, time.Since(begun), done)
		}
	})
}

func TestRunSurvivesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		panics := true
		s, g := newService(t, func(o *GameServerOptions) {
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.OnEvent = func(context.Context, rollcall.Event) error {
				if panics {
					panics = false
					panic("of the author")
				}
				return nil
			}
		})
		s.stream = func(_ int, _ string, out func(string)) { out(sse("x1", "s1")) }
		run(t, g)
		after(time.Second)
		wantCalls(t, s.did(), "boot b1", `events behind "c0"`, `events behind "c0"`, "ack [x1]")
		if !strings.Contains(log.String(), "of the author") {
			t.Errorf("the log does not tell of the panic: %s", &log)
		}
	})
}

// A session that was kicked before Start had returned was told to nobody who
// knew it, and is told again.
func TestEventOvertakesStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(_ context.Context, e rollcall.Event) error {
				told = append(told, e.ID)
				return nil
			}
		})
		s.stream = func(_ int, _ string, out func(string)) { out(sse("x1", "s1") + sse("x1", "s1")) }
		run(t, g)
		after(time.Second)
		_, err := g.Start(t.Context(), "s1")
		must(t, err)
		s.set(func() { s.answer.End = []rollcall.Event{kicked("x1", "s1")} })
		after(2 * time.Minute)
		wantHeld(t, g)
		if want := []string{"x1", "x1"}; !slices.Equal(told, want) {
			t.Errorf("told: got %v, want %v", told, want)
		}
	})
}

// A stream that says the same again and again, and ends, is no success.
func TestRunDoesNotStorm(t *testing.T) {
	for name, text := range map[string]string{
		"the same event": sse("x1", "s1"), "no JSON": "id: x1\ndata: <html>\n\n", "no session": sse("x1", ""), "no text": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newService(t, nil)
			s.stream = func(_ int, _ string, out func(string)) {
				out(text)
				cut()
			}
			run(t, g)
			after(10 * time.Minute)
			var n int
			s.set(func() { n = s.streams })
			if n < 60 || n > 150 {
				t.Errorf("%s: got %d streams in 10 minutes, want one each 5 to 10 s", name, n)
			}
		})
	}
}

// An ID that no header can say is none: with it, no stream would open again.
func TestRunKeepsNoBadCursor(t *testing.T) {
	event := strings.TrimPrefix(sse("x1", "s1"), "id: x1\n")
	for name, row := range map[string]struct{ cursor, text, behind string }{
		"of Boot":   {"c\n0", event, ""},
		"control":   {"c0", "id: a\x01b\n" + event, "c0"},
		"very long": {"c0", "id: " + strings.Repeat("x", 1000) + "\n" + event, "c0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, g := newService(t, nil)
			s.cursor = row.cursor
			s.stream = func(n int, _ string, out func(string)) {
				if n == 0 {
					out(row.text)
					cut()
				}
			}
			run(t, g)
			after(time.Second)
			again := fmt.Sprintf("events behind %q", row.behind)
			got := s.did()
			if want := []string{"boot b1", again, "ack [x1]", again}; !slices.Equal(got, want) {
				t.Errorf("%s: calls: got %q, want %q", name, got, want)
			}
		})
	}
}

// However many events cannot be acknowledged, no more are remembered than that.
func TestNotesAreBounded(t *testing.T) {
	_, g := newService(t, nil)
	for i := range maxUnacked + wire.MaxBatch {
		g.note(notice{id: fmt.Sprint(i)})
	}
	if n, told := len(g.unacked), len(g.told)+len(g.before); n != maxUnacked || told > 2*wire.MaxBatch {
		t.Errorf("got %d to acknowledge and %d told, want %d and at most %d", n, told, maxUnacked, 2*wire.MaxBatch)
	}
}
