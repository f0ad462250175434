package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

func TestStores(t *testing.T) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		t.Run(string(sync), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Backend {
				dir := t.TempDir()
				o := Options{MaxClockSkew: storetest.MaxClockSkew, Sync: sync, Now: now}
				s := open(t, dir, o)
				t.Cleanup(func() { must(t, s.Close()) })
				return storetest.Backend{Stores: s.Stores(), Reopen: func(t *testing.T) roll.Stores {
					t.Helper()
					must(t, s.Close())
					s = open(t, dir, o)
					return s.Stores()
				}}
			})
		})
	}
}

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, o)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	_, err := Open(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "another process has this data directory open") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Open: %v", err)
	}
	must(t, s.Close())
	must(t, open(t, dir, Options{}).Close())
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir?with [odd] #names%20")
	s := open(t, dir, Options{})
	_, err := s.sessions.Start(t.Context(), session("player001"))
	must(t, err)
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) < 4 {
		t.Errorf("files: %v", files)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v; want 0700", dir, info.Mode(), err)
	}
	must(t, s.Close())
}

func TestNewerFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	_, err := s.main.write.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	must(t, err)
	must(t, s.Close())
	if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer rollcall") {
		t.Errorf("got %v", err)
	}
}

func session(username string) rollcall.Session {
	now := time.Now()
	return rollcall.Session{
		ID: uuid.Must(uuid.NewV7()).String(), AgentID: "a1", Username: username, GameCode: "VP_230001_1", Mode: rollcall.ModeReal, GameServer: "s1",
		Device: rollcall.DevicePC, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en", Launch: rollcall.LaunchReal,
		Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletTransfer,
		StartedAt: now, SeenAt: now, ExpiresAt: now.Add(90 * time.Second), EndsAt: now.Add(12 * time.Hour),
	}
}

// A disk that is full fails the changes, shows none of them, and harms nothing:
// when there is room again, it goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	ctx := t.Context()
	kept, err := s.sessions.Start(ctx, session("player001"))
	must(t, err)
	pages := func(n int) {
		t.Helper()
		_, err := s.main.write.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
		must(t, err)
	}
	pages(1) // SQLite makes it as many as there are
	var failed, done int
	for range 200 {
		var group sync.WaitGroup
		var mu sync.Mutex
		for i := range 16 {
			group.Go(func() {
				_, err := s.sessions.Start(ctx, session(fmt.Sprintf("full%d", i)))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done++
				case errors.Is(err, rollcall.ErrUnavailable):
					failed++
				default:
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		group.Wait()
		if failed > 0 {
			break
		}
	}
	if failed == 0 {
		t.Fatal("the disk was never full")
	}
	shown, err := s.sessions.Counts(ctx)
	must(t, err)
	if shown[0].Count != done+1 {
		t.Errorf("%d sessions are shown, %d were answered", shown[0].Count, done+1)
	}
	if err := s.directory.Ping(ctx); err != nil && !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
	pages(1 << 30)
	must(t, s.sessions.Ping(ctx))
	_, err = s.sessions.Start(ctx, session("player002"))
	must(t, err)
	_, err = s.sessions.End(ctx, kept.ID, time.Now())
	must(t, err)
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func claim(t *testing.T, s *Store, nonce string, at time.Time) bool {
	t.Helper()
	fresh, err := s.nonces.Claim(t.Context(), "a1", nonce, at)
	must(t, err)
	return fresh
}

// die leaves the directory as the death of the process does: nothing is closed
// in the files.
func die(t *testing.T, s *Store) {
	t.Helper()
	broken := errors.New("dead")
	s.nonces.journal.broken.Store(&broken) // close writes nothing more
	must(t, s.Close())
}

// The machine dies, and with it every claim that was not synced. What may have
// been lost is refused; what is later is not.
func TestNoncesAfterTheMachineDied(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	o := Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now, bootID: "boot 1"}
	s := open(t, dir, o)
	start := c.Now()
	if !claim(t, s, "first", start) { // this one waits for a sync, which moves the mark
		t.Fatal("refused")
	}
	synced := size(t, dir)
	if !claim(t, s, "second", start.Add(time.Second)) { // this one does not
		t.Fatal("refused")
	}
	far := start.Add(4 * time.Minute)
	if !claim(t, s, "far ahead", far) { // beyond the mark: waits
		t.Fatal("refused")
	}
	_ = synced
	die(t, s)

	o.bootID = "boot 2"
	truncateUnsynced(t, dir, synced) // the worst that the disk may have kept
	s = open(t, dir, o)
	for nonce, at := range map[string]time.Time{"first": start, "second": start.Add(time.Second), "third": start.Add(2 * time.Second), "new": start.Add(markAhead)} {
		if claim(t, s, nonce, at) {
			t.Errorf("%s, from before the machine died, was let in", nonce)
		}
	}
	if !claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a timestamp beyond the mark was refused")
	}
	must(t, s.Close())

	// Closed in good order, another boot refuses nothing more than the first
	// death asks for.
	o.bootID = "boot 3"
	s = open(t, dir, o)
	if claim(t, s, "later", start.Add(markAhead+time.Millisecond)) {
		t.Error("a claim was forgotten")
	}
	if !claim(t, s, "after boot 3", start.Add(markAhead+2*time.Millisecond)) {
		t.Error("a new claim was refused")
	}
	must(t, s.Close())
}

// size returns how many bytes the newest segment has.
func size(t *testing.T, dir string) int64 {
	t.Helper()
	paths, err := segments(dir)
	must(t, err)
	info, err := os.Stat(paths[len(paths)-1])
	must(t, err)
	return info.Size()
}

func truncateUnsynced(t *testing.T, dir string, synced int64) {
	t.Helper()
	paths, err := segments(dir)
	must(t, err)
	must(t, os.Truncate(paths[len(paths)-1], synced))
}

// A journal that cannot be written refuses claims, and goes on when it can be.
func TestJournalThatCannotBeWritten(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, t.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	defer func() { must(t, s.Close()) }()
	j := s.nonces.journal
	claim(t, s, "before", c.Now())
	readOnly, err := os.Open(j.file.Name())
	must(t, err)
	defer readOnly.Close()
	swap := func(f *os.File) *os.File {
		j.mu.Lock()
		defer j.mu.Unlock()
		was := j.file
		j.file = f
		return was
	}
	whole := swap(readOnly)
	for i, ahead := range []time.Duration{0, time.Minute} {
		_, err := s.nonces.Claim(t.Context(), "a1", fmt.Sprint("refused", i), c.Now().Add(ahead))
		if !errors.Is(err, rollcall.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
	j.mu.Lock()
	j.dirty = true // what is to be synced cannot be either
	j.mu.Unlock()
	if err := j.sync(); err == nil {
		t.Error("a sync that could not write its mark was good")
	}
	swap(whole)
	must(t, j.sync())
	for i, ahead := range []time.Duration{0, time.Minute} {
		if !claim(t, s, fmt.Sprint("after", i), c.Now().Add(ahead)) {
			t.Error("a claim was refused after the fault had passed")
		}
	}
	if claim(t, s, "refused0", c.Now()) {
		t.Error("a claim that was not answered was answered later: it may have been written")
	}
}

// A claim beyond the mark is on the disk when it is answered; one up to it need
// not be.
func TestClaimsBeyondTheMarkAreSynced(t *testing.T) {
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, t.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	defer func() { must(t, s.Close()) }()
	j := s.nonces.journal
	for i, ahead := range []time.Duration{0, time.Minute, 4 * time.Minute, time.Second, 5 * time.Minute} {
		at := c.Now().Add(ahead)
		claim(t, s, fmt.Sprint("n", i), at)
		j.mu.Lock()
		if waits := len(j.waiters); waits != 0 {
			t.Errorf("answered while %d wait for a sync", waits)
		}
		j.mu.Unlock()
		if mark := j.mark.Load(); at.UnixMilli() > mark && j.dirtyNow() {
			t.Errorf("claim %d, beyond the mark, was answered and not synced", i)
		}
		c.add(time.Second)
	}
}

func (j *journal) dirtyNow() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dirty
}

// The process dies: the kernel has all that was written, and nothing more is
// refused.
func TestNoncesAfterTheProcessDied(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxClockSkew: storetest.MaxClockSkew}
	now := time.Now()
	for round := range 3 {
		s := open(t, dir, o)
		for i := range round {
			if claim(t, s, fmt.Sprint("nonce", i), now) {
				t.Errorf("nonce %d was forgotten", i)
			}
		}
		if !claim(t, s, fmt.Sprint("nonce", round), now) {
			t.Errorf("a new nonce with a timestamp of before was refused in round %d", round)
		}
		die(t, s)
	}
}

func TestTornJournal(t *testing.T) {
	dir := t.TempDir()
	o := Options{MaxClockSkew: storetest.MaxClockSkew}
	now := time.Now()
	s := open(t, dir, o)
	claim(t, s, "whole", now)
	claim(t, s, "torn", now)
	die(t, s)
	paths, err := segments(dir)
	must(t, err)
	last := paths[len(paths)-1]
	must(t, os.Truncate(last, size(t, dir)-1))
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000900.log"), nil, 0o600))               // made, and nothing written
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000901.log"), make([]byte, 500), 0o600)) // written as zeros
	s = open(t, dir, o)
	if claim(t, s, "whole", now) {
		t.Error("a whole record before a torn one was forgotten")
	}
	must(t, s.Close())
	damaged := append([]byte("something else"), make([]byte, 100)...)
	must(t, os.WriteFile(filepath.Join(dir, "nonces-0000000950.log"), damaged, 0o600))
	if _, err := Open(t.Context(), dir, o); err == nil || !strings.Contains(err.Error(), "nonces-0000000950.log") {
		t.Errorf("a file that is no journal: %v", err)
	}
}

// Segments whose every claim may be forgotten are deleted, and none before.
func TestJournalRotates(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: time.UnixMilli(1_770_000_000_000)}
	s := open(t, dir, Options{MaxClockSkew: storetest.MaxClockSkew, Now: c.Now})
	defer func() { must(t, s.Close()) }()
	for i := range 60 {
		c.add(time.Minute)
		if !claim(t, s, fmt.Sprint("n", i), c.Now()) {
			t.Fatalf("claim %d was refused", i)
		}
	}
	paths, err := segments(dir)
	must(t, err)
	if len(paths) != 3 {
		t.Errorf("%d segments after an hour, want 3", len(paths))
	}
}

func TestRecordsAreWhole(t *testing.T) {
	r := record{key: [16]byte{1, 2, 3}, at: time.UnixMilli(1_770_000_000_123)}
	text := r.bytes()
	if len(text) != recordSize {
		t.Fatalf("%d bytes, want %d", len(text), recordSize)
	}
	got, ok := parseRecord(text)
	if !ok || got.key != r.key || !got.at.Equal(r.at) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for bit := range recordSize * 8 {
		text[bit/8] ^= 1 << (bit % 8)
		if _, ok := parseRecord(text); ok {
			t.Errorf("bit %d changed, and the record is good", bit)
		}
		text[bit/8] ^= 1 << (bit % 8)
	}
	if _, ok := parseRecord(make([]byte, recordSize)); ok {
		t.Error("zeros are a record")
	}
	if binary.BigEndian.Uint64(text[16:]) != 1_770_000_000_123 {
		t.Error("the timestamp is not where the comment draws it")
	}
}

func TestClosedStore(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	must(t, s.Close())
	_, err := s.sessions.Start(t.Context(), session("player001"))
	if !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a Start after Close: %v, want ErrUnavailable", err)
	}
}

func TestManySessionsLoad(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Sync: SyncNormal})
	const n = 5000
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := s.sessions.Start(context.Background(), session(fmt.Sprintf("player%04d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	must(t, s.Close())
	s = open(t, dir, Options{})
	counts, err := s.sessions.Counts(t.Context())
	must(t, err)
	if len(counts) != 1 || counts[0].Count != n {
		t.Errorf("got %+v, want %d", counts, n)
	}
	must(t, s.Close())
}

// BenchmarkStart is the cost of a durable Start from many sides at once.
func BenchmarkStart(b *testing.B) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			b.SetParallelism(128)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := session("")
					id.Username = id.ID
					if _, err := s.sessions.Start(context.Background(), id); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkStartAlone is the time of one Start when nothing else goes on.
func BenchmarkStartAlone(b *testing.B) {
	for _, sync := range []Sync{SyncFull, SyncNormal} {
		b.Run(string(sync), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{Sync: sync})
			defer func() { must(b, s.Close()) }()
			for b.Loop() {
				if _, err := s.sessions.Start(context.Background(), session("player001")); err != nil {
					b.Fatal(err)
				}
				if _, err := s.sessions.EndMember(context.Background(), "a1", "player001", time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClaim is the cost of making a nonce durable.
func BenchmarkClaim(b *testing.B) {
	s := open(b, b.TempDir(), Options{MaxClockSkew: storetest.MaxClockSkew})
	defer func() { must(b, s.Close()) }()
	i := 0
	for b.Loop() {
		i++
		if fresh, err := s.nonces.Claim(context.Background(), "a1", fmt.Sprintf("%032d", i), time.Now()); err != nil || !fresh {
			b.Fatal(fresh, err)
		}
	}
}

// BenchmarkOfMember is the read of every check.
func BenchmarkOfMember(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	defer func() { must(b, s.Close()) }()
	if _, err := s.sessions.Start(context.Background(), session("player001")); err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	for b.Loop() {
		if list, err := s.sessions.OfMember(context.Background(), "a1", "player001", now); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}
