package explain

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"
)

var (
	requestLine = regexp.MustCompile(`^([A-Za-z]{1,20}) +(\S+)(?: +HTTP/[0-9.]+)?$`)
	statusLine  = regexp.MustCompile(`^(?:HTTP/[0-9.]+ +)?([1-5][0-9][0-9])(?: .*)?$`)
	headerLine  = regexp.MustCompile(`^:?[!#$%&'*+.^_|~0-9A-Za-z` + "`" + `-]+ *:`)
	answerStart = regexp.MustCompile(`(?m)^HTTP/[0-9.]+ +[1-5][0-9][0-9]`)
)

// readHTTP reads requests as they go over the wire, their lines ended by CRLF or
// LF, each with the answer behind it where there is one.
func readHTTP(data []byte) (list []*Request, err error) {
	data = outdent(data)
	starts, read := requestStart, readWire
	if marked(data) {
		starts, read = markedStart, readMarked
	}
	for _, part := range splitAt(data, starts) {
		r, err := read(part)
		if err != nil {
			return nil, err
		}
		if list = append(list, r); len(list) == maxEntries {
			break
		}
	}
	return list, nil
}

// Where one of several requests begins.
var (
	requestStart = regexp.MustCompile(`(?m)^[A-Z]{1,20} +\S+ +HTTP/[0-9.]+\r?$`)
	markedStart  = regexp.MustCompile(`(?m)^> [A-Z]{1,20} +\S+`)
)

// splitAt cuts data where starts match; what is before the first goes with it.
func splitAt(data []byte, starts *regexp.Regexp) (parts [][]byte) {
	begin := 0
	for i, at := range starts.FindAllIndex(data, maxEntries+1) {
		if i > 0 {
			parts = append(parts, data[begin:at[0]])
			begin = at[0]
		}
	}
	return append(parts, data[begin:])
}

// outdent takes away the blanks that all lines begin with, as where a capture stands
// in a ticket.
func outdent(data []byte) []byte {
	depth := -1
	for line := range bytes.Lines(data) {
		if text := bytes.TrimLeft(line, " \t"); len(bytes.TrimSpace(text)) > 0 && (depth < 0 || len(line)-len(text) < depth) {
			depth = len(line) - len(text)
		}
	}
	if depth <= 0 {
		return data
	}
	out := make([]byte, 0, len(data))
	for line := range bytes.Lines(data) {
		out = append(out, line[min(depth, len(line)-len(bytes.TrimLeft(line, " \t"))):]...)
	}
	return out
}

// readWire reads one request and its answer.
func readWire(data []byte) (*Request, error) {
	head, rest := cutHead(bytes.TrimLeft(data, "\r\n"))
	r := &Request{HasBody: true}
	if err := r.readHead(head); err != nil {
		return nil, err
	}
	body := rest
	if at := answerStart.FindIndex(rest); at != nil {
		body = rest[:at[0]]
		r.Answer = readAnswer(rest[at[0]:])
	}
	r.Body = r.cutBody(body)
	r.HasBody = len(r.Body) > 0 || r.Method != "" && !r.leftOut()
	return r, nil
}

// cutHead cuts at the first empty line.
func cutHead(data []byte) (head string, rest []byte) {
	at := 0
	for at < len(data) {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			break
		}
		if len(bytes.TrimRight(data[at:at+end], "\r")) == 0 {
			return string(data[:at]), data[at+end+1:]
		}
		at += end + 1
	}
	return string(data), nil
}

// leftOut reports whether the headers tell of a body that the capture has not.
func (r *Request) leftOut() bool {
	n, err := strconv.Atoi(r.Header.Get("Content-Length"))
	return err == nil && n > 0 && len(r.Body) == 0
}

// maxHead bounds how many lines a head may have.
const maxHead = 500

// readHead reads the request line, where there is one, and the headers.
func (r *Request) readHead(head string) error {
	lines := strings.Split(strings.TrimRight(head, "\r\n"), "\n")
	if len(lines) > maxHead {
		return invalid("more than %d lines of headers", maxHead)
	}
	first := strings.TrimSpace(lines[0])
	if m := requestLine.FindStringSubmatch(first); m != nil && !headerLine.MatchString(first) {
		r.Method = m[1]
		r.setTarget(m[2])
		lines = lines[1:]
	} else if !headerLine.MatchString(first) {
		return invalid("it begins neither with a request line, such as POST /v2/auth HTTP/1.1, nor with a header, with curl, or with {")
	}
	for _, line := range lines {
		r.readHeader(strings.TrimRight(line, "\r"))
	}
	return nil
}

// readHeader reads a line; HTTP/2's pseudo headers are the request line.
func (r *Request) readHeader(line string) {
	if pseudo, ok := strings.CutPrefix(line, ":"); ok {
		name, value, _ := strings.Cut(pseudo, ":")
		switch value = strings.TrimSpace(value); name {
		case "method":
			r.Method = value
		case "path":
			r.setTarget(value)
		}
		return
	}
	if name, value, ok := strings.Cut(line, ":"); ok {
		r.addHeader(name, value)
	}
}

// cutBody takes the body out of what follows the headers: line ends that an editor
// has added are no part of it.
func (r *Request) cutBody(rest []byte) []byte {
	if strings.EqualFold(r.Header.Get("Transfer-Encoding"), "chunked") {
		if body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(rest))); err == nil && len(body) > 0 {
			return body
		}
	}
	if n, err := strconv.Atoi(r.Header.Get("Content-Length")); err == nil && n > 0 && n <= len(rest) {
		if len(bytes.TrimSpace(rest[n:])) == 0 {
			return rest[:n]
		}
	}
	return bytes.TrimRight(rest, "\r\n")
}

func readAnswer(data []byte) *Answer {
	head, body := cutHead(data)
	var r Request
	lines := strings.Split(head, "\n")
	m := statusLine.FindStringSubmatch(strings.TrimSpace(lines[0]))
	if m == nil {
		return nil
	}
	for _, line := range lines[1:min(len(lines), maxHead)] {
		r.readHeader(strings.TrimRight(line, "\r"))
	}
	status, _ := strconv.Atoi(m[1]) // three digits
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return newAnswer(status, r.Header, r.cutBody(body))
}

// marked reports whether lines begin with > and <, as curl -v shows them.
func marked(data []byte) bool {
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("> ")); ok && requestLine.Match(bytes.TrimSpace(rest)) {
			return true
		}
	}
	return false
}

// readMarked reads what curl -v shows of one request. The body of the request is not
// in it, unless it is marked too, as rollcall's own --verbose does; the answer's is.
func readMarked(data []byte) (*Request, error) {
	var sent, answered, loose strings.Builder
	for line := range strings.Lines(string(data)) {
		text := strings.TrimRight(line, "\r\n")
		switch {
		case text == ">" || strings.HasPrefix(text, "> "):
			sent.WriteString(strings.TrimPrefix(text[1:], " ") + "\n")
		case text == "<" || strings.HasPrefix(text, "< "):
			answered.WriteString(strings.TrimPrefix(text[1:], " ") + "\n")
		case strings.HasPrefix(text, "* "), strings.HasPrefix(text, "{ ["), strings.HasPrefix(text, "} ["):
		default:
			loose.WriteString(text + "\n")
		}
	}
	head, body := cutHead([]byte(sent.String()))
	r := &Request{Body: bytes.TrimRight(body, "\r\n")}
	r.HasBody = len(r.Body) > 0
	if err := r.readHead(head); err != nil {
		return nil, err
	}
	if text := answered.String(); text != "" {
		if head, _, found := strings.Cut(text, "\n{"); found && !strings.Contains(head, "\n\n") {
			text = strings.Replace(text, "\n{", "\n\n{", 1) // rollcall's own: no headers are shown
		}
		r.Answer = readAnswer([]byte(strings.TrimRight(text, "\n") + "\n\n" + loose.String()))
		if r.Answer != nil && !r.Answer.HasCode {
			r.Answer = readAnswer([]byte(text))
		}
	}
	return r, nil
}
