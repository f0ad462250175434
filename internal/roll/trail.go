package roll

import (
	"time"

	"github.com/rollcall-server/rollcall"
)

// A Trail follows one request through its checks (spec 8) for its record. It is
// used by one goroutine. A nil Trail notes nothing.
type Trail struct {
	began  time.Duration // since trailEpoch, as is last
	last   time.Duration
	checks []rollcall.RequestCheck
}

// usualChecks is how many checks a Trail has room for from the beginning.
const usualChecks = 20

// trailEpoch is only to measure from: time.Since reads one clock where time.Now
// reads two, and that is done for every check.
var trailEpoch = time.Now() //nolint:forbidigo // it is no clock: only how long a check took is measured by it

// NewTrail begins at the present.
func NewTrail() *Trail {
	t := &Trail{checks: make([]rollcall.RequestCheck, 0, usualChecks)}
	t.Begin()
	return t
}

// Begin has t follow a later request, from the present on. Nothing may use what
// Checks has returned before.
func (t *Trail) Begin() {
	t.began = time.Since(trailEpoch)
	t.checks, t.last = t.checks[:0], t.began
}

// Took returns how long it is that t has begun.
func (t *Trail) Took() time.Duration { return time.Since(trailEpoch) - t.began }

// Check notes that the check of this name, which took the time since the check
// before it, passed or was refused for err, and returns err.
func (t *Trail) Check(name string, err error) error {
	if t == nil {
		return err
	}
	at := time.Since(trailEpoch)
	check := rollcall.RequestCheck{Name: name, Passed: err == nil, TookNanos: int64(at - t.last)}
	if err != nil {
		check.Reason = err.Error()
	}
	t.checks = append(t.checks, check)
	t.last = at
	return err
}

// Checks returns what was noted, in order. It is the caller's until t begins again.
func (t *Trail) Checks() []rollcall.RequestCheck { return t.checks }
