// Package admin is the operators' API /admin/v1 as both ends see it: the shapes
// of its requests and answers, and a client. docs/admin-api.md describes it. It
// knows no rules: those are the server's.
package admin

import (
	"net/netip"

	"github.com/rollcall-server/rollcall"
)

// Prefix is where the API begins.
const Prefix = "/admin/v1"

// A Page is one page of a list. Next, where it is not empty, is what to give as
// "after" (of the audit, as "before") for the next one.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// An AgentCreate makes an agent. Keys that are empty are made.
type AgentCreate struct {
	ID        string                    `json:"id"`
	BranchID  string                    `json:"branchId,omitempty"`
	Signature rollcall.SignatureProfile `json:"signature,omitempty"` // "": plain
	Wallet    rollcall.Wallet           `json:"wallet"`
	APIKey    string                    `json:"apiKey,omitempty"`
	SecretKey string                    `json:"secretKey,omitempty"`
}

// An AgentCreated is the agent and, this once, its keys.
type AgentCreated struct {
	Agent     rollcall.Agent `json:"agent"`
	APIKey    string         `json:"apiKey"`
	SecretKey string         `json:"secretKey"`
}

// An AgentChange changes what is not nil.
type AgentChange struct {
	BranchID  *string                    `json:"branchId,omitempty"` // "" takes the branch away
	Signature *rollcall.SignatureProfile `json:"signature,omitempty"`
	Wallet    *rollcall.Wallet           `json:"wallet,omitempty"`
}

// A KeyAdd gives an agent a second key; an empty Key is made.
type KeyAdd struct {
	Key string `json:"key,omitempty"`
}

// A KeyAdded is the key's id and, this once, the key.
type KeyAdded struct {
	rollcall.KeyInfo

	Key string `json:"key"`
}

// A BranchCreate makes a branch; an empty BrandCurrency is Currency.
type BranchCreate struct {
	ID            string `json:"id"`
	Currency      string `json:"currency"`
	BrandCurrency string `json:"brandCurrency,omitempty"`
}

// A BranchChange changes what is not nil.
type BranchChange struct {
	Currency      *string `json:"currency,omitempty"`
	BrandCurrency *string `json:"brandCurrency,omitempty"`
}

// A GameCreate makes a game.
type GameCreate struct {
	Code  string          `json:"code"`
	Modes []rollcall.Mode `json:"modes"`
}

// A GameChange sets the modes that the game offers.
type GameChange struct {
	Modes []rollcall.Mode `json:"modes"`
}

// A MemberCreate makes a member.
type MemberCreate struct {
	Username string `json:"username"`
	SiteID   string `json:"siteId,omitempty"`
}

// A MemberChange changes what is not nil.
type MemberChange struct {
	SiteID *string `json:"siteId,omitempty"` // "" takes the site away
}

// A SessionStart begins a session; the fields are those of rollcall.Session.
type SessionStart struct {
	AgentID    string              `json:"agentId"`
	Username   string              `json:"username"`
	GameCode   string              `json:"gameCode"`
	Mode       rollcall.Mode       `json:"mode"`
	GameServer string              `json:"gameServer"`
	Device     rollcall.DeviceType `json:"device"`
	IP         netip.Addr          `json:"ip"`
	Lang       string              `json:"lang"`
	Launch     rollcall.LaunchType `json:"launch"`
}

// A Heartbeat renews sessions that GameServer holds, 10,000 at the most.
type Heartbeat struct {
	GameServer string   `json:"gameServer"`
	IDs        []string `json:"ids"`
}

// MaxHeartbeat is how many IDs a Heartbeat may have.
const MaxHeartbeat = 10000

// A HeartbeatAnswer names those that were not renewed.
type HeartbeatAnswer struct {
	Unknown []string `json:"unknown"`
}

// A TokenCreate makes an admin token; Name is whose it is.
type TokenCreate struct {
	Name string `json:"name"`
}

// A TokenCreated is the token's text, this once.
type TokenCreated struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// A Fault is the body of every answer that is no success.
type Fault struct {
	Error FaultDetail `json:"error"`
}

// A FaultDetail says what was wrong: Code for programs, Message for people, and
// ID, on an internal error, for finding it in the log.
type FaultDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	ID      string `json:"id,omitempty"`
}
