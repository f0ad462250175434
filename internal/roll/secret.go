package roll

import (
	"time"

	"github.com/rollcall-server/rollcall"
)

// An Agent is a rollcall.Agent with its keys as they are kept at rest, by
// the IDs in APIKeys and SecretKeys.
type Agent struct {
	rollcall.Agent

	// SealedAPIKeys open with the vault, context APIKeyContext.
	SealedAPIKeys map[string][]byte `json:"sealedApiKeys"`
	// SecretHashes are the vault's hashes, context SecretKeyContext.
	SecretHashes map[string][]byte `json:"secretHashes"`
	// SealedWebhookSecret opens with the vault, context WebhookContext; empty
	// where there is no WebhookURL.
	SealedWebhookSecret []byte `json:"sealedWebhookSecret,omitempty"`
}

// A TokenKey signs access tokens (spec 5.3).
type TokenKey struct {
	// ID is the token's kid: a version 7 UUID, so the newest key sorts last.
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	// Sealed opens with the vault, context TokenKeyContext.
	Sealed []byte `json:"sealed"`
}

// An AdminToken lets its bearer use the operators' API.
type AdminToken struct {
	// Name says whose it is: the Actor of the audit.
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	// Hash is the vault's hash, context AdminTokenContext.
	Hash []byte `json:"hash"`
}

// A GameServer is a rollcall.GameServer with the hashes of its one or two
// tokens, the newest last.
type GameServer struct {
	rollcall.GameServer

	// Hashes are the vault's, context GameServerContext.
	Hashes [][]byte `json:"hashes"`
}

// The contexts under which the vault keeps each sort of secret: a value of one
// agent or key is of no use in the place of another.

// APIKeyContext is the context of one agent's API keys.
func APIKeyContext(agentID string) string { return "api key of " + agentID }

// SecretKeyContext is the context of one agent's Secret keys.
func SecretKeyContext(agentID string) string { return "secret key of " + agentID }

// WebhookContext is the context of one agent's webhook secret.
func WebhookContext(agentID string) string { return "webhook secret of " + agentID }

// TokenKeyContext is the context of one token key.
func TokenKeyContext(id string) string { return "token key " + id }

// AdminTokenContext is the context of one admin token.
func AdminTokenContext(name string) string { return "admin token of " + name }

// GameServerContext is the context of one game server's tokens.
func GameServerContext(id string) string { return "token of game server " + id }
