package rollcall

import "time"

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
	Modes     []Mode    `json:"modes"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}
