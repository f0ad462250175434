package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

// verify compares, once all is quiet, what game servers believe with what the
// API says; and tells what was found, all the while and now.
func (c *chaos) verify() {
	c.Helper()
	c.settle("kicks undelivered", c.untold)
	c.settle("the list and the game servers differ", c.unlisted)
	c.settle("the checks and the game servers differ", c.unchecked)
	c.settle("the history is wrong", c.unwritten)
	c.settle("answered and not there", c.missing)
	c.Logf("ROW | %s | %s, %d ends shown again for a moment, %d not or not whole in the history", c.fault.name, c.tally.line(), c.book.backs(), c.unwrote)
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(c.book.wrong)) {
		text := fmt.Sprintf("%s: %d times, such as %s, and last %s", what, c.book.wrong[what], c.book.first[what], c.book.last[what])
		c.Error(text)
	}
}

// settle waits until nothing is wrong, for a lease and what goes with it.
func (c *chaos) settle(what string, wrong func() error) {
	c.Helper()
	begun := time.Now()
	deadline := begun.Add(c.lease + 10*time.Second)
	var last error
	for {
		err := wrong()
		if err == nil {
			if took := time.Since(begun); took > time.Second {
				c.Logf("took %s until no longer: %s: %v", took.Round(time.Millisecond), what, last)
			}
			return
		}
		last = err
		if time.Now().After(deadline) {
			c.book.note(what, "%v", err)
			return
		}
		pass(c.life, 100*time.Millisecond)
	}
}

// untold says of which kick the game server has not heard.
func (c *chaos) untold() error {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	for _, s := range c.book.stays {
		if !s.kicked.IsZero() && !s.started.IsZero() && s.left.IsZero() && s.leaving.IsZero() {
			return fmt.Errorf("%s of %s, kicked %s ago", s.id, s.member, time.Since(s.kicked).Round(time.Millisecond))
		}
	}
	return nil
}

// held returns the sessions that the game servers hold, by ID.
func (c *chaos) held() map[string]rollcall.Session {
	held := make(map[string]rollcall.Session)
	for _, server := range c.servers {
		for _, s := range server.Sessions() {
			held[s.ID] = s
		}
	}
	return held
}

func (c *chaos) unlisted() error {
	held := c.held()
	var page admin.Page[rollcall.Session]
	if err := c.operate(http.MethodGet, "/sessions?limit=1000", nil, &page); err != nil {
		return err
	}
	for _, s := range page.Items {
		if _, ok := held[s.ID]; !ok {
			return fmt.Errorf("%s of %s is listed, seen at %s, and no game server holds it: %s", s.ID, s.Username, s.SeenAt.Format("05.000"), c.book.story(s.ID))
		}
		delete(held, s.ID)
	}
	for id, s := range held {
		return fmt.Errorf("%s holds %s of %s, which is not listed", s.GameServer, id, s.Username)
	}
	return nil
}

func (c *chaos) unchecked() error {
	of := make(map[string][]string)
	for _, s := range c.held() {
		of[s.Username] = append(of[s.Username], s.IP.String())
	}
	k := c.checker()
	for i := range chaosMovers + chaosStayers {
		member := chaosMover(i)
		if i >= chaosMovers {
			member = chaosStayer(i - chaosMovers)
		}
		shown, err := k.check(c.life, member)
		if err != nil {
			return err
		}
		slices.Sort(shown)
		slices.Sort(of[member])
		if !slices.Equal(shown, of[member]) {
			return fmt.Errorf("%s: the check shows %v, game servers hold %v", member, shown, of[member])
		}
	}
	return nil
}

// missing says which session was started and not ended, and is held by nobody.
func (c *chaos) missing() error {
	held := c.held()
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	for _, s := range c.book.stays {
		if _, ok := held[s.id]; !ok && !s.started.IsZero() && s.unsure.IsZero() {
			return fmt.Errorf("%s of %s", s.id, s.member)
		}
	}
	return nil
}

// unwritten says which session is not in the history as it has ended.
func (c *chaos) unwritten() error {
	past := make(map[string]rollcall.EndedSession)
	for i := range chaosMovers + chaosStayers {
		member := chaosMover(i)
		if i >= chaosMovers {
			member = chaosStayer(i - chaosMovers)
		}
		var page admin.Page[rollcall.EndedSession]
		if err := c.operate(http.MethodGet, "/agents/"+chaosAgent+"/members/"+member+"/history?limit=1000", nil, &page); err != nil {
			return err
		}
		for _, e := range page.Items {
			if _, twice := past[e.ID]; twice {
				return fmt.Errorf("%s of %s is there twice", e.ID, member)
			}
			past[e.ID] = e
		}
	}
	held := c.held()
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	var wrong []string
	c.unwrote = 0
	for _, s := range c.book.stays {
		if s.started.IsZero() {
			continue
		}
		e, there := past[s.id]
		_, lives := held[s.id]
		whole := there && lives == e.EndedAt.IsZero() && (!s.settled || e.Note == "settled "+s.ip)
		switch {
		case !whole && !lives && c.fault.forgets && c.about(s):
			c.unwrote++
		case !there:
			wrong = append(wrong, "not there: "+s.story())
		case lives != e.EndedAt.IsZero():
			wrong = append(wrong, fmt.Sprintf("%s of %s: ended at %s, held: %v", s.id, s.member, e.EndedAt, lives))
		case s.settled && e.Note != "settled "+s.ip:
			wrong = append(wrong, fmt.Sprintf("%s of %s has the note %q", s.id, s.member, e.Note))
		case !e.EndedAt.IsZero() && (e.EndedAt.Before(s.asked.Add(-time.Second)) || e.EndedAt.After(time.Now().Add(time.Second))):
			wrong = append(wrong, fmt.Sprintf("%s of %s: ended at %s, which cannot be", s.id, s.member, e.EndedAt))
		}
	}
	if len(wrong) > 0 {
		return errors.New(fmt.Sprint(len(wrong), " sessions: ", strings.Join(wrong[:min(3, len(wrong))], "; ")))
	}
	return nil
}

// about reports whether a session ended about the time of the fault: in the moment
// before, of which the engine has lost what the history was to get, or before its
// game server had the time to announce it.
func (c *chaos) about(s *stay) bool {
	const announced = 5 * time.Second // a heartbeat, and its repetition
	for _, at := range []time.Time{s.leaving, s.left, s.kicked} {
		if at.After(c.struck.Add(-time.Second)) && at.Before(c.over.Add(announced)) {
			return true
		}
	}
	return false
}
