package explain

import (
	"regexp"
	"strings"
)

// ofWindows finds what only a command line of cmd.exe has: ^ before a quote or at a
// line's end, or quotes of JSON that are doubled. Browsers copy both.
var ofWindows = regexp.MustCompile(`[ \t]\^"|\^\r?\n|"\^?\{""`)

// windowsWords splits a command line of cmd.exe, in two steps: cmd.exe undoes its
// carets, and then the program parts its words.
func windowsWords(s string) ([]string, error) { return crtWords(uncaret(s)) }

// uncaret takes out each ^ that says that what is behind it has no meaning for cmd.exe,
// in which a line's end, & or | ends the command. Inside of quotes ^ is just itself,
// but there browsers have put it too.
func uncaret(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var out strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || !quoted && (c == '&' || c == '|'):
			return out.String()
		case c != '^':
			quoted = quoted != (c == '"')
			out.WriteByte(c)
		default:
			if i++; i < len(s) && s[i] == '\n' {
				i++ // the line goes on; what begins the next is taken as it is
			}
			if i < len(s) {
				out.WriteByte(s[i])
			}
		}
	}
	return out.String()
}

// crtWords parts words as programs of Windows do, but for pairs of backslashes: those
// they leave, unless a quote is behind them, and browsers double each.
func crtWords(s string) ([]string, error) {
	w := splitter{s: s}
	quoted := false
	for w.at < len(s) && len(w.out) <= maxWords {
		c, size, next := s[w.at], 1, byte(0)
		if w.at+1 < len(s) {
			next = s[w.at+1]
		}
		switch {
		case c == '\\' && (next == '"' || quoted && next == '\\'), c == '"' && quoted && next == '"':
			w.add(string(next))
			size = 2
		case c == '"':
			w.add("")
			quoted = !quoted
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			w.end()
		default:
			w.add(s[w.at : w.at+1])
		}
		w.at += size
	}
	if quoted {
		return nil, errQuote
	}
	w.end()
	if len(w.out) > maxWords {
		return nil, errWords
	}
	return w.out, nil
}
