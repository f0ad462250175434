package rollcalltest

import (
	"context"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// repeated makes a text that is easy to know again.
func repeated(text string, length int) string {
	return strings.Repeat(text, length/len(text)+1)[:length]
}

// fill makes what a Server has at the beginning.
func (s *Server) fill() {
	s.t.Helper()
	ctx, service := context.Background(), s.now.service
	_, err := service.CreateBranch(ctx, actor, rollcall.Branch{ID: "THB", Currency: "THB", BrandCurrency: "THB"})
	s.must("branch", err)
	s.Agent = Agent{
		ID: "integrator1", APIKey: repeated("0123456789abcdef", 64), NextAPIKey: repeated("fedcba9876543210", 64),
		SecretKey: repeated("secret-of-integrator1-", 44),
	}
	agent, _, err := service.CreateAgent(ctx, actor, rollcall.Agent{
		ID: s.Agent.ID, BranchID: "THB", Signature: s.profile, Wallet: rollcall.WalletSeamless,
	}, roll.NewKeys{APIKey: s.Agent.APIKey, SecretKey: s.Agent.SecretKey})
	s.must("agent", err)
	s.keys[s.Agent.APIKey] = agent.APIKeys[0].ID
	for _, name := range []string{"player001", "player002"} {
		_, err = service.CreateMember(ctx, actor, s.Agent.ID, name, "")
		s.must("member", err)
	}
	for _, game := range []rollcall.Game{
		{Code: "VP_230001_1", Modes: []rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}},
		{Code: "VP_230002_1", Modes: []rollcall.Mode{rollcall.ModeReal}},
	} {
		_, err = service.CreateGame(ctx, actor, game)
		s.must("game", err)
	}
	s.GameServer.ID = "gs1"
	_, s.GameServer.Token, err = service.CreateGameServer(ctx, actor, rollcall.GameServer{ID: s.GameServer.ID})
	s.must("game server", err)
	_, _, err = service.CreateGameServer(ctx, actor, rollcall.GameServer{ID: seats})
	s.must("game server", err)
	s.AdminToken, err = service.CreateAdminToken(ctx, actor, actor)
	s.must("admin token", err)
}

// ClientOptions are those of a client of the Agent, by the keys that it has at the
// beginning and the signature that it has now. Its waits move the clock on instead
// of taking time.
func (s *Server) ClientOptions() client.Options {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return client.Options{
		BaseURL: s.URL, AgentID: s.Agent.ID, APIKey: s.Agent.APIKey, SecretKey: s.Agent.SecretKey, Signature: s.profile,
		Now: s.Now, Sleep: s.sleep,
	}
}

// Client makes a client of the Agent, by ClientOptions.
func (s *Server) Client() *client.Client {
	s.t.Helper()
	c, err := client.New(s.ClientOptions())
	s.must("client", err)
	return c
}

// GameServerOptions are those of the GameServer; what is missing is OnEvent.
func (s *Server) GameServerOptions() client.GameServerOptions {
	return client.GameServerOptions{BaseURL: s.URL, Token: s.GameServer.Token}
}
