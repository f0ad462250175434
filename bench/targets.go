package main

import (
	"fmt"
	"io"
	"strings"
)

// A target is a figure that was promised.
type target struct {
	what  string
	found figure // nil: not measured
	// middle, if set, is judged in the place of the median of found.
	middle float64
	// most or least is what was promised; the other is 0. Both 0: see text.
	most, least float64
	unit        string
	decimals    int
	text        string // in the place of a verdict, where something else holds it
	why         string // where to look if it is missed
}

func (t *target) holds() bool {
	v := t.value()
	return (t.most == 0 || v <= t.most) && (t.least == 0 || v >= t.least)
}

// value is what is judged.
func (t *target) value() float64 {
	if t.middle != 0 {
		return t.middle
	}
	return t.found.median()
}

// figure is what was found, with the extremes.
func (t *target) figure() string {
	text := number(t.value(), t.decimals)
	if len(t.found) > 1 {
		text += fmt.Sprintf(" (%s–%s)", number(t.found.least(), t.decimals), number(t.found.most(), t.decimals))
	}
	return text + t.unit
}

func (t *target) promise() string {
	if t.least > 0 {
		return "≥ " + plain(t.least) + t.unit
	}
	return "≤ " + plain(t.most) + t.unit
}

// verdict is yes, no, or why there is none.
func (t *target) verdict() string {
	switch {
	case t.text != "":
		return t.text
	case t.found == nil:
		return "not measured"
	case t.holds():
		return "holds"
	}
	return "**missed**"
}

func (t *target) row() []string {
	found := "–"
	if t.found != nil {
		found = t.figure()
	}
	return []string{t.what, t.promise(), found, t.verdict()}
}

// targets are all of them, with what was found.
func (r *results) targets() []target {
	all := append(r.peerTargets(), target{
		what: "allocations of a check beyond net/http's own", most: 4, text: "a test holds it, not this",
	})
	return append(append(all, r.sessionTargets()...), r.otherTargets()...)
}

func (r *results) peerTargets() []target {
	const conns = 64
	against := func(a, b string, of func(sample) float64) figure {
		if r.peers == nil {
			return nil
		}
		return r.peers.against(conns, a, b, of)
	}
	rooms, onRedis, same := "", "", "it is the same check"
	if r.peers != nil {
		rooms, onRedis = mostOf(r.peers.rooms), mostOf(r.peers.redisRooms)
	}
	all := []target{
		{what: "CPU of a check ÷ the floor's", found: against(checkName, floorName, sample.micros), most: 1.25, decimals: 2, why: rooms},
		{what: "CPU of a check ÷ Node.js", found: against(checkName, nodeName, sample.micros), why: same, most: 0.45, decimals: 2},
		{what: "CPU of a check ÷ Go by hand", found: against(checkName, plainName, sample.micros), why: same, most: 0.55, decimals: 2},
		{what: "CPU of a check ÷ centrifuge presence, both in memory", found: against(checkName, centrifugeName, sample.micros), why: same, most: 0.85, decimals: 2},
		{what: "CPU of a check ÷ centrifuge presence, both on Redis", found: against(checkRedisName, centrifugeRedisName, sample.micros), most: 0.75, decimals: 2, why: onRedis},
		{what: "p99 of a check over 64 connections ÷ the floor's", found: against(checkName, floorName, sample.p99Millis), most: 1.3, decimals: 2, why: "see [Everyone](#everyone-in-turns)"},
	}
	trips := target{what: "times that a check waits for Redis and back", most: 1.25, decimals: 2, why: "see [Everyone](#everyone-in-turns)"}
	if r.peers != nil && r.peers.trips > 0 {
		trips.found = figure{r.peers.trips}
	}
	return append(all, trips)
}

func (r *results) sessionTargets() []target {
	s, n := r.sessions, number(1_000_000, 0)
	if s != nil {
		n = number(float64(s.o.n), 0)
	}
	see := "see [Live sessions](#live-sessions)"
	rooms, heap := "", ""
	if s != nil {
		rooms, heap = mostOf(s.rooms), "most of the heap: "+s.heapText(3)
	}
	all := []target{
		{what: "CPU of a check with " + n + " live sessions ÷ with 1,000", most: 1.1, decimals: 2, why: rooms},
		{what: "p99 of a check with " + n + " live sessions ÷ with 1,000", most: 1.1, decimals: 2, why: rooms},
		{what: "resident memory of a live session, of " + n, most: 180, unit: " bytes", why: heap},
		{what: "heartbeats of " + n + " sessions each 30 s, of a core", most: 15, unit: " %", decimals: 1, why: see},
		{what: "restart with " + n + " live sessions, to ready", most: 10, unit: " s", decimals: 1, why: see},
	}
	if s == nil {
		return all
	}
	last := len(s.sizes) - 1
	all[0].found, all[0].middle = s.growth(sample.micros), s.grown(sample.micros)
	all[1].found, all[1].middle = s.growth(sample.p99Millis), s.grown(sample.p99Millis)
	all[2].found = figure{s.perSession(rssOf, s.memory[last])}
	all[3].found = figure{s.steadyShare()}
	all[4].found = figure{(s.stopped + s.ready).Seconds()}
	return all
}

func (r *results) otherTargets() []target {
	all := []target{
		{what: "durable Starts ÷ a bare append and fsync loop", least: 0.5, decimals: 2, why: "see [Durable Starts](#durable-starts)"},
		{what: "answered in time at 4 times the capacity ÷ at 1", least: 0.9, decimals: 2, why: "see [Overload](#overload)"},
	}
	if r.durable != nil {
		all[0].found = r.durable.ratio()
	}
	if o := r.overload; o != nil {
		once := o.all[0].goodput(o.capacity)
		all[1].found = figure{o.all[2].goodput(o.capacity) / once}
		if once < 0.5 {
			all[1].text = fmt.Sprintf("no verdict: at 1 only %.0f %%", 100*once)
		}
	}
	return all
}

// mostOf says where most of the CPU goes.
func mostOf(rooms []room) string {
	var all []string
	for _, one := range rooms[:min(3, len(rooms))] {
		all = append(all, fmt.Sprintf("%s (%.0f %%)", one.name, 100*one.share))
	}
	return "most of its CPU: " + strings.Join(all, "; ")
}

// writeTargets writes which targets hold, and names those that are missed.
func (r *results) writeTargets(out io.Writer) {
	var rows [][]string
	var missed []target
	for _, t := range r.targets() {
		rows = append(rows, t.row())
		if t.text == "" && t.found != nil && !t.holds() {
			missed = append(missed, t)
		}
	}
	table(out, "what|target|found|verdict", rows...)
	fmt.Fprintln(out, "\nA verdict is of the median, or with live sessions of all rounds together; behind it are the extremes of the rounds.")
	if len(missed) == 0 {
		return
	}
	fmt.Fprintln(out, "\nMissed:")
	fmt.Fprintln(out)
	for _, t := range missed {
		fmt.Fprintf(out, "- %s: %s instead of %s; %s.\n", t.what, t.figure(), t.promise(), t.why)
	}
}
