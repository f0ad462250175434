package roll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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

// StartParams are what a game server says of a session that begins; the fields
// are those of rollcall.Session.
type StartParams struct {
	AgentID    string              `json:"agentId"`
	Username   string              `json:"username"`
	GameCode   string              `json:"gameCode"`
	Mode       rollcall.Mode       `json:"mode"`
	GameServer string              `json:"gameServer"`
	Device     rollcall.DeviceType `json:"device"`
	IP         netip.Addr          `json:"ip"`
	Lang       string              `json:"lang"`
	Launch     rollcall.LaunchType `json:"launch"`
}

// check returns rollcall.ErrInvalid and the field that is.
func (p *StartParams) check() error {
	switch {
	case !rollcall.ValidID(p.GameServer):
		return invalid("gameServer", "1 to 64 of A-Za-z0-9_.-")
	case !p.Mode.Valid():
		return invalid("mode", "real or demo")
	case !p.Device.Valid():
		return invalid("device", "pc or mobile")
	case !p.Launch.Valid():
		return invalid("launch", "both, demo or real")
	case !p.IP.IsValid() || p.IP.Zone() != "":
		return invalid("ip", "an IPv4 or IPv6 address without a zone")
	case !rollcall.ValidLang(p.Lang):
		return invalid("lang", "1 to 16 of A-Za-z0-9_-")
	case p.Launch == rollcall.LaunchDemo && p.Mode != rollcall.ModeDemo,
		p.Launch == rollcall.LaunchReal && p.Mode != rollcall.ModeReal:
		return invalid("mode", "what launch asks for")
	}
	return nil
}

func invalid(field, want string) error {
	return fmt.Errorf("%w %s: want %s", rollcall.ErrInvalid, field, want)
}

// Start begins a session. When it returns, the session is durable and seen by
// every check. Errors: ErrInvalid, ErrNotFound (agent or game), ErrAgentRefused
// (blocked), ErrBranchNotConfigured, ErrMemberNotFound.
func (s *Service) Start(ctx context.Context, p StartParams) (rollcall.Session, error) {
	if err := p.check(); err != nil {
		return rollcall.Session{}, err
	}
	session, err := s.newSession(ctx, p)
	if err != nil {
		return rollcall.Session{}, err
	}
	session, err = s.sessions.Start(ctx, session)
	if err != nil {
		return rollcall.Session{}, err
	}
	// The member may have been deleted since newSession looked; the deletion may
	// then have ended the member's sessions before this one was there.
	if _, err := s.member(ctx, p.AgentID, p.Username); errors.Is(err, rollcall.ErrMemberNotFound) {
		_, endErr := s.sessions.End(ctx, session.ID, s.now())
		return rollcall.Session{}, errors.Join(err, endErr)
	}
	return session, nil
}

func (s *Service) newSession(ctx context.Context, p StartParams) (rollcall.Session, error) {
	agent, err := s.activeAgent(ctx, p.AgentID)
	if err != nil {
		return rollcall.Session{}, err
	}
	branch, err := s.branchOf(ctx, agent)
	if err != nil {
		return rollcall.Session{}, err
	}
	member, err := s.member(ctx, p.AgentID, p.Username)
	if err != nil {
		return rollcall.Session{}, err
	}
	if err := s.offers(ctx, p.GameCode, p.Mode); err != nil {
		return rollcall.Session{}, err
	}
	now := s.now()
	return rollcall.Session{
		ID:            newID(),
		AgentID:       agent.ID,
		Username:      member.Username,
		GameCode:      p.GameCode,
		Mode:          p.Mode,
		GameServer:    p.GameServer,
		Device:        p.Device,
		IP:            p.IP.Unmap(),
		Lang:          p.Lang,
		Launch:        p.Launch,
		Currency:      member.Currency,
		BrandCurrency: branch.BrandCurrency,
		Wallet:        agent.Wallet,
		StartedAt:     now,
		SeenAt:        now,
		ExpiresAt:     now.Add(min(s.lease, s.lifetime)),
		EndsAt:        now.Add(s.lifetime),
	}, nil
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

// offers returns an error unless the game is there and has the mode.
func (s *Service) offers(ctx context.Context, code string, mode rollcall.Mode) error {
	game, err := s.directory.Games().Get(ctx, code)
	if err != nil {
		return named("game", code, err)
	}
	if !slices.Contains(game.Modes, mode) {
		return invalid("mode", "one that the game offers")
	}
	return nil
}

// named says of which thing err speaks. Names that came from a caller have been
// looked up by then, and %q keeps the others from doing harm in a log.
func named(kind, name string, err error) error { return fmt.Errorf("%s %q: %w", kind, name, err) }

// Heartbeat renews the leases of sessions that gameServer holds and returns the
// ids of those that it does not hold or that are no longer active.
func (s *Service) Heartbeat(ctx context.Context, gameServer string, ids []string) (unknown []string, err error) {
	return s.sessions.Heartbeat(ctx, gameServer, ids, s.now(), s.lease)
}

// End ends one session and returns it as it was; rollcall.ErrNotFound where it
// is not active.
func (s *Service) End(ctx context.Context, id string, reason rollcall.EndReason) (rollcall.Session, error) {
	session, err := s.sessions.End(ctx, id, s.now())
	if err != nil {
		return rollcall.Session{}, named("session", id, err)
	}
	s.logEnd(ctx, &session, reason)
	return session, nil
}

// Session returns one active session, or rollcall.ErrNotFound.
func (s *Service) Session(ctx context.Context, id string) (rollcall.Session, error) {
	session, err := s.sessions.Get(ctx, id, s.now())
	if err != nil {
		return rollcall.Session{}, named("session", id, err)
	}
	return session, nil
}

// Sessions returns at most limit active sessions with an ID greater than after,
// by ID; of one agent, or one agent's member, where these are not empty. A
// member's are returned all at once.
func (s *Service) Sessions(ctx context.Context, agentID, username, after string, limit int) ([]rollcall.Session, error) {
	if username != "" {
		return s.sessions.OfMember(ctx, agentID, username, s.now())
	}
	return s.sessions.List(ctx, agentID, after, limit, s.now())
}

// Counts returns how many sessions are live by agent, game and mode, in a fixed
// order.
func (s *Service) Counts(ctx context.Context) ([]rollcall.SessionCount, error) {
	counts, err := s.sessions.Counts(ctx)
	slices.SortFunc(counts, func(a, b rollcall.SessionCount) int {
		return cmp.Or(cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.GameCode, b.GameCode), cmp.Compare(a.Mode, b.Mode))
	})
	return counts, err
}

func (s *Service) logEnd(ctx context.Context, ended *rollcall.Session, reason rollcall.EndReason) {
	s.log.LogAttrs(ctx, slog.LevelDebug, "session ended",
		slog.String("session", ended.ID),
		slog.String("agent", ended.AgentID),
		slog.String("member", ended.Username),
		slog.String("reason", string(reason)),
		slog.Duration("lasted", s.now().Sub(ended.StartedAt).Round(time.Second)))
}
