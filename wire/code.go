package wire

import (
	"errors"
	"net/http"

	"github.com/rollcall-server/rollcall"
)

// A Code is the number by which an answer says how the request went (spec 9).
type Code int

// CodeOK answers a request that was carried out; every other code is an entry
// of the table below.
const (
	CodeOK         Code = 0
	CodeInternal   Code = 7
	CodeParameters Code = 11
)

// codes is the one table of codes, read both ways: CodeOf for a server's error,
// Err for a client's code. Where a code stands twice, the first is what a
// client gets.
var codes = []struct {
	code    Code
	message string
	err     error
	status  int
}{
	{CodeOK, "No error.", nil, http.StatusOK},
	{5, "Game is not found", rollcall.ErrGameNotFound, http.StatusOK},
	{6, "The username already exist.", rollcall.ErrMemberExists, http.StatusOK},
	{CodeInternal, "Internal server error", rollcall.ErrInternal, http.StatusInternalServerError},
	{CodeInternal, "Internal server error", rollcall.ErrUnavailable, http.StatusServiceUnavailable},
	{8, "The User is not exist.", rollcall.ErrMemberNotFound, http.StatusOK},
	{10, "Agent code was not found or block", rollcall.ErrAgentRefused, http.StatusOK},
	{CodeParameters, "Parameters error", rollcall.ErrParameters, http.StatusOK},
	{19, "Invalid account", rollcall.ErrMemberSuspended, http.StatusOK},
	{77, "Too many request, please try again later", rollcall.ErrTooManyRequests, http.StatusTooManyRequests},
	{81, "Branch config not found", rollcall.ErrBranchNotConfigured, http.StatusOK},
	{82, "Please check siteId is for this player", rollcall.ErrSiteMismatch, http.StatusOK},
	{83, "Authentication Failed", rollcall.ErrAuthentication, http.StatusOK},
	{84, "Decryption Failed", rollcall.ErrDecryption, http.StatusOK},
	{86, "Game is restricted", rollcall.ErrGameRestricted, http.StatusOK},
}

// CodeOf returns the code and the HTTP status (spec 1.6) that answer err: 0 and
// 200 for nil, 7 and 500 for an error that the table does not know.
func CodeOf(err error) (Code, int) {
	if err == nil {
		return CodeOK, http.StatusOK
	}
	for _, c := range codes[1:] {
		if errors.Is(err, c.err) {
			return c.code, c.status
		}
	}
	return CodeInternal, http.StatusInternalServerError
}

// Err returns the sentinel of c: nil for 0, rollcall.ErrInternal for 7 and for
// a code that the table does not know.
func (c Code) Err() error {
	for _, entry := range codes {
		if entry.code == c {
			return entry.err
		}
	}
	return rollcall.ErrInternal
}

// Message returns the text that goes with c (spec 9), that of 7 for a code that
// the table does not know. Clients match on the code, never on the text.
func (c Code) Message() string {
	for _, entry := range codes {
		if entry.code == c {
			return entry.message
		}
	}
	return CodeInternal.Message()
}
