package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/conform"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// The roles of the sandbox's agents in its credentials.
const (
	rolePrimary  = "primary"
	roleOther    = "other"
	roleNoBranch = "no-branch"
	roleBlocked  = "blocked"
	roleHMAC     = "hmac"
	roleTwoKeys  = "two-keys"
)

// sandboxActor is who made the cast, in the audit.
const sandboxActor = "rollcall sandbox"

const castBranch = "THB"

// A castAgent is one of the sandbox's agents; each has keys of its own. Without games
// it may offer all.
type castAgent struct {
	role   string
	id     string
	branch string
	wallet rollcall.Wallet
	games  []string
}

var castAgents = []castAgent{
	{rolePrimary, "integratorNBTest04", castBranch, rollcall.WalletTransfer, nil},
	{roleOther, "integratorNBTest05", castBranch, rollcall.WalletSeamless, nil},
	{roleNoBranch, "integratorNoBranch", "", rollcall.WalletTransfer, nil},
	{roleBlocked, "integratorBlocked", castBranch, rollcall.WalletTransfer, nil},
	{roleHMAC, "integratorHMAC", castBranch, rollcall.WalletTransfer, []string{"VP_230001_1"}},
	{roleTwoKeys, "integratorTwoKeys", castBranch, rollcall.WalletTransfer, nil},
}

// castGames are the sandbox's games and the modes that they offer.
var castGames = []rollcall.Game{
	{Code: "VP_230001_1", Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}},
	{Code: "VP_230002_1", Modes: []rollcall.Mode{rollcall.ModeReal}},
	{Code: "VP_230003_1", Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}},
	{Code: "VP_230004_1", Modes: []rollcall.Mode{rollcall.ModeDemo}},
}

// castMembers are agent and username of the sandbox's members.
var castMembers = [][2]string{
	{"integratorNBTest04", "player001"},
	{"integratorNBTest04", "player002"},
	{"integratorNBTest04", "player003"},
	{"integratorNBTest04", castSuspended},
	{"integratorNBTest05", "player001"},
	{"integratorNBTest05", "other001"},
}

// castSuspended is the member that may not play.
const castSuspended = "suspended1"

// castServer is the game server that the arcade is. castSpare is nobody: who tries
// the game servers' API, as rollcall conform does, boots as it.
const (
	castServer = "sandbox"
	castSpare  = "spare"
)

// castFacts tell rollcall conform of the cast.
var castFacts = Facts{
	Facts: conform.Facts{
		Member: "player002", Playing: "player001", Shared: "player001", OthersMember: "other001", Suspended: castSuspended,
		Game: "VP_230001_1", RealGame: "VP_230002_1", DemoGame: "VP_230004_1",
		RestrictedRole: roleHMAC, RestrictedGame: "VP_230003_1",
	},
	GameServer: castSpare,
}

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
	m.c.Facts = &castFacts
	for _, step := range []func(context.Context) error{m.directory, m.agents, m.members, m.gameServers, m.adminToken} {
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
	agent := rollcall.Agent{ID: a.id, BranchID: a.branch, Wallet: a.wallet, Signature: a.profile(), Games: a.games}
	_, keys, err := m.service.CreateAgent(ctx, sandboxActor, agent, keys)
	switch {
	case err == nil && a.role == roleBlocked:
		_, err = m.service.SetAgentStatus(ctx, sandboxActor, a.id, rollcall.AgentBlocked)
	case at < 0 && errors.Is(err, rollcall.ErrExists):
		keys, err = m.moreKeys(ctx, a.id)
	}
	if at < 0 && err == nil {
		have := AgentCredentials{Role: a.role, AgentID: a.id, APIKey: keys.APIKey, Secret: keys.SecretKey}
		if a.role == roleHMAC {
			have.Signature = rollcall.SignatureHMAC
		}
		if a.role == roleTwoKeys {
			have.NextAPIKey, err = m.secondKey(ctx, a.id)
		}
		m.c.Agents = append(m.c.Agents, have)
	}
	return unlessThere(err)
}

func (a *castAgent) profile() rollcall.SignatureProfile {
	if a.role == roleHMAC {
		return rollcall.SignatureHMAC
	}
	return rollcall.SignaturePlain
}

// secondKey gives an agent a second API key, and leaves the first one good. Where it
// has two already, of which nobody knows this one any more, it is none.
func (m *caster) secondKey(ctx context.Context, id string) (string, error) {
	agent, err := m.service.Agent(ctx, id)
	if err != nil || len(agent.APIKeys) > 1 {
		return "", err
	}
	_, text, err := m.service.AddKey(ctx, sandboxActor, id, roll.KindAPIKey, "")
	return text, err
}

// moreKeys gives an agent whose keys nobody knows any more others, in the place of
// the oldest ones where it has two.
func (m *caster) moreKeys(ctx context.Context, id string) (keys roll.NewKeys, err error) {
	agent, err := m.service.Agent(ctx, id)
	if err != nil {
		return keys, err
	}
	for kind, have := range map[roll.KeyKind][]rollcall.KeyInfo{roll.KindAPIKey: agent.APIKeys, roll.KindSecretKey: agent.SecretKeys} {
		if len(have) < 2 {
			continue
		}
		if _, err := m.service.RetireKey(ctx, sandboxActor, id, kind, have[0].ID); err != nil {
			return keys, err
		}
	}
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
		_, err := m.service.CreateMember(ctx, sandboxActor, name[0], name[1], "")
		if err == nil && name[1] == castSuspended {
			_, err = m.service.SetMemberSuspended(ctx, sandboxActor, name[0], name[1], true)
		}
		if unlessThere(err) != nil {
			return err
		}
	}
	return nil
}

func (m *caster) gameServers(ctx context.Context) error {
	return errors.Join(m.gameServer(ctx, castServer), m.gameServer(ctx, castSpare))
}

// gameServer makes a game server, or one that was deleted anew. Of one that is there
// and whose token is not known, as in the credentials of earlier versions, it
// changes the token.
func (m *caster) gameServer(ctx context.Context, id string) error {
	at := slices.IndexFunc(m.c.GameServers, func(have GameServerCredentials) bool { return have.ID == id })
	_, token, err := m.service.CreateGameServer(ctx, sandboxActor, rollcall.GameServer{ID: id})
	switch {
	case at >= 0 && errors.Is(err, rollcall.ErrExists):
		return nil
	case errors.Is(err, rollcall.ErrExists):
		token, err = m.service.RotateGameServerToken(ctx, sandboxActor, id)
	}
	if err != nil {
		return err
	}
	m.c.GameServers = slices.DeleteFunc(m.c.GameServers, func(have GameServerCredentials) bool { return have.ID == id })
	m.c.GameServers = append(m.c.GameServers, GameServerCredentials{ID: id, Token: token})
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
