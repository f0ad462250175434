package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A stay is a launch and what has become of it, as those know who were answered.
// Its IP is in the launch, the check and the list, and is no other's.
type stay struct {
	ip, member string
	server     *chaosServer

	launched time.Time // the launch was answered
	asked    time.Time // its start was asked for
	started  time.Time // its start was answered
	id       string
	// unsure is from when on it may have ended; leaving from when on its game
	// server no longer renews it.
	unsure, leaving time.Time
	left            time.Time // its end was answered
	kicked          time.Time // a kick was answered that must have ended it
	told            bool      // its game server was told of the kick
	lost            string    // why its game server was told that there is no such session
	settled         bool      // its end after a kick was answered, with a note
	back            time.Time // when it was shown again first after it had ended
	gone            chan struct{}
}

// A chaosBook is what was answered, and what was found to be wrong.
type chaosBook struct {
	lease   time.Duration
	forgets bool // see chaosFault

	mu      sync.Mutex
	stays   []*stay
	of      map[string][]*stay // by member
	byID    map[string]*stay
	early   map[string]bool // IDs whose kick was told before their start was answered
	kicking map[string]int  // members, by kicks that are under way
	wrong   map[string]int
	first   map[string]string // an example of each
	last    map[string]string
}

func newChaosBook(lease time.Duration, forgets bool) *chaosBook {
	return &chaosBook{
		lease: lease, forgets: forgets, of: make(map[string][]*stay), byID: make(map[string]*stay), early: make(map[string]bool),
		kicking: make(map[string]int), wrong: make(map[string]int), first: make(map[string]string), last: make(map[string]string),
	}
}

// fault notes something that is wrong. b.mu is held.
func (b *chaosBook) fault(what, format string, args ...any) {
	b.last[what] = time.Now().Format("05.000 ") + fmt.Sprintf(format, args...)
	if b.wrong[what]++; b.wrong[what] == 1 {
		b.first[what] = b.last[what]
	}
}

// story tells what is known of a session.
func (b *chaosBook) story(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.byID[id]; s != nil {
		return s.story()
	}
	return "its start was not answered"
}

func (s *stay) story() string {
	text := s.id + " of " + s.member
	for _, one := range []struct {
		what string
		at   time.Time
	}{
		{"asked", s.asked}, {"started", s.started}, {"unsure", s.unsure}, {"leaving", s.leaving}, {"left", s.left}, {"kicked", s.kicked},
	} {
		if !one.at.IsZero() {
			text += ", " + one.what + " " + one.at.Format("05.000")
		}
	}
	return fmt.Sprintf("%s, told %v, lost %q", text, s.told, s.lost)
}

func (b *chaosBook) note(what, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault(what, format, args...)
}

// launch begins a stay, before it is launched.
func (b *chaosBook) launch(member string) *stay {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.stays) + 1
	s := &stay{ip: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255), member: member, gone: make(chan struct{})}
	if b.kicking[member] > 0 {
		s.unsure = time.Now()
	}
	b.stays = append(b.stays, s)
	b.of[member] = append(b.of[member], s)
	return s
}

// launched notes the answer. A kick that was under way meanwhile may have voided
// it: that is noted when the one or the other begins.
func (b *chaosBook) launched(s *stay) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.launched = time.Now()
}

func (b *chaosBook) starting(s *stay, on *chaosServer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.asked, s.server = time.Now(), on
}

func (b *chaosBook) started(s *stay, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.started, s.id = time.Now(), id
	b.byID[id] = s
	if b.early[id] {
		b.tell(s)
	}
}

// giveUp notes that a game server does without the answer to a start.
func (b *chaosBook) giveUp(s *stay) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.unsure = sooner(s.unsure, time.Now())
	s.leaving = sooner(s.leaving, time.Now())
}

// mayEnd reports whether a stay may have ended.
func (b *chaosBook) mayEnd(s *stay) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !s.unsure.IsZero()
}

// ended notes the answer to an end.
func (b *chaosBook) ended(s *stay, settled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.left, s.settled = time.Now(), settled
}

// kick notes that a kick begins, and returns what notes each attempt's begin and
// the answer.
func (b *chaosBook) kick(member string) (attempt, answered func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kicking[member]++
	for _, s := range b.of[member] {
		s.unsure = sooner(s.unsure, time.Now())
	}
	var began time.Time
	return func() { began = time.Now() }, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.kicking[member]--
		for _, s := range b.of[member] {
			if s.kicked.IsZero() && !s.launched.IsZero() && s.launched.Before(began) {
				s.kicked = time.Now()
			}
		}
	}
}

// tell notes that a game server has heard of a kick. b.mu is held.
func (b *chaosBook) tell(s *stay) {
	if s.told || s.lost != "" {
		s.told = true
		return
	}
	s.told = true
	if s.unsure.IsZero() {
		b.fault("kicked without a kick", "%s of %s", s.id, s.member)
	}
	s.leaving = sooner(s.leaving, time.Now())
	close(s.gone)
}

func (b *chaosBook) hear(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.byID[id]; s != nil {
		b.tell(s)
	} else {
		b.early[id] = true
	}
}

// lose notes that a game server was told that a session is not there.
func (b *chaosBook) lose(id, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.byID[id]
	if s == nil || s.told || s.lost != "" {
		return
	}
	s.lost = why
	if s.unsure.IsZero() {
		b.fault("lost", "%s of %s, started %s ago: %s", id, s.member, time.Since(s.started).Round(time.Millisecond), why)
	}
	s.unsure = sooner(s.unsure, time.Now())
	s.leaving = sooner(s.leaving, time.Now())
	close(s.gone)
}

func sooner(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// ghostSlack is for what is under way when a game server lets go of a session: a
// heartbeat may renew it once more.
const ghostSlack = 3 * time.Second

// checked holds the answer to a check against what was answered before it, and
// cannot have ended since.
func (b *chaosBook) checked(member string, shown []string, partial bool, begun, done time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := func(at, than time.Time) bool { return !at.IsZero() && at.Before(than) }
	known := 0
	for _, s := range b.of[member] {
		is := slices.Contains(shown, s.ip)
		if is {
			known++
		}
		switch {
		case !is && before(s.started, begun) && !before(s.unsure, done) && !partial:
			b.fault("missing in a check", "%s of %s, started %s before", s.id, member, begun.Sub(s.started).Round(time.Millisecond))
		case !is:
		case s.asked.IsZero():
			b.fault("shown before it began", "%s of %s", s.ip, member)
		case (before(s.kicked, begun) || before(s.left, begun)) && partial && b.again(s, begun):
		case before(s.kicked, begun):
			b.fault("shown after its kick", "%s (partial: %v)", s.story(), partial)
		case before(s.left, begun):
			b.fault("shown after its end", "%s (partial: %v)", s.story(), partial)
		case before(s.leaving, begun.Add(-b.lease-ghostSlack)):
			b.fault("ghost", "%s of %s, %s after its game server let go", s.id, member, begun.Sub(s.leaving).Round(time.Millisecond))
		}
	}
	if known != len(shown) {
		b.fault("shown though nobody launched it", "%s: %v", member, shown)
	}
}

// backFor is how long a session that had ended may be shown again, where the
// engine has lost its end: a second or two until the nodes find the loss, and end
// it again, well below a lease.
const backFor = 3 * time.Second

// again reports whether a session may be shown again: for a moment, in an answer
// that says that it comes after a loss.
func (b *chaosBook) again(s *stay, begun time.Time) bool {
	if s.back.IsZero() {
		s.back = begun
	}
	return b.forgets && begun.Sub(s.back) < backFor
}

// backs counts the sessions that were shown again.
func (b *chaosBook) backs() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stays {
		if !s.back.IsZero() {
			n++
		}
	}
	return n
}
