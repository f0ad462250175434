package roll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// entry is the audit of what actor does to subject now.
func (s *Service) entry(actor, action, subject, detail string) rollcall.AuditEntry {
	return rollcall.AuditEntry{At: s.now(), Actor: actor, Action: action, Subject: subject, Detail: detail}
}

// Audit returns at most limit entries with a Seq below before (0: the newest),
// newest first.
func (s *Service) Audit(ctx context.Context, before int64, limit int) ([]rollcall.AuditEntry, error) {
	return s.directory.Audit(ctx, before, limit)
}

// CreateBranch makes a branch: ErrInvalid, ErrExists.
func (s *Service) CreateBranch(ctx context.Context, actor string, b rollcall.Branch) (*rollcall.Branch, error) {
	if err := checkBranch(&b); err != nil {
		return nil, err
	}
	b.CreatedAt = s.now()
	b.UpdatedAt = b.CreatedAt
	detail := fmt.Sprintf("currency %s, brand currency %s", b.Currency, b.BrandCurrency)
	err := s.directory.Branches().Create(ctx, s.entry(actor, "branch.create", b.ID, detail), b.ID, b)
	return &b, namedIf("branch", b.ID, err)
}

func checkBranch(b *rollcall.Branch) error {
	switch {
	case !rollcall.ValidID(b.ID):
		return invalid("id", "1 to 64 of A-Za-z0-9_.-")
	case !rollcall.ValidCurrency(b.Currency):
		return invalid("currency", "3 to 8 of A-Z and 0-9")
	case !rollcall.ValidCurrency(b.BrandCurrency):
		return invalid("brandCurrency", "3 to 8 of A-Z and 0-9")
	}
	return nil
}

// ChangeBranch applies change to a branch. Sessions and members that there are
// keep the currencies that they began with.
func (s *Service) ChangeBranch(ctx context.Context, actor, id string, change func(*rollcall.Branch)) (*rollcall.Branch, error) {
	b, err := s.directory.Branches().Update(ctx, s.entry(actor, "branch.change", id, ""), id, func(b *rollcall.Branch) error {
		created := b.CreatedAt
		change(b)
		b.ID, b.CreatedAt, b.UpdatedAt = id, created, s.now()
		return checkBranch(b)
	})
	return b, namedIf("branch", id, err)
}

// DeleteBranch removes a branch that no agent has: ErrInUse, ErrNotFound.
func (s *Service) DeleteBranch(ctx context.Context, actor, id string) error {
	for after := ""; ; {
		agents, err := s.directory.Agents().List(ctx, "", after, listLimit)
		if err != nil {
			return err
		}
		for _, a := range agents {
			if a.BranchID == id {
				return fmt.Errorf("branch %q: %w by agent %s", id, rollcall.ErrInUse, a.ID)
			}
		}
		if len(agents) < listLimit {
			break
		}
		after = agents[len(agents)-1].ID
	}
	return namedIf("branch", id, s.directory.Branches().Delete(ctx, s.entry(actor, "branch.delete", id, ""), id))
}

const listLimit = 500

// Branch returns a branch, or rollcall.ErrNotFound.
func (s *Service) Branch(ctx context.Context, id string) (*rollcall.Branch, error) {
	b, err := s.directory.Branches().Get(ctx, id)
	return b, namedIf("branch", id, err)
}

// Branches returns at most limit branches with an ID greater than after, by ID.
func (s *Service) Branches(ctx context.Context, after string, limit int) ([]*rollcall.Branch, error) {
	return s.directory.Branches().List(ctx, "", after, limit)
}

// CreateGame makes a game: ErrInvalid, ErrExists.
func (s *Service) CreateGame(ctx context.Context, actor string, g rollcall.Game) (*rollcall.Game, error) {
	if err := checkGame(&g); err != nil {
		return nil, err
	}
	g.CreatedAt = s.now()
	g.UpdatedAt = g.CreatedAt
	err := s.directory.Games().Create(ctx, s.entry(actor, "game.create", g.Code, fmt.Sprint(g.Modes)), g.Code, g)
	return &g, namedIf("game", g.Code, err)
}

func checkGame(g *rollcall.Game) error {
	if !rollcall.ValidID(g.Code) {
		return invalid("code", "1 to 64 of A-Za-z0-9_.-")
	}
	for i, m := range g.Modes {
		if !m.Valid() || slices.Contains(g.Modes[:i], m) {
			return invalid("modes", "real, demo or both, each once")
		}
	}
	if len(g.Modes) == 0 {
		return invalid("modes", "at least one of real and demo")
	}
	if g.LaunchURL != "" && !rollcall.ValidLaunchURL(g.LaunchURL) {
		return invalid("launchUrl", "an http or https URL of at most 2048 bytes, without a fragment")
	}
	return checkTimes(g)
}

func checkTimes(g *rollcall.Game) error {
	const longest = int(MaxLifetime / time.Second)
	switch {
	case g.LifetimeSeconds < 0 || g.LifetimeSeconds > longest:
		return invalid("lifetimeSeconds", fmt.Sprintf("0 to %d", longest))
	case g.LeaseSeconds < 0 || g.LeaseSeconds > longest:
		return invalid("leaseSeconds", fmt.Sprintf("0 to %d", longest))
	case g.HeartbeatSeconds < 0 || g.LeaseSeconds > 0 && g.HeartbeatSeconds > g.LeaseSeconds/3:
		return invalid("heartbeatSeconds", "at most a third of leaseSeconds")
	}
	return nil
}

// ChangeGame applies change to a game. Live sessions go on.
func (s *Service) ChangeGame(ctx context.Context, actor, code string, change func(*rollcall.Game)) (*rollcall.Game, error) {
	g, err := s.directory.Games().Update(ctx, s.entry(actor, "game.change", code, ""), code, func(g *rollcall.Game) error {
		created := g.CreatedAt
		change(g)
		g.Code, g.CreatedAt, g.UpdatedAt = code, created, s.now()
		return checkGame(g)
	})
	return g, namedIf("game", code, err)
}

// DeleteGame removes a game that nobody plays: ErrInUse, ErrNotFound.
func (s *Service) DeleteGame(ctx context.Context, actor, code string) error {
	counts, err := s.sessions.Counts(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if c.GameCode == code {
			return fmt.Errorf("game %q: %w by live sessions of agent %s", code, rollcall.ErrInUse, c.AgentID)
		}
	}
	return namedIf("game", code, s.directory.Games().Delete(ctx, s.entry(actor, "game.delete", code, ""), code))
}

// Game returns a game, or rollcall.ErrNotFound.
func (s *Service) Game(ctx context.Context, code string) (*rollcall.Game, error) {
	g, err := s.directory.Games().Get(ctx, code)
	return g, namedIf("game", code, err)
}

// Games returns at most limit games with a Code greater than after, by Code.
func (s *Service) Games(ctx context.Context, after string, limit int) ([]*rollcall.Game, error) {
	return s.directory.Games().List(ctx, "", after, limit)
}

// CreateMember makes a member of an agent, in the currency of the agent's
// branch: ErrInvalid, ErrNotFound (agent), ErrBranchNotConfigured, ErrExists.
func (s *Service) CreateMember(ctx context.Context, actor, agentID, username, siteID string) (*rollcall.Member, error) {
	if !rollcall.ValidUsername(username) {
		return nil, invalid("username", "1 to 25 ASCII letters or digits")
	}
	if siteID != "" && !rollcall.ValidSiteID(siteID) {
		return nil, invalid("siteId", "1 to 32 of A-Za-z0-9_-")
	}
	agent, err := s.directory.Agents().Get(ctx, agentID)
	if err != nil {
		return nil, named("agent", agentID, err)
	}
	branch, err := s.branchOf(ctx, agent)
	if err != nil {
		return nil, err
	}
	now := s.now()
	m := rollcall.Member{AgentID: agentID, Username: username, SiteID: siteID, Currency: branch.Currency, CreatedAt: now, UpdatedAt: now}
	key := MemberKey(agentID, username)
	if err := s.directory.Members().Create(ctx, s.entry(actor, "member.create", key, ""), key, m); err != nil {
		return nil, named("member", key, err)
	}
	return &m, nil
}

// ChangeMember applies change to a member.
func (s *Service) ChangeMember(ctx context.Context, actor, agentID, username string, change func(*rollcall.Member)) (*rollcall.Member, error) {
	key := MemberKey(agentID, username)
	m, err := s.directory.Members().Update(ctx, s.entry(actor, "member.change", key, ""), key, func(m *rollcall.Member) error {
		kept := *m
		change(m)
		kept.SiteID, kept.UpdatedAt = m.SiteID, s.now()
		*m = kept
		if m.SiteID != "" && !rollcall.ValidSiteID(m.SiteID) {
			return invalid("siteId", "1 to 32 of A-Za-z0-9_-")
		}
		return nil
	})
	return m, namedIf("member", key, err)
}

// DeleteMember removes a member and kicks it.
func (s *Service) DeleteMember(ctx context.Context, actor, agentID, username string) error {
	key := MemberKey(agentID, username)
	err := s.directory.Members().Delete(ctx, s.entry(actor, "member.delete", key, ""), key)
	if err != nil && !errors.Is(err, rollcall.ErrNotFound) {
		return named("member", key, err)
	}
	// Also where there is none: who tries again after half of this failed has the
	// sessions ended.
	_, kickErr := s.kickMember(ctx, memberKick(actor, agentID, username, "the member was deleted"))
	return errors.Join(namedIf("member", key, err), kickErr)
}

// SetMemberSuspended suspends a member, who is kicked and can launch no game
// until the member may play again (spec 7.2).
func (s *Service) SetMemberSuspended(ctx context.Context, actor, agentID, username string, suspended bool) (*rollcall.Member, error) {
	key := MemberKey(agentID, username)
	action := map[bool]string{true: "member.suspend", false: "member.unsuspend"}[suspended]
	m, err := s.directory.Members().Update(ctx, s.entry(actor, action, key, ""), key, func(m *rollcall.Member) error {
		m.Suspended, m.UpdatedAt = suspended, s.now()
		return nil
	})
	if err != nil {
		return nil, named("member", key, err)
	}
	if suspended {
		_, err = s.kickMember(ctx, memberKick(actor, agentID, username, "the member was suspended"))
	}
	return m, err
}

// Member returns a member, or rollcall.ErrNotFound.
func (s *Service) Member(ctx context.Context, agentID, username string) (*rollcall.Member, error) {
	key := MemberKey(agentID, username)
	m, err := s.directory.Members().Get(ctx, key)
	return m, namedIf("member", key, err)
}

// Members returns at most limit members of an agent with a Username greater than
// after, by Username.
func (s *Service) Members(ctx context.Context, agentID, after string, limit int) ([]*rollcall.Member, error) {
	prefix := MemberKey(agentID, "")
	if after != "" {
		after = MemberKey(agentID, after)
	}
	return s.directory.Members().List(ctx, prefix, after, limit)
}

// Request returns the record of a v2 request, or rollcall.ErrNotFound.
func (s *Service) Request(ctx context.Context, logUUID string) (rollcall.RequestRecord, error) {
	r, err := s.history.Request(ctx, logUUID)
	return r, namedIf("request", logUUID, err)
}

func namedIf(kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return named(kind, name, err)
}
