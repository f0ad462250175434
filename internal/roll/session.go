package roll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

// CheckSessions returns the active sessions of a member of the calling agent,
// oldest first (spec 6): ErrBranchNotConfigured, then ErrMemberNotFound.
func (s *Service) CheckSessions(ctx context.Context, c Caller, username string) ([]rollcall.Session, error) {
	_, err := s.branchOf(ctx, c.Agent)
	if c.Trail.Check("branch", err) != nil {
		return nil, err
	}
	sessions, err := s.sessions.OfMember(ctx, c.Agent.ID, username, s.now())
	if err == nil && len(sessions) == 0 { // who has a session is a member
		_, err = s.member(ctx, c.Agent.ID, username)
	}
	return sessions, c.Trail.Check("member", err)
}

// branchOf returns the agent's branch, or ErrBranchNotConfigured where the agent
// has none or one that is not there.
func (s *Service) branchOf(ctx context.Context, agent *Agent) (*rollcall.Branch, error) {
	if agent.BranchID == "" {
		return nil, fmt.Errorf("agent %s: %w", agent.ID, rollcall.ErrBranchNotConfigured)
	}
	branch, err := s.directory.Branches().Get(ctx, agent.BranchID)
	if errors.Is(err, rollcall.ErrNotFound) {
		return nil, fmt.Errorf("branch %s: %w", agent.BranchID, rollcall.ErrBranchNotConfigured)
	}
	return branch, err
}

func (s *Service) member(ctx context.Context, agentID, username string) (*rollcall.Member, error) {
	member, err := s.directory.Members().Get(ctx, MemberKey(agentID, username))
	if errors.Is(err, rollcall.ErrNotFound) {
		return nil, rollcall.ErrMemberNotFound
	}
	return member, err
}

func invalid(field, want string) error {
	return fmt.Errorf("%w %s: want %s", rollcall.ErrInvalid, field, want)
}

func (s *Service) activeAgent(ctx context.Context, id string) (*Agent, error) {
	agent, err := s.directory.Agents().Get(ctx, id)
	if err != nil {
		return nil, named("agent", id, err)
	}
	if agent.Status != rollcall.AgentActive {
		return nil, named("agent", id, rollcall.ErrAgentRefused)
	}
	return agent, nil
}

// named says of which thing err speaks. Names that came from a caller have been
// looked up by then, and %q keeps the others from doing harm in a log.
func named(kind, name string, err error) error { return fmt.Errorf("%s %q: %w", kind, name, err) }

// Session returns one active session, or rollcall.ErrNotFound.
func (s *Service) Session(ctx context.Context, id string) (rollcall.Session, error) {
	session, err := s.sessions.Get(ctx, id, s.now())
	if err != nil {
		return rollcall.Session{}, named("session", id, err)
	}
	return session, nil
}

// Sessions returns at most limit active sessions that filter picks with an ID
// greater than after, by ID.
func (s *Service) Sessions(ctx context.Context, filter rollcall.SessionFilter, after string, limit int) ([]rollcall.Session, error) {
	var few []rollcall.Session
	var err error
	switch {
	case filter.SessionID != "":
		few, err = s.justOne(ctx, filter.SessionID)
	case filter.Username != "":
		few, err = s.sessions.OfMember(ctx, filter.AgentID, filter.Username, s.now())
	default:
		return s.sessions.List(ctx, filter, after, limit, s.now())
	}
	few = slices.DeleteFunc(few, func(l rollcall.Session) bool { return l.ID <= after || !filter.Picks(&l) })
	slices.SortFunc(few, func(a, b rollcall.Session) int { return cmp.Compare(a.ID, b.ID) })
	return few[:min(limit, len(few))], err
}

func (s *Service) justOne(ctx context.Context, id string) ([]rollcall.Session, error) {
	session, err := s.sessions.Get(ctx, id, s.now())
	if errors.Is(err, rollcall.ErrNotFound) {
		return nil, nil
	}
	return []rollcall.Session{session}, err
}

// Counts returns how many sessions are live by what is named, of agent, game,
// mode, currency, device and gameServer, in a fixed order; by all six where none
// is. What is not named is zero in the answer. ErrInvalid for another name.
func (s *Service) Counts(ctx context.Context, by ...string) ([]rollcall.SessionCount, error) {
	for _, name := range by {
		if !slices.Contains(countNames, name) {
			return nil, invalid("by", strings.Join(countNames, ", "))
		}
	}
	counts, err := s.sessions.Counts(ctx)
	if err != nil {
		return nil, err
	}
	sums := make(map[rollcall.SessionCount]int)
	for _, c := range counts {
		n := c.Count
		sums[reduced(c, by)] += n
	}
	list := make([]rollcall.SessionCount, 0, len(sums))
	for c, n := range sums {
		c.Count = n
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b rollcall.SessionCount) int {
		return cmp.Or(cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.GameCode, b.GameCode), cmp.Compare(a.Mode, b.Mode),
			cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Device, b.Device), cmp.Compare(a.GameServer, b.GameServer))
	})
	return list, nil
}

var countNames = []string{"agent", "game", "mode", "currency", "device", "gameServer"}

// reduced returns what by names of c, without the count.
func reduced(c rollcall.SessionCount, by []string) rollcall.SessionCount {
	c.Count = 0
	if len(by) == 0 {
		return c
	}
	var r rollcall.SessionCount
	for _, name := range by {
		switch name {
		case "agent":
			r.AgentID = c.AgentID
		case "game":
			r.GameCode = c.GameCode
		case "mode":
			r.Mode = c.Mode
		case "currency":
			r.Currency = c.Currency
		case "device":
			r.Device = c.Device
		case "gameServer":
			r.GameServer = c.GameServer
		}
	}
	return r
}

func (s *Service) logEnds(ctx context.Context, ended []rollcall.EndedSession) {
	if !s.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for i := range ended {
		e := &ended[i]
		s.log.LogAttrs(ctx, slog.LevelDebug, "session ended",
			slog.String("session", e.ID),
			slog.String("agent", e.AgentID),
			slog.String("member", e.Username),
			slog.String("reason", string(e.Reason)),
			slog.String("by", e.By),
			slog.Duration("lasted", e.EndedAt.Sub(e.StartedAt).Round(time.Second)))
	}
}
