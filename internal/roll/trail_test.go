package roll_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// Each check has the time since the one before it, and a Trail that was another
// request's has nothing of it.
func TestTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := roll.NewTrail()
		for range 3 {
			trail.Begin()
			time.Sleep(2 * time.Millisecond)
			if err := trail.Check("one", nil); err != nil {
				t.Errorf("a check that passed: %v", err)
			}
			time.Sleep(3 * time.Millisecond)
			bad := errors.New("bad")
			if err := trail.Check("two", bad); !errors.Is(err, bad) {
				t.Errorf("a check that was refused: %v", err)
			}
			if took := trail.Took(); took != 5*time.Millisecond {
				t.Errorf("took %s, want 5ms", took)
			}
			checks := trail.Checks()
			if len(checks) != 2 || checks[0].Name != "one" || !checks[0].Passed || checks[0].Reason != "" || checks[0].TookNanos != 2e6 ||
				checks[1].Name != "two" || checks[1].Passed || checks[1].Reason != "bad" || checks[1].TookNanos != 3e6 {
				t.Errorf("got %+v", checks)
			}
		}
	})
	var none *roll.Trail
	if err := none.Check("any", nil); err != nil {
		t.Errorf("a nil Trail: %v", err)
	}
}

// A request's checks are noted without garbage.
func TestTrailAllocatesNothing(t *testing.T) {
	trail := roll.NewTrail()
	n := testing.AllocsPerRun(1000, func() {
		trail.Begin()
		for range 14 {
			_ = trail.Check("check", nil)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations a request, want none", n)
	}
}

// BenchmarkTrail is the cost of noting the 14 checks of a request.
func BenchmarkTrail(b *testing.B) {
	b.ReportAllocs()
	trail := roll.NewTrail()
	for b.Loop() {
		trail.Begin()
		for range 14 {
			_ = trail.Check("check", nil)
		}
	}
}
