package roll

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
)

// LaunchTTL is how long a launch token can start a session (spec 7.2).
const LaunchTTL = 5 * time.Minute

// LaunchParams are what a launch asks for; the fields are those of
// rollcall.Session, and have been checked for their form.
type LaunchParams struct {
	// Username is empty for a demo without a member; SiteID, if it is not, has to
	// be the member's.
	Username, SiteID string
	GameCode         string
	Device           rollcall.DeviceType
	IP               netip.Addr
	Lang             string
	Launch           rollcall.LaunchType
	LobbyURL         string
}

// OpenGame launches a game for a member of the calling agent and returns where
// the member goes, and the mode (spec 7.2). Errors in the order of the checks:
// ErrBranchNotConfigured, ErrMemberNotFound, ErrMemberSuspended,
// ErrSiteMismatch, ErrGameNotFound (also for a mode that the game has not),
// ErrGameRestricted.
func (s *Service) OpenGame(ctx context.Context, c Caller, p LaunchParams) (launchURL string, mode rollcall.Mode, err error) {
	session, err := s.launchSession(ctx, c, p)
	if err != nil {
		return "", "", err
	}
	game, err := s.launchGame(ctx, c, p)
	if err != nil {
		return "", "", err
	}
	session.Mode = modeOf(game, p.Launch)
	token := newLaunchToken(HomeOf(session.AgentID, session.Username))
	if launchURL, err = s.urlOf(game, token); err != nil {
		return "", "", err
	}
	now := s.now()
	l := Launch{Key: LaunchKey(token), Session: session, CreatedAt: now, ExpiresAt: now.Add(LaunchTTL)}
	return launchURL, session.Mode, s.sessions.AddLaunch(ctx, l)
}

// launchSession checks branch, member and site.
func (s *Service) launchSession(ctx context.Context, c Caller, p LaunchParams) (rollcall.Session, error) {
	branch, err := s.branchOf(ctx, c.Agent)
	if c.Trail.Check("branch", err) != nil {
		return rollcall.Session{}, err
	}
	session := rollcall.Session{
		AgentID: c.Agent.ID, Username: p.Username, GameCode: p.GameCode,
		Device: p.Device, IP: p.IP.Unmap(), Lang: p.Lang, Launch: p.Launch,
		Currency: branch.Currency, BrandCurrency: branch.BrandCurrency, Wallet: c.Agent.Wallet, LobbyURL: p.LobbyURL,
	}
	if p.Username == "" {
		return session, nil
	}
	member, err := s.playingMember(ctx, c.Agent.ID, p.Username)
	if err == nil && p.SiteID != "" && p.SiteID != member.SiteID {
		err = rollcall.ErrSiteMismatch
	}
	if c.Trail.Check("member", err) != nil {
		return rollcall.Session{}, err
	}
	session.Currency = member.Currency
	return session, nil
}

// playingMember returns a member who may play.
func (s *Service) playingMember(ctx context.Context, agentID, username string) (*rollcall.Member, error) {
	member, err := s.member(ctx, agentID, username)
	if err == nil && member.Suspended {
		err = rollcall.ErrMemberSuspended
	}
	return member, err
}

func (s *Service) launchGame(ctx context.Context, c Caller, p LaunchParams) (*rollcall.Game, error) {
	game, err := s.directory.Games().Get(ctx, p.GameCode)
	switch {
	case errors.Is(err, rollcall.ErrNotFound):
		err = rollcall.ErrGameNotFound
	case err != nil:
	case !slices.Contains(game.Modes, modeOf(game, p.Launch)):
		err = fmt.Errorf("%w in the mode that was asked for", rollcall.ErrGameNotFound)
	case len(c.Agent.Games) > 0 && !slices.Contains(c.Agent.Games, game.Code):
		err = rollcall.ErrGameRestricted
	}
	return game, c.Trail.Check("game", err)
}

// modeOf returns the mode that a launch gets, if the game has it (spec 7.2).
func modeOf(game *rollcall.Game, asked rollcall.LaunchType) rollcall.Mode {
	switch {
	case asked == rollcall.LaunchDemo, asked == rollcall.LaunchBoth && !slices.Contains(game.Modes, rollcall.ModeReal):
		return rollcall.ModeDemo
	}
	return rollcall.ModeReal
}

// urlOf adds the token to the game's URL, else to the service's.
func (s *Service) urlOf(game *rollcall.Game, token string) (string, error) {
	base := game.LaunchURL
	if base == "" {
		base = s.launchURL
	}
	if base == "" {
		return "", fmt.Errorf("game %q has no launch URL, and the setting launch-url is empty", game.Code)
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("launch URL of game %q: %w", game.Code, err)
	}
	query := u.Query()
	query.Set("token", token)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Start begins the session of a launch for a game server (spec 6.4). When it
// returns, the session is durable and seen by every check. The same token, game
// server and boot get the same session again, while it is active. heartbeat is
// how often to renew it. Errors: ErrLaunchUnknown, ErrLaunchUsed,
// ErrLaunchExpired, ErrLaunchVoided, ErrGameNotRun, ErrStaleBoot, ErrDraining,
// ErrSessionLimit, ErrAgentRefused, ErrMemberNotFound, ErrMemberSuspended,
// ErrGameNotFound.
func (s *Service) Start(ctx context.Context, server *GameServer, bootID, token string) (_ rollcall.Session, heartbeat time.Duration, err error) {
	if err := s.checkBoot(ctx, server.ID, bootID); err != nil {
		return rollcall.Session{}, 0, err
	}
	launch, err := s.sessions.Launch(ctx, LaunchKey(token))
	if err != nil {
		return rollcall.Session{}, 0, err
	}
	switch {
	case !server.Runs(launch.Session.GameCode):
		return rollcall.Session{}, 0, fmt.Errorf("%w: %s", rollcall.ErrGameNotRun, launch.Session.GameCode)
	case server.Draining && launch.StartedID == "":
		return rollcall.Session{}, 0, rollcall.ErrDraining
	}
	agent, game, err := s.mayStart(ctx, &launch.Session)
	if err != nil {
		return rollcall.Session{}, 0, err
	}
	started, err := s.sessions.Start(ctx, Start{
		LaunchKey: launch.Key, Session: s.begin(&launch, server, bootID, game),
		Limits: agent.Limits, Tell: agent.WebhookURL != "",
	})
	if err != nil {
		return rollcall.Session{}, 0, err
	}
	s.logEnds(ctx, started.Displaced)
	return started.Session, s.heartbeatOf(game), s.stillMay(ctx, &started.Session)
}

// mayStart returns the agent and the game of a session that may begin.
func (s *Service) mayStart(ctx context.Context, session *rollcall.Session) (*Agent, *rollcall.Game, error) {
	agent, err := s.activeAgent(ctx, session.AgentID)
	if err != nil {
		return nil, nil, err
	}
	if session.Username != "" {
		if _, err := s.playingMember(ctx, session.AgentID, session.Username); err != nil {
			return nil, nil, err
		}
	}
	game, err := s.directory.Games().Get(ctx, session.GameCode)
	if errors.Is(err, rollcall.ErrNotFound) {
		err = rollcall.ErrGameNotFound
	}
	return agent, game, err
}

// begin completes the session of a launch.
func (s *Service) begin(launch *Launch, server *GameServer, bootID string, game *rollcall.Game) rollcall.Session {
	now, lease := s.now(), s.leaseOf(game)
	home, _ := HomeOfLaunch(launch.Key) // the launch was found by it
	session := launch.Session
	session.ID, session.GameServer, session.BootID = NewSessionID(s.idTime(now), home), server.ID, bootID
	session.LeaseSeconds = int(lease / time.Second)
	session.StartedAt, session.SeenAt = now, now
	session.EndsAt = now.Add(s.lifetimeOf(game))
	session.ExpiresAt = earlier(now.Add(lease), session.EndsAt)
	return session
}

// stillMay ends a session that could begin because its agent was blocked, or its
// member suspended or deleted, between mayStart and the Start: what ended the
// others' sessions may have missed it.
func (s *Service) stillMay(ctx context.Context, session *rollcall.Session) error {
	_, _, err := s.mayStart(ctx, session)
	if err == nil || errors.Is(err, rollcall.ErrUnavailable) {
		return nil
	}
	ending := Ending{At: s.now(), Reason: rollcall.EndKicked, By: "rollcall", GameServer: session.GameServer}
	if errors.Is(err, rollcall.ErrAgentRefused) {
		ending.Reason = rollcall.EndAgentBlocked
	}
	_, endErr := s.sessions.End(context.WithoutCancel(ctx), []string{session.ID}, ending)
	return errors.Join(err, endErr)
}

func (s *Service) leaseOf(game *rollcall.Game) time.Duration {
	return orDefault(seconds(game.LeaseSeconds), s.lease)
}

func (s *Service) lifetimeOf(game *rollcall.Game) time.Duration {
	return orDefault(seconds(game.LifetimeSeconds), s.lifetime)
}

// heartbeatOf returns how often to renew a game's sessions, which is three times
// in a lease at least, in whole seconds.
func (s *Service) heartbeatOf(game *rollcall.Game) time.Duration {
	return wholeSeconds(min(orDefault(seconds(game.HeartbeatSeconds), s.heartbeat), s.leaseOf(game)/3))
}

func wholeSeconds(d time.Duration) time.Duration { return max(d.Truncate(time.Second), time.Second) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
