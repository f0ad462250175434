package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A room is a part of what a server does, and its share of the CPU.
type room struct {
	name  string
	share float64
}

const ours = "github.com/rollcall-server/rollcall/"

// roomsBy says which function belongs to which room, by how its name begins. A
// sample is of the room of its innermost function that has one, so what a room
// allocates or copies is its own.
var roomsBy = []struct {
	name     string
	prefixes []string
}{
	{"garbage collector", []string{"runtime.gc", "runtime.bgsweep", "runtime.bgscavenge", "runtime.(*gc"}},
	{"the store: nonces, request records, its driver", []string{"modernc.org/", "database/sql", "github.com/redis/rueidis", "github.com/jackc", ours + "internal/store"}},
	{"proving the caller: token, signature, AES-GCM", []string{"crypto/", "github.com/golang-jwt", ours + "internal/auth"}},
	{"forms: headers, JSON in and out", []string{ours + "wire", "encoding/", "github.com/go-json-experiment"}},
	{"the rule and the live index", []string{ours + "internal/roll", ours + "internal/live", ours + "internal/vault"}},
	{"the server's own: routes, record, log, metrics", []string{ours + "internal/server", "log/slog", "github.com/prometheus", "github.com/google/uuid"}},
	{"HTTP: internal/h1, net/http", []string{ours + "internal/h1", "net/http", "net/textproto", "net/url", "bufio.", "mime", "context."}},
	{"the sockets: read, write, poll", []string{"net.", "internal/poll", "runtime.netpoll", "runtime.(*pollDesc"}},
}

const restOfRooms = "the scheduler, and what is in no other row"

// rooms says where the CPU of a node goes while it is loaded by a contender.
func (n *node) rooms(ctx context.Context, c *contender) ([]room, error) {
	profile, err := n.profile(ctx, c)
	if err != nil {
		return nil, err
	}
	text, err := n.pprof(ctx, profile, "-traces")
	if err != nil {
		return nil, err
	}
	return readRooms(text)
}

// pprof has go tool pprof write a profile as text.
func (n *node) pprof(ctx context.Context, profile []byte, flags ...string) (string, error) {
	file := filepath.Join(n.dir, "profile.pprof")
	if err := os.WriteFile(file, profile, 0o600); err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, "go", append(append([]string{"tool", "pprof"}, flags...), file)...).Output()
	if err != nil {
		err = fmt.Errorf("go tool pprof: %w", err)
	}
	return string(text), err
}

// writeRooms writes the rooms of what takes so many µs.
func writeRooms(out io.Writer, what string, rooms []room, micros float64) {
	fmt.Fprintf(out, "\nWhere the server's CPU of %s goes, from a profile taken behind the rounds:\n\n", what)
	var rows [][]string
	for _, r := range rooms {
		rows = append(rows, []string{r.name, number(100*r.share, 1) + " %", number(r.share*micros, 1)})
	}
	table(out, "what|of the CPU|µs", rows...)
}

// A heap is what of a server's memory a function has asked for, in bytes.
type heap struct {
	function string
	bytes    float64
}

// heapOf returns who holds most of the live heap of a node.
func (n *node) heapOf(ctx context.Context) ([]heap, error) {
	profile, err := n.get(ctx, "/debug/pprof/heap?gc=1")
	if err != nil {
		return nil, err
	}
	text, err := n.pprof(ctx, profile, "-sample_index=inuse_space", "-unit=B", "-top", "-nodecount=6")
	if err != nil {
		return nil, err
	}
	return readHeap(text), nil
}

// readHeap reads lines of 'go tool pprof -top', such as
// "1024B 50.0% 50.0% 2048B 100% github.com/x/y.(*T).f".
func readHeap(text string) (all []heap) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 6 || !strings.HasSuffix(words[0], "B") {
			continue
		}
		bytes, err := strconv.ParseFloat(strings.TrimSuffix(words[0], "B"), 64)
		if err == nil && bytes > 0 {
			all = append(all, heap{words[5][strings.LastIndex(words[5], "/")+1:], bytes})
		}
	}
	return all
}

// readRooms adds up the samples of a profile as 'go tool pprof -traces' writes it:
// blocks between lines of dashes, the time and the innermost function in front.
func readRooms(text string) ([]room, error) {
	sums, all := map[string]time.Duration{}, time.Duration(0)
	for block := range strings.SplitSeq(text, "-----------+") {
		took, frames := readTrace(block)
		sums[roomOf(frames)] += took
		all += took
	}
	if all == 0 {
		return nil, fmt.Errorf("no sample in the profile: %.200s", text)
	}
	var rooms []room
	for name, took := range sums {
		if took > 0 {
			rooms = append(rooms, room{name, took.Seconds() / all.Seconds()})
		}
	}
	slices.SortFunc(rooms, func(a, b room) int { return int(1e6 * (b.share - a.share)) })
	return rooms, nil
}

// readTrace returns the time of a block and its functions; 0 for one that is no
// trace.
func readTrace(block string) (took time.Duration, frames []string) {
	for i, line := range strings.Split(block, "\n")[1:] {
		words := strings.Fields(line)
		if i == 0 && len(words) >= 2 {
			d, err := time.ParseDuration(words[0])
			if err != nil {
				return 0, nil
			}
			took, words = d, words[1:]
		}
		if len(words) > 0 && took > 0 {
			frames = append(frames, words[0])
		}
	}
	return took, frames
}

func roomOf(frames []string) string {
	for _, frame := range frames {
		for _, r := range roomsBy {
			for _, prefix := range r.prefixes {
				if strings.HasPrefix(frame, prefix) {
					return r.name
				}
			}
		}
	}
	return restOfRooms
}
