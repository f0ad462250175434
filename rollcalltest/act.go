package rollcalltest

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// actor is who does what the test asks for, in the audit and in kicks.
const actor = "rollcalltest"

// seats is the game server whose sessions nobody has to play, and its boot.
const seats = "rollcalltest-seats"

// Launch launches a game for a member, on a PC and for real, and returns the launch
// token, which a game server can start for 5 minutes.
func (s *Server) Launch(username, gameCode string) string {
	s.t.Helper()
	now := s.generation()
	agent, err := now.stores.Directory.Agents().Get(context.Background(), s.Agent.ID)
	s.must("launch", err)
	at, _, err := now.service.OpenGame(context.Background(), roll.Caller{Agent: agent}, roll.LaunchParams{
		Username: username, GameCode: gameCode, Device: rollcall.DevicePC, IP: netip.MustParseAddr("192.0.2.1"), Lang: "en", Launch: rollcall.LaunchReal,
	})
	s.must("launch "+gameCode+" for "+username, err)
	u, err := url.Parse(at)
	s.must("launch", err)
	return u.Query().Get("token")
}

// Seat has a member play a game, on a PC and for real, as if a game server had
// started a Launch: the session is active until its lease has passed, 90 s by the
// Server's clock, or Leave, or a kick.
func (s *Server) Seat(username, gameCode string) rollcall.Session {
	s.t.Helper()
	token := s.Launch(username, gameCode)
	session, _, err := s.generation().service.Start(context.Background(), s.seats(), seats, token)
	s.must("seat "+username, err)
	return session
}

// Leave ends a session of Seat, as its member who leaves the game.
func (s *Server) Leave(session rollcall.Session) {
	s.t.Helper()
	_, err := s.generation().service.End(context.Background(), s.seats(), roll.SessionEnd{ID: session.ID})
	s.must("leave", err)
}

func (s *Server) seats() *roll.GameServer {
	return &roll.GameServer{GameServer: rollcall.GameServer{ID: seats}}
}

// Kick ends all sessions of a member, as an operator does, with a message for the
// member. They have ended when it returns, and the game server is told.
func (s *Server) Kick(username, message string) {
	s.t.Helper()
	_, err := s.generation().service.Kick(context.Background(), actor, roll.KickParams{
		Filter: rollcall.SessionFilter{AgentID: s.Agent.ID, Username: username}, Message: message,
	})
	s.must("kick "+username, err)
}

// BlockAgent has the Agent refused, and its sessions ended when it returns.
func (s *Server) BlockAgent() {
	s.t.Helper()
	s.setStatus(rollcall.AgentBlocked)
	s.await("the end of the agent's sessions", func(service *roll.Service) (bool, error) {
		sessions, err := service.Sessions(context.Background(), rollcall.SessionFilter{AgentID: s.Agent.ID}, "", 1)
		return len(sessions) == 0, err
	})
}

// UnblockAgent takes BlockAgent back. Sessions do not come back by it.
func (s *Server) UnblockAgent() {
	s.t.Helper()
	s.setStatus(rollcall.AgentActive)
}

func (s *Server) setStatus(status rollcall.AgentStatus) {
	s.t.Helper()
	_, err := s.generation().service.SetAgentStatus(context.Background(), actor, s.Agent.ID, status)
	s.must("agent", err)
}

// RevokeTokens has the Agent's access tokens refused from now on.
func (s *Server) RevokeTokens() {
	s.t.Helper()
	_, err := s.generation().service.RevokeTokens(context.Background(), actor, s.Agent.ID)
	s.must("revoke tokens", err)
}

// SetSignature sets the profile by which the Agent's requests have to be signed
// from now on.
func (s *Server) SetSignature(profile rollcall.SignatureProfile) {
	s.t.Helper()
	s.change(func(a *rollcall.Agent) { a.Signature = profile })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profile = profile
}

// LimitRate bounds how often the Agent may call each endpoint: burst times at once,
// and perSecond times in a second of the Server's clock, so never again while that
// stands still. What is over is code 77 with HTTP 429 and Retry-After. 0 and 0: no
// bound.
func (s *Server) LimitRate(perSecond, burst int) {
	s.t.Helper()
	s.change(func(a *rollcall.Agent) { a.RateLimit = rollcall.RateLimit{PerSecond: perSecond, Burst: burst} })
}

func (s *Server) change(change func(*rollcall.Agent)) {
	s.t.Helper()
	_, err := s.generation().service.ChangeAgent(context.Background(), actor, s.Agent.ID, change)
	s.must("agent", err)
}

// AddAPIKey gives the Agent its NextAPIKey, which works beside the other.
func (s *Server) AddAPIKey() {
	s.t.Helper()
	info, _, err := s.generation().service.AddKey(context.Background(), actor, s.Agent.ID, roll.KindAPIKey, s.Agent.NextAPIKey)
	s.must("add API key", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[s.Agent.NextAPIKey] = info.ID
}

// RetireAPIKey takes one of two API keys away, the Agent's APIKey or NextAPIKey.
func (s *Server) RetireAPIKey(key string) {
	s.t.Helper()
	s.mu.RLock()
	id := s.keys[key]
	s.mu.RUnlock()
	_, err := s.generation().service.RetireKey(context.Background(), actor, s.Agent.ID, roll.KindAPIKey, id)
	s.must("retire API key", err)
}

// Request returns the record of a v2 request by its answer's logUUID: who asked
// what, and the verdict of each check with its reason. Records are stored in
// batches: it waits until this one is there.
func (s *Server) Request(logUUID string) (record rollcall.RequestRecord) {
	s.t.Helper()
	s.await("the record of request "+logUUID, func(service *roll.Service) (bool, error) {
		var err error
		record, err = service.Request(context.Background(), logUUID)
		if errors.Is(err, rollcall.ErrNotFound) {
			return false, nil
		}
		return true, err
	})
	return record
}

// patience is how long the Server may take for what it does by itself, in true
// time.
const patience = 10 * time.Second

// await asks until what is awaited is there.
func (s *Server) await(what string, there func(*roll.Service) (bool, error)) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		is, err := there(s.generation().service)
		s.must(what, err)
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatal("rollcalltest: not there after " + patience.String() + ": " + what)
		}
	}
}
