package live_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Who looks on while one session displaces another sees the one or the other.
func TestDisplacedInOneStep(t *testing.T) {
	start := time.UnixMilli(1_770_000_000_000)
	book := live.NewBook(roll.Epoch{ID: "e", BeganAt: start})
	last := session("s0", "m", start)
	book.Add(last)
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for looks := 0; ; looks++ {
			select {
			case <-done:
				return
			default:
			}
			if n := len(book.OfMember("a1", "m", start)); n != 1 {
				t.Errorf("look %d: %d sessions, want 1", looks, n)
				return
			}
		}
	})
	for i := range 20_000 {
		next := session(fmt.Sprint("s", i+1), "m", start)
		book.Apply(&live.Step{
			Sessions: []rollcall.Session{next},
			Changes:  []roll.Change{{Seq: int64(i + 1), EndedSession: rollcall.EndedSession{Session: last, Reason: rollcall.EndDisplaced}}},
			Through:  int64(i),
		})
		last = next
	}
	close(done)
	reader.Wait()
}

// That a session has begun is forgotten before that it has ended: Announce still
// has to know the end.
func TestForgottenBeginning(t *testing.T) {
	start := time.UnixMilli(1_770_000_000_000)
	book := live.NewBook(roll.Epoch{ID: "e", BeganAt: start.Add(time.Hour)})
	s := session("s", "m", start)
	s.BootID = "b1"
	ended := rollcall.EndedSession{Session: s, Reason: rollcall.EndLeft, EndedAt: start}
	boot := book.PlanBoot("s1", "b1", start)
	book.Apply(&boot)
	book.Apply(&live.Step{Changes: []roll.Change{{Seq: 1, EndedSession: rollcall.EndedSession{Session: s}}, {Seq: 2, EndedSession: ended}}})
	for through, want := range []string{"ended: left", "ended: left", ""} {
		book.Apply(&live.Step{Through: int64(through)})
		_, refused, err := book.PlanAnnounce("s1", "b1", []rollcall.Session{s}, start)
		if err != nil || refused["s"] != want {
			t.Errorf("forgotten through %d: refused %q, %v; want %q", through, refused["s"], err, want)
		}
	}
}

// A launch that is dropped before its turn leaves nothing behind that is stumbled over.
func TestLaunchDroppedBeforeItsTurn(t *testing.T) {
	b, now := live.NewBook(roll.Epoch{}), time.Now()
	launch := func(username string, at time.Time) {
		step := b.PlanLaunch(&roll.Launch{
			Key: username, Session: rollcall.Session{AgentID: "a1", Username: username}, CreatedAt: at, ExpiresAt: at.Add(time.Minute),
		})
		b.Apply(&step)
	}
	launch("first", now)
	launch("second", now.Add(time.Hour))
	late := now.Add(30 * time.Minute)
	first, _ := b.PlanExpire(nil, late, 10)
	void, _ := b.PlanEndMember("a1", "first", &roll.Ending{At: late, Reason: rollcall.EndKicked}, nil)
	second, _ := b.PlanExpire(nil, late, 10) // planned before the first is shown
	for _, step := range []*live.Step{&first, &void, &second} {
		b.Apply(step)
	}
	if step, _ := b.PlanExpire(nil, now.Add(100*time.Hour), 10); !slices.Contains(step.Forgotten, "second") {
		t.Errorf("forgotten: %v", step.Forgotten)
	}
}
