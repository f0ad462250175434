package roll

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
)

// NewKeys are the texts of an agent's new keys, shown once: the service keeps
// the API key sealed and of the Secret key only a hash.
type NewKeys struct {
	// APIKey is 64 lower-case hex digits.
	APIKey string `json:"apiKey"`
	// SecretKey is 40 ASCII letters and digits, where the service made it.
	SecretKey string `json:"secretKey"`
}

// minSecretKey is how short a Secret key brought from elsewhere may be: its hash
// is fast, so it must not be guessable.
const minSecretKey = 32

// CreateAgent makes an active agent with one key of each sort. Keys that are
// empty are made, others are taken over, so that an integrator that moves here
// need not change its configuration. Of a, the ID, BranchID, Signature, Wallet,
// Limits, RateLimit and Games are read. Errors: ErrInvalid, ErrNotFound (branch), ErrExists.
func (s *Service) CreateAgent(ctx context.Context, actor string, a rollcall.Agent, keys NewKeys) (*rollcall.Agent, NewKeys, error) {
	if err := s.checkAgent(ctx, &a); err != nil {
		return nil, NewKeys{}, err
	}
	now := s.now()
	agent := Agent{Agent: rollcall.Agent{
		ID: a.ID, BranchID: a.BranchID, Status: rollcall.AgentActive, Signature: a.Signature, Wallet: a.Wallet,
		Limits: a.Limits, RateLimit: a.RateLimit, Games: a.Games, CreatedAt: now, UpdatedAt: now,
	}}
	var err error
	if _, keys.APIKey, err = s.addAPIKey(&agent, keys.APIKey); err != nil {
		return nil, NewKeys{}, err
	}
	if _, keys.SecretKey, err = s.addSecretKey(&agent, keys.SecretKey); err != nil {
		return nil, NewKeys{}, err
	}
	if err := s.directory.Agents().Create(ctx, s.entry(actor, "agent.create", a.ID, settings(&a)), a.ID, agent); err != nil {
		return nil, NewKeys{}, named("agent", a.ID, err)
	}
	return &agent.Agent, keys, nil
}

func (s *Service) checkAgent(ctx context.Context, a *rollcall.Agent) error {
	switch {
	case !rollcall.ValidID(a.ID):
		return invalid("id", "1 to 64 of A-Za-z0-9_.-")
	case !a.Signature.Valid():
		return invalid("signature", "plain or hmac")
	case !a.Wallet.Valid():
		return invalid("wallet", "transfer or seamless")
	case !a.Limits.Valid():
		return invalid("limits", "perMember and perGame of 0 or more, policy refuse or displace-oldest")
	case !a.RateLimit.Valid():
		return invalid("rateLimit", fmt.Sprintf("perSecond of 0 to %d, and with it burst of 0 to %d", rollcall.MaxRate, rollcall.MaxBurst))
	}
	if err := checkCodes(a.Games); err != nil || a.BranchID == "" {
		return err
	}
	_, err := s.Branch(ctx, a.BranchID)
	return err
}

// settings are an agent's, for the audit.
func settings(a *rollcall.Agent) string {
	text := fmt.Sprintf("branch %q, signature %s, wallet %s", a.BranchID, a.Signature, a.Wallet)
	if a.Limits != (rollcall.SessionLimits{}) {
		text += fmt.Sprintf(", limits %d per member, %d per game: %s", a.Limits.PerMember, a.Limits.PerGame, a.Limits.Policy)
	}
	if a.RateLimit != (rollcall.RateLimit{}) {
		text += fmt.Sprintf(", rate limit %d per second, burst %d", a.RateLimit.PerSecond, a.RateLimit.Or(a.RateLimit).Burst)
	}
	if len(a.Games) > 0 {
		text += ", games " + strings.Join(a.Games, " ")
	}
	return text
}

// ChangeAgent applies change to an agent's BranchID, Signature, Wallet, Limits,
// RateLimit and Games; what else it changes is dropped. Errors as CreateAgent, and ErrNotFound.
func (s *Service) ChangeAgent(ctx context.Context, actor, id string, change func(*rollcall.Agent)) (*rollcall.Agent, error) {
	agent, err := s.Agent(ctx, id)
	if err != nil {
		return nil, err
	}
	wanted := *agent
	change(&wanted)
	wanted.ID = id
	if err := s.checkAgent(ctx, &wanted); err != nil {
		return nil, err
	}
	return s.updateAgent(ctx, s.entry(actor, "agent.change", id, settings(&wanted)), func(a *Agent) error {
		fresh := a.Agent
		change(&fresh)
		a.BranchID, a.Signature, a.Wallet = fresh.BranchID, fresh.Signature, fresh.Wallet
		a.Limits, a.RateLimit, a.Games = fresh.Limits, fresh.RateLimit, fresh.Games
		return nil
	})
}

// SetAgentStatus blocks an agent or makes it active again. A blocked agent's
// requests are refused from the moment this returns, and its sessions are ended
// from then on, by a Kick that a restart does not stop.
func (s *Service) SetAgentStatus(ctx context.Context, actor, id string, status rollcall.AgentStatus) (*rollcall.Agent, error) {
	if !status.Valid() {
		return nil, invalid("status", "active or blocked")
	}
	action := map[rollcall.AgentStatus]string{rollcall.AgentActive: "agent.unblock", rollcall.AgentBlocked: "agent.block"}[status]
	agent, err := s.updateAgent(ctx, s.entry(actor, action, id, ""), func(a *Agent) error {
		a.Status = status
		return nil
	})
	if err == nil && status == rollcall.AgentBlocked {
		err = s.endBlocked(ctx, actor, id)
	}
	return agent, err
}

// RevokeTokens makes every access token that the agent has invalid.
func (s *Service) RevokeTokens(ctx context.Context, actor, id string) (*rollcall.Agent, error) {
	return s.updateAgent(ctx, s.entry(actor, "agent.revoke-tokens", id, ""), func(a *Agent) error {
		// A token counts in whole seconds, so those of this second go too; one
		// that is issued within it gets the next second's iat.
		a.TokensNotBefore = s.now().Truncate(time.Second).Add(time.Second)
		return nil
	})
}

// DeleteAgent removes an agent that has no members: ErrInUse, ErrNotFound.
func (s *Service) DeleteAgent(ctx context.Context, actor, id string) error {
	members, err := s.Members(ctx, id, "", 1)
	if err != nil {
		return err
	}
	if len(members) > 0 {
		return fmt.Errorf("agent %q: %w: it has members", id, rollcall.ErrInUse)
	}
	if err := s.directory.Agents().Delete(ctx, s.entry(actor, "agent.delete", id, ""), id); err != nil {
		return named("agent", id, err)
	}
	return s.endBlocked(ctx, actor, id) // of demos, which need no member
}

// Agent returns an agent, or rollcall.ErrNotFound.
func (s *Service) Agent(ctx context.Context, id string) (*rollcall.Agent, error) {
	a, err := s.directory.Agents().Get(ctx, id)
	if err != nil {
		return nil, named("agent", id, err)
	}
	return &a.Agent, nil
}

// Agents returns at most limit agents with an ID greater than after, by ID.
func (s *Service) Agents(ctx context.Context, after string, limit int) ([]*rollcall.Agent, error) {
	list, err := s.directory.Agents().List(ctx, "", after, limit)
	agents := make([]*rollcall.Agent, len(list))
	for i, a := range list {
		agents[i] = &a.Agent
	}
	return agents, err
}

func (s *Service) updateAgent(ctx context.Context, entry rollcall.AuditEntry, change func(*Agent) error) (*rollcall.Agent, error) {
	a, err := s.directory.Agents().Update(ctx, entry, entry.Subject, func(a *Agent) error {
		a.UpdatedAt = s.now()
		return change(a)
	})
	if err != nil {
		return nil, named("agent", entry.Subject, err)
	}
	return &a.Agent, nil
}

// A KeyKind is one of the two sorts of keys that an agent has.
type KeyKind string

// The two sorts.
const (
	KindAPIKey    KeyKind = "api-key"
	KindSecretKey KeyKind = "secret-key"
)

// AddKey gives an agent a second key beside its first, to rotate: both work
// until RetireKey removes the old one. An empty text makes a key. It returns the
// key's text, once. Errors: ErrInvalid, ErrNotFound, ErrInUse where there are
// two already.
func (s *Service) AddKey(ctx context.Context, actor, agentID string, kind KeyKind, text string) (rollcall.KeyInfo, string, error) {
	var info rollcall.KeyInfo
	_, err := s.updateAgent(ctx, s.entry(actor, "agent.add-"+string(kind), agentID, ""), func(a *Agent) error {
		var err error
		if kind == KindAPIKey {
			info, text, err = s.addAPIKey(a, text)
		} else {
			info, text, err = s.addSecretKey(a, text)
		}
		return err
	})
	if err != nil {
		return rollcall.KeyInfo{}, "", err
	}
	return info, text, nil
}

// RetireKey removes one of an agent's two keys: ErrNotFound; ErrInUse for the
// last one.
func (s *Service) RetireKey(ctx context.Context, actor, agentID string, kind KeyKind, keyID string) (*rollcall.Agent, error) {
	return s.updateAgent(ctx, s.entry(actor, "agent.retire-"+string(kind), agentID, keyID), func(a *Agent) error {
		list, kept := &a.APIKeys, a.SealedAPIKeys
		if kind == KindSecretKey {
			list, kept = &a.SecretKeys, a.SecretHashes
		}
		at := slices.IndexFunc(*list, func(k rollcall.KeyInfo) bool { return k.ID == keyID })
		switch {
		case at < 0:
			return named(string(kind), keyID, rollcall.ErrNotFound)
		case len(*list) == 1:
			return fmt.Errorf("%s %q: %w: it is the only one; add another first", kind, keyID, rollcall.ErrInUse)
		}
		*list = slices.Delete(*list, at, at+1)
		delete(kept, keyID)
		return nil
	})
}

func (s *Service) addAPIKey(a *Agent, text string) (rollcall.KeyInfo, string, error) {
	if text == "" {
		text = newAPIKey()
	}
	if !validAPIKey(text) {
		return rollcall.KeyInfo{}, "", invalid("apiKey", "64 lower-case hex digits")
	}
	info, err := s.addKey(&a.APIKeys)
	if err != nil {
		return rollcall.KeyInfo{}, "", err
	}
	if a.SealedAPIKeys == nil {
		a.SealedAPIKeys = make(map[string][]byte, maxKeys)
	}
	a.SealedAPIKeys[info.ID] = s.vault.Seal(APIKeyContext(a.ID), []byte(text))
	return info, text, nil
}

func (s *Service) addSecretKey(a *Agent, text string) (rollcall.KeyInfo, string, error) {
	if text == "" {
		text = newSecretKey()
	}
	if len(text) < minSecretKey {
		return rollcall.KeyInfo{}, "", invalid("secretKey", fmt.Sprintf("at least %d bytes", minSecretKey))
	}
	info, err := s.addKey(&a.SecretKeys)
	if err != nil {
		return rollcall.KeyInfo{}, "", err
	}
	if a.SecretHashes == nil {
		a.SecretHashes = make(map[string][]byte, maxKeys)
	}
	a.SecretHashes[info.ID] = s.vault.Hash(SecretKeyContext(a.ID), text)
	return info, text, nil
}

// maxKeys is how many keys of one sort an agent has at a time: current and next
// (spec 4.4).
const maxKeys = 2

func (s *Service) addKey(list *[]rollcall.KeyInfo) (rollcall.KeyInfo, error) {
	if len(*list) >= maxKeys {
		return rollcall.KeyInfo{}, fmt.Errorf("%w: there are two keys already; retire one first", rollcall.ErrInUse)
	}
	info := rollcall.KeyInfo{ID: newID(), CreatedAt: s.now()}
	*list = append(*list, info)
	return info, nil
}

func newAPIKey() string {
	var raw [32]byte
	rand.Read(raw[:])
	return fmt.Sprintf("%x", raw)
}

func validAPIKey(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// newSecretKey returns 40 random letters and digits: 200 bits.
func newSecretKey() string { return (rand.Text() + rand.Text())[:40] }
