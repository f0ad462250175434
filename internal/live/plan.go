package live

import (
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A Touch is something that a change looks at or changes. Two changes that touch
// the same go one after the other, but for two that both only share it.
type Touch struct {
	of     touchedThing
	shared bool
}

// A touchedThing is named by one or two texts.
type touchedThing struct {
	sort      touchSort
	name, and string
}

type touchSort byte

const (
	touchMember touchSort = iota
	touchEvents
	touchEvent
	touchLaunch
	touchKick
	touchSession
	touchOutbox
)

func touch(sort touchSort, name string) Touch { return Touch{of: touchedThing{sort: sort, name: name}} }

// Shared is the touch of a change that goes with others of its sort.
func (t Touch) Shared() Touch { return Touch{t.of, true} }

// TouchMember is the touch of a session's member.
func TouchMember(s *rollcall.Session) Touch {
	m := memberOf(s)
	return Touch{of: touchedThing{touchMember, m.agentID, m.username}}
}

// TouchEvents is the touch of all events of a game server.
func TouchEvents(gameServer string) Touch { return touch(touchEvents, gameServer) }

// TouchEvent is the touch of one event.
func TouchEvent(seq int64) Touch { return touch(touchEvent, strconv.FormatInt(seq, 10)) }

// TouchLaunch is the touch of a launch, whose member there may not be.
func TouchLaunch(key string) Touch { return touch(touchLaunch, key) }

// TouchKick is the touch of a kick's record.
func TouchKick(id string) Touch { return touch(touchKick, id) }

// TouchSession is the touch of a session's ID, where its member may be in doubt.
func TouchSession(id string) Touch { return touch(touchSession, id) }

// TouchOutbox is the touch of the outbox's beginning.
func TouchOutbox() Touch { return touch(touchOutbox, "") }

// Touched is what the changes of a group touch. The zero value is empty.
type Touched struct{ of map[touchedThing]bool } // whether it is shared

// Clashes reports whether a change with these touches may not join the group.
func (t *Touched) Clashes(touches []Touch) bool {
	return slices.ContainsFunc(touches, func(touch Touch) bool {
		shared, touched := t.of[touch.of]
		return touched && (!shared || !touch.shared)
	})
}

// Add notes the touches of a change that joins, or that is to stay before others.
func (t *Touched) Add(touches []Touch) {
	if t.of == nil {
		t.of = make(map[touchedThing]bool)
	}
	for _, touch := range touches {
		shared, touched := t.of[touch.of]
		t.of[touch.of] = touch.shared && (shared || !touched)
	}
}

// Clear empties t.
func (t *Touched) Clear() { clear(t.of) }

// PlanBoot makes bootID a game server's current boot. Events of sessions of
// other boots need not be told any more.
func (b *Book) PlanBoot(gameServer, bootID string, now time.Time) Step {
	b.mu.RLock()
	defer b.mu.RUnlock()
	step := Step{Boots: [][2]string{{gameServer, bootID}}}
	for _, r := range b.events.pending[gameServer] {
		if r.SessionID != "" && r.BootID != bootID {
			gone := *r
			gone.AcknowledgedAt, gone.EndedAt, gone.Note = now, now, string(rollcall.EndServerLost)
			step.Receipts = append(step.Receipts, gone)
		}
	}
	return step
}

// PlanLaunch stores a launch. One that is there already stays as it is. A member
// who has too many open loses the oldest.
func (b *Book) PlanLaunch(l *roll.Launch) Step {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.launches.byKey[l.Key] != nil {
		return Step{}
	}
	step := Step{Launches: []roll.Launch{*l}}
	if oldest := b.launches.excess(l); oldest != nil {
		voided := *oldest
		voided.Voided = true
		step.Launches = append(step.Launches, voided)
	}
	return step
}

// PlanStart is roll.Live's Start.
func (b *Book) PlanStart(s *roll.Start) (Step, roll.Started, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	own := s.Session
	if own.BootID == "" || b.boots[own.GameServer] != own.BootID {
		return Step{}, roll.Started{}, rollcall.ErrStaleBoot
	}
	launch, ok := b.launches.byKey[s.LaunchKey]
	if !ok {
		return Step{}, roll.Started{}, rollcall.ErrLaunchUnknown
	}
	by := [2]string{own.GameServer, own.BootID}
	if launch.StartedID != "" && launch.StartedBy == by {
		if held, ok := b.Get(launch.StartedID, own.StartedAt); ok {
			return Step{}, roll.Started{Session: held}, nil
		}
	}
	if err := launch.Usable(own.StartedAt); err != nil {
		return Step{}, roll.Started{}, err
	}
	if b.marks.voids(launch, &own) {
		return Step{}, roll.Started{}, rollcall.ErrLaunchVoided
	}
	displaced, err := s.Limits.Displaced(b.OfMember(own.AgentID, own.Username, own.StartedAt), &own)
	if err != nil {
		return Step{}, roll.Started{}, err
	}
	used := *launch
	used.StartedID, used.StartedBy = own.ID, by
	step := Step{Sessions: []rollcall.Session{own}, Launches: []roll.Launch{used}}
	started := roll.Started{Session: own}
	for _, d := range displaced {
		e := roll.Ending{At: own.StartedAt, Reason: rollcall.EndDisplaced, By: "session " + own.ID}
		started.Displaced = append(started.Displaced, step.end(d, &e))
	}
	if s.Tell {
		step.Changes = append(step.Changes, roll.Change{EndedSession: rollcall.EndedSession{Session: own}})
	}
	return step, started, nil
}

// end adds the end of one session to a step.
func (step *Step) end(s rollcall.Session, e *roll.Ending) rollcall.EndedSession {
	ended := rollcall.EndedSession{Session: s, EndedAt: e.At, Reason: e.Reason, By: e.By, KickID: e.KickID, Note: e.Note}
	step.Changes = append(step.Changes, roll.Change{EndedSession: ended})
	if event := rollcall.EventOf(e.Reason); event != "" && e.GameServer == "" {
		step.Receipts = append(step.Receipts, rollcall.Receipt{
			Event: rollcall.Event{
				Type: event, SessionID: s.ID, AgentID: s.AgentID, Username: s.Username, GameCode: s.GameCode,
				By: e.By, Message: e.Message, QueuedAt: e.At,
			},
			GameServer: s.GameServer, BootID: s.BootID, KickID: e.KickID,
		})
	}
	return ended
}

// endExpired adds the end of a session whose lease or lifetime has run out.
func (step *Step) endExpired(s rollcall.Session) rollcall.EndedSession {
	return step.end(s, &roll.Ending{At: s.ExpiresAt, Reason: rollcall.EndExpired, By: "rollcall"})
}

// PlanEnd ends those of ids that are active at e.At, each once.
func (b *Book) PlanEnd(ids []string, e *roll.Ending) (Step, []rollcall.EndedSession) {
	var step Step
	ended := []rollcall.EndedSession{}
	if e.IfRunning && !b.kickRuns(e.KickID) {
		return step, ended
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if s, ok := b.Get(id, e.At); ok && !seen[id] && (e.GameServer == "" || e.GameServer == s.GameServer) {
			seen[id] = true
			ended = append(ended, step.end(s, e))
		}
	}
	return step, ended
}

// PlanEndMember is roll.Live's EndMember. Sessions that have expired and are
// still there go too: nothing of the member may come back.
func (b *Book) PlanEndMember(agentID, username string, e *roll.Ending, kick *rollcall.Kick) (Step, []rollcall.EndedSession) {
	var step Step
	ended := []rollcall.EndedSession{}
	for _, s := range b.AllOfMember(agentID, username) {
		if s.ActiveAt(e.At) {
			ended = append(ended, step.end(s, e))
		} else {
			step.endExpired(s)
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, open := range b.launches.ofMember[memberKey{agentID, username}] {
		l := *open
		l.Voided = true
		step.Launches = append(step.Launches, l)
	}
	// A kick of nobody is worth remembering while somebody may be announced.
	idle := len(step.Changes) == 0 && len(step.Launches) == 0 && e.At.Sub(b.epoch.BeganAt) > roll.MaxLifetime
	if kick != nil && !idle {
		k := *kick
		k.Matched = len(ended)
		step.Kicks = append(step.Kicks, k)
	}
	return step, ended
}

// PlanExpire ends at most limit sessions that are not active at now, and forgets
// as many launches.
func (b *Book) PlanExpire(expired []rollcall.Session, now time.Time, limit int) (Step, []rollcall.EndedSession) {
	var step Step
	ended := make([]rollcall.EndedSession, 0, len(expired))
	for _, s := range expired {
		if _, held := b.holder(s.ID); held {
			ended = append(ended, step.endExpired(s))
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	step.Forgotten = b.launches.over(now, limit)
	return step, ended
}

// Idle reports whether PlanExpire would have nothing to do but for sessions.
func (b *Book) Idle(now time.Time) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.launches.over(now, 1)) == 0
}

// PlanAnnounce is roll.Live's Announce.
func (b *Book) PlanAnnounce(gameServer, bootID string, sessions []rollcall.Session, now time.Time) (Step, map[string]string, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if bootID == "" || b.boots[gameServer] != bootID {
		return Step{}, nil, rollcall.ErrStaleBoot
	}
	var step Step
	refused := make(map[string]string)
	for i := range sessions {
		s := &sessions[i]
		holder, held := b.holder(s.ID)
		switch {
		case held && holder == gameServer:
		case held:
			refused[s.ID] = "held by another game server"
		default:
			if why := b.lost(s, now); why != "" {
				refused[s.ID] = why
				continue
			}
			step.Sessions = append(step.Sessions, *s)
		}
	}
	return step, refused, nil
}

// lost returns why a session that is not held cannot have been lost.
func (b *Book) lost(s *rollcall.Session, now time.Time) string {
	switch reason, ended := b.outbox.ended[s.ID]; {
	case ended:
		return "ended: " + string(reason)
	case b.events.ofSession[s.ID] != nil:
		return "ended: " + string(b.events.ofSession[s.ID].Type)
	case !s.StartedAt.Before(b.epoch.BeganAt):
		return "ended" // what this store has begun it has not lost
	case b.marks.kicked(s):
		return "ended: kicked"
	case !s.ActiveAt(now):
		return "ended: expired"
	}
	return ""
}

// NewReceipts is a Step that stores receipts, each under a Seq of its own.
func NewReceipts(receipts []rollcall.Receipt) Step {
	step := Step{Receipts: slices.Clone(receipts)}
	for i := range step.Receipts {
		step.Receipts[i].Seq = 0
	}
	return step
}

// PlanMark is roll.Events' Mark.
func (b *Book) PlanMark(gameServer string, m *roll.Marks) (step Step, acknowledged int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := marking{at: m.At, changed: make(map[int64]*rollcall.Receipt)}
	list := b.events.pending[gameServer]
	each := func(seqs []int64, do func(*rollcall.Receipt)) {
		for _, seq := range seqs {
			if at, found := slices.BinarySearchFunc(list, seq, bySeq); found {
				do(list[at])
			}
		}
	}
	each(m.Delivered, p.deliver)
	each(m.Acknowledged, p.acknowledge)
	for _, ended := range m.Ended {
		if r := b.events.ofSession[ended.SessionID]; r != nil && r.GameServer == gameServer {
			p.end(r, ended.Note)
		}
		if ended.Note != "" {
			settled := rollcall.EndedSession{Session: rollcall.Session{ID: ended.SessionID, GameServer: gameServer}, SettledAt: m.At, Note: ended.Note}
			step.Changes = append(step.Changes, roll.Change{EndedSession: settled})
		}
	}
	for _, r := range p.changed {
		step.Receipts = append(step.Receipts, *r)
	}
	return step, p.acknowledged
}

// A marking makes marks on copies of receipts.
type marking struct {
	at           time.Time
	changed      map[int64]*rollcall.Receipt
	acknowledged int
}

// own returns the copy.
func (p *marking) own(r *rollcall.Receipt) *rollcall.Receipt {
	if p.changed[r.Seq] == nil {
		own := *r
		p.changed[r.Seq] = &own
	}
	return p.changed[r.Seq]
}

// state is the receipt as it is now, to look at.
func (p *marking) state(r *rollcall.Receipt) *rollcall.Receipt {
	if own := p.changed[r.Seq]; own != nil {
		return own
	}
	return r
}

func (p *marking) deliver(r *rollcall.Receipt) {
	if p.state(r).DeliveredAt.IsZero() {
		p.own(r).DeliveredAt = p.at
	}
}

// acknowledge implies delivery: who knows was told, and that mark may come later.
func (p *marking) acknowledge(r *rollcall.Receipt) {
	if p.state(r).AcknowledgedAt.IsZero() {
		p.own(r).AcknowledgedAt = p.at
		p.acknowledged++
	}
	p.deliver(r)
}

func (p *marking) end(r *rollcall.Receipt, note string) {
	p.acknowledge(r)
	own := p.own(r)
	own.EndedAt, own.Note = p.at, note
}

// SeqsOf returns the Seqs of the events of sessions whose game has not ended.
func (b *Book) SeqsOf(sessions []roll.MarkEnded) []int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var seqs []int64
	for _, s := range sessions {
		if r := b.events.ofSession[s.SessionID]; r != nil {
			seqs = append(seqs, r.Seq)
		}
	}
	return seqs
}

// Beat renews the leases of those ids that gameServer holds and that are active
// at now, and returns the others.
func (b *Book) Beat(gameServer string, ids []string, now time.Time) (unknown []string) {
	for _, id := range ids {
		if !b.Renew(id, gameServer, now) {
			unknown = append(unknown, id)
		}
	}
	return unknown
}
