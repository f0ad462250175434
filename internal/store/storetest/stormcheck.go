package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/rollcall-server/rollcall"
)

// check holds what is there against all answers, while nothing is under way.
func (s *storm) check(t *testing.T) {
	t.Helper()
	shown := make(map[string]rollcall.Session)
	list, err := s.Sessions.List(t.Context(), rollcall.SessionFilter{}, "", 10_000, s.now)
	must(t, err)
	for _, l := range list {
		shown[l.ID] = l
	}
	for i := range s.starts {
		if at := &s.starts[i]; at.err != nil {
			s.checkRefused(t, at)
		} else {
			s.checkStarted(t, at, shown)
		}
	}
	for id := range shown {
		if _, known := s.expires[id]; !known {
			t.Errorf("%s is shown, and no start was answered with it", id)
		}
		if end, told := s.gone[id]; told && s.startOf(id).before(end) {
			t.Errorf("%s is shown after an End of it was answered", id)
		}
	}
	s.checkBeats(t, shown)
	s.checkCounts(t, list)
}

// checkStarted is for a Start that was answered with a session.
func (s *storm) checkStarted(t *testing.T, at *startedAt, shown map[string]rollcall.Session) {
	t.Helper()
	held, is := shown[at.id]
	live := s.now.Before(s.expires[at.id])
	if want := s.ended[at.id] == 0 && live; is != want && at.id == at.session.ID {
		t.Errorf("%s is shown: %v; ends that were answered: %d, lease to %s, now %s", at.id, is, s.ended[at.id], s.expires[at.id], s.now)
	}
	if s.ended[at.id] > 1 {
		t.Errorf("%s was ended by %d answers", at.id, s.ended[at.id])
	}
	if is && !held.ExpiresAt.Equal(s.expires[at.id]) {
		t.Errorf("%s expires at %s, want %s", at.id, held.ExpiresAt, s.expires[at.id])
	}
	boots := s.boots[at.session.GameServer]
	if is && held.BootID != boots[len(boots)-1].boot {
		t.Errorf("%s is shown, of a boot that has ended", at.id)
	}
	for _, k := range s.kicks {
		if k.username != at.session.Username {
			continue
		}
		if is && (at.before(k.span) || at.launch.before(k.span)) {
			t.Errorf("%s is shown after a kick", at.id)
		}
		if at.launch.before(k.span) && k.before(at.span) && at.id == at.session.ID {
			t.Errorf("%s was started from a launch that a kick had voided", at.id)
		}
	}
	if i := slices.IndexFunc(boots, func(b bootedAt) bool { return b.boot == at.session.BootID }); i+1 < len(boots) && boots[i+1].before(at.span) {
		t.Errorf("%s was started by a boot that was not the current one", at.id)
	}
}

// checkRefused asks whether a Start had to be refused so.
func (s *storm) checkRefused(t *testing.T, at *startedAt) {
	t.Helper()
	for _, other := range s.starts {
		// Of one launch one Start at most begins a session.
		if other.err == nil && other.launch.launch.Key == at.launch.launch.Key && errors.Is(at.err, rollcall.ErrLaunchUsed) {
			return
		}
	}
	boots := s.boots[at.session.GameServer]
	switch {
	case errors.Is(at.err, rollcall.ErrStaleBoot):
		if boots[len(boots)-1].boot != at.session.BootID {
			return
		}
	case errors.Is(at.err, rollcall.ErrLaunchVoided):
		if slices.ContainsFunc(s.kicks, func(k kickedAt) bool {
			return k.username == at.session.Username && !k.before(at.launch.span) && !at.before(k.span)
		}) {
			return
		}
	case errors.Is(at.err, rollcall.ErrLaunchExpired), errors.Is(at.err, rollcall.ErrLaunchUnknown):
		if !at.session.StartedAt.Before(at.launch.launch.ExpiresAt) {
			return
		}
	case errors.Is(at.err, rollcall.ErrSessionLimit):
		if limits := stormLimits(at.session.Username); limits.PerMember > 0 && limits.Policy != rollcall.LimitDisplaceOldest {
			return
		}
	}
	t.Errorf("a start of %s was refused without a reason: %v", at.session.Username, at.err)
}

// startOf returns when the Start was that began a session.
func (s *storm) startOf(id string) span {
	for _, at := range s.starts {
		if at.session.ID == id {
			return at.span
		}
	}
	return span{}
}

// checkBeats finds beats that were not told of a session that was there, and
// forgets them.
func (s *storm) checkBeats(t *testing.T, shown map[string]rollcall.Session) {
	t.Helper()
	for _, b := range s.beats {
		if _, is := shown[b.id]; is && !b.renewed && s.startOf(b.id).before(b.span) {
			t.Errorf("a beat of %s was told that it is unknown, and it is shown", b.id)
		}
	}
	s.beats = nil
}

// checkCounts holds the counts against the list; what had expired is not counted
// after a sweep.
func (s *storm) checkCounts(t *testing.T, list []rollcall.Session) {
	t.Helper()
	s.expire(t)
	got, err := s.Sessions.Counts(t.Context())
	must(t, err)
	counted := make(map[rollcall.SessionCount]int)
	for _, l := range list {
		counted[rollcall.SessionCount{
			AgentID: l.AgentID, GameCode: l.GameCode, Mode: l.Mode, Currency: l.Currency, Device: l.Device, GameServer: l.GameServer,
		}]++
	}
	var want []rollcall.SessionCount
	for c, n := range counted {
		c.Count = n
		want = append(want, c)
	}
	wantSame(t, "counts", countsOf(got), countsOf(want))
}

// checkTrails holds outbox and receipts against all answers: each beginning and
// each end is in the outbox once, and each kicked session has one receipt.
func (s *storm) checkTrails(t *testing.T) {
	t.Helper()
	s.expire(t)
	begun, ended := make(map[string]int), make(map[string]int)
	for _, c := range s.changes(t, nil) {
		if c.Reason == "" {
			begun[c.ID]++
		} else {
			ended[c.ID]++
		}
	}
	for id := range s.expires {
		_, err := s.Sessions.Get(t.Context(), id, s.now)
		if is := err == nil; begun[id] != 1 || ended[id] > 1 || is == (ended[id] == 1) {
			t.Errorf("%s is there: %v; the outbox has it begun %d times and ended %d times", id, is, begun[id], ended[id])
		}
	}
	for _, list := range []map[string]int{begun, ended} {
		for id := range list {
			if _, known := s.expires[id]; !known {
				t.Errorf("the outbox has %s, which no start was answered with", id)
			}
		}
	}
	for _, k := range s.kicks {
		receipts, err := s.Sessions.Receipts(t.Context(), k.id, 0, 1000)
		must(t, err)
		stored, err := s.Sessions.Kick(t.Context(), k.id)
		must(t, err)
		got := receiptIDs(receipts)
		slices.Sort(got)
		slices.Sort(k.ended)
		if !slices.Equal(got, k.ended) || stored.Matched != len(got) || stored.Progress.Ended != len(got) {
			t.Errorf("a kick that ended %v has receipts of %v, and is %+v", k.ended, got, stored)
		}
	}
	t.Logf("%d launches, %d starts of which %d began a session, %d kicks", len(s.launches), len(s.starts), len(s.expires), len(s.kicks))
}
