package explain

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// commandStart is what may stand before a curl command: a prompt, of a Unix shell
// or of Windows, and variables that are set, on its line or on lines before.
var commandStart = regexp.MustCompile(`^(?:[$#%>] |(?:PS )?[A-Za-z]:[^\n>]{0,200}> ?)?` +
	`(?:(?:export )?[A-Za-z_][A-Za-z0-9_]*=(?:'[^']*'|"[^"]*"|\$\([^)\n]*\)|[^\s'";])*[ \t\r\n;]+)*(curl(?:\.exe)?)[ \t\\^` + "`]")

// curlStart returns where a text's curl command begins, and -1 where there is none.
func curlStart(text []byte) int {
	if at := commandStart.FindSubmatchIndex(text); at != nil {
		return at[2]
	}
	return -1
}

// maxWords bounds a command line.
const maxWords = 2000

// words splits a command line as a shell does, without expanding anything.
func words(s string) ([]string, error) {
	w := splitter{s: s}
	for w.at < len(s) {
		if err := w.next(); err != nil {
			return nil, err
		}
		if len(w.out) > maxWords {
			return nil, errWords
		}
		if w.done {
			break
		}
	}
	w.end()
	return w.out, nil
}

type splitter struct {
	s    string
	at   int
	word strings.Builder
	open bool // a word has begun, be it empty
	done bool // the command has ended
	out  []string
}

func (w *splitter) end() {
	if w.open {
		w.out = append(w.out, w.word.String())
	}
	w.word.Reset()
	w.open = false
}

// next reads one character, one escape or one quoted part.
func (w *splitter) next() error {
	c, rest := w.s[w.at], w.s[w.at:]
	switch {
	case strings.HasPrefix(rest, "\\\r\n"), strings.HasPrefix(rest, "`\r\n"): // ` is PowerShell's
		w.at += 3
	case strings.HasPrefix(rest, "\\\n"), strings.HasPrefix(rest, "`\n"):
		w.at += 2
	case c == '\n' || c == ';' || c == '|' || c == '&' && !w.open:
		w.done = true
	case c == ' ' || c == '\t' || c == '\r':
		w.end()
		w.at++
	case c == '\\' && len(rest) > 1:
		w.add(rest[1:2])
		w.at += 2
	case c == '\'':
		return w.single(rest)
	case c == '"':
		return w.double()
	case strings.HasPrefix(rest, "$'"):
		return w.ansi()
	default:
		w.add(rest[:1])
		w.at++
	}
	return nil
}

func (w *splitter) add(s string) {
	w.word.WriteString(s)
	w.open = true
}

var errWords = invalid("more than %d words", maxWords)

var errQuote = invalid("a quote of the command line does not end")

func (w *splitter) single(rest string) error {
	end := strings.IndexByte(rest[1:], '\'')
	if end < 0 {
		return errQuote
	}
	w.add(rest[1 : 1+end])
	w.at += end + 2
	return nil
}

func (w *splitter) double() error {
	for w.at++; w.at < len(w.s); w.at++ {
		switch c := w.s[w.at]; {
		case c == '"':
			w.add("")
			w.at++
			return nil
		case c == '\\' && w.at+1 < len(w.s):
			w.at++
			switch next := w.s[w.at]; next {
			case '"', '\\', '$', '`':
				w.add(string(next))
			case '\n':
			default:
				w.add("\\" + string(next))
			}
		default:
			w.add(w.s[w.at : w.at+1])
		}
	}
	return errQuote
}

var ansiEscapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", 'e': "\x1b", '\\': "\\", '\'': "'", '"': "\"", '?': "?"}

// ansi reads $'…', whose escapes are those of C.
func (w *splitter) ansi() error {
	for w.at += 2; w.at < len(w.s); w.at++ {
		c := w.s[w.at]
		if c == '\'' {
			w.add("")
			w.at++
			return nil
		}
		if c != '\\' || w.at+1 >= len(w.s) {
			w.add(w.s[w.at : w.at+1])
			continue
		}
		w.at++
		c = w.s[w.at]
		if text, ok := ansiEscapes[c]; ok {
			w.add(text)
			continue
		}
		size, wide := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c], c != 'x'
		n := 0
		for n < size && w.at+1+n < len(w.s) && strings.IndexByte("0123456789abcdefABCDEF", w.s[w.at+1+n]) >= 0 {
			n++
		}
		value, err := strconv.ParseUint(w.s[w.at+1:w.at+1+n], 16, 32)
		switch {
		case n == 0 || err != nil:
			w.add("\\" + string(c))
		case wide:
			w.add(string(utf8.AppendRune(nil, rune(value))))
		default:
			w.add(string([]byte{byte(value)}))
		}
		w.at += n
	}
	return errQuote
}

// valued are curl's options that take a value and say nothing here.
const valued = "-o -A -e -b -c -x -m -w -E -T -K -U -F -y -Y -z -C -r -t -P -Q -D " +
	"--output --user-agent --referer --cookie --cookie-jar --proxy --max-time --connect-timeout --write-out --cert --key --cacert --capath " +
	"--pass --user --cert-type --key-type --proxy-cert --proxy-key --proxy-pass --oauth2-bearer --aws-sigv4 --login-options --tlsuser --tlspassword " +
	"--resolve --connect-to --retry --retry-delay --limit-rate --interface --proxy-user --form --upload-file --config --ciphers --tls-max " +
	"--noproxy --dump-header --trace --trace-ascii --stderr --range --max-redirs --retry-max-time --unix-socket --dns-servers --proxy-header"

// readCurl reads a curl command line.
func readCurl(data []byte) ([]*Request, error) {
	text := bytes.TrimSpace(data)
	text = text[max(0, curlStart(text)):]
	split := words
	if ofWindows.Match(text) {
		split = windowsWords
	}
	list, err := split(string(text))
	if err != nil {
		return nil, err
	}
	c := curl{r: &Request{HasBody: true}}
	for i := 1; i < len(list); i++ {
		if i, err = c.option(list, i); err != nil {
			return nil, err
		}
	}
	return c.request()
}

// A curl is a command line while it is read.
type curl struct {
	r             *Request
	target        string
	data          []string
	isGet, isJSON bool
}

// option reads the option at i, and returns where its value stands if that is apart.
func (c *curl) option(list []string, i int) (int, error) {
	name := list[i]
	value, attached := "", false
	switch {
	case !strings.HasPrefix(name, "-") || name == "-":
		c.target = name
		return i, nil
	case strings.HasPrefix(name, "--"):
		name, value, attached = strings.Cut(name, "=")
	case len(name) > 2:
		name, value, attached = shortOption(name)
	}
	if !c.takes(name) {
		return i, nil
	}
	if !attached {
		if i++; i >= len(list) {
			return i, invalid("the option %s has no value", clip(name, 20))
		}
		value = list[i]
	}
	c.set(name, value)
	return i, nil
}

// shortOption parts letters that stand together: the first that takes a value has
// the rest, or the next word.
func shortOption(word string) (name, value string, attached bool) {
	for i := 1; i < len(word); i++ {
		name = "-" + word[i:i+1]
		if strings.Contains(" -H -d -X -u "+valued+" ", " "+name+" ") {
			return name, word[i+1:], i+1 < len(word)
		}
	}
	return name, "", false
}

func (c *curl) takes(name string) bool {
	switch name {
	case "-G", "--get":
		c.isGet = true
		return false
	case "-I", "--head":
		c.r.Method = "HEAD"
		return false
	}
	const ours = " -H -d -X -u --header --data --data-ascii --data-raw --data-binary --data-urlencode --json --request --user --url --oauth2-bearer "
	return strings.Contains(ours+valued+" ", " "+name+" ")
}

func (c *curl) set(name, value string) {
	switch name {
	case "-H", "--header":
		name, value, _ := strings.Cut(value, ":")
		c.r.addHeader(strings.TrimSuffix(name, ";"), value)
	case "-X", "--request":
		c.r.Method = value
	case "--url":
		c.target = value
	case "-u", "--user":
		c.r.addHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(value)))
	case "--oauth2-bearer":
		c.r.addHeader("Authorization", "Bearer "+value)
	case "--json":
		c.isJSON = true
		fallthrough
	case "-d", "--data", "--data-ascii", "--data-binary", "--data-raw", "--data-urlencode":
		if strings.HasPrefix(value, "@") && name != "--data-raw" {
			c.r.HasBody = false // it is in a file of its own
			value = ""
		}
		c.data = append(c.data, value)
	}
}

func (c *curl) request() ([]*Request, error) {
	if c.target == "" && len(c.r.Header) == 0 {
		return nil, invalid("the command line has no URL and no header")
	}
	if c.target != "" {
		c.r.setTarget(c.target)
	}
	c.r.Body = []byte(strings.Join(c.data, "&"))
	if c.r.Method == "" {
		c.r.Method = "GET"
		if len(c.data) > 0 && !c.isGet {
			c.r.Method = "POST"
		}
	}
	if c.isGet {
		c.r.Body = nil
	}
	if len(c.data) > 0 && c.r.Header.Get("Content-Type") == "" {
		kind := "application/x-www-form-urlencoded"
		if c.isJSON {
			kind = "application/json"
		}
		c.r.addHeader("Content-Type", kind)
	}
	return []*Request{c.r}, nil
}
