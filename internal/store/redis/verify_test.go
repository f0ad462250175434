package redis

import (
	"fmt"
	"log/slog"
	"maps"
	"testing"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// verify wants just these sorts of faults to be found, so often.
func (n *node) verify(repair bool, want map[string]int) Report {
	n.t.Helper()
	report, err := n.Verify(n.t.Context(), repair, func(int, int) {})
	must(n.t, err)
	if !maps.Equal(report.Found, want) {
		n.t.Errorf("found %v, want %v: %+v", report.Found, want, report.Faults)
	}
	return report
}

// do makes one command, by hand.
func (n *node) do(name, key string, args ...string) string {
	n.t.Helper()
	got, err := n.engine.do(n.t.Context(), "test", write(name, key, args...))
	must(n.t, err)
	value, _ := text(got[0])
	return value
}

// TestVerify breaks each thing by hand: it is found, alone, and is whole again
// after the repair.
func TestVerify(t *testing.T) {
	for name, url := range map[string]string{"Single": enginetest.Redis(t).URL(), "Cluster": enginetest.Cluster(t).URL()} {
		t.Run(name, func(t *testing.T) { testVerify(t, url) })
	}
}

func testVerify(t *testing.T, url string) {
	o := fresh()
	o.Log = slog.New(slog.DiscardHandler)
	n := open(t, url, o)
	var all []rollcall.Session
	for i := range 300 {
		all = append(all, n.start(fmt.Sprintf("player%05d", i)))
	}
	report := n.verify(true, map[string]int{})
	if report.Sessions != 300 || report.Entries != 300 || report.Launches != 300 {
		t.Errorf("looked at %d sessions, %d entries and %d launches, want 300 each", report.Sessions, report.Entries, report.Launches)
	}
	s, other := &all[7], &all[8]
	home, _ := roll.HomeOfSession(s.ID)
	p, of := n.keys().of(home), string(comboOf(s))
	key, index := p.sessions(home), p.index(of)
	ghost := n.session("nobody")
	ghost.ID = roll.NewSessionID(ghost.StartedAt, home)
	value := n.do("GET", key)
	for _, fault := range []struct {
		name   string
		damage func()
		want   map[string]int
	}{
		{"not in the index", func() { n.do("ZREM", index, indexEntry(s)) }, map[string]int{faultUnlisted: 1}},
		{"a wrong place in the index", func() { n.do("ZADD", index, "1", indexEntry(s)) }, map[string]int{faultUnlisted: 1, faultCombo: 1}},
		{"an entry of nothing", func() { n.do("ZADD", index, micros(s.ExpiresAt), indexEntry(&ghost)) }, map[string]int{faultGhost: 1}},
		{"an entry that is none", func() { n.do("ZADD", index, micros(s.ExpiresAt), "?") }, map[string]int{faultGhost: 1}},
		{"another's entry", func() { n.do("ZADD", p.index("a1|s9|g1|real|THB|2"), micros(s.ExpiresAt), indexEntry(s)) }, map[string]int{faultCombo: 1}},
		{"no place of the index", func() { n.do("ZREM", p.combos(), of) }, map[string]int{faultCombo: 2}},
		{"too late a place of the index", func() { n.do("ZADD", p.combos(), "9000000000000000", of) }, map[string]int{faultCombo: 3}},
		{"a place of no index", func() { n.do("ZADD", p.combos(), "1", "a1|s9|g9|real|THB|2") }, map[string]int{faultCombo: 1}},
		{"another's session", func() { n.do("SET", key, value+packAll([]rollcall.Session{*other})) }, map[string]int{faultHome: 1}},
		{"damaged sessions", func() { n.do("SET", key, value+"?") }, map[string]int{faultDamaged: 1}},
		{"damaged launches", func() { n.do("SET", p.launches(home), "?") }, map[string]int{faultLaunches: 1}},
		{"launches for ever", func() { n.do("SET", p.launches(home), "[]") }, map[string]int{faultLaunches: 1}},
		{"a journal that cannot be read", func() { n.do("XADD", p.journal(), "1000-0", "k", "?") }, map[string]int{faultJournal: 1}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			fault.damage()
			found := n.found(fault.want)
			mended := n.verifyAny(true)
			if len(mended.Faults) == 0 || mended.Mended == 0 {
				t.Errorf("mended %+v, having found %v", mended, found)
			}
			n.mendedAfter()
			if got := n.of(s.Username); got != s.ID {
				t.Errorf("the member has %q, want %q", got, s.ID)
			}
		})
	}
}

// found wants faults of these sorts, at least one each: one that is broken may
// show in several ways.
func (n *node) found(want map[string]int) Report {
	n.t.Helper()
	report := n.verifyAny(false)
	for sort := range want {
		if report.Found[sort] == 0 {
			n.t.Errorf("found %v, want %q", report.Found, sort)
		}
	}
	if report.Mended != 0 {
		n.t.Errorf("%d were mended, though nobody asked for it", report.Mended)
	}
	return report
}

func (n *node) verifyAny(repair bool) Report {
	n.t.Helper()
	report, err := n.Verify(n.t.Context(), repair, func(int, int) {})
	must(n.t, err)
	return report
}

// mendedAfter wants nothing to be left, at the latest of a second repair: what is
// mended first may show what was behind it.
func (n *node) mendedAfter() {
	n.t.Helper()
	n.verifyAny(true)
	n.verify(false, map[string]int{})
}

// TestVerifyBesideTraffic finds no fault where there is none, and does no harm.
func TestVerifyBesideTraffic(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	n.boot("s1", "b1")
	l := n.run(2)
	for i := range 6 {
		l.more(20)
		n.start(fmt.Sprintf("player%05d", i))
		n.kick(fmt.Sprintf("player%05d", i/2))
		report := n.verifyAny(i%2 == 1)
		if len(report.Found) > 0 {
			t.Fatalf("found %v: %+v", report.Found, report.Faults)
		}
	}
	l.check()
}
