package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"-5m":                       now.Add(-5 * time.Minute),
		"5m":                        now.Add(-5 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"2026-01-30T03:58:52Z":      time.Date(2026, 1, 30, 3, 58, 52, 0, time.UTC),
		"2026-01-30T10:58:52+07:00": time.Date(2026, 1, 30, 3, 58, 52, 0, time.UTC),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "5", "2026-01-30", "2026-01-30 03:58:52"} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestAgoBehind(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ in, want []string }{
		{[]string{"history", "at", "-5m"}, []string{"history", "at", "--", "-5m"}},
		{[]string{"--json", "history", "at", "-5m", "--agent", "a"}, []string{"--json", "history", "at", "--agent", "a", "--", "-5m"}},
		{[]string{"history", "at", "--", "-5m"}, []string{"history", "at", "--", "-5m"}},
		{[]string{"history", "at", "5m", "--limit", "-5"}, []string{"history", "at", "5m", "--limit", "-5"}},
		{[]string{"serve", "--drain-delay", "-5m"}, []string{"serve", "--drain-delay", "-5m"}},
	} {
		if diff := cmp.Diff(row.want, agoBehind(row.in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row.in, diff)
		}
	}
}
