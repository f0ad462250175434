package roll

import (
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

// A Trail follows one request through its checks (spec 8) for its record. It is
// used by one goroutine. A nil Trail notes nothing.
type Trail struct {
	last   time.Duration // since trailEpoch
	checks []rollcall.RequestCheck
}

// usualChecks is how many checks a Trail has room for from the beginning.
const usualChecks = 20

var trails = sync.Pool{New: func() any { return &Trail{checks: make([]rollcall.RequestCheck, 0, usualChecks)} }}

// trailEpoch is only to measure from: time.Since reads one clock where time.Now
// reads two, and that is done for every check.
var trailEpoch = time.Now() //nolint:forbidigo // it is no clock: only how long a check took is measured by it

// NewTrail begins at the present.
func NewTrail() *Trail {
	t := trails.Get().(*Trail)
	t.last = time.Since(trailEpoch)
	return t
}

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

// Checks returns what was noted, in order. It is the caller's until Free.
func (t *Trail) Checks() []rollcall.RequestCheck { return t.checks }

// Free gives the Trail to a later request. Nothing may use it, or what Checks has
// returned, any more. One that is not freed does no harm.
func (t *Trail) Free() {
	t.checks = t.checks[:0]
	trails.Put(t)
}
