package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/conform"
)

// Credentials is the file by which the commands, and those who try the sandbox,
// know where the service is and how to prove who they are. It is as secret as
// the keys in it: mode 0600.
type Credentials struct {
	// BaseURL is where /v2 begins, GameURL where /game/v1 does (often the same),
	// AdminURL where /admin/v1 does.
	BaseURL    string `json:"baseUrl,omitempty"`
	GameURL    string `json:"gameUrl,omitempty"`
	AdminURL   string `json:"adminUrl,omitempty"`
	AdminToken string `json:"adminToken,omitempty"`
	// Agents may call /v2, GameServers /game/v1.
	Agents      []AgentCredentials      `json:"agents,omitempty"`
	GameServers []GameServerCredentials `json:"gameServers,omitempty"`
	// Facts are what is known of the data, for rollcall conform; nil: nothing.
	Facts *Facts `json:"facts,omitempty"`
}

// Facts are what a conformance run may rely on, and which of the GameServers it may
// boot: one that nobody uses.
type Facts struct {
	conform.Facts

	GameServer string `json:"gameServer,omitempty"`
}

// GameServerCredentials are one game server's. The sandbox's own is in use by its
// arcade: who boots as it takes the arcade's sessions away.
type GameServerCredentials struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// AgentCredentials are one agent's keys. Role says what the agent is there for
// in the sandbox: primary, other, no-branch, blocked, hmac or two-keys.
type AgentCredentials struct {
	Role    string `json:"role,omitempty"`
	AgentID string `json:"agentId"`
	APIKey  string `json:"apiKey"`
	Secret  string `json:"secret"`
	// NextAPIKey is the second one of an agent that has two, and Signature the
	// profile where it is not plain.
	NextAPIKey string                    `json:"nextApiKey,omitempty"`
	Signature  rollcall.SignatureProfile `json:"signature,omitempty"`
}

// readCredentials reads a file that writeCredentials wrote.
func readCredentials(path string) (Credentials, error) {
	var c Credentials
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("credentials file %s: %w", path, err)
	}
	return c, nil
}

// writeCredentials replaces the file at once, so that a reader sees the old text
// or the new one and never a part.
func writeCredentials(path string, c Credentials) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeSecretFile(path, append(text, '\n'))
}

// writeSecretFile writes a file of mode 0600 under its name at once.
func writeSecretFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
