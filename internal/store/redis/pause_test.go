package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// An engine that stands still for some seconds makes calls wait no longer than
// they may and a connection takes, and nothing else: all goes on as it was when it does.
func TestPaused(t *testing.T) {
	engine := enginetest.Redis(t)
	o := fresh()
	o.Timeout = time.Second
	o.Log = slog.New(slog.DiscardHandler)
	n := open(t, engine.URL(), o)
	s := n.start("player1")
	before := n.epoch()
	ahead := time.Until(n.Now())
	k, e := n.kickOf("player1")
	l := n.session("player2")
	key, err := n.launch(t.Context(), l)
	must(t, err)
	engine.Pause()
	resumed := time.AfterFunc(5*time.Second, engine.Resume)
	defer resumed.Stop()
	var all sync.WaitGroup
	for name, call := range map[string]func() error{
		"check": func() error { _, err := n.sessions.OfMember(t.Context(), "a1", "player1", n.Now()); return err },
		"start": func() error {
			_, err := n.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: l})
			return err
		},
		"heartbeat": func() error { _, err := n.sessions.Heartbeat(t.Context(), "s1", []string{s.ID}, n.Now()); return err },
		"boot":      func() error { return n.sessions.Boot(t.Context(), "s1", "b1", n.Now()) },
		"kick":      func() error { _, err := n.sessions.EndMember(t.Context(), "a1", "nobody", e, &k); return err },
		"nonce":     func() error { _, err := n.nonces.Claim(t.Context(), "a1", "x", n.Now()); return err },
		"list": func() error {
			_, err := n.sessions.List(t.Context(), rollcall.SessionFilter{}, "", 1, n.Now())
			return err
		},
		"expire":  func() error { _, err := n.sessions.Expire(t.Context(), n.Now(), 10); return err },
		"changes": func() error { _, err := n.sessions.Changes(t.Context(), nil, 10); return err },
		"ping":    func() error { return n.sessions.Ping(t.Context()) },
		"look":    func() error { return n.epochs.check(t.Context()) },
	} {
		all.Go(func() {
			within(t, 2*o.Timeout, name, func() { wantUnavailable(t, name, call()) })
		})
	}
	all.Wait()
	eventually(t, func() error { return n.sessions.Ping(t.Context()) })
	if got := n.of("player1"); got != s.ID {
		t.Errorf("[%s] is there, want [%s]", got, s.ID)
	}
	if n.epoch() != before {
		t.Error("a pause is a new epoch")
	}
	if off := time.Until(n.Now()) - ahead; off.Abs() > 100*time.Millisecond {
		t.Errorf("the clock went off by %v", off)
	}
	if got, err := n.sessions.Get(t.Context(), s.ID, n.Now()); err != nil || got.ExpiresAt.Before(s.ExpiresAt) {
		t.Errorf("the lease ends at %v, %v; want %v or later", got.ExpiresAt, err, s.ExpiresAt)
	}
	// What was asked for may have come to be, but only as it was asked for.
	if list, err := n.sessions.OfMember(t.Context(), "a1", "player2", n.Now()); err != nil || len(list) > 1 {
		t.Errorf("%d sessions of player2, %v", len(list), err)
	}
	_, err = n.sessions.Start(t.Context(), roll.Start{LaunchKey: key, Session: l})
	must(t, err)
}

// Who goes away does not keep a change that is made from being told of, and who
// goes away before finds that nothing was.
func TestCancelled(t *testing.T) {
	n := open(t, enginetest.Redis(t).URL(), fresh())
	s := n.start("player1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	k, e := n.kickOf("player1")
	_, err := n.sessions.EndMember(gone, "a1", "player1", e, &k)
	wantUnavailable(t, "a kick by who has gone", err)
	if !errors.Is(err, context.Canceled) || n.of("player1") != s.ID {
		t.Errorf("got %v, and [%s] is there", err, n.of("player1"))
	}
	// Between the change and what follows it.
	g := n.kicked(t, "player1")
	n.sessions.carry(gone, g)
	if got := n.pending(); len(got) != 1 {
		t.Errorf("pending are %v, want one", got)
	}
	if left := n.journal(); left != 0 {
		t.Errorf("%d entries are left in the journal", left)
	}
}
