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
	minor  int // of the version, HTTP/1.x
	status int // 0: not told yet
	head   []byte
	body   []byte
	// What the header had when the status was told.
	dated, typed, last bool
}

func (r *reply) begin(minor int) {
	clear(r.header)
	r.minor, r.status = minor, 0
	r.head, r.body = r.head[:0], r.body[:0]
}

// kept is how much room of each kind a connection keeps from one answer to the next.
const kept = 2 << 10

// trim lets go of more room than that.
func (r *reply) trim() {
	if cap(r.head) > kept {
		r.head = nil
	}
	if cap(r.body) > kept {
		r.body = nil
	}
}

// forget lets go of what the last answer had.
func (r *reply) forget() {
	clear(r.header)
	clear(r.head[:cap(r.head)])
	clear(r.body[:cap(r.body)])
}

// Header is http.ResponseWriter's.
func (r *reply) Header() http.Header { return r.header }

// WriteHeader fixes the status and the header, but for what is known only when the
// handler has returned. Only the first one counts, and no informational one. It
// panics where status is none, as net/http does.
func (r *reply) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("h1: no status: " + strconv.Itoa(status))
	}
	if r.status != 0 || status < http.StatusOK {
		return
	}
	r.status = status
	r.head = append(r.head, protocols[r.minor]...)
	r.head = append(r.head, ' ')
	r.head = strconv.AppendInt(r.head, int64(status), 10)
	r.head = append(r.head, ' ')
	r.head = append(r.head, http.StatusText(status)...)
	r.head = append(r.head, "\r\n"...)
	_, r.dated = r.header["Date"]
	r.typed = r.header["Content-Encoding"] != nil
	r.last = false
	for name, values := range r.header {
		switch name {
		case "Content-Length", "Transfer-Encoding": // text says how long it is
			continue
		case "Connection":
			r.last = slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "close") })
			continue
		case "Content-Type":
			r.typed = true
		}
		if !consistsOf(name, inName) {
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
// wishes it, or end does.
func (r *reply) text(date string, end bool) (text []byte, last bool) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if !r.dated {
		r.field("Date", date)
	}
	if hasBody(r.status) {
		if len(r.body) > 0 && !r.typed {
			r.field("Content-Type", http.DetectContentType(r.body))
		}
		r.head = append(r.head, "Content-Length: "...)
		r.head = strconv.AppendInt(r.head, int64(len(r.body)), 10)
		r.head = append(r.head, "\r\n"...)
	}
	last = end || r.last
	if last {
		r.field("Connection", "close")
	}
	r.head = append(r.head, "\r\n"...)
	r.head = append(r.head, r.body...)
	return r.head, last
}
