package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
)

// A Fault is the body of every answer of the game-server API and the operators'
// API that is no success.
type Fault struct {
	Error FaultDetail `json:"error"`
}

// A FaultDetail says what was wrong: Code for programs, Message for people, and
// ID, on an internal error, for finding it in the log.
type FaultDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	ID      string `json:"id,omitempty"`
}

// faults is the one table of what can go wrong, read both ways: FaultOf for the
// server's error, FaultError.Unwrap for the client. Of the sentinels that share a
// code, the first is what a client gets.
var faults = []struct {
	code   string
	status int
	err    error
}{
	{"invalid", http.StatusBadRequest, rollcall.ErrInvalid},
	{"invalid", http.StatusBadRequest, rollcall.ErrParameters},
	{"unauthorized", http.StatusUnauthorized, rollcall.ErrAuthentication},
	{"not_found", http.StatusNotFound, rollcall.ErrNotFound},
	{"not_found", http.StatusNotFound, rollcall.ErrMemberNotFound},
	{"not_found", http.StatusNotFound, rollcall.ErrGameNotFound},
	{"exists", http.StatusConflict, rollcall.ErrExists},
	{"in_use", http.StatusConflict, rollcall.ErrInUse},
	{"launch_unknown", http.StatusNotFound, rollcall.ErrLaunchUnknown},
	{"launch_used", http.StatusConflict, rollcall.ErrLaunchUsed},
	{"launch_expired", http.StatusGone, rollcall.ErrLaunchExpired},
	{"launch_voided", http.StatusGone, rollcall.ErrLaunchVoided},
	{"game_not_run", http.StatusForbidden, rollcall.ErrGameNotRun},
	{"stale_boot", http.StatusConflict, rollcall.ErrStaleBoot},
	{"draining", http.StatusConflict, rollcall.ErrDraining},
	{"session_limit", http.StatusConflict, rollcall.ErrSessionLimit},
	{"member_suspended", http.StatusConflict, rollcall.ErrMemberSuspended},
	{"agent_blocked", http.StatusConflict, rollcall.ErrAgentRefused},
	{"no_branch", http.StatusConflict, rollcall.ErrBranchNotConfigured},
	{"too_many_requests", http.StatusTooManyRequests, rollcall.ErrTooManyRequests},
	{"unavailable", http.StatusServiceUnavailable, rollcall.ErrUnavailable},
	{"internal", http.StatusInternalServerError, rollcall.ErrInternal},
}

// FaultOf returns the code and the HTTP status that answer err: "internal" and
// 500 for one that the table does not know.
func FaultOf(err error) (code string, status int) {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.code, f.status
		}
	}
	return "internal", http.StatusInternalServerError
}

// A FaultError is an answer that is no success. errors.Is finds the sentinel of its
// code in it.
type FaultError struct {
	Status int
	FaultDetail

	// RetryAfter is when the service wants to be asked again, after 429 and 503; 0:
	// it did not say.
	RetryAfter time.Duration
}

// Error says what the server says.
func (e *FaultError) Error() string {
	if e.ID != "" {
		return fmt.Sprintf("%s (in the server's log: %s)", e.Message, e.ID)
	}
	return e.Message
}

// Unwrap returns the sentinel of the code.
func (e *FaultError) Unwrap() error {
	for _, f := range faults {
		if f.code == e.Code {
			return f.err
		}
	}
	return rollcall.ErrInternal
}

// FaultIn reads an answer that is no success.
func FaultIn(status int, text []byte) error {
	var f Fault
	if err := json.Unmarshal(text, &f); err != nil || f.Error.Code == "" {
		return &FaultError{Status: status, FaultDetail: FaultDetail{
			Message: fmt.Sprintf("HTTP status %d, and no word of why: is this the right address?", status),
		}}
	}
	return &FaultError{Status: status, FaultDetail: f.Error}
}
