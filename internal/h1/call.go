package h1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

var blankLine = []byte("\r\n\r\n")

// A call is a request as it is read. All its texts are parts of one string.
type call struct {
	target, host string
	minor        int  // of the version, HTTP/1.x
	length       int  // of the body
	last         bool // the client wants the connection closed behind it
	header       http.Header

	values []string // of the header, each a part of this
	url    url.URL
	body   body
	req    http.Request
}

// A body is one that is there as a whole.
type body struct{ bytes.Reader }

// Close is io.ReadCloser's.
func (*body) Close() error { return nil }

// request is the call for a handler, with what all have in common.
func (c *call) request(common *http.Request, text []byte) *http.Request {
	c.req = *common
	c.req.Proto, c.req.ProtoMinor = protocols[c.minor], c.minor
	c.url = url.URL{Path: c.target}
	c.req.URL, c.req.RequestURI, c.req.Host = &c.url, c.target, c.host
	c.req.Header, c.req.ContentLength = c.header, int64(c.length)
	c.req.Body = http.NoBody
	if c.length > 0 {
		c.body.Reset(text)
		c.req.Body = &c.body
	}
	return &c.req
}

// forget lets go of what the last request had.
func (c *call) forget() {
	clear(c.header)
	clear(c.values[:cap(c.values)])
	c.body.Reset(nil)
	c.target, c.host, c.url, c.req = "", "", url.URL{}, http.Request{}
}

const begin = http.MethodPost + " /"

// mayBecomePlain reports whether text may be the beginning of a plain request.
func mayBecomePlain(text []byte) bool {
	n := min(len(text), len(begin))
	return string(text[:n]) == begin[:n]
}

// parse reads a request's head without the blank line behind it. It is false for
// what is no plain request, whether that is right or wrong.
func (c *call) parse(head string) bool {
	line, rest, _ := strings.Cut(head, "\r\n")
	c.minor = 1
	target, plain := strings.CutSuffix(line, " HTTP/1.1")
	if !plain {
		// Some proxies speak so, and make a connection for each request.
		c.minor = 0
		target, plain = strings.CutSuffix(line, " HTTP/1.0")
	}
	if !plain || !strings.HasPrefix(target, begin) {
		return false
	}
	c.target = target[len(begin)-1:]
	if !consistsOf(c.target, inPath) || strings.HasPrefix(c.target, "//") {
		return false
	}
	c.host, c.length, c.last, c.values = "", -1, false, c.values[:0]
	clear(c.header)
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if !c.parseField(line) {
			return false
		}
	}
	return c.host != "" && c.length >= 0 && (c.minor == 1 || c.last)
}

var protocols = [...]string{"HTTP/1.0", "HTTP/1.1"}

// parseField reads a line of the header.
func (c *call) parseField(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return false
	}
	name, ok = canonical(name)
	value = strings.Trim(value, " \t")
	if !ok || !consistsOf(value, inValue) {
		return false
	}
	switch name {
	case "Host":
		once := c.host == ""
		c.host = value
		return once && value != "" && consistsOf(value, inHost)
	case "Content-Length":
		once := c.length < 0
		c.length, ok = parseLength(value)
		if !once || !ok {
			return false
		}
	case "Connection":
		switch {
		case strings.EqualFold(value, "close"):
			c.last = true
		case !strings.EqualFold(value, "keep-alive"):
			return false
		}
	case "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Pragma": // net/http does something with each
		return false
	}
	c.add(name, value)
	return true
}

// add is http.Header.Add, which makes no garbage for the first value of a name.
func (c *call) add(name, value string) {
	if before := c.header[name]; before != nil {
		c.header[name] = append(before, value)
		return
	}
	n := len(c.values)
	c.values = append(c.values, value)
	c.header[name] = c.values[n : n+1 : n+1]
}

// parseLength takes up to four digits, which is more than there is room for.
func parseLength(text string) (n int, ok bool) {
	for _, digit := range []byte(text) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = 10*n + int(digit-'0')
	}
	return n, len(text) > 0 && len(text) <= 4
}

// names are the usual ones as they are written, and as http.Header has them.
var names = func() map[string]string {
	usual := []string{
		"Host", "Content-Length", "Content-Type", "Connection", "Transfer-Encoding", "Expect", "Upgrade", "Trailer",
		"Authorization", "X-Agentid", "X-Timestamp", "X-Nonce", "X-Signature",
		"User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Origin", "Referer", "Cache-Control", "Pragma",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "X-Request-Id", "Traceparent", "Via",
	}
	m := make(map[string]string, 2*len(usual))
	for _, name := range usual {
		m[name], m[strings.ToLower(name)] = name, name
	}
	return m
}()

// canonical returns a name as http.Header has it. It is false for what is none.
func canonical(name string) (string, bool) {
	if usual, ok := names[name]; ok {
		return usual, true
	}
	if name == "" || !consistsOf(name, inName) {
		return "", false
	}
	return textproto.CanonicalMIMEHeaderKey(name), true
}

// A class is a set of bytes. What a byte may be in is a bit of its entry in classes.
type class byte

const (
	inName class = 1 << iota
	inValue
	inHost
	inPath
)

// classes are narrower than what HTTP allows.
var classes = func() (of [256]class) {
	for b := byte(' '); b < 0x7f; b++ {
		of[b] |= inValue
	}
	of['\t'] |= inValue
	set := func(text string, in class) {
		for _, b := range []byte(text) {
			of[b] |= in
		}
	}
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(alphanumeric, inName|inHost|inPath)
	set("!#$%&'*+-.^_`|~", inName) // RFC 9110, 5.6.2
	set(".-:[]", inHost)
	set("/.-_~", inPath)
	return of
}()

func consistsOf(text string, in class) bool {
	all := in
	for i := range len(text) {
		all &= classes[text[i]]
	}
	return all == in
}
