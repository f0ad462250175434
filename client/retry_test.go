package client

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// An error says when the service wants to be asked again, and who waits for that
// gets through.
func TestClientSaysWhenToTryAgain(t *testing.T) {
	s, c := newV2(t)
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
