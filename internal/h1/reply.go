package h1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A reply is the http.ResponseWriter of a call. It keeps the answer until the
// handler has returned.
type reply struct {
	header http.Header
	status int // 0: not told yet
	head   []byte
	body   []byte
}

// kept is how much room a connection keeps from one answer to the next.
const kept = 4 << 10

func (r *reply) reset() {
	clear(r.header)
	r.status = 0
	if cap(r.head)+cap(r.body) > kept {
		r.head, r.body = nil, nil
	}
	r.head, r.body = r.head[:0], r.body[:0]
}

// forget lets go of what the last answer had.
func (r *reply) forget() {
	r.reset()
	clear(r.head[:cap(r.head)])
	clear(r.body[:cap(r.body)])
}

// Header is http.ResponseWriter's.
func (r *reply) Header() http.Header { return r.header }

// WriteHeader fixes the status and the header, but for what is known only when the
// handler has returned. Only the first one counts, and no informational one.
func (r *reply) WriteHeader(status int) {
	if r.status != 0 || status < http.StatusOK {
		return
	}
	r.status = status
	r.head = append(r.head, "HTTP/1.1 "...)
	r.head = strconv.AppendInt(r.head, int64(status), 10)
	r.head = append(r.head, ' ')
	r.head = append(r.head, http.StatusText(status)...)
	r.head = append(r.head, "\r\n"...)
	for name, values := range r.header {
		if name == "Content-Length" || name == "Connection" || name == "Date" || !consistsOf(name, inName) {
			continue
		}
		for _, value := range values {
			r.field(name, value)
		}
	}
}

func (r *reply) field(name, value string) {
	r.head = append(r.head, name...)
	r.head = append(r.head, ": "...)
	from := len(r.head)
	r.head = append(r.head, value...)
	for i, b := range r.head[from:] {
		if b == '\r' || b == '\n' {
			r.head[from+i] = ' ' // as net/http does: a value cannot begin another field
		}
	}
	r.head = append(r.head, "\r\n"...)
}

// Write is http.ResponseWriter's.
func (r *reply) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if !hasBody(r.status) {
		return 0, http.ErrBodyNotAllowed
	}
	r.body = append(r.body, text...)
	return len(text), nil
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// text is the answer, and whether the connection ends with it: because the handler
// wishes it, or the server.
func (r *reply) text(date string, end bool) (text []byte, last bool) {
	r.WriteHeader(http.StatusOK) // where there was none
	r.field("Date", date)
	if hasBody(r.status) {
		if len(r.body) > 0 && r.header["Content-Type"] == nil {
			r.field("Content-Type", http.DetectContentType(r.body))
		}
		r.head = append(r.head, "Content-Length: "...)
		r.head = strconv.AppendInt(r.head, int64(len(r.body)), 10)
		r.head = append(r.head, "\r\n"...)
	}
	last = end || slices.ContainsFunc(r.header["Connection"], func(v string) bool { return strings.EqualFold(v, "close") })
	if last {
		r.field("Connection", "close")
	}
	r.head = append(r.head, "\r\n"...)
	r.head = append(r.head, r.body...)
	return r.head, last
}
