package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

func TestHeartbeatAnnouncesToNewEpoch(t *testing.T) {
	for _, refusing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var lost []string
			s, g := newService(t, func(o *GameServerOptions) {
				o.OnLost = func(s rollcall.Session, why string) { lost = append(lost, s.ID+" "+why) }
			})
			begin(t, s, g, "s1", "s2")
			s.set(func() {
				s.epoch, s.refusing = "e2", refusing
				s.answer.Unknown = []string{"s1", "s2"}
			})
			must(t, g.Heartbeat(t.Context()))
			wantCalls(t, s.all(), "beat b1 [s1 s2] []", "announce b1 [s1 s2]")
			want := []string(nil)
			if refusing {
				want = []string{"s1 kicked", "s2 kicked"}
				wantHeld(t, g)
			} else {
				wantHeld(t, g, "s1", "s2")
			}
			if !slices.Equal(lost, want) {
				t.Errorf("lost: got %v, want %v", lost, want)
			}
			must(t, g.Heartbeat(t.Context())) // of the same epoch: unknown is lost
			if calls := s.all(); len(calls) != 1 || len(lost) != 2 || len(g.Sessions()) != 0 {
				t.Errorf("got calls %v and lost %v, want one and both", calls, lost)
			}
		})
	}
}

// A session that ends while it is announced was not known when its end was told,
// and is there afterwards: its end is told once more.
func TestHeartbeatEndsWhatEndedWhileItWasAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s1", "s2")
		s.set(func() {
			s.epoch = "e2"
			s.instead = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				if r.URL.Path == wire.PathGameAnnounce {
					g.drop("s1")
				}
				return false
			}
		})
		must(t, g.Heartbeat(t.Context()))
		wantCalls(t, s.all(), "beat b1 [s1 s2] []", "announce b1 [s1 s2]", "/game/v1/sessions/s1/end ")
		wantHeld(t, g, "s2")
	})
}

func TestHeartbeatTellsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := errors.New("busy")
		var told []string
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(_ context.Context, e rollcall.Event) error {
				told = append(told, e.ID)
				return busy
			}
		})
		begin(t, s, g, "s1")
		s.set(func() { s.answer.End = []rollcall.Event{{ID: "x1", Type: "of a later version", SessionID: "s1"}} })
		if err := g.Heartbeat(t.Context()); !errors.Is(err, busy) {
			t.Errorf("got %v, want OnEvent's error", err)
		}
		wantHeld(t, g, "s1")
		wantCalls(t, s.did())
		busy = nil
		s.set(func() { s.refuseAck = true })
		if g.Heartbeat(t.Context()) == nil {
			t.Error("got no error, want that of the acknowledgement")
		}
		wantHeld(t, g)
		s.set(func() { s.refuseAck = false })
		must(t, g.Heartbeat(t.Context())) // told once more, taken over before
		wantCalls(t, s.did(), "ack [x1]")
		if want := []string{"x1", "x1"}; !slices.Equal(told, want) {
			t.Errorf("told: got %v, want %v", told, want)
		}
	})
}

func TestHeartbeatInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g)
		for i := range wire.MaxBatch + 2 {
			id := fmt.Sprintf("s%05d", i)
			g.hold(heldSession{session(id), 0})
		}
		s.set(func() { s.epoch = "e2" })
		must(t, g.Heartbeat(t.Context()))
		want := append([]string{"beat b1 10000 []"}, slices.Repeat([]string{"announce b1 1000"}, 10)...)
		wantCalls(t, s.all(), append(want, "announce b1 [s10000 s10001]", "beat b1 [s10000 s10001] []")...)
	})
}

func TestRunBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		run(t, g)
		between := func(least, most time.Duration) {
			t.Helper()
			for i := 1; i < len(s.beatsAt); i++ {
				if d := s.beatsAt[i].Sub(s.beatsAt[i-1]); d < least || d > most {
					t.Errorf("heartbeat after %s, want %s to %s", d, least, most)
				}
			}
			if len(s.beatsAt) < 5 {
				t.Errorf("got %d heartbeats", len(s.beatsAt))
			}
			s.beatsAt = nil
		}
		after(10 * time.Minute)
		between(24*time.Second, 30*time.Second)
		s.set(func() { s.startBeat = 5 })
		_, err := g.Start(t.Context(), "s1")
		must(t, err)
		after(time.Minute)
		between(4*time.Second, 5*time.Second)
		s.set(func() { s.down = true })
		after(time.Minute)
		s.set(func() { s.down = false })
		after(5 * time.Second) // for no longer than it would have beaten
		if len(s.beatsAt) == 0 {
			t.Error("got no heartbeat after the service came back")
		}
	})
}

// Whatever interval is asked for, heartbeats neither storm nor cease.
func TestSeconds(t *testing.T) {
	for n, want := range map[int]time.Duration{
		math.MinInt: 0, -1: 0, 0: 0, 1: time.Second, 30: 30 * time.Second, 1 << 40: time.Hour, math.MaxInt: time.Hour,
	} {
		if got := seconds(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// A clock that is set while a heartbeat is under way holds up none.
func TestRunBeatsWhenClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock atomic.Int64
		s, g := newService(t, func(o *GameServerOptions) {
			o.Now = func() time.Time { return time.Now().Round(0).Add(time.Duration(clock.Load())) }
		})
		var beats int
		by := []time.Duration{0, -10 * time.Hour, 10 * time.Hour}
		s.instead = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
			if r.URL.Path == wire.PathGameHeartbeats {
				clock.Add(int64(by[beats%3]))
				beats++
			}
			return false
		}
		run(t, g)
		after(5 * time.Minute)
		var n int
		s.set(func() { n = len(s.beatsAt) })
		if n < 10 || n > 20 { // each third one follows at once
			t.Errorf("got %d heartbeats in 5 minutes, want about 15", n)
		}
	})
}

// A request that is refused does not keep the others from renewing.
func TestHeartbeatGoesOnBehindRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g)
		for i := range wire.MaxBatch + 2 {
			g.hold(heldSession{session(fmt.Sprintf("s%05d", i)), 0})
		}
		s.instead = func(w http.ResponseWriter, _ *http.Request, body string) bool {
			if !strings.Contains(body, "s00000") {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":{"code":"invalid","message":"no"}}`)
			return true
		}
		if err := g.Heartbeat(t.Context()); !errors.Is(err, rollcall.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		wantCalls(t, s.all(), "beat b1 [s10000 s10001] []")
	})
}

// What End says while a heartbeat tells of it is told by the next.
func TestHeartbeatForgetsNoLaterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, nil)
		begin(t, s, g, "s1")
		s.set(func() { s.down = true })
		g.End(t.Context(), "s1", wire.EndRequest{})
		s.set(func() {
			s.down = false
			s.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
				if r.URL.Path == wire.PathGameHeartbeats {
					g.End(t.Context(), "s1", wire.EndRequest{Note: "won 3"})
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		})
		must(t, g.Heartbeat(t.Context()))
		s.set(func() { s.instead = nil })
		must(t, g.Heartbeat(t.Context()))
		must(t, g.Heartbeat(t.Context()))
		wantCalls(t, s.all(), "beat b1 [] [{s1 { }}]", "beat b1 [] [{s1 { won 3}}]", "beat b1 [] []")
	})
}

func TestHeartbeatRefusesEventsWithoutName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(_ context.Context, e rollcall.Event) error {
				told = append(told, e.SessionID)
				return nil
			}
		})
		begin(t, s, g, "s1", "s2", "s3")
		s.set(func() {
			s.answer.End = []rollcall.Event{kicked("", "s1"), kicked("", "s2"), kicked(strings.Repeat("x", 1000), "s2"), kicked("x1", ""), kicked("x2", "s3")}
		})
		if err := g.Heartbeat(t.Context()); !errors.Is(err, rollcall.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		if want := []string{"s3"}; !slices.Equal(told, want) {
			t.Errorf("told: got %v, want %v", told, want)
		}
		wantHeld(t, g, "s1", "s2")
	})
}

// A panic of who is told ends nothing.
func TestHeartbeatSurvivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newService(t, func(o *GameServerOptions) {
			o.OnEvent = func(context.Context, rollcall.Event) error { panic("event") }
			o.OnLost = func(rollcall.Session, string) { panic("lost") }
		})
		begin(t, s, g, "s1", "s2")
		s.set(func() {
			s.answer.Unknown, s.answer.End = []string{"s1"}, []rollcall.Event{kicked("x1", "s2")}
		})
		for range 2 {
			if err := g.Heartbeat(t.Context()); err == nil || !strings.Contains(err.Error(), "panic: event") {
				t.Errorf("got %v, want OnEvent's panic", err)
			}
		}
		wantHeld(t, g, "s2")
		wantCalls(t, s.did())
	})
}
