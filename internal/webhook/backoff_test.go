package webhook

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	rows := []struct {
		attempt int
		want    time.Duration
	}{
		{-1, 5 * time.Second},
		{0, 5 * time.Second},
		{1, 5 * time.Second},
		{2, 30 * time.Second},
		{3, 2 * time.Minute},
		{4, 10 * time.Minute},
		{5, 30 * time.Minute},
		{6, time.Hour},
		{7, 2 * time.Hour},
		{8, 4 * time.Hour},
		{9, 8 * time.Hour},
		{10, 8 * time.Hour},
		{MaxAttempts, 8 * time.Hour},
		{1 << 40, 8 * time.Hour},
	}
	for _, row := range rows {
		least, most := row.want*2, time.Duration(0)
		for range 500 {
			got := Backoff(row.attempt)
			least, most = min(least, got), max(most, got)
		}
		if least < row.want*8/10 || most > row.want*12/10 {
			t.Errorf("attempt %d: got %v to %v, want %v and a fifth around it", row.attempt, least, most, row.want)
		}
		if most-least < row.want/5 {
			t.Errorf("attempt %d: got %v to %v, want them scattered", row.attempt, least, most)
		}
	}
}
