package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
	"github.com/rollcall-server/rollcall/internal/store/memory"
)

// combos are the ways in which stores go together.
var combos = []string{"embedded", "redis", "postgres", "redis+postgres"}

// An engineRoom makes options for stores that are empty.
type engineRoom struct {
	t     *testing.T
	redis *enginetest.RedisServer
	made  int
}

func (e *engineRoom) options(combo string) Options {
	e.t.Helper()
	e.made++
	o := Options{Data: e.t.TempDir(), Log: slog.New(slog.DiscardHandler), RedisPrefix: fmt.Sprintf("rc%d", e.made)}
	if combo == "redis" || combo == "redis+postgres" {
		o.Sessions = e.redis.URL()
	}
	if combo == "postgres" || combo == "redis+postgres" {
		o.Directory = enginetest.Postgres(e.t).Database(e.t)
	}
	if !o.Embedded() {
		o.Data = ""
	}
	return o
}

func openStores(t *testing.T, o Options) *Stores {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // a second time is no matter
	return s
}

func export(t *testing.T, s *Stores) []byte {
	t.Helper()
	var dump bytes.Buffer
	sum, err := Export(t.Context(), s, &dump, ExportOptions{Version: "test", Source: "here"})
	must(t, err)
	if sum.Bytes != int64(dump.Len()) || sum.Counts[kindMember] != fillMembers {
		t.Fatalf("summary %+v of %d bytes", sum, dump.Len())
	}
	return dump.Bytes()
}

// TestMove: everything is the same in other stores, whichever they are and
// whichever it comes from; also for who opens them anew.
func TestMove(t *testing.T) {
	t.Parallel()
	room := &engineRoom{t: t, redis: enginetest.Redis(t)}
	for _, from := range combos {
		targets := make(map[string]Options)
		for _, to := range combos {
			targets[to] = room.options(to)
			must(t, openStores(t, targets[to]).Close()) // before the sessions begin
		}
		source := openStores(t, room.options(from))
		fill(t, source)
		want, dump := contents(t, source), export(t, source)
		for kind, least := range map[string]int{"audit": 1500, "ended": 10, "session": 30, "kick": 2, "receipt": 7, "pending": 6, "delivery": 2, "request": fillRequests, "boot": 3} {
			if len(want[kind]) < least {
				t.Fatalf("%s: %d of kind %s, want at least %d: the test would show nothing", from, len(want[kind]), kind, least)
			}
		}
		for _, to := range combos {
			t.Run(from+" to "+to, func(t *testing.T) {
				o := targets[to]
				target := openStores(t, o)
				done, err := Import(t.Context(), target, bytes.NewReader(dump), ImportOptions{})
				must(t, err)
				if done.Resumed || done.There != 0 || len(done.Refused) != 0 || done.Records() != int64(bytes.Count(dump, []byte("\n"))-1) {
					t.Errorf("got %+v", done)
				}
				wantSame(t, contents(t, target), want)
				wantGuarded(t, target)
				must(t, target.Close())
				again := openStores(t, o)
				wantSame(t, contents(t, again), want)
				done, err = Import(t.Context(), again, bytes.NewReader(dump), ImportOptions{})
				if err != nil || done.Before.IsZero() {
					t.Errorf("a second import: got %+v, %v; want it to say when the first was", done, err)
				}
				wantSame(t, contents(t, again), want)
			})
		}
	}
}

// wantGuarded: a request that was signed before the move is refused, a later one
// is not.
func wantGuarded(t *testing.T, s *Stores) {
	t.Helper()
	claim := func(nonce string, at time.Time) bool {
		fresh, err := s.Nonces.Claim(t.Context(), "a1", nonce, at)
		if errors.Is(err, rollcall.ErrUnavailable) {
			return false // refused too: to be signed anew
		}
		must(t, err)
		return fresh
	}
	if claim("before", s.Clock()().Add(-time.Minute)) {
		t.Error("a request that was signed before is taken")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; !claim(fmt.Sprint("later", n), s.Clock()()); n++ {
		if <-tick.C; n == 200 {
			t.Fatal("no request is taken")
		}
	}
}

var errBroken = errors.New("broken off")

// A breaking reader gives little at a time, and breaks in its second reading.
type breaking struct {
	*bytes.Reader

	seeks, after int
}

func (b *breaking) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		b.seeks++
	}
	return b.Reader.Seek(offset, whence)
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.seeks == 2 && b.Size()-int64(b.Len()) >= int64(b.after) {
		return 0, errBroken
	}
	return b.Reader.Read(p[:min(len(p), 256)])
}

// TestImportGoesOn: an import that is broken off, again and again, comes to the
// same end as one that is not.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	room := &engineRoom{t: t, redis: enginetest.Redis(t)}
	source := openStores(t, room.options("embedded"))
	fill(t, source)
	want, dump := contents(t, source), export(t, source)
	live := bytes.Index(dump, []byte(kindPrefix+kindLive))
	for _, to := range combos {
		t.Run(to, func(t *testing.T) {
			o := room.options(to)
			breaks := []int{len(dump) / 3}
			for at := live; at < len(dump); at += (len(dump) - live) / 6 { // what is live is the harder part
				breaks = append(breaks, at+rand.IntN(1000))
			}
			for _, at := range breaks {
				target := openStores(t, o)
				_, err := Import(t.Context(), target, &breaking{Reader: bytes.NewReader(dump), after: at}, ImportOptions{})
				if !errors.Is(err, errBroken) && at < len(dump) {
					t.Fatalf("at %d of %d: got %v", at, len(dump), err)
				}
				must(t, target.Close())
			}
			target := openStores(t, o)
			done, err := Import(t.Context(), target, bytes.NewReader(dump), ImportOptions{})
			must(t, err)
			if !done.Resumed && done.Before.IsZero() {
				t.Errorf("got %+v, want it to have gone on", done)
			}
			wantSame(t, contents(t, target), want)
		})
	}
}

func inMemory() *Stores { return &Stores{Stores: memory.New(memory.Options{}).Stores()} }

// TestDamagedDump: a dump of which one byte is another, or that is cut off, is
// refused, and nothing of it is stored.
func TestDamagedDump(t *testing.T) {
	t.Parallel()
	source := inMemory()
	fill(t, source)
	dump := export(t, source)
	refused := func(what string, text []byte) {
		t.Helper()
		target := inMemory()
		_, err := Import(t.Context(), target, bytes.NewReader(text), ImportOptions{})
		if stored, _ := target.holds(t.Context()); err == nil || stored != "" {
			t.Errorf("%s: got %v, and %q are stored", what, err, stored)
		}
	}
	last := bytes.LastIndexByte(dump[:len(dump)-1], '\n') + 1
	places := []int{}
	for range 100 {
		places = append(places, rand.IntN(len(dump)), rand.IntN(200), last+rand.IntN(len(dump)-last))
	}
	for _, at := range places {
		text := bytes.Clone(dump)
		text[at] ^= 1 << rand.IntN(7)
		refused(fmt.Sprintf("one bit at %d of %d", at, len(dump)), text)
	}
	for _, size := range []int{0, 1, 300, len(dump) / 2, last - 1, last, len(dump) - 1} {
		refused(fmt.Sprintf("the first %d of %d", size, len(dump)), dump[:size])
	}
	refused("something behind the end", append(bytes.Clone(dump), '\n'))
	refused("twice", append(bytes.Clone(dump), dump...))
	lines := bytes.SplitAfter(dump, []byte("\n"))
	refused("two lines changed over", bytes.Join(append([][]byte{lines[0], lines[2], lines[1]}, lines[3:]...), nil))
}

// TestImportRefuses: stores that hold something else, and another master key.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	source := inMemory()
	fill(t, source)
	dump := export(t, source)
	other := inMemory()
	fill(t, other)
	if _, err := Import(t.Context(), other, bytes.NewReader(dump), ImportOptions{}); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("into stores that hold something: got %v", err)
	}
	wrong := errors.New("another master key")
	target := inMemory()
	_, err := Import(t.Context(), target, bytes.NewReader(dump), ImportOptions{Check: func(roll.TokenKey) error { return wrong }})
	if what, _ := target.holds(t.Context()); !errors.Is(err, wrong) || what != "" {
		t.Errorf("under another master key: got %v, and %q are stored", err, what)
	}
}

// TestImportMerges: what is there stays, and what is not comes.
func TestImportMerges(t *testing.T) {
	t.Parallel()
	source := inMemory()
	fill(t, source)
	target := inMemory() // whose epoch is later than the sessions
	f := &filler{t, target, time.Now().UTC()}
	d := target.Directory
	must(t, d.Branches().Create(t.Context(), f.entry("own", "THB"), "THB", rollcall.Branch{ID: "THB", Currency: "OWN"}))
	must(t, d.Note(t.Context(), f.entry("note", "")))
	done, err := Import(t.Context(), target, bytes.NewReader(export(t, source)), ImportOptions{Merge: true})
	must(t, err)
	own, err := d.Branches().Get(t.Context(), "THB")
	must(t, err)
	if done.There != 1 || own.Currency != "OWN" {
		t.Errorf("got %d that were there and %+v, want the one branch, as it was", done.There, own)
	}
	want, got := contents(t, source), contents(t, target)
	if len(got["audit"]) != len(want["audit"])+2 {
		t.Errorf("%d audit entries, want the other's and two", len(got["audit"]))
	}
	for _, kind := range []string{"audit", "branch"} {
		delete(got, kind)
		delete(want, kind)
	}
	wantSame(t, got, want)
}
