package postgres

import (
	"math/bits"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// Who was live at a moment began before it and ended after it: two ranges, of
// which an index serves one. Most sessions are short, so among all that began in
// the 24 h before, few were still live. Therefore sessions are sorted by how long
// they were into spans, each twice as long as the one before, and of each span
// only those are read that began within its length before the moment: about half
// of these were live.
//
// Span 0 is below one minute, span n below 2ⁿ minutes. The last has no bound but
// MaxLifetime.
const lastSpan = 11 // 2¹¹ min is more than 24 h

func spanOf(started, ended time.Time) int16 {
	minutes := max(0, ended.Sub(started)/time.Minute)
	return int16(min(lastSpan, bits.Len64(uint64(minutes))))
}

// spansAt returns each span with the moment, in us, after which those of it began
// that may have been live at a moment.
func spansAt(at time.Time) (spans []int16, after []int64) {
	for span := range int16(lastSpan + 1) {
		length := min(time.Minute<<span, roll.MaxLifetime)
		if span == lastSpan {
			length = roll.MaxLifetime
		}
		spans = append(spans, span)
		after = append(after, micros(at.Add(-length)))
	}
	return spans, after
}
