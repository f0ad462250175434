package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rollcall-server/rollcall/internal/store"
)

// A meter shows how far a long command is, on one line of a terminal. On what is
// no terminal it shows nothing.
type meter struct {
	w     io.Writer
	shows bool
	kind  string
	began time.Time // of the kind
	last  time.Time
}

func newMeter(w io.Writer) *meter {
	f, ok := w.(*os.File)
	if !ok {
		return &meter{}
	}
	info, err := f.Stat()
	return &meter{w: w, shows: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

const meterEvery = 200 * time.Millisecond

func (m *meter) show(p store.Progress) {
	now := time.Now()
	if p.Kind != m.kind && p.Kind == "checking" || m.began.IsZero() || m.kind == "checking" && p.Kind != m.kind {
		m.began = now
	}
	m.kind = p.Kind
	if !m.shows || now.Sub(m.last) < meterEvery {
		return
	}
	m.last = now
	fmt.Fprintf(m.w, "\r\033[K%s: %d records%s", p.Kind, p.Records, m.left(p.Done, now))
}

// left says how much is done, and how long the rest takes if it goes on so.
func (m *meter) left(done float64, now time.Time) string {
	if done <= 0 {
		return ""
	}
	text := fmt.Sprintf(", %d %%", int(100*done))
	if took := now.Sub(m.began); took > time.Second {
		text += fmt.Sprintf(", about %s left", time.Duration(float64(took)*(1-done)/done).Round(time.Second))
	}
	return text
}

// end clears the line.
func (m *meter) end() {
	if m.shows {
		fmt.Fprint(m.w, "\r\033[K")
	}
}
