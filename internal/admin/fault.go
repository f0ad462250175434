package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/rollcall-server/rollcall"
)

// faults is the one table of what can go wrong, read both ways: FaultOf for the
// server's error, Error.Unwrap for the client. Of the sentinels that share a
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
	{"exists", http.StatusConflict, rollcall.ErrExists},
	{"in_use", http.StatusConflict, rollcall.ErrInUse},
	{"agent_blocked", http.StatusConflict, rollcall.ErrAgentRefused},
	{"no_branch", http.StatusConflict, rollcall.ErrBranchNotConfigured},
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

// An Error is an answer that is no success. errors.Is finds the sentinel of its
// code in it.
type Error struct {
	Status int
	FaultDetail
}

// Error says what the server says.
func (e *Error) Error() string {
	if e.ID != "" {
		return fmt.Sprintf("%s (in the server's log: %s)", e.Message, e.ID)
	}
	return e.Message
}

// Unwrap returns the sentinel of the code.
func (e *Error) Unwrap() error {
	for _, f := range faults {
		if f.code == e.Code {
			return f.err
		}
	}
	return rollcall.ErrInternal
}
