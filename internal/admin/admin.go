// Package admin is the operators' API /admin/v1 as both ends see it: the shapes
// of its requests and answers, and a client. docs/admin-api.md describes it. It
// knows no rules: those are the server's.
package admin

import "github.com/rollcall-server/rollcall"

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
	Limits    rollcall.SessionLimits    `json:"limits,omitzero"`
	RateLimit rollcall.RateLimit        `json:"rateLimit,omitzero"` // zero: the service's
	Games     []string                  `json:"games,omitempty"`    // empty: all
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
	Limits    *rollcall.SessionLimits    `json:"limits,omitempty"`
	RateLimit *rollcall.RateLimit        `json:"rateLimit,omitempty"` // zero: the service's
	Games     *[]string                  `json:"games,omitempty"`     // empty: all
}

// A WebhookSet says where an agent is told of its sessions; an empty URL: nowhere.
type WebhookSet struct {
	URL string `json:"url"`
}

// A WebhookCreated is the secret that signs the agent's webhooks, this once;
// empty where there is no URL.
type WebhookCreated struct {
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"`
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

// A GameCreate makes a game; the fields are those of rollcall.Game.
type GameCreate struct {
	Code             string          `json:"code"`
	Modes            []rollcall.Mode `json:"modes"`
	LaunchURL        string          `json:"launchUrl,omitempty"`
	LeaseSeconds     int             `json:"leaseSeconds,omitempty"`
	HeartbeatSeconds int             `json:"heartbeatSeconds,omitempty"`
	LifetimeSeconds  int             `json:"lifetimeSeconds,omitempty"`
}

// A GameChange changes what is not nil.
type GameChange struct {
	Modes            *[]rollcall.Mode `json:"modes,omitempty"`
	LaunchURL        *string          `json:"launchUrl,omitempty"` // "": the service's
	LeaseSeconds     *int             `json:"leaseSeconds,omitempty"`
	HeartbeatSeconds *int             `json:"heartbeatSeconds,omitempty"`
	LifetimeSeconds  *int             `json:"lifetimeSeconds,omitempty"`
}

// A GameServerCreate makes a game server; no Games: it may start those of all.
type GameServerCreate struct {
	ID    string   `json:"id"`
	Games []string `json:"games,omitempty"`
}

// A GameServerCreated is the game server and, this once, its token.
type GameServerCreated struct {
	GameServer rollcall.GameServer `json:"gameServer"`
	Token      string              `json:"token"`
}

// A GameServerChange changes what is not nil.
type GameServerChange struct {
	Games *[]string `json:"games,omitempty"` // empty: all
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

// A KickCreate ends the live sessions that Filter picks, or with DryRun says how
// many it would.
type KickCreate struct {
	Filter rollcall.SessionFilter `json:"filter,omitzero"`
	// All has to be set where the filter is empty: every session is meant.
	All bool `json:"all,omitempty"`
	// Why is for operators, Message for the player: 500 bytes each at the most.
	Why     string `json:"why,omitempty"`
	Message string `json:"message,omitempty"`
	// PerSecond bounds how many sessions end in a second; 0: no bound.
	PerSecond int  `json:"perSecond,omitempty"`
	DryRun    bool `json:"dryRun,omitempty"`
}

// A KickCreated is the kick, or with DryRun just how many sessions it would end.
type KickCreated struct {
	Matched int            `json:"matched"`
	Kick    *rollcall.Kick `json:"kick,omitempty"`
}

// A KickShown is a kick and a page of its receipts: of each session that it has
// ended, when the game server was told, knew, and had ended the game. Next, where
// it is not empty, is what to give as "after" for more receipts.
type KickShown struct {
	Kick     rollcall.Kick      `json:"kick"`
	Receipts []rollcall.Receipt `json:"receipts"`
	Next     string             `json:"next,omitempty"`
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

// A RequestShown is the record of a v2 request, with what its findings mean.
type RequestShown struct {
	rollcall.RequestRecord

	Findings []RequestFinding `json:"findings,omitempty"`
}

// A RequestFinding is one of a request's faults. Of a code that this version does
// not know there is no more than code and value.
type RequestFinding struct {
	rollcall.RequestFinding

	// What says what is wrong, Mend what the sender has to do, Spec where the
	// protocol has it.
	What string `json:"what,omitempty"`
	Mend string `json:"mend,omitempty"`
	Spec string `json:"spec,omitempty"`
}
