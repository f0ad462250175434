package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	chaosCheckers = 8
	chaosGame     = "CHAOS_1"
	// chaosPause is what a client waits for before it repeats a call that failed,
	// whatever Retry-After says, so that the gaps that are measured are not its own.
	chaosPause = 100 * time.Millisecond
	// Sessions of members who stay are there from the beginning to the end, those
	// of the others last for a moment and are kicked too.
	chaosStayers, chaosStays = 8, 3
	chaosMovers              = 16
)

// play has a member launch and play, again and again.
func (c *chaos) play(member string, moves bool) {
	for pass(c.load, rand.N(300*time.Millisecond)) {
		s := c.book.launch(member)
		token := c.launch(s)
		if token == "" || !c.begin(s, token) {
			continue
		}
		d := time.Hour
		if moves {
			d = time.Second + rand.N(3*time.Second)
		}
		c.stay(s, d)
	}
}

// launch returns a launch token, or "" where the load ends before there is one.
func (c *chaos) launch(s *stay) (token string) {
	r := wire.OpenGameRequest{IPAddress: s.ip, Lang: "en", GameCode: chaosGame, Username: s.member}
	for c.load.Err() == nil {
		opened, err := c.agent.OpenGame(c.life, r)
		if err == nil {
			c.book.launched(s)
			to, err := url.Parse(opened.GameLaunchURL)
			if err != nil {
				c.book.note("launch URL", "%v", err)
				return ""
			}
			return to.Query().Get("token")
		}
		c.failed("launch", err)
		pass(c.load, chaosPause)
	}
	return ""
}

// failed counts a call that failed, and notes one that may not.
func (c *chaos) failed(call string, err error) {
	kind, allowed := kindOf(err)
	c.tally.count(call + " failed: " + kind)
	if !allowed && c.life.Err() == nil {
		c.book.note(call+" refused", "%v", err)
	}
}

// begin starts a session, as a game server does that repeats what was not answered.
func (c *chaos) begin(s *stay, token string) bool {
	on := c.servers[rand.IntN(len(c.servers))]
	c.book.starting(s, on)
	for begun := time.Now(); time.Since(begun) < 20*time.Second && c.life.Err() == nil; pass(c.life, chaosPause) {
		got, err := on.Start(c.life, token)
		if err == nil {
			c.tally.count("starts")
			c.book.started(s, got.ID)
			if off := time.Since(got.StartedAt); off < -time.Second || off > time.Since(begun)+time.Second {
				c.book.note("clock", "session %s says that it began %s ago", got.ID, off)
			}
			return true
		}
		if fault, ok := errors.AsType[*wire.FaultError](err); ok && fault.Status < 500 && fault.Status != http.StatusTooManyRequests {
			c.refused(s, err)
			return false
		}
		c.failed("start", err)
	}
	c.book.giveUp(s)
	return false
}

// refused notes a start that was refused for good. A kick voids a launch; what
// else is there was lost.
func (c *chaos) refused(s *stay, err error) {
	voided := errors.Is(err, rollcall.ErrLaunchVoided) || errors.Is(err, rollcall.ErrLaunchUsed)
	switch {
	case voided && c.book.mayEnd(s):
		c.tally.count("starts voided by a kick")
	case errors.Is(err, rollcall.ErrLaunchUnknown) || errors.Is(err, rollcall.ErrLaunchUsed):
		c.tally.count("launches lost")
		if !c.fault.forgets {
			c.book.note("launch lost", "%s of %s: %v", s.ip, s.member, err)
		}
	default:
		c.book.note("start refused", "%s of %s: %v", s.ip, s.member, err)
	}
	c.book.giveUp(s)
}

// stay plays until the member leaves, or is made to.
func (c *chaos) stay(s *stay, d time.Duration) {
	leave := time.NewTimer(d)
	defer leave.Stop()
	select {
	case <-s.gone:
	case <-leave.C:
		if c.load.Err() == nil {
			c.book.giveUp(s)
			c.end(s, "")
			return
		}
		select { // the others stay, and are compared
		case <-s.gone:
		case <-c.life.Done():
			return
		}
	case <-c.life.Done():
		return
	}
	c.book.mu.Lock()
	settle := s.told
	c.book.mu.Unlock()
	if settle {
		c.end(s, "settled "+s.ip)
	}
}

// end has a game server say that a session has ended, until that is answered.
func (c *chaos) end(s *stay, note string) {
	for c.life.Err() == nil {
		err := s.server.End(c.life, s.id, wire.EndRequest{Note: note})
		if err == nil {
			c.tally.count("ends")
			c.book.ended(s, note != "")
			return
		}
		c.failed("end", err)
		pass(c.life, chaosPause)
	}
}

// kick kicks a member who moves, now and then.
func (c *chaos) kick() {
	for pass(c.load, 100*time.Millisecond+rand.N(200*time.Millisecond)) {
		member := chaosMover(rand.IntN(chaosMovers))
		attempt, answered := c.book.kick(member)
		for c.life.Err() == nil {
			attempt()
			err := c.agent.KickMember(c.life, member)
			if err == nil {
				c.tally.count("kicks")
				answered()
				break
			}
			c.failed("kick", err)
			pass(c.life, chaosPause)
		}
	}
}

// check checks members, one after the other.
func (c *chaos) check() {
	k := c.checker()
	for pass(c.load, 10*time.Millisecond+rand.N(20*time.Millisecond)) {
		member := chaosMover(rand.IntN(chaosMovers))
		if rand.IntN(2) == 0 {
			member = chaosStayer(rand.IntN(chaosStayers))
		}
		if _, err := k.check(c.life, member); err != nil {
			pass(c.load, chaosPause)
		}
	}
}

// A chaosChecker is an integrator who checks.
type chaosChecker struct {
	c    *chaos
	with *client.Client
}

func (c *chaos) checker() *chaosChecker {
	return &chaosChecker{c: c, with: c.client(c.replays.keep)}
}

// check returns the IPs of a member's sessions.
func (k *chaosChecker) check(ctx context.Context, member string) ([]string, error) {
	begun := time.Now()
	sessions, err := k.with.CheckSessions(ctx, member)
	kind, allowed := kindOf(err)
	if k.c.life.Err() != nil {
		return nil, err
	}
	k.c.tally.checked(kind, sessions.Partial)
	if !allowed {
		k.c.book.note("check refused", "%s: %v", member, err)
	}
	if err != nil {
		return nil, err
	}
	ips := make([]string, len(sessions.Active))
	for i := range sessions.Active {
		ips[i] = sessions.Active[i].Info.IPAddress
	}
	k.c.book.checked(member, ips, sessions.Partial, begun, time.Now())
	return ips, nil
}
