package conform

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-server/rollcall/wire"
)

// A mask takes secrets out of what a report shows: keys, Secret keys, tokens.
type mask struct {
	mu      sync.Mutex
	secrets map[string]bool
}

func newMask() *mask { return &mask{secrets: map[string]bool{}} }

// hide adds secrets.
func (k *mask) hide(secrets ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			k.secrets[s] = true
		}
	}
}

const hidden = "…"

// valuesHidden are members of JSON whose values are secrets, whatever they are, the
// tokens of launch URLs, and what looks like a JWT, wherever a server puts it.
var valuesHidden = regexp.MustCompile(`("(?:secret|accessToken)"\s*:\s*")[^"]*|([?&]token=)[^&"]*|(ey)[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// text returns text without secrets.
func (k *mask) text(text string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range slices.SortedFunc(maps.Keys(k.secrets), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, s, hidden)
	}
	return valuesHidden.ReplaceAllString(text, "$1$2$3"+hidden)
}

const maxShown = 700 // characters of a body

func clip(text string) string {
	if len(text) > maxShown {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxShown], ""), len(text))
	}
	if utf8.ValidString(text) && !strings.ContainsFunc(text, obeyed) {
		return text
	}
	return fmt.Sprintf("%q", text)
}

// obeyed reports whether a terminal would do something on r.
func obeyed(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t'
}

// message shows a request. Of what is in Authorization only the beginning is shown:
// a token of which little is missing is nearly one.
func (k *mask) message(m *message) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s\n", m.method, m.path)
	for _, name := range slices.Sorted(maps.Keys(m.header)) {
		for _, value := range m.header[name] {
			if name == wire.HeaderAuthorization && len(value) > 16 {
				value = value[:16] + hidden
			}
			fmt.Fprintf(&out, "%s: %s\n", strings.ToLower(name), clip(k.text(value)))
		}
	}
	fmt.Fprintf(&out, "\n%s\n", clip(k.text(string(m.body))))
	fmt.Fprintf(&out, "in cipherText: %s", clip(k.text(m.plaintext)))
	return out.String()
}

// answer shows an answer, of its headers those that a case may be about.
func (k *mask) answer(a *answer) string {
	var out strings.Builder
	fmt.Fprintf(&out, "HTTP %d %s\n", a.status, http.StatusText(a.status))
	for _, name := range []string{"Content-Type", "Allow", "Retry-After", "Date", wire.HeaderLogUUID} {
		for _, value := range a.header.Values(name) {
			fmt.Fprintf(&out, "%s: %s\n", strings.ToLower(name), clip(k.text(value)))
		}
	}
	fmt.Fprintf(&out, "\n%s", clip(k.text(string(a.body))))
	return out.String()
}
