package rollcall

import (
	"fmt"
	"net/url"
)

// ValidUsername reports whether s is 1–25 ASCII letters or digits (spec 6.1).
func ValidUsername(s string) bool { return valid(s, 25, "") }

// ValidID reports whether s can name an agent, a branch, a game or a game
// server: 1–64 of A-Za-z0-9_.- (spec 2).
func ValidID(s string) bool { return valid(s, 64, "_.-") }

// ValidSiteID reports whether s is 1–32 of A-Za-z0-9_- (spec 7.1).
func ValidSiteID(s string) bool { return valid(s, 32, "_-") }

// ValidLang reports whether s can name a language: 1–16 of A-Za-z0-9_-.
func ValidLang(s string) bool { return valid(s, 16, "_-") }

// ValidCurrency reports whether s is 3–8 of A-Z and 0-9: ISO 4217's codes and
// those that platforms add to them (such as THB and USDT).
func ValidCurrency(s string) bool {
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' {
			return false
		}
	}
	return len(s) >= 3 && valid(s, 8, "")
}

// maxURL is how long a URL may be, in bytes.
const maxURL = 2048

// ValidLobbyURL reports whether s is an https URL with a host, of at most 2048
// bytes (spec 7.2).
func ValidLobbyURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && u.Scheme == "https" && u.Hostname() != ""
}

// ValidLaunchURL reports whether s is an http or https URL with a host and
// without a fragment, of at most 2048 bytes.
func ValidLaunchURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.Fragment == ""
}

// valid reports whether s is 1–most bytes, each an ASCII letter, a digit or one
// of extra. It counts bytes, which refuses every character beyond ASCII.
func valid(s string, most int, extra string) bool {
	if len(s) == 0 || len(s) > most {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && !contains(extra, s[i]) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func contains(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func names[T ~int](table map[T]string, v T) string {
	if name, ok := table[v]; ok {
		return name
	}
	return fmt.Sprintf("invalid(%d)", int(v))
}

func marshalName[T ~int](table map[T]string, v T) ([]byte, error) {
	name, ok := table[v]
	if !ok {
		return nil, fmt.Errorf("%w value %d", ErrInvalid, int(v))
	}
	return []byte(name), nil
}

func unmarshalName[T ~int](table map[T]string, text []byte, v *T) error {
	for value, name := range table {
		if name == string(text) {
			*v = value
			return nil
		}
	}
	return fmt.Errorf("%w name %q", ErrInvalid, text)
}
