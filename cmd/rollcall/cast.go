package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
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

// A castAgent is one of the sandbox's agents; each has keys of its own.
type castAgent struct {
	role   string
	id     string
	branch string
	wallet rollcall.Wallet
}

var castAgents = []castAgent{
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

// castServer is the game server that the arcade is.
const castServer = "sandbox"

// castLaunches are those of the sandbox's sessions, which the primary agent asks
// for: player001's is the one of the protocol's example (spec 6.2). deviceType
// is 0 for a PC and 1 for mobile.
var castLaunches = []wire.OpenGameRequest{
	castLaunch("player001", "VP_230001_1", 0, rollcall.LaunchReal),
	castLaunch("player003", "VP_230003_1", 1, rollcall.LaunchReal),
	castLaunch("player003", "VP_230001_1", 0, rollcall.LaunchDemo),
}

func castLaunch(username, game string, device int, launch rollcall.LaunchType) wire.OpenGameRequest {
	return wire.OpenGameRequest{
		Username: username, GameCode: game, DeviceType: device, LaunchType: int(launch), IPAddress: "127.0.0.1", Lang: "en",
	}
}

// A caster makes what is missing of the cast. What is there stays as it is, also
// where somebody has changed it.
type caster struct {
	service *roll.Service
	c       Credentials
}

// makeCast returns c with the keys and tokens that were missing in it.
func makeCast(ctx context.Context, s *roll.Service, c Credentials) (Credentials, error) {
	m := caster{s, c}
	for _, step := range []func(context.Context) error{m.directory, m.agents, m.members, m.gameServer, m.adminToken} {
		if err := step(ctx); err != nil {
			return m.c, err
		}
	}
	return m.c, nil
}

// unlessThere is err, but for a name that is taken.
func unlessThere(err error) error {
	if errors.Is(err, rollcall.ErrExists) {
		return nil
	}
	return err
}

func (m *caster) directory(ctx context.Context) error {
	_, err := m.service.CreateBranch(ctx, sandboxActor, rollcall.Branch{ID: castBranch, Currency: "THB", BrandCurrency: "THB"})
	if err := unlessThere(err); err != nil {
		return err
	}
	for _, game := range castGames {
		if _, err := m.service.CreateGame(ctx, sandboxActor, game); unlessThere(err) != nil {
			return err
		}
	}
	return nil
}

func (m *caster) agents(ctx context.Context) error {
	for _, a := range castAgents {
		if err := m.agent(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// agent makes an agent with the keys that the credentials have of it, or finds it.
func (m *caster) agent(ctx context.Context, a castAgent) error {
	at := slices.IndexFunc(m.c.Agents, func(have AgentCredentials) bool { return have.AgentID == a.id })
	var keys roll.NewKeys
	if at >= 0 {
		keys = roll.NewKeys{APIKey: m.c.Agents[at].APIKey, SecretKey: m.c.Agents[at].Secret}
	}
	agent := rollcall.Agent{ID: a.id, BranchID: a.branch, Wallet: a.wallet, Signature: rollcall.SignaturePlain}
	_, keys, err := m.service.CreateAgent(ctx, sandboxActor, agent, keys)
	switch {
	case err == nil && a.role == roleBlocked:
		_, err = m.service.SetAgentStatus(ctx, sandboxActor, a.id, rollcall.AgentBlocked)
	case at < 0 && errors.Is(err, rollcall.ErrExists):
		keys, err = m.moreKeys(ctx, a.id)
	}
	if at < 0 && err == nil {
		m.c.Agents = append(m.c.Agents, AgentCredentials{Role: a.role, AgentID: a.id, APIKey: keys.APIKey, Secret: keys.SecretKey})
	}
	return unlessThere(err)
}

// moreKeys gives an agent whose keys nobody knows any more others.
func (m *caster) moreKeys(ctx context.Context, id string) (keys roll.NewKeys, err error) {
	if _, keys.APIKey, err = m.service.AddKey(ctx, sandboxActor, id, roll.KindAPIKey, ""); err != nil {
		return keys, err
	}
	_, keys.SecretKey, err = m.service.AddKey(ctx, sandboxActor, id, roll.KindSecretKey, "")
	return keys, err
}

func (m *caster) members(ctx context.Context) error {
	for _, name := range castMembers {
		if _, err := m.service.Member(ctx, name[0], name[1]); err == nil {
			continue
		}
		if _, err := m.service.CreateMember(ctx, sandboxActor, name[0], name[1], ""); unlessThere(err) != nil {
			return err
		}
	}
	return nil
}

// gameServer makes the arcade's game server, or one that was deleted anew. Of one
// that is there and whose token is not known, as in the credentials of earlier
// versions, it changes the token.
func (m *caster) gameServer(ctx context.Context) error {
	at := slices.IndexFunc(m.c.GameServers, func(have GameServerCredentials) bool { return have.ID == castServer })
	_, token, err := m.service.CreateGameServer(ctx, sandboxActor, rollcall.GameServer{ID: castServer})
	switch {
	case at >= 0 && errors.Is(err, rollcall.ErrExists):
		return nil
	case errors.Is(err, rollcall.ErrExists):
		token, err = m.service.RotateGameServerToken(ctx, sandboxActor, castServer)
	}
	if err != nil {
		return err
	}
	m.c.GameServers = slices.DeleteFunc(m.c.GameServers, func(have GameServerCredentials) bool { return have.ID == castServer })
	m.c.GameServers = append(m.c.GameServers, GameServerCredentials{ID: castServer, Token: token})
	return nil
}

func (m *caster) adminToken(ctx context.Context) (err error) {
	if m.c.AdminToken != "" {
		return nil
	}
	m.c.AdminToken, err = m.service.CreateAdminToken(ctx, sandboxActor, "sandbox")
	if errors.Is(err, rollcall.ErrExists) { // whose text is lost
		m.c.AdminToken, err = m.service.CreateAdminToken(ctx, sandboxActor, "sandbox-"+rand.Text()[:6])
	}
	return err
}
