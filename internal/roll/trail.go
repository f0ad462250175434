package roll

import (
	"time"

	"github.com/rollcall-server/rollcall"
)

// A Trail follows one request through its checks (spec 8) for its record. It is
// used by one goroutine. A nil Trail notes nothing.
type Trail struct {
	now    func() time.Time
	last   time.Time
	checks []rollcall.RequestCheck
}

// NewTrail begins at the present.
func NewTrail(now func() time.Time) *Trail {
	return &Trail{now: now, last: now(), checks: make([]rollcall.RequestCheck, 0, 12)}
}

// Check notes that the check of this name, which took the time since the check
// before it, passed or was refused for err, and returns err.
func (t *Trail) Check(name string, err error) error {
	if t == nil {
		return err
	}
	at := t.now()
	check := rollcall.RequestCheck{Name: name, Passed: err == nil, TookNanos: at.Sub(t.last).Nanoseconds()}
	if err != nil {
		check.Reason = err.Error()
	}
	t.checks = append(t.checks, check)
	t.last = at
	return err
}

// Checks returns what was noted, in order.
func (t *Trail) Checks() []rollcall.RequestCheck { return t.checks }
