package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

// hold takes the connection that writes, so that the next group has to wait, and
// returns what frees it.
func hold(t *testing.T, s *Store) (free func()) {
	t.Helper()
	conn, err := s.main.write.Conn(t.Context())
	must(t, err)
	return func() { must(t, conn.Close()) }
}

// until gives way to other goroutines until ok.
func until(ok func() bool) {
	for !ok() {
		runtime.Gosched()
	}
}

// gathered is how many changes wait while a group is on the disk.
func gathered(s *Store) int {
	return len(s.sessions.writer.queue) + int(s.sessions.writer.ahead.Load())
}

// What gathers while one commit waits goes into the next, all but a second
// change of one member.
func TestGroupCommit(t *testing.T) {
	var commits []int
	s := open(t, t.TempDir(), Options{OnCommit: func(_ time.Duration, changes int) { commits = append(commits, changes) }})
	boot(t, s)
	var keys []string
	names := []string{"first", "player0"}
	for i := range 20 {
		names = append(names, fmt.Sprint("player", i))
	}
	for _, username := range names {
		key, err := launch(t.Context(), s, session(username))
		must(t, err)
		keys = append(keys, key)
	}
	commits = nil
	free := hold(t, s)
	var all sync.WaitGroup
	begin := func(i int) {
		all.Go(func() {
			if _, err := startFrom(context.Background(), s, keys[i], session(names[i])); err != nil {
				t.Error(err)
			}
		})
	}
	begin(0)
	until(func() bool { return s.main.write.Stats().WaitCount > 0 })
	for i := range 21 {
		begin(i + 1)
	}
	until(func() bool { return gathered(s) == 21 })
	free()
	all.Wait()
	must(t, s.Close())
	if !slices.Equal(commits, []int{1, 20, 1}) {
		t.Errorf("commits of %v changes, want 1, 20, 1", commits)
	}
}

// Who gives up while a change waits is told so; trying again does no harm,
// whether the change was made or not.
func TestGivingUp(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	wanted, given := session("player001"), make(chan error)
	key, err := launch(t.Context(), s, wanted)
	must(t, err)
	free := hold(t, s)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		_, err := startFrom(ctx, s, key, wanted)
		given <- err
	}()
	until(func() bool { return s.main.write.Stats().WaitCount > 0 })
	giveUp()
	if err := <-given; !errors.Is(err, context.Canceled) || !errors.Is(err, rollcall.ErrUnavailable) || !strings.Contains(err.Error(), "start session") {
		t.Errorf("got %v", err)
	}
	shown, err := s.sessions.OfMember(t.Context(), "a1", "player001", time.Now())
	must(t, err)
	if len(shown) != 0 {
		t.Error("shown before it was durable")
	}
	free()
	again, err := startFrom(t.Context(), s, key, wanted)
	must(t, err)
	shown, err = s.sessions.OfMember(t.Context(), "a1", "player001", time.Now())
	must(t, err)
	if len(shown) != 1 || again.ID != wanted.ID {
		t.Errorf("shown %+v, want the one", shown)
	}
}

// A page of members is read from the primary key, from its first row to its
// last.
func TestPagesAreRanges(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	for _, page := range [][2]string{{"", ""}, {"a1/", ""}, {"a1/", "a1/m1"}} {
		query, from := s.directory.members.selectPage(page[0], page[1])
		var id, parent, unused int
		var plan string
		must(t, s.main.read.QueryRow(`EXPLAIN QUERY PLAN `+query, from, page[0]+"\x7f", 10).Scan(&id, &parent, &unused, &plan))
		if plan != "SEARCH members USING PRIMARY KEY (key>? AND key<?)" {
			t.Errorf("%q: %s", page, plan)
		}
		if from < page[0] || from < page[1] {
			t.Errorf("%q begins at %q", page, from)
		}
	}
}

func TestOptions(t *testing.T) {
	_, err := Open(t.Context(), t.TempDir(), Options{Sync: "ful"})
	if !errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("an unknown Sync: %v, want ErrInvalid", err)
	}
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	if claim(t, s, "n", time.Now()); claim(t, s, "n", time.Now()) {
		t.Error("the zero Options remember no nonce")
	}
}
