package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/storetest"
)

func TestStores(t *testing.T) {
	for name, o := range map[string]Options{
		"full":    {Sync: SyncFull},
		"normal":  {Sync: SyncNormal},
		"folding": {Sync: SyncNormal, foldLeast: 1},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, now func() time.Time) storetest.Backend {
				dir, o := t.TempDir(), o
				o.MaxClockSkew, o.Now = storetest.MaxClockSkew, now
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
	boot(t, s)
	_, err := start(t.Context(), s, session("player001"))
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
		ID: newID(), AgentID: "a1", Username: username, GameCode: "VP_230001_1", Mode: rollcall.ModeReal, GameServer: "s1", BootID: "b1",
		Device: rollcall.DevicePC, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en", Launch: rollcall.LaunchReal,
		Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletTransfer, LeaseSeconds: 90,
		StartedAt: now, SeenAt: now, ExpiresAt: now.Add(90 * time.Second), EndsAt: now.Add(12 * time.Hour),
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// start starts a session from a launch of its own.
func start(ctx context.Context, s *Store, session rollcall.Session) (rollcall.Session, error) {
	key, err := launch(ctx, s, session)
	if err != nil {
		return session, err
	}
	return startFrom(ctx, s, key, session)
}

func startFrom(ctx context.Context, s *Store, key string, session rollcall.Session) (rollcall.Session, error) {
	started, err := s.sessions.Start(ctx, roll.Start{LaunchKey: key, Session: session})
	return started.Session, err
}

func launch(ctx context.Context, s *Store, session rollcall.Session) (key string, err error) {
	l := roll.Launch{Key: newID(), Session: session, CreatedAt: session.StartedAt, ExpiresAt: session.StartedAt.Add(roll.LaunchTTL)}
	return l.Key, s.sessions.AddLaunch(ctx, l)
}

func boot(t testing.TB, s *Store) {
	t.Helper()
	must(t, s.sessions.Boot(context.Background(), "s1", "b1", time.Now()))
}

func left() roll.Ending { return roll.Ending{At: time.Now(), Reason: rollcall.EndLeft} }

// A disk that is full fails the changes, shows none of them, and harms nothing:
// when there is room again, it goes on.
func TestFullDisk(t *testing.T) {
	for _, least := range []int64{1, foldLeast} {
		t.Run(fmt.Sprint("fold at ", least), func(t *testing.T) { fullDisk(t, Options{foldLeast: least}) })
	}
}

func fullDisk(t *testing.T, o Options) {
	dir := t.TempDir()
	s := open(t, dir, o)
	defer func() { must(t, s.Close()) }()
	ctx := t.Context()
	boot(t, s)
	kept, err := start(ctx, s, session("player001"))
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
				_, err := start(ctx, s, session(fmt.Sprintf("full%d", i)))
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
	_, err = start(ctx, s, session("player002"))
	must(t, err)
	ended, err := s.sessions.End(ctx, []string{kept.ID}, left())
	must(t, err)
	if len(ended) != 1 {
		t.Errorf("ended %+v, want the first", ended)
	}
	again := live.NewBook(roll.Epoch{})
	_, _, err = replayed(ctx, s.main, again, time.Now())
	must(t, err)
	if d := cmp.Diff(holdingOf(s.sessions.book, nil), holdingOf(again, nil), byValue); d != "" {
		t.Errorf("the log (-held +replayed):\n%s", d)
	}
}

func TestClosedStore(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	must(t, s.Close())
	_, err := start(t.Context(), s, session("player001"))
	if !errors.Is(err, rollcall.ErrUnavailable) {
		t.Errorf("a Start after Close: %v, want ErrUnavailable", err)
	}
}
