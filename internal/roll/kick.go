package roll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
)

// KickMember kicks a member of the calling agent (spec 7.4). When it returns, no
// check shows the member's sessions, and the unused launch tokens are void; the
// game servers are told. Errors in the order of the checks:
// ErrBranchNotConfigured, ErrMemberNotFound.
func (s *Service) KickMember(ctx context.Context, c Caller, username string) error {
	_, err := s.branchOf(ctx, c.Agent)
	if c.Trail.Check("branch", err) != nil {
		return err
	}
	_, err = s.member(ctx, c.Agent.ID, username)
	if c.Trail.Check("member", err) != nil {
		return err
	}
	k := memberKick("agent "+c.Agent.ID, c.Agent.ID, username, "")
	if c.LogUUID != "" {
		k.ID = c.LogUUID
	}
	_, err = s.kickMember(ctx, k)
	return err
}

// memberKick is a kick of one member, which is done at once.
func memberKick(by, agentID, username, why string) rollcall.Kick {
	return rollcall.Kick{
		ID: newID(), By: by, Why: why, Reason: rollcall.EndKicked,
		Filter: rollcall.SessionFilter{AgentID: agentID, Username: username},
	}
}

func (s *Service) kickMember(ctx context.Context, k rollcall.Kick) (rollcall.Kick, error) {
	ctx = context.WithoutCancel(ctx) // what led to it has happened
	k.At, k.State = s.now(), rollcall.KickDone
	k.FinishedAt = k.At
	ended, err := s.sessions.EndMember(ctx, k.Filter.AgentID, k.Filter.Username, endingOf(&k, k.At), &k)
	if err != nil {
		return k, err
	}
	s.logEnds(ctx, ended)
	k.Matched, k.Progress.Ended = len(ended), len(ended)
	return k, nil
}

func endingOf(k *rollcall.Kick, now time.Time) Ending {
	return Ending{
		At: now, Reason: k.Reason, By: k.By, KickID: k.ID, Message: k.Message, IfRunning: k.State == rollcall.KickRunning,
	}
}

// KickParams are what an operator asks for.
type KickParams struct {
	Filter rollcall.SessionFilter
	// All has to be set where the filter picks every session there is.
	All          bool
	Why, Message string
	// PerSecond bounds how many sessions end in a second; 0: no bound.
	PerSecond int
}

const (
	// maxWhy bounds Why, maxMessage the player's message, in bytes.
	maxWhy     = 500
	maxMessage = 500
	// maxPerSecond is far above what a store can do.
	maxPerSecond = 1_000_000
)

func (p *KickParams) check() error {
	empty := p.Filter == (rollcall.SessionFilter{})
	switch {
	case empty && !p.All:
		return invalid("filter", "one that names something, or all: true to end every session")
	case !empty && p.All:
		return invalid("all", "it without a filter")
	case p.Filter.Username != "" && p.Filter.AgentID == "":
		return invalid("filter.username", "agentId too, since a member is one agent's")
	case len(p.Why) > maxWhy:
		return invalid("why", fmt.Sprintf("at most %d bytes", maxWhy))
	case len(p.Message) > maxMessage:
		return invalid("message", fmt.Sprintf("at most %d bytes", maxMessage))
	case p.PerSecond < 0 || p.PerSecond > maxPerSecond:
		return invalid("perSecond", fmt.Sprintf("0 to %d", maxPerSecond))
	}
	return nil
}

// PreviewKick returns how many sessions a kick would end now. Errors: ErrInvalid.
func (s *Service) PreviewKick(ctx context.Context, p KickParams) (int, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	return s.countPicked(ctx, p.Filter)
}

// countPicked asks the counts where they know the answer, and else counts.
func (s *Service) countPicked(ctx context.Context, f rollcall.SessionFilter) (int, error) {
	if f.SessionID != "" || f.Username != "" {
		list, err := s.Sessions(ctx, f, "", listLimit)
		return len(list), err
	}
	counts, err := s.sessions.Counts(ctx)
	total := 0
	for _, c := range counts {
		like := rollcall.Session{AgentID: c.AgentID, GameCode: c.GameCode, Currency: c.Currency, GameServer: c.GameServer}
		if f.Picks(&like) {
			total += c.Count
		}
	}
	return total, err
}

// Kick ends the sessions that a filter picks, and returns the kick. That of one
// member without another condition is done when it returns; others go on behind
// it, also across a restart. Errors: ErrInvalid; ErrNotFound for a member or a
// session that is not there.
func (s *Service) Kick(ctx context.Context, actor string, p KickParams) (rollcall.Kick, error) {
	if err := p.check(); err != nil {
		return rollcall.Kick{}, err
	}
	if err := s.kickable(ctx, p.Filter); err != nil {
		return rollcall.Kick{}, err
	}
	k := rollcall.Kick{
		ID: newID(), By: actor, Why: p.Why, Message: p.Message, Filter: p.Filter, Reason: rollcall.EndKicked, PerSecond: p.PerSecond,
	}
	if err := s.directory.Note(ctx, s.entry(actor, "session.kick", k.ID, kickDetail(&p))); err != nil {
		return k, err
	}
	if p.Filter == (rollcall.SessionFilter{AgentID: p.Filter.AgentID, Username: p.Filter.Username}) && p.Filter.Username != "" {
		return s.kickMember(ctx, k)
	}
	return s.beginKick(ctx, k)
}

func (s *Service) kickable(ctx context.Context, f rollcall.SessionFilter) (err error) {
	if f.Username != "" {
		_, err = s.Member(ctx, f.AgentID, f.Username)
		if active, _ := s.sessions.OfMember(ctx, f.AgentID, f.Username, s.now()); len(active) > 0 {
			err = nil // what is there can be ended, whatever the directory says
		}
	}
	if f.SessionID != "" && err == nil {
		_, err = s.Session(ctx, f.SessionID)
	}
	return err
}

func kickDetail(p *KickParams) string {
	if p.Why == "" {
		return p.Filter.String()
	}
	return p.Filter.String() + ", because " + p.Why
}

// beginKick stores a kick that goes on in Run. What one step can do is done here.
func (s *Service) beginKick(ctx context.Context, k rollcall.Kick) (rollcall.Kick, error) {
	// Who is told that it failed must not find it running later.
	ctx = context.WithoutCancel(ctx)
	var err error
	k.At, k.State = s.now(), rollcall.KickRunning
	if k.Matched, err = s.countPicked(ctx, k.Filter); err != nil {
		return k, err
	}
	if err := s.sessions.AddKick(ctx, k); err != nil {
		return k, err
	}
	if k.Filter.SessionID != "" {
		if err := s.runKick(ctx, k); err != nil {
			return k, err
		}
		return s.sessions.Kick(ctx, k.ID)
	}
	select {
	case s.kicks <- struct{}{}:
	default: // Run knows already that there is something
	}
	return k, nil
}

// AbortKick stops a kick that is running; what it has ended stays ended. A kick
// that runs no more is returned as it is. rollcall.ErrNotFound.
func (s *Service) AbortKick(ctx context.Context, actor, id string) (rollcall.Kick, error) {
	if _, err := s.sessions.FinishKick(ctx, id, rollcall.KickAborted, s.now()); err != nil {
		return rollcall.Kick{}, named("kick", id, err)
	}
	if err := s.directory.Note(ctx, s.entry(actor, "session.abort-kick", id, "")); err != nil {
		return rollcall.Kick{}, err
	}
	return s.KickOf(ctx, id)
}

// KickOf returns a kick, or rollcall.ErrNotFound.
func (s *Service) KickOf(ctx context.Context, id string) (rollcall.Kick, error) {
	k, err := s.sessions.Kick(ctx, id)
	return k, namedIf("kick", id, err)
}

// Kicks returns at most limit kicks with an ID below before ("": the newest),
// newest first.
func (s *Service) Kicks(ctx context.Context, before string, limit int) ([]rollcall.Kick, error) {
	return s.sessions.Kicks(ctx, before, false, limit)
}

// Receipts returns at most limit receipts of a kick with a Seq above after, by
// Seq: a receipt is one session that it has ended.
func (s *Service) Receipts(ctx context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error) {
	if _, err := s.KickOf(ctx, kickID); err != nil {
		return nil, err
	}
	return s.sessions.Receipts(ctx, kickID, after, limit)
}

// endBlocked begins the end of the sessions of an agent that may no longer call.
func (s *Service) endBlocked(ctx context.Context, actor, agentID string) error {
	filter := rollcall.SessionFilter{AgentID: agentID}
	_, err := s.beginKick(ctx, rollcall.Kick{
		ID: newID(), By: actor, Why: "the agent may no longer call", Filter: filter, Reason: rollcall.EndAgentBlocked,
	})
	return err
}

// endBlockedAgain is for a process that died between the block, or the deletion,
// of an agent and endBlocked.
func (s *Service) endBlockedAgain(ctx context.Context) error {
	counts, err := s.Counts(ctx, "agent")
	if err != nil {
		return err
	}
	under := newSet()
	err = s.eachRunning(ctx, func(k rollcall.Kick) {
		if k.Reason == rollcall.EndAgentBlocked {
			under.add(k.Filter.AgentID)
		}
	})
	for _, c := range counts {
		agent, getErr := s.directory.Agents().Get(ctx, c.AgentID)
		gone := errors.Is(getErr, rollcall.ErrNotFound) || getErr == nil && agent.Status == rollcall.AgentBlocked
		if gone && under.add(c.AgentID) {
			err = errors.Join(err, s.endBlocked(ctx, "rollcall", c.AgentID))
		}
	}
	return err
}

const (
	// kickAgain is when kicks that failed are tried again.
	kickAgain = time.Second
	// kickEvery is when kicks are looked for that nobody told of: those of
	// another process, and those of agents that were blocked half.
	kickEvery = 10 * time.Second
	// kickLead is how long a kick stands still whose process died.
	kickLead = 15 * time.Second
)

// runKicks goes on with the kicks that are running, each on its own, until ctx
// ends.
func (s *Service) runKicks(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	under := newSet()
	tick := time.NewTicker(kickEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s.leads(ctx, "blocked agents", 2*kickEvery) {
			s.tryKicks(ctx, "end sessions of blocked agents", s.endBlockedAgain)
		}
		s.tryKicks(ctx, "list kicks", func(ctx context.Context) error {
			return s.eachRunning(ctx, func(k rollcall.Kick) {
				if !under.add(k.ID) {
					return
				}
				all.Go(func() {
					defer under.remove(k.ID)
					s.tryKicks(ctx, "kick", func(ctx context.Context) error { return s.runKick(ctx, k) })
				})
			})
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-s.kicks:
		}
	}
}

func (s *Service) eachRunning(ctx context.Context, each func(rollcall.Kick)) error {
	for before := ""; ; {
		kicks, err := s.sessions.Kicks(ctx, before, true, listLimit)
		if err != nil {
			return err
		}
		for _, k := range kicks {
			each(k)
			before = k.ID
		}
		if len(kicks) < listLimit {
			return nil
		}
	}
}

// tryKicks does something until it succeeds or ctx ends.
func (s *Service) tryKicks(ctx context.Context, what string, do func(context.Context) error) {
	for ctx.Err() == nil {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.LogAttrs(ctx, slog.LevelError, "kicks", slog.String("task", what), slog.Any("error", err))
		pause(ctx, kickAgain)
	}
}

// runKick ends the sessions that a kick picks and that began before it, as fast
// as it may, until there is none or the kick is aborted. Of the processes that
// share the stores one does it.
func (s *Service) runKick(ctx context.Context, k rollcall.Kick) error {
	if leads, err := s.sessions.Lead(ctx, "kick "+k.ID, kickLead); err != nil || !leads {
		return err
	}
	size, every := pace(k.PerSecond)
	begun, led := s.now(), s.now()
	lost := false
	_, err := s.endPicked(ctx, endPicked{
		filter: k.Filter, size: size,
		which:  func(l *rollcall.Session) bool { return !l.StartedAt.After(k.At) },
		ending: func() Ending { return endingOf(&k, s.now()) },
		goOn: func() (bool, error) {
			if !pause(ctx, every-s.now().Sub(begun)) {
				return false, ctx.Err()
			}
			if begun = s.now(); begun.Sub(led) > kickLead/3 {
				led = begun
				leads, err := s.sessions.Lead(ctx, "kick "+k.ID, kickLead)
				if lost = !leads; err != nil || lost {
					return false, err
				}
			}
			state, err := s.sessions.KickState(ctx, k.ID)
			return state == rollcall.KickRunning, err
		},
	})
	if err != nil || lost {
		return err
	}
	_, err = s.sessions.FinishKick(ctx, k.ID, rollcall.KickDone, s.now())
	return err
}

const (
	// endLimit is how many sessions end in one step.
	endLimit = 1000
	// pickLimit bounds how many a member may have.
	pickLimit = 10 * endLimit
)

// An endPicked asks for the end of the sessions that filter and which pick, size
// at a time. Before each step but the first goOn, if it is not nil, says whether
// to take it.
type endPicked struct {
	filter rollcall.SessionFilter
	which  func(*rollcall.Session) bool
	ending func() Ending
	size   int
	goOn   func() (bool, error)
}

func (s *Service) endPicked(ctx context.Context, e endPicked) (ended int, err error) {
	if n, err := s.countPicked(ctx, e.filter); err != nil || n == 0 {
		return 0, err // without a look at every session
	}
	first := true
	for from := ""; ; {
		list, next, err := s.scan(ctx, e.filter, from)
		if err != nil {
			return ended, err
		}
		list = slices.DeleteFunc(list, func(l rollcall.Session) bool { return !e.which(&l) })
		for some := range slices.Chunk(list, e.size) {
			if !first && e.goOn != nil {
				if ok, err := e.goOn(); err != nil || !ok {
					return ended, err
				}
			}
			first = false
			gone, err := s.sessions.End(ctx, idsOf(some), e.ending())
			if err != nil {
				return ended, err
			}
			s.logEnds(ctx, gone)
			ended += len(gone)
		}
		if from = next; from == "" {
			return ended, nil
		}
	}
}

// scan is Live's Scan, which a filter of few sessions does not need.
func (s *Service) scan(ctx context.Context, f rollcall.SessionFilter, from string) ([]rollcall.Session, string, error) {
	if f.SessionID != "" || f.Username != "" {
		list, err := s.Sessions(ctx, f, "", pickLimit)
		return list, "", err
	}
	return s.sessions.Scan(ctx, f, from, s.now())
}

func idsOf(list []rollcall.Session) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}

// pace returns how many sessions to end at once, and how often, for perSecond.
func pace(perSecond int) (size int, every time.Duration) {
	if perSecond == 0 {
		return endLimit, 0
	}
	size = min(max(perSecond/10, 1), endLimit)
	return size, time.Duration(size) * time.Second / time.Duration(perSecond)
}

// pause waits for d and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// A set holds names; it is safe for concurrent use.
type set struct {
	mu sync.Mutex
	of map[string]bool
}

func newSet() *set { return &set{of: make(map[string]bool)} }

// add reports whether name was not there.
func (s *set) add(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.of[name]
	s.of[name] = true
	return !had
}

func (s *set) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, name)
}
