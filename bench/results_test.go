package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// samplesOf are three rounds of about that many µs a request.
func samplesOf(micros float64) (all []sample) {
	for _, times := range []float64{0.9, 1, 1.1} {
		cpu := time.Duration(micros * times * 1000 * float64(time.Microsecond))
		all = append(all, sample{n: 1000, took: time.Second, cpu: cpu, own: time.Millisecond, p50: time.Millisecond, p99: time.Duration(micros) * time.Millisecond, times: []time.Duration{time.Duration(micros) * time.Millisecond}})
	}
	return all
}

func madeUp() *results {
	onRedis := func(micros float64) (all []sample) {
		for _, s := range samplesOf(micros) {
			s.engine = 10 * time.Millisecond
			all = append(all, s)
		}
		return all
	}
	turns := []turn{
		{floorName, samplesOf(16), 1 << 20, 0},
		{checkName, samplesOf(19), 1 << 20, 0},
		{plainName, samplesOf(32), 1 << 20, 0},
		{checkRedisName, onRedis(30), 1 << 20, 0},
		{centrifugeRedisName, onRedis(60), 1 << 20, 0},
	}
	o := options{n: 1_000_000, rounds: 5, requests: wholeRequests, conns: 64, parts: allParts}
	return &results{
		o: o, peers: &peerFigures{
			o: o, turns: [][]turn{turns, turns, turns}, ceiling: turn{samples: samplesOf(1)}, trips: 1,
			rooms: []room{{"net/http", 0.5}, {"<the rest & more>", 0.5}},
		},
		sessions: &sessionsFigures{
			o: o, sizes: []int{1000, 1_000_000}, turns: []turn{turns[0], turns[1], turns[2]},
			memory: []memory{{rss: 40 << 20}, {rss: 240 << 20}}, full: samplesOf(1), steady: sample{n: 1, took: 30 * time.Second, cpu: 3 * time.Second},
			stopped: time.Second, ready: 8 * time.Second,
		},
		durable: &durableFigures{o: o, starts: figure{60, 50, 40}, bare: figure{100, 100, 100}, groups: figure{9}},
	}
}

func TestVerdicts(t *testing.T) {
	r := madeUp()
	want := map[string]string{
		"CPU of a check ÷ the floor's":                             "holds",        // 19 / 16
		"CPU of a check ÷ Node.js":                                 "not measured", // it was not there
		"CPU of a check ÷ Go by hand":                              "**missed**",   // 19 / 32
		"CPU of a check ÷ centrifuge presence, both on Redis":      "holds",        // 30 / 60
		"CPU of a check with 1,000,000 live sessions ÷ with 1,000": "**missed**",   // 32 / 19
		"resident memory of a live session, of 1,000,000":          "**missed**",   // 200 MiB of 999,000
		"heartbeats of 1,000,000 sessions each 30 s, of a core":    "holds",        // 3 s of 30
		"restart with 1,000,000 live sessions, to ready":           "holds",
		"durable Starts ÷ a bare append and fsync loop":            "holds", // exactly
		"answered in time at 4 times the capacity ÷ at 1":          "not measured",
		"allocations of a check beyond net/http's own":             "a test holds it, not this",
	}
	seen := 0
	for _, target := range r.targets() {
		if verdict, ok := want[target.what]; ok {
			seen++
			if got := target.verdict(); got != verdict {
				t.Errorf("%s: got %s (%v), want %s", target.what, got, target.found, verdict)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("got %d of the %d targets", seen, len(want))
	}
}

// What is rare and long, such as a collection of garbage, is in all rounds taken
// together, and not in the median.
func TestGrown(t *testing.T) {
	r := madeUp()
	r.sessions.turns[2].samples = samplesOf(19)
	r.sessions.turns[2].samples[2].cpu *= 3
	r.sessions.turns[2].samples[2].times = []time.Duration{time.Second}
	for _, target := range r.sessionTargets()[:2] {
		if target.found.median() > 1.01 || target.value() < 1.5 || target.holds() {
			t.Errorf("%s: got %s of the median %v, want a miss", target.what, target.figure(), target.found.median())
		}
	}
}

// A run that was made smaller, or on a machine that had other work, says so.
func TestShortcomings(t *testing.T) {
	r := madeUp()
	if got := r.shortcomings(); len(got) != 0 {
		t.Errorf("got %q of a whole run", got)
	}
	r.o.rounds, r.o.n, r.busiest = 2, 50_000, 0.4
	var text bytes.Buffer
	r.writeAll(&text)
	for _, want := range []string{"**Not to be quoted.**", "2 rounds instead of 5", "50,000 live sessions instead of 1,000,000", "40 % of the machine"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("RESULTS.md does not say %q", want)
		}
	}
}

func TestSave(t *testing.T) {
	r := madeUp()
	r.o.into = t.TempDir()
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"RESULTS.md":   {"| CPU of a check ÷ the floor's | ≤ 1.25 | 1.19", "![Server CPU of a request](cpu.svg)", "## Live sessions", "- CPU of a check ÷ Go by hand"},
		"cpu.svg":      {"19.0 (1.19×)", "30.0 + 10.0", "prefers-color-scheme: dark"},
		"sessions.svg": {"1,000,000", "210 bytes a session", "floor: 16.0"},
	} {
		text, err := os.ReadFile(filepath.Join(r.o.into, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(strings.ReplaceAll(string(text), "  ", " "), part) {
				t.Errorf("%s has no %q", name, part)
			}
		}
		if strings.HasSuffix(name, ".svg") {
			wellFormed(t, name, text)
		}
	}
}

func TestDrawingEscapes(t *testing.T) {
	d := newDrawing(10, 10, "a < b")
	d.text("plain", "start", 1, 2, "<a & b>")
	wellFormed(t, "a drawing", []byte(d.String()))
	if !strings.Contains(d.String(), ">&lt;a &amp; b&gt;<") {
		t.Errorf("got %s", d)
	}
}

func wellFormed(t *testing.T, name string, text []byte) {
	t.Helper()
	in := xml.NewDecoder(bytes.NewReader(text))
	for {
		_, err := in.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestSteps(t *testing.T) {
	for most, want := range map[float64]figure{1: {0, 0.2, 0.4, 0.6, 0.8, 1}, 47: {0, 10, 20, 30, 40, 50}, 101: {0, 50, 100, 150}} {
		got := steps(most)
		if len(got) != len(want) {
			t.Errorf("up to %v: got %v, want %v", most, got, want)
			continue
		}
		for i := range got {
			if d := got[i] - want[i]; d > 1e-9 || d < -1e-9 {
				t.Errorf("up to %v: got %v, want %v", most, got, want)
			}
		}
	}
}

func TestReadRooms(t *testing.T) {
	rooms, err := readRooms(`File: rollcall
Type: cpu
Duration: 5s, Total samples = 100ms
-----------+-------------------------------------------------------
      60ms   internal/runtime/syscall.Syscall6
             syscall.Syscall
             net.(*conn).Write
             net/http.(*conn).serve
-----------+-------------------------------------------------------
      30ms   runtime.memmove
             crypto/internal/fips140/sha256.blockSHANI
             net/http.(*conn).serve
-----------+-------------------------------------------------------
      10ms   runtime.futex
             runtime.mcall
-----------+-------------------------------------------------------
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []room{{"the sockets: read, write, poll", 0.6}, {"proving the caller: token, signature, AES-GCM", 0.3}, {restOfRooms, 0.1}}
	if len(rooms) != len(want) {
		t.Fatalf("got %v, want %v", rooms, want)
	}
	for i := range want {
		if rooms[i].name != want[i].name || rooms[i].share < want[i].share-0.001 || rooms[i].share > want[i].share+0.001 {
			t.Errorf("got %v, want %v", rooms[i], want[i])
		}
	}
	if _, err := readRooms("nothing"); err == nil {
		t.Error("a text without a trace is no error")
	}
}

func TestReadHeap(t *testing.T) {
	got := readHeap("Showing nodes\n      flat  flat%   sum%        cum   cum%\n 2097152B 66.6% 66.6%  2097152B 66.6%  github.com/rollcall-server/rollcall/internal/live.(*Book).Add (inline)\n")
	if len(got) != 1 || got[0].function != "live.(*Book).Add" || got[0].bytes != 2<<20 {
		t.Errorf("got %v", got)
	}
}

func TestSplitWords(t *testing.T) {
	words, err := splitWords(`"SET" "a\x00\"b" "\xff\r\n"`)
	if err != nil || len(words) != 3 || string(words[1]) != "a\x00\"b" || string(words[2]) != "\xff\r\n" {
		t.Errorf("got %q, %v", words, err)
	}
	if _, err := splitWords(`"SET`); err == nil {
		t.Error("a word without its end is no error")
	}
}

// What a script of Redis does, and what a monitor says of itself, is no command of
// a check.
func TestNote(t *testing.T) {
	h := &heard{count: map[string]int{}, last: map[string][][]byte{}}
	h.note("OK\r\n")
	h.note(`1700000000.1 [0 127.0.0.1:1] "EVALSHA" "sha" "1" "key" "value"` + "\r\n")
	h.note(`1700000000.1 [0 lua] "GET" "key"` + "\r\n")
	h.note(`1700000000.2 [0 127.0.0.1:1] "EVALSHA" "sha" "1" "other" "value"` + "\r\n")
	if len(h.names) != 1 || h.count["EVALSHAsha"] != 2 || string(h.last["EVALSHAsha"][3]) != "other" {
		t.Errorf("got %v, %v", h.names, h.count)
	}
}
