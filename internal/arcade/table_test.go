package arcade

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	testSilence = 15 * time.Second
	testGrace   = 3 * time.Second
)

// A play is what happens at a table, in seconds since its beginning.
type play struct {
	at   time.Duration
	does func(t *table, now time.Time)
}

func beats(page string) func(*table, time.Time) {
	return func(t *table, now time.Time) { t.hear(now, "token", page) }
}

func opens(page string) func(*table, time.Time) {
	return func(t *table, now time.Time) { t.open(now, "token", page) }
}

func leaves(page string) func(*table, time.Time) {
	return func(t *table, now time.Time) { t.leave(now, "token", page) }
}

// A session ends when its pages are gone and have not come back for the grace,
// and when they fall silent.
func TestWhenASessionIsLeft(t *testing.T) {
	rows := []struct {
		name  string
		house bool
		plays []play
		ends  time.Duration // 0: not within a minute
		why   string        // "": closed
	}{
		{name: "no page ever comes", ends: 15, why: "never came"},
		{name: "a house player needs none", house: true},
		{name: "the page falls silent", plays: []play{{0, beats("a")}, {4, beats("a")}}, ends: 19, why: "fell silent"},
		{name: "the page leaves", plays: []play{{0, beats("a")}, {5, leaves("a")}}, ends: 8},
		{name: "the page leaves at once", plays: []play{{0, beats("a")}, {0, leaves("a")}}, ends: 3},
		{name: "the page is loaded again", plays: []play{{0, beats("a")}, {5, leaves("a")}, {7, beats("b")}}, ends: 22, why: "fell silent"},
		{name: "it comes back too late", plays: []play{{0, beats("a")}, {5, leaves("a")}, {8, beats("b")}}, ends: 8},
		{name: "one of two pages leaves", plays: []play{{0, beats("a")}, {1, beats("b")}, {2, leaves("a")}}, ends: 16, why: "fell silent"},
		{name: "both leave", plays: []play{{0, beats("a")}, {1, beats("b")}, {2, leaves("a")}, {6, leaves("b")}}, ends: 9},
		{name: "a page that was never there leaves", plays: []play{{0, beats("a")}, {2, leaves("x")}}, ends: 15, why: "fell silent"},
		{name: "a beat comes behind the leave", plays: []play{{0, opens("a")}, {5, leaves("a")}, {5, beats("a")}}, ends: 8},
		{name: "the page itself comes back", plays: []play{{0, opens("a")}, {5, leaves("a")}, {6, opens("a")}}, ends: 21, why: "fell silent"},
		{name: "it beats all the time", plays: []play{{0, beats("a")}, {14, beats("a")}, {28, beats("a")}, {42, beats("a")}, {56, beats("a")}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			begin := time.Unix(1e9, 0)
			table := newTable(testSilence, testGrace)
			table.sit(begin, "token", rollcall.Session{ID: "s1"}, row.house)
			var ended time.Duration
			for s := range time.Duration(60) {
				now := begin.Add(s * time.Second)
				if left := table.sweep(now); len(left) > 0 {
					note := fmt.Sprintf("the page %s, after %ds", cmp.Or(row.why, "was closed"), s)
					want := settlement{"s1", wire.EndRequest{Reason: rollcall.EndLeft, Note: note}}
					if ended != 0 || left[0] != want {
						t.Fatalf("at %d: got %+v, want %+v; ended at %d", s, left, want, ended)
					}
					ended = s
				}
				for _, p := range row.plays {
					if p.at == s {
						p.does(table, now)
					}
				}
			}
			if ended != row.ends {
				t.Errorf("ended at %d s, want %d", ended, row.ends)
			}
		})
	}
}

// Of several ends the first counts, and it is told for a while.
func TestEnd(t *testing.T) {
	now := time.Unix(1e9, 0)
	table := newTable(testSilence, testGrace)
	table.sit(now, "token", rollcall.Session{ID: "s1"}, false)
	kicked := overBy(rollcall.Event{Type: rollcall.EventKicked, Message: "out"})
	table.end(now, "s1", kicked)
	table.end(now, "s1", overLost)
	table.endAll(now, overLost)
	if left := table.sweep(now.Add(keepOver - 1)); len(left) != 0 {
		t.Errorf("a session that is over is left again: %v", left)
	}
	v, ok := table.hear(now.Add(keepOver-1), "token", "a")
	if !ok || v.Over != kicked || v.Over.Message != "out" || v.Played != 0 {
		t.Errorf("got %+v, %v; want the kick", v, ok)
	}
	table.sweep(now.Add(keepOver))
	if _, ok := table.hear(now, "token", "a"); ok || len(table.byToken)+len(table.bySession) != 0 {
		t.Error("the seat is still there")
	}
}

// An event may come before the answer of the Start that it ends.
func TestEndBeforeSit(t *testing.T) {
	now := time.Unix(1e9, 0)
	table := newTable(testSilence, testGrace)
	table.end(now, "s1", overBy(rollcall.Event{Type: rollcall.EventKicked}))
	table.end(now, "s2", overLost)
	table.sit(now, "token", rollcall.Session{ID: "s1"}, false)
	if v, _ := table.hear(now, "token", "a"); v.Over == nil || v.Over.Type != "kicked" {
		t.Errorf("got %+v, want the kick", v)
	}
	table.sweep(now.Add(keepOver))
	if len(table.early) != 0 {
		t.Errorf("ends of sessions that never came are kept: %v", table.early)
	}
}
