package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// holdGroup holds a commit up, so that what comes until free is one group.
func holdGroup(t *testing.T, s *Store) (free func()) {
	t.Helper()
	release, done := hold(t, s), make(chan error)
	go func() { done <- s.sessions.Tell(context.Background(), rollcall.Receipt{GameServer: "s2"}) }()
	until(func() bool { return s.main.write.Stats().WaitCount > 0 })
	return func() {
		release()
		must(t, <-done)
	}
}

// A Boot and Starts of the boot before it may share a group: when the Boot is
// answered, each that was begun is there to be ended.
func TestBootAndStartInOneGroup(t *testing.T) {
	var commits []int
	s := open(t, t.TempDir(), Options{OnCommit: func(_ time.Duration, changes int) { commits = append(commits, changes) }})
	boot(t, s)
	const n = 20
	var keys []string
	for i := range n {
		key, err := launch(t.Context(), s, session(fmt.Sprint("player", i)))
		must(t, err)
		keys = append(keys, key)
	}
	commits = nil
	free := holdGroup(t, s)
	var all sync.WaitGroup
	all.Go(func() {
		check(t, s.sessions.Boot(context.Background(), "s1", "b2", time.Now()))
		list, err := s.sessions.List(context.Background(), rollcall.SessionFilter{GameServer: "s1"}, "", 100, time.Now())
		check(t, err)
		if len(list) != n {
			t.Errorf("when the Boot is answered, %d sessions are shown, want %d", len(list), n)
		}
	})
	for i := range n {
		all.Go(func() {
			_, err := startFrom(context.Background(), s, keys[i], session(fmt.Sprint("player", i)))
			check(t, err)
		})
	}
	until(func() bool { return gathered(s) == n+1 })
	free()
	all.Wait()
	must(t, s.Close())
	if len(commits) != 2 || commits[1] != n+1 {
		t.Errorf("commits of %v changes, want 1 and %d", commits, n+1)
	}
}

// check is must for goroutines that are not the test's own.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// A document that cannot be made is its caller's fault alone.
func TestOddChangeHarmsNoOther(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	free := holdGroup(t, s)
	var all sync.WaitGroup
	odd := session("player001")
	odd.Device = 7
	all.Go(func() {
		if _, err := launch(context.Background(), s, odd); err == nil {
			t.Error("an unknown device was stored")
		}
	})
	all.Go(func() {
		_, err := launch(context.Background(), s, session("player002"))
		check(t, err)
	})
	until(func() bool { return gathered(s) == 2 })
	free()
	all.Wait()
}

// A launch without a member starts one session, though no other touch keeps two
// Starts of it apart.
func TestStartsOfOneLaunchInOneGroup(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	key, err := launch(t.Context(), s, session(""))
	must(t, err)
	free := holdGroup(t, s)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			_, err := startFrom(context.Background(), s, key, session(""))
			check(t, err)
		})
	}
	until(func() bool { return gathered(s) == 5 })
	free()
	all.Wait()
	list, err := s.sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10, time.Now())
	must(t, err)
	if len(list) != 1 {
		t.Errorf("%d sessions, want 1", len(list))
	}
}

// onDisk has do under way, and on the disk, until free.
func onDisk(t *testing.T, s *Store, do func() error) (free func()) {
	t.Helper()
	release, done := hold(t, s), make(chan error)
	go func() { done <- do() }()
	until(func() bool { return s.main.write.Stats().WaitCount > 0 })
	return func() {
		release()
		must(t, <-done)
	}
}

// While a Boot is on the disk no Start of the boot before it is planned: who is told
// of the Boot, and ends what the boot before it had, would not see it.
func TestNothingIsPlannedBehindABoot(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	key, err := launch(t.Context(), s, session("player001"))
	must(t, err)
	free := onDisk(t, s, func() error { return s.sessions.Boot(context.Background(), "s1", "b2", time.Now()) })
	started := make(chan error)
	go func() {
		_, err := startFrom(context.Background(), s, key, session("player001"))
		started <- err
	}()
	until(func() bool { return gathered(s) == 1 })
	free()
	if err := <-started; !errors.Is(err, rollcall.ErrStaleBoot) {
		t.Errorf("a Start of the boot before: got %v, want ErrStaleBoot", err)
	}
}

// What touches what is on the disk is planned when that is shown.
func TestMemberOnTheDisk(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer func() { must(t, s.Close()) }()
	boot(t, s)
	var keys []string
	for range 2 {
		key, err := launch(t.Context(), s, session("player001"))
		must(t, err)
		keys = append(keys, key)
	}
	one := func(key string) error {
		_, err := s.sessions.Start(context.Background(), roll.Start{
			LaunchKey: key, Session: session("player001"), Limits: rollcall.SessionLimits{PerMember: 1, Policy: rollcall.LimitRefuse},
		})
		return err
	}
	free := onDisk(t, s, func() error { return one(keys[0]) })
	second := make(chan error)
	go func() { second <- one(keys[1]) }()
	until(func() bool { return gathered(s) == 1 })
	free()
	if err := <-second; !errors.Is(err, rollcall.ErrSessionLimit) {
		t.Errorf("a second session: got %v, want ErrSessionLimit", err)
	}
}
