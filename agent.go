package rollcall

import (
	"slices"
	"time"
)

// An Agent is a caller of the v2 API: the operator of a casino or a lobby.
type Agent struct {
	// ID is the agent's name in x-agentid: 1–64 of A-Za-z0-9_.- (spec 2).
	ID string `json:"id"`
	// BranchID names the agent's Branch; empty: none, which the v2 API answers
	// with code 81.
	BranchID string `json:"branchId,omitempty"`
	// Status says whether the agent may call.
	Status AgentStatus `json:"status"`
	// Signature is the profile that the agent's requests must be signed by.
	Signature SignatureProfile `json:"signature"`
	// Wallet is how the agent's members hold their money.
	Wallet Wallet `json:"wallet"`
	// Limits bound how many sessions a member has at a time.
	Limits SessionLimits `json:"limits,omitzero"`
	// RateLimit bounds how often the agent calls each endpoint; zero: as the
	// service is set.
	RateLimit RateLimit `json:"rateLimit,omitzero"`
	// Games are the codes of the games that the agent may offer; empty: all.
	Games []string `json:"games,omitempty"`
	// WebhookURL is where the agent is told of its sessions; empty: nowhere.
	WebhookURL string `json:"webhookUrl,omitempty"`
	// TokensNotBefore revokes the access tokens issued before it; zero: none.
	TokensNotBefore time.Time `json:"tokensNotBefore,omitzero"`
	// CreatedAt and UpdatedAt are by the service's clock.
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// APIKeys and SecretKeys tell the agent's one or two keys of each sort
	// apart, oldest first, never what they are.
	APIKeys    []KeyInfo `json:"apiKeys"`
	SecretKeys []KeyInfo `json:"secretKeys"`
}

// KeyInfo tells one key of several apart and holds nothing of the key itself.
type KeyInfo struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
}

// AgentStatus says whether an agent may call.
type AgentStatus string

// The agent's two states.
const (
	AgentActive  AgentStatus = "active"
	AgentBlocked AgentStatus = "blocked"
)

// Valid reports whether s is one of the two states.
func (s AgentStatus) Valid() bool { return s == AgentActive || s == AgentBlocked }

// SignatureProfile is the rule by which x-signature is made (spec 3).
type SignatureProfile string

const (
	// SignaturePlain is SHA-256 without a key, as the vendor documents it (spec 3.1).
	SignaturePlain SignatureProfile = "plain"
	// SignatureHMAC is HMAC-SHA-256 under the decoded APIKey (spec 3.4).
	SignatureHMAC SignatureProfile = "hmac"
)

// Valid reports whether p is one of the two profiles.
func (p SignatureProfile) Valid() bool { return p == SignaturePlain || p == SignatureHMAC }

// Wallet is how an agent's members hold their money; on the wire it is
// agentType (spec 6.2).
type Wallet int

// The two wallets.
const (
	WalletTransfer Wallet = 1
	WalletSeamless Wallet = 2
)

// Valid reports whether w is one of the two wallets.
func (w Wallet) Valid() bool { return w == WalletTransfer || w == WalletSeamless }

// String returns "transfer" or "seamless".
func (w Wallet) String() string { return names(walletNames, w) }

// MarshalText writes the wallet by its name.
func (w Wallet) MarshalText() ([]byte, error) { return marshalName(walletNames, w) }

// UnmarshalText reads what MarshalText writes; another text is ErrInvalid.
func (w *Wallet) UnmarshalText(text []byte) error { return unmarshalName(walletNames, text, w) }

var walletNames = map[Wallet]string{WalletTransfer: "transfer", WalletSeamless: "seamless"}

// SessionLimits bound how many active sessions a member of an agent has at a
// time, and say what happens to one more.
type SessionLimits struct {
	// PerMember bounds all sessions of a member, PerGame those in one game; 0:
	// no bound.
	PerMember int         `json:"perMember,omitempty"`
	PerGame   int         `json:"perGame,omitempty"`
	Policy    LimitPolicy `json:"policy,omitempty"`
}

// LimitPolicy says what happens to a session that would be one too many.
type LimitPolicy string

const (
	// LimitRefuse refuses the new session. It is the policy where none is set.
	LimitRefuse LimitPolicy = "refuse"
	// LimitDisplaceOldest ends the oldest ones in its favour.
	LimitDisplaceOldest LimitPolicy = "displace-oldest"
)

// Valid reports whether the limits are 0 or more, and the policy known or empty.
func (l SessionLimits) Valid() bool {
	return l.PerMember >= 0 && l.PerGame >= 0 && (l.Policy == "" || l.Policy == LimitRefuse || l.Policy == LimitDisplaceOldest)
}

// Displaced returns those of a member's active sessions, which are given oldest
// first, that have to end for s to begin, or ErrSessionLimit.
func (l SessionLimits) Displaced(active []Session, s *Session) ([]Session, error) {
	inGame := func(other Session) bool { return other.GameCode == s.GameCode && other.Mode == s.Mode }
	var displaced []Session
	if l.PerGame > 0 {
		var same []Session
		for _, other := range active {
			if inGame(other) {
				same = append(same, other)
			}
		}
		displaced = append(displaced, same[:max(0, len(same)+1-l.PerGame)]...)
	}
	if l.PerMember > 0 {
		excess := len(active) - len(displaced) + 1 - l.PerMember
		for _, other := range active {
			if excess <= 0 {
				break
			}
			if !slices.ContainsFunc(displaced, func(d Session) bool { return d.ID == other.ID }) {
				displaced = append(displaced, other)
				excess--
			}
		}
	}
	if len(displaced) > 0 && l.Policy != LimitDisplaceOldest {
		return nil, ErrSessionLimit
	}
	return displaced, nil
}

// A Branch is the configuration that agents share.
type Branch struct {
	// ID is 1–64 of A-Za-z0-9_.-.
	ID string `json:"id"`
	// Currency is what members of the branch play in, BrandCurrency what the
	// games' brand settles in: 3–8 of A-Z and 0-9.
	Currency      string    `json:"currency"`
	BrandCurrency string    `json:"brandCurrency"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// A Member is a person who plays under one agent. Two agents' members of the
// same name are two members.
type Member struct {
	AgentID string `json:"agentId"`
	// Username is 1–25 ASCII letters or digits, case-sensitive (spec 6.1).
	Username string `json:"username"`
	// SiteID is 1–32 of A-Za-z0-9_-, or empty (spec 7.1).
	SiteID string `json:"siteId,omitempty"`
	// Suspended members cannot launch a game (spec 7.2, code 19).
	Suspended bool `json:"suspended,omitempty"`
	// Currency is the branch's at the time the member was made.
	Currency  string    `json:"currency"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// A Game is something that members play.
type Game struct {
	// Code is the name on the wire, such as VP_230001_1: 1–64 of A-Za-z0-9_.-.
	Code string `json:"code"`
	// Modes says which of real and demo the game offers; at least one.
	Modes []Mode `json:"modes"`
	// LaunchURL is where members are sent to play it, with the launch token added
	// as the query's token; empty: the service's own setting.
	LaunchURL string `json:"launchUrl,omitempty"`
	// LeaseSeconds, HeartbeatSeconds and LifetimeSeconds are of the game's
	// sessions, in s; 0: the service's own settings.
	LeaseSeconds     int `json:"leaseSeconds,omitempty"`
	HeartbeatSeconds int `json:"heartbeatSeconds,omitempty"`
	LifetimeSeconds  int `json:"lifetimeSeconds,omitempty"`

	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// A GameServer is a reporter of sessions: one process, or several that share a
// boot.
type GameServer struct {
	// ID is 1–64 of A-Za-z0-9_.-.
	ID string `json:"id"`
	// Games are the codes of the games whose sessions it may start; empty: all.
	Games []string `json:"games,omitempty"`
	// Draining game servers start no more sessions.
	Draining  bool      `json:"draining,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// Runs reports whether the game server may start sessions of a game.
func (g *GameServer) Runs(gameCode string) bool {
	return len(g.Games) == 0 || slices.Contains(g.Games, gameCode)
}
