package client

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

const (
	maxLine    = 1 << 20 // of the stream, in bytes; and of an event's data
	maxEventID = 256     // bytes
)

// watched lets each read wait as long as the timer runs, and no longer.
type watched struct {
	io.Reader

	alive *time.Timer
}

func (w watched) Read(p []byte) (int, error) {
	w.alive.Reset(maxSilence)
	defer w.alive.Stop() // OnEvent may take longer
	return w.Reader.Read(p)
}

// A message is one of Server-Sent Events; id is the last one that was said.
type message struct {
	id, kind string
	data     []byte
}

func (m *message) event() (rollcall.Event, error) {
	var e rollcall.Event
	if err := json.Unmarshal(m.data, &e); err != nil {
		return e, fmt.Errorf("event %q: %w", m.id, err)
	}
	e.ID, e.Type = cmp.Or(e.ID, m.id), cmp.Or(e.Type, rollcall.EventType(m.kind))
	return e, checkEvent(&e)
}

// validEventID reports whether id can be said in a header, as Last-Event-ID, and
// is not too long to be remembered: visible ASCII.
func validEventID(id string) bool {
	return id != "" && len(id) <= maxEventID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// messages reads a stream of Server-Sent Events, whose lines end in LF or CRLF.
type messages struct {
	lines *bufio.Scanner
	id    string
}

func newMessages(r io.Reader) *messages {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLine)
	return &messages{lines: lines}
}

// wholeLine is bufio.ScanLines without a last line that was cut off: of one, a CR
// may be left, which would look like the empty line that ends a message.
func wholeLine(text []byte, atEOF bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i + 1, bytes.TrimSuffix(text[:i], []byte("\r")), nil
	}
	if atEOF {
		return len(text), nil, nil
	}
	return 0, nil, nil
}

// next returns the next message that has data or an ID of its own; one that the
// end of the stream cuts off is none. After the end it is io.ErrUnexpectedEOF.
func (s *messages) next() (message, error) {
	var m message
	var said bool
	for s.lines.Scan() {
		line := s.lines.Bytes()
		if len(line) == 0 {
			if said {
				m.id = s.id
				return m, nil
			}
			m = message{}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			if len(value) == 0 || validEventID(string(value)) { // the standard too ignores some
				s.id, said = string(value), true
			}
		case "event":
			m.kind = string(value)
		case "data":
			if len(m.data)+len(value) > maxLine {
				return message{}, bufio.ErrTooLong
			}
			m.data, said = append(append(m.data, value...), '\n'), true
		}
	}
	return message{}, cmp.Or(s.lines.Err(), io.ErrUnexpectedEOF)
}
