package wire

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

// The names of the request's headers (spec 2) and of the answer's trace id
// (spec 1.4), as net/http spells them.
const (
	HeaderAuthorization = "Authorization"
	HeaderAgentID       = "X-Agentid"
	HeaderTimestamp     = "X-Timestamp"
	HeaderNonce         = "X-Nonce"
	HeaderSignature     = "X-Signature"
	HeaderLogUUID       = "X-Log-Uuid"
	// HeaderPartial is true in an answer that may lack sessions: the service has
	// lost some and is being told of them again.
	HeaderPartial = "X-Sessions-Partial"
)

const bearer = "Bearer"

// A Header is what the headers of a request say (spec 2). The values are as
// sent; ParseHeader has checked their form and nothing else.
type Header struct {
	// AccessToken is what follows "Bearer "; empty on /v2/auth.
	AccessToken string
	AgentID     string
	// Timestamp is 13 decimal digits, Unix time in milliseconds.
	Timestamp string
	Nonce     string
	// Signature is 64 hex digits of either case.
	Signature string
}

// ParseHeader reads the v2 headers, without Authorization for withToken false,
// which is how /v2/auth is called (spec 5.1). A header that is missing,
// repeated, empty or malformed is rollcall.ErrAuthentication; the error names
// the header and not its value.
func ParseHeader(h http.Header, withToken bool) (Header, error) {
	var head Header
	for _, rule := range headerRules {
		if rule.name == HeaderAuthorization && !withToken {
			continue
		}
		values := h[rule.name]
		if len(values) != 1 {
			return Header{}, headerError(rule.name, fmt.Sprintf("sent %d times", len(values)))
		}
		if !rule.read(&head, values[0]) {
			return Header{}, headerError(rule.name, "malformed")
		}
	}
	return head, nil
}

func headerError(name, reason string) error {
	return fmt.Errorf("%w: header %s %s", rollcall.ErrAuthentication, strings.ToLower(name), reason)
}

// headerRules has, for each header, what reads a value and reports whether it
// has the form of spec 2.
var headerRules = []struct {
	name string
	read func(h *Header, value string) bool
}{
	{HeaderAgentID, func(h *Header, v string) bool {
		h.AgentID = v
		return rollcall.ValidID(v)
	}},
	{HeaderTimestamp, func(h *Header, v string) bool {
		h.Timestamp = v
		return ValidTimestamp(v)
	}},
	{HeaderNonce, func(h *Header, v string) bool {
		h.Nonce = v
		return ValidNonce(v)
	}},
	{HeaderSignature, func(h *Header, v string) bool {
		h.Signature = v
		return len(v) == 64 && every(v, func(c byte) bool { return unhex(c) >= 0 })
	}},
	{HeaderAuthorization, func(h *Header, v string) bool {
		scheme, token, _ := strings.Cut(v, " ")
		h.AccessToken = token
		return strings.EqualFold(scheme, bearer) && token != "" && every(token, tokenByte)
	}},
}

// Set writes h to a request's headers, without Authorization where there is no
// AccessToken.
func (h *Header) Set(to http.Header) {
	to[HeaderAgentID] = []string{h.AgentID}
	to[HeaderTimestamp] = []string{h.Timestamp}
	to[HeaderNonce] = []string{h.Nonce}
	to[HeaderSignature] = []string{h.Signature}
	if h.AccessToken != "" {
		to[HeaderAuthorization] = []string{bearer + " " + h.AccessToken}
	}
}

// Time returns the moment that Timestamp names.
func (h *Header) Time() time.Time {
	var ms int64
	for _, c := range []byte(h.Timestamp) {
		ms = ms*10 + int64(c-'0')
	}
	return time.UnixMilli(ms)
}

// FormatTimestamp returns t as x-timestamp has it, 13 digits for the years 2001
// to 2286.
func FormatTimestamp(t time.Time) string { return fmt.Sprintf("%013d", t.UnixMilli()) }

// ValidTimestamp reports whether s is 13 decimal digits (spec 2).
func ValidTimestamp(s string) bool { return len(s) == 13 && every(s, digit) }

// ValidNonce reports whether s is exactly 32 of A-Za-z0-9 (spec 2).
func ValidNonce(s string) bool {
	return len(s) == 32 && every(s, func(c byte) bool { return tokenByte(c) && c != '-' && c != '_' && c != '.' })
}

// tokenByte reports whether c can stand in a compact JWT.
func tokenByte(c byte) bool {
	return digit(c) || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '_' || c == '.'
}

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// unhex returns the value of a hex digit of either case, and -1 for others.
func unhex(c byte) int {
	switch {
	case digit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
