package server

import (
	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (s *Server) createAgent(c call[admin.AgentCreate]) (out admin.AgentCreated, err error) {
	if c.in.Signature == "" {
		c.in.Signature = rollcall.SignaturePlain
	}
	agent, keys, err := s.o.Service.CreateAgent(c.Context(), c.caller, rollcall.Agent{
		ID: c.in.ID, BranchID: c.in.BranchID, Signature: c.in.Signature, Wallet: c.in.Wallet, Limits: c.in.Limits,
		RateLimit: c.in.RateLimit, Games: c.in.Games,
	}, roll.NewKeys{APIKey: c.in.APIKey, SecretKey: c.in.SecretKey})
	if err != nil {
		return out, err
	}
	return admin.AgentCreated{Agent: *agent, APIKey: keys.APIKey, SecretKey: keys.SecretKey}, nil
}

func (s *Server) listAgents(c call[none]) (agentPage, error) {
	return list(c.Request, func(after string, limit int) ([]*rollcall.Agent, error) {
		return s.o.Service.Agents(c.Context(), after, limit)
	}, func(a *rollcall.Agent) string { return a.ID })
}

func (s *Server) showAgent(c call[none]) (*rollcall.Agent, error) {
	return s.o.Service.Agent(c.Context(), c.PathValue("agent"))
}

func (s *Server) changeAgent(c call[admin.AgentChange]) (*rollcall.Agent, error) {
	return s.o.Service.ChangeAgent(c.Context(), c.caller, c.PathValue("agent"), func(a *rollcall.Agent) {
		set(&a.BranchID, c.in.BranchID)
		set(&a.Signature, c.in.Signature)
		set(&a.Wallet, c.in.Wallet)
		set(&a.Limits, c.in.Limits)
		set(&a.RateLimit, c.in.RateLimit)
		set(&a.Games, c.in.Games)
	})
}

// set changes a field where a value was sent.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (s *Server) deleteAgent(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteAgent(c.Context(), c.caller, c.PathValue("agent"))
}

func (s *Server) setStatus(status rollcall.AgentStatus) func(call[none]) (*rollcall.Agent, error) {
	return func(c call[none]) (*rollcall.Agent, error) {
		return s.o.Service.SetAgentStatus(c.Context(), c.caller, c.PathValue("agent"), status)
	}
}

func (s *Server) setWebhook(c call[admin.WebhookSet]) (admin.WebhookCreated, error) {
	secret, err := s.o.Service.SetWebhook(c.Context(), c.caller, c.PathValue("agent"), c.in.URL)
	return admin.WebhookCreated{URL: c.in.URL, Secret: secret}, err
}

func (s *Server) revokeTokens(c call[none]) (*rollcall.Agent, error) {
	return s.o.Service.RevokeTokens(c.Context(), c.caller, c.PathValue("agent"))
}

func (s *Server) addKey(kind roll.KeyKind) func(call[admin.KeyAdd]) (admin.KeyAdded, error) {
	return func(c call[admin.KeyAdd]) (admin.KeyAdded, error) {
		info, key, err := s.o.Service.AddKey(c.Context(), c.caller, c.PathValue("agent"), kind, c.in.Key)
		return admin.KeyAdded{KeyInfo: info, Key: key}, err
	}
}

func (s *Server) retireKey(kind roll.KeyKind) func(call[none]) (*rollcall.Agent, error) {
	return func(c call[none]) (*rollcall.Agent, error) {
		return s.o.Service.RetireKey(c.Context(), c.caller, c.PathValue("agent"), kind, c.PathValue("key"))
	}
}

func (s *Server) createMember(c call[admin.MemberCreate]) (*rollcall.Member, error) {
	return s.o.Service.CreateMember(c.Context(), c.caller, c.PathValue("agent"), c.in.Username, c.in.SiteID)
}

func (s *Server) listMembers(c call[none]) (memberPage, error) {
	return list(c.Request, func(after string, limit int) ([]*rollcall.Member, error) {
		return s.o.Service.Members(c.Context(), c.PathValue("agent"), after, limit)
	}, func(m *rollcall.Member) string { return m.Username })
}

func (s *Server) showMember(c call[none]) (*rollcall.Member, error) {
	return s.o.Service.Member(c.Context(), c.PathValue("agent"), c.PathValue("member"))
}

func (s *Server) changeMember(c call[admin.MemberChange]) (*rollcall.Member, error) {
	return s.o.Service.ChangeMember(c.Context(), c.caller, c.PathValue("agent"), c.PathValue("member"), func(m *rollcall.Member) {
		set(&m.SiteID, c.in.SiteID)
	})
}

func (s *Server) setSuspended(suspended bool) func(call[none]) (*rollcall.Member, error) {
	return func(c call[none]) (*rollcall.Member, error) {
		return s.o.Service.SetMemberSuspended(c.Context(), c.caller, c.PathValue("agent"), c.PathValue("member"), suspended)
	}
}

func (s *Server) deleteMember(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteMember(c.Context(), c.caller, c.PathValue("agent"), c.PathValue("member"))
}

func (s *Server) createBranch(c call[admin.BranchCreate]) (*rollcall.Branch, error) {
	if c.in.BrandCurrency == "" {
		c.in.BrandCurrency = c.in.Currency
	}
	return s.o.Service.CreateBranch(c.Context(), c.caller, rollcall.Branch{
		ID: c.in.ID, Currency: c.in.Currency, BrandCurrency: c.in.BrandCurrency,
	})
}

func (s *Server) listBranches(c call[none]) (branchPage, error) {
	return list(c.Request, func(after string, limit int) ([]*rollcall.Branch, error) {
		return s.o.Service.Branches(c.Context(), after, limit)
	}, func(b *rollcall.Branch) string { return b.ID })
}

func (s *Server) showBranch(c call[none]) (*rollcall.Branch, error) {
	return s.o.Service.Branch(c.Context(), c.PathValue("branch"))
}

func (s *Server) changeBranch(c call[admin.BranchChange]) (*rollcall.Branch, error) {
	return s.o.Service.ChangeBranch(c.Context(), c.caller, c.PathValue("branch"), func(b *rollcall.Branch) {
		set(&b.Currency, c.in.Currency)
		set(&b.BrandCurrency, c.in.BrandCurrency)
	})
}

func (s *Server) deleteBranch(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteBranch(c.Context(), c.caller, c.PathValue("branch"))
}

func (s *Server) createGame(c call[admin.GameCreate]) (*rollcall.Game, error) {
	return s.o.Service.CreateGame(c.Context(), c.caller, rollcall.Game{
		Code: c.in.Code, Modes: c.in.Modes, LaunchURL: c.in.LaunchURL,
		LeaseSeconds: c.in.LeaseSeconds, HeartbeatSeconds: c.in.HeartbeatSeconds, LifetimeSeconds: c.in.LifetimeSeconds,
	})
}

func (s *Server) listGames(c call[none]) (gamePage, error) {
	return list(c.Request, func(after string, limit int) ([]*rollcall.Game, error) {
		return s.o.Service.Games(c.Context(), after, limit)
	}, func(g *rollcall.Game) string { return g.Code })
}

func (s *Server) showGame(c call[none]) (*rollcall.Game, error) {
	return s.o.Service.Game(c.Context(), c.PathValue("game"))
}

func (s *Server) changeGame(c call[admin.GameChange]) (*rollcall.Game, error) {
	return s.o.Service.ChangeGame(c.Context(), c.caller, c.PathValue("game"), func(g *rollcall.Game) {
		set(&g.Modes, c.in.Modes)
		set(&g.LaunchURL, c.in.LaunchURL)
		set(&g.LeaseSeconds, c.in.LeaseSeconds)
		set(&g.HeartbeatSeconds, c.in.HeartbeatSeconds)
		set(&g.LifetimeSeconds, c.in.LifetimeSeconds)
	})
}

func (s *Server) deleteGame(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteGame(c.Context(), c.caller, c.PathValue("game"))
}

func (s *Server) createGameServer(c call[admin.GameServerCreate]) (out admin.GameServerCreated, err error) {
	server, token, err := s.o.Service.CreateGameServer(c.Context(), c.caller, rollcall.GameServer{ID: c.in.ID, Games: c.in.Games})
	if err != nil {
		return out, err
	}
	return admin.GameServerCreated{GameServer: *server, Token: token}, nil
}

func (s *Server) listGameServers(c call[none]) (serverPage, error) {
	return list(c.Request, func(after string, limit int) ([]*rollcall.GameServer, error) {
		return s.o.Service.GameServers(c.Context(), after, limit)
	}, func(g *rollcall.GameServer) string { return g.ID })
}

func (s *Server) showGameServer(c call[none]) (*rollcall.GameServer, error) {
	return s.o.Service.GameServer(c.Context(), c.PathValue("server"))
}

func (s *Server) changeGameServer(c call[admin.GameServerChange]) (*rollcall.GameServer, error) {
	return s.o.Service.ChangeGameServer(c.Context(), c.caller, c.PathValue("server"), func(g *rollcall.GameServer) {
		set(&g.Games, c.in.Games)
	})
}

func (s *Server) deleteGameServer(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteGameServer(c.Context(), c.caller, c.PathValue("server"))
}

func (s *Server) rotateGameServerToken(c call[none]) (admin.TokenCreated, error) {
	id := c.PathValue("server")
	token, err := s.o.Service.RotateGameServerToken(c.Context(), c.caller, id)
	return admin.TokenCreated{Name: id, Token: token}, err
}

func (s *Server) setDraining(draining bool) func(call[none]) (*rollcall.GameServer, error) {
	return func(c call[none]) (*rollcall.GameServer, error) {
		return s.o.Service.Drain(c.Context(), c.caller, c.PathValue("server"), draining)
	}
}
