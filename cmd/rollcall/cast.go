package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// The roles of the sandbox's agents in its credentials.
const (
	rolePrimary  = "primary"
	roleOther    = "other"
	roleNoBranch = "no-branch"
	roleBlocked  = "blocked"
)

// sandboxActor is who made the cast, in the audit.
const sandboxActor = "rollcall sandbox"

const castBranch = "THB"

// castAgents are the sandbox's agents; all have their own keys.
var castAgents = []struct {
	role   string
	id     string
	branch string
	wallet rollcall.Wallet
}{
	{rolePrimary, "integratorNBTest04", castBranch, rollcall.WalletTransfer},
	{roleOther, "integratorNBTest05", castBranch, rollcall.WalletSeamless},
	{roleNoBranch, "integratorNoBranch", "", rollcall.WalletTransfer},
	{roleBlocked, "integratorBlocked", castBranch, rollcall.WalletTransfer},
}

// castGames are the sandbox's games and the modes that they offer.
var castGames = []rollcall.Game{
	{Code: "VP_230001_1", Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}},
	{Code: "VP_230002_1", Modes: []rollcall.Mode{rollcall.ModeReal}},
	{Code: "VP_230003_1", Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}},
}

// castMembers are agent and username of the sandbox's members.
var castMembers = [][2]string{
	{"integratorNBTest04", "player001"},
	{"integratorNBTest04", "player002"},
	{"integratorNBTest04", "player003"},
	{"integratorNBTest05", "player001"},
}

const castServer = "sandbox"

// castSessions are the sandbox's sessions: player001's is the one of the
// protocol's example (spec 6.2).
var castSessions = []roll.StartParams{
	castSession("player001", "VP_230001_1", rollcall.ModeReal, rollcall.DevicePC, rollcall.LaunchReal),
	castSession("player003", "VP_230003_1", rollcall.ModeReal, rollcall.DeviceMobile, rollcall.LaunchReal),
	castSession("player003", "VP_230001_1", rollcall.ModeDemo, rollcall.DevicePC, rollcall.LaunchDemo),
}

func castSession(username, game string, mode rollcall.Mode, device rollcall.DeviceType, launch rollcall.LaunchType) roll.StartParams {
	return roll.StartParams{
		AgentID: "integratorNBTest04", Username: username, GameCode: game, Mode: mode, GameServer: castServer,
		Device: device, IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Lang: "en", Launch: launch,
	}
}

// createCast makes the cast and an admin token, and returns the keys.
func createCast(ctx context.Context, s *roll.Service) (Credentials, error) {
	var c Credentials
	_, err := s.CreateBranch(ctx, sandboxActor, rollcall.Branch{ID: castBranch, Currency: "THB", BrandCurrency: "THB"})
	if err != nil {
		return c, err
	}
	for _, game := range castGames {
		if _, err := s.CreateGame(ctx, sandboxActor, game); err != nil {
			return c, err
		}
	}
	for _, a := range castAgents {
		agent := rollcall.Agent{ID: a.id, BranchID: a.branch, Wallet: a.wallet, Signature: rollcall.SignaturePlain}
		_, keys, err := s.CreateAgent(ctx, sandboxActor, agent, roll.NewKeys{})
		if err != nil {
			return c, err
		}
		c.Agents = append(c.Agents, AgentCredentials{Role: a.role, AgentID: a.id, APIKey: keys.APIKey, Secret: keys.SecretKey})
		if a.role == roleBlocked {
			if _, err := s.SetAgentStatus(ctx, sandboxActor, a.id, rollcall.AgentBlocked); err != nil {
				return c, err
			}
		}
	}
	for _, m := range castMembers {
		if _, err := s.CreateMember(ctx, sandboxActor, m[0], m[1], ""); err != nil {
			return c, err
		}
	}
	c.AdminToken, err = s.CreateAdminToken(ctx, sandboxActor, "sandbox")
	return c, err
}

// A keeper plays the cast's game server: it starts the sessions and keeps them.
type keeper struct {
	service *roll.Service
	log     *slog.Logger
	held    []rollcall.Session
}

// start begins those of the cast's sessions that are not there, as after a
// restart some may be.
func (k *keeper) start(ctx context.Context) error {
	for _, p := range castSessions {
		have, err := k.service.Sessions(ctx, p.AgentID, p.Username, "", 0)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(have, func(s rollcall.Session) bool { return s.GameCode == p.GameCode && s.Mode == p.Mode })
		if at >= 0 {
			k.held = append(k.held, have[at])
			continue
		}
		session, err := k.service.Start(ctx, p)
		if err != nil {
			return err
		}
		k.held = append(k.held, session)
	}
	return nil
}

const keepEvery = 30 * time.Second

// run sends heartbeats until ctx ends. A session that somebody ended stays
// ended; one whose lifetime has passed begins anew.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := k.beat(ctx, now); err != nil && ctx.Err() == nil {
				k.log.LogAttrs(ctx, slog.LevelError, "sandbox: heartbeat", slog.Any("error", err))
			}
		}
	}
}

func (k *keeper) beat(ctx context.Context, now time.Time) error {
	ids := make([]string, len(k.held))
	for i := range k.held {
		ids[i] = k.held[i].ID
	}
	unknown, err := k.service.Heartbeat(ctx, castServer, ids)
	if err != nil {
		return err
	}
	var errs []error
	for i := range k.held {
		if slices.Contains(unknown, k.held[i].ID) && !now.Before(k.held[i].EndsAt) {
			session, err := k.service.Start(ctx, castSessions[i])
			if err != nil {
				errs = append(errs, err)
				continue
			}
			k.held[i] = session
		}
	}
	return errors.Join(errs...)
}
