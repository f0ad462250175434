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
	if err := head.Parse(h, withToken); err != nil {
		return Header{}, err
	}
	return head, nil
}

// Parse is ParseHeader into a Header that is there already. After an error h
// holds nothing.
func (h *Header) Parse(from http.Header, withToken bool) error {
	for i := range headerRules {
		rule := &headerRules[i]
		if rule.name == HeaderAuthorization && !withToken {
			h.AccessToken = ""
			continue
		}
		reason := "malformed"
		values := from[rule.name]
		if len(values) != 1 {
			reason = fmt.Sprintf("sent %d times", len(values))
		} else if rule.read(h, values[0]) {
			continue
		}
		*h = Header{}
		return headerError(rule.name, reason)
	}
	return nil
}

func headerError(name, reason string) error {
	return fmt.Errorf("%w: header %s %s", rollcall.ErrAuthentication, strings.ToLower(name), reason)
}

// headerRules has, for each header, what reads a value and reports whether it
// has the form of spec 2.
var headerRules = [...]struct {
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
		return len(v) == 64 && every(v, inHex)
	}},
	{HeaderAuthorization, func(h *Header, v string) bool {
		scheme, token, _ := strings.Cut(v, " ")
		h.AccessToken = token
		return strings.EqualFold(scheme, bearer) && token != "" && every(token, inToken)
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
func ValidTimestamp(s string) bool { return len(s) == 13 && every(s, inNumber) }

// ValidNonce reports whether s is exactly 32 of A-Za-z0-9 (spec 2).
func ValidNonce(s string) bool { return len(s) == 32 && every(s, inNonce) }

// Where a byte can stand; it can in several.
const (
	inNumber = 1 << iota
	inHex
	inNonce
	inToken // a compact JWT
)

// places says of each byte where it can stand.
var places = func() (of [256]uint8) {
	for c := range of {
		switch c := byte(c); {
		case digit(c):
			of[c] = inNumber | inHex | inNonce | inToken
		case unhex(c) >= 0:
			of[c] = inHex | inNonce | inToken
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
			of[c] = inNonce | inToken
		case c == '-' || c == '_' || c == '.':
			of[c] = inToken
		}
	}
	return of
}()

// every reports whether each byte of s can stand there. It does not stop at the
// first that cannot, since hardly any request has one, and looks at eight at a time.
func every(s string, where uint8) bool {
	in := where
	for ; len(s) >= 8; s = s[8:] {
		in &= places[s[0]] & places[s[1]] & places[s[2]] & places[s[3]] & places[s[4]] & places[s[5]] & places[s[6]] & places[s[7]]
	}
	for i := range len(s) {
		in &= places[s[i]]
	}
	return in != 0
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
