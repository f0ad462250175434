package client

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// Whatever a stream says, reading it ends; however it comes in pieces, it says
// the same; and cutting it short only leaves out messages.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(sse("x1", "s1")+":\n\n"+sse("x2", "s2")), 150)
	f.Add([]byte("id\ndata:a\ndata: b\r\n\r\nevent: x\n\ndata\n\nid: \x00\n\n"), 22)
	f.Fuzz(func(t *testing.T, text []byte, short int) {
		whole := read(t, bytes.NewReader(text))
		if d := cmp.Diff(whole, read(t, iotest.OneByteReader(bytes.NewReader(text)))); d != "" {
			t.Errorf("byte by byte (-whole +pieces):\n%s", d)
		}
		part := read(t, bytes.NewReader(text[:max(0, min(short, len(text)))]))
		if len(part) > len(whole) || !slices.Equal(whole[:len(part)], part) {
			t.Errorf("got %q of a part, want the beginning of %q", part, whole)
		}
	})
}

func read(t *testing.T, r io.Reader) (all []string) {
	for s := newMessages(r); ; {
		m, err := s.next()
		if err != nil {
			if m.data != nil {
				t.Errorf("got data %q with %v", m.data, err)
			}
			return all
		}
		m.event() // must not panic
		all = append(all, m.id+" "+m.kind+" "+string(m.data))
	}
}
