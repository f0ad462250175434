package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A Request is one captured request, as far as the capture has it.
type Request struct {
	// Method and Path are empty where the capture has them not.
	Method, Path string
	Header       http.Header
	Body         []byte
	// HasBody is false where the capture has left the body out, as curl -v does.
	HasBody bool
	// Sent is when, by the capture's word; zero: it does not say.
	Sent time.Time
	// Reused says that an earlier request of the capture has the same nonce.
	Reused bool
	Answer *Answer
}

// An Answer is what the capture has of the answer.
type Answer struct {
	Status int
	// Code and LogUUID are the envelope's, where HasCode.
	Code    int
	HasCode bool
	LogUUID string
	// At is the header Date, which is the server's clock.
	At time.Time
}

// A Format is a form of captures.
type Format string

// The formats that Read knows.
const (
	FormatAuto Format = ""     // found out
	FormatHTTP Format = "http" // a request as it goes over the wire, also as curl -v shows it
	FormatCurl Format = "curl" // a curl command line
	FormatHAR  Format = "har"  // what a browser's or proxy's recording exports
	FormatJSON Format = "json" // an object of method, url or path, headers and body
)

// Formats are those that can be asked for.
var Formats = []Format{FormatHTTP, FormatCurl, FormatHAR, FormatJSON}

// MaxCapture is how long a capture may be, in bytes.
const MaxCapture = 16 << 20

// maxEntries bounds how many requests of a capture are read.
const maxEntries = 500

// Read reads the requests of a capture, of a HAR those to /v2. An error
// is rollcall.ErrInvalid, and does not repeat the capture.
func Read(data []byte, format Format) ([]*Request, error) {
	if len(data) > MaxCapture {
		return nil, fmt.Errorf("explain: %w capture: more than %d MB", rollcall.ErrInvalid, MaxCapture>>20)
	}
	data = bytes.TrimPrefix(data, bom)
	if text, ok := fromUTF16(data[:len(data)&^1]); ok && data[0] >= 0xfe { // PowerShell's >
		data = text
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("explain: %w capture: it is empty", rollcall.ErrInvalid)
	}
	if format == FormatAuto {
		format = formatOf(data)
	}
	read, known := map[Format]func([]byte) ([]*Request, error){
		FormatHTTP: readHTTP, FormatCurl: readCurl, FormatHAR: readHAR, FormatJSON: readJSON,
	}[format]
	if !known {
		return nil, fmt.Errorf("explain: %w format: want http, curl, har or json", rollcall.ErrInvalid)
	}
	list, err := read(data)
	if err != nil {
		return nil, fmt.Errorf("explain: read %s: %w", format, err)
	}
	markReused(list)
	return list, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w capture: %s", rollcall.ErrInvalid, fmt.Sprintf(format, args...))
}

func formatOf(data []byte) Format {
	text := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		var probe struct {
			Log json.RawMessage `json:"log"`
		}
		if json.Unmarshal(text, &probe) == nil && probe.Log != nil {
			return FormatHAR
		}
		return FormatJSON
	case curlStart(text) >= 0:
		return FormatCurl
	}
	return FormatHTTP
}

// markReused marks requests whose nonce an earlier one of the same agent has.
func markReused(list []*Request) {
	seen := map[string]bool{}
	for _, r := range list {
		key := r.Header.Get(wire.HeaderAgentID) + " " + r.Header.Get(wire.HeaderNonce)
		if r.Header.Get(wire.HeaderNonce) != "" {
			r.Reused = seen[key]
			seen[key] = true
		}
	}
}

// setTarget takes the path out of a URL or a request's target.
func (r *Request) setTarget(target string) {
	target, _, _ = strings.Cut(target, "?")
	target, _, _ = strings.Cut(target, "#")
	target, _, _ = strings.Cut(target, ";")
	if strings.HasPrefix(target, "//") && strings.Contains(target, "@") { // a user and a host without a scheme
		target = "http:" + target
	}
	if at := strings.Index(target, "://"); at >= 0 {
		_, path, found := strings.Cut(target[at+3:], "/")
		target = "/" + path
		if !found {
			target = "/"
		}
	} else if !strings.HasPrefix(target, "/") { // curl takes a host without a scheme
		if _, path, found := strings.Cut(target, "/"); found {
			target = "/" + path
		} else {
			target = "/"
		}
	}
	r.Path = target
}

// addHeader adds a header line's name and value; what is no name is dropped.
func (r *Request) addHeader(name, value string) {
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsAny(name, " \t\r\n\"") || len(name) > 100 || len(r.Header) > 200 {
		return
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Add(name, strings.Trim(value, " \t\r\n"))
}

// newAnswer reads what an answer's status, headers and body tell.
func newAnswer(status int, header http.Header, body []byte) *Answer {
	a := &Answer{Status: status, LogUUID: header.Get(wire.HeaderLogUUID)}
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		a.At = at
	}
	var first json.RawMessage // a log may go on behind it
	if json.NewDecoder(bytes.NewReader(body)).Decode(&first) != nil {
		return a
	}
	if reply, err := wire.ParseReply(first); err == nil {
		a.Code, a.HasCode = int(reply.Code), true
		if reply.LogUUID != "" {
			a.LogUUID = reply.LogUUID
		}
	}
	return a
}
