package rollcall

import (
	"net/netip"
	"strings"
	"time"
)

// A Session is one member in one game, begun by a game server. It is active
// until it is ended or kicked, its lease runs out, or its lifetime has passed
// (spec 6.4).
type Session struct {
	// ID is unique for all time and sorts by start: a version 7 UUID.
	ID      string `json:"id"`
	AgentID string `json:"agentId"`
	// Username is empty for a demo that no member plays (spec 7.2).
	Username string `json:"username"`
	GameCode string `json:"gameCode"`
	Mode     Mode   `json:"mode"`
	// GameServer names the reporter that holds the session, BootID the run of it
	// that does.
	GameServer string `json:"gameServer"`
	BootID     string `json:"bootId"`
	// Device, IP, Lang and Launch are as the member launched: Lang is 1–16 of
	// A-Za-z0-9_-, IP is v4 or v6 without a zone.
	Device DeviceType `json:"device"`
	IP     netip.Addr `json:"ip"`
	Lang   string     `json:"lang"`
	Launch LaunchType `json:"launch"`
	// Currency is the member's, BrandCurrency and Wallet are the agent's, as they
	// were at the launch.
	Currency      string `json:"currency"`
	BrandCurrency string `json:"brandCurrency"`
	Wallet        Wallet `json:"wallet"`
	// LobbyURL is where the game sends the member back to: https, or empty.
	LobbyURL string `json:"lobbyUrl,omitempty"`
	// LeaseSeconds is how long the session lives without a Heartbeat, in s.
	LeaseSeconds int `json:"leaseSeconds"`
	// StartedAt and SeenAt (the last Heartbeat) are by the service's clock.
	StartedAt time.Time `json:"startedAt"`
	SeenAt    time.Time `json:"seenAt"`
	// ExpiresAt is the end of the lease, which a Heartbeat moves; EndsAt is the
	// end of the absolute lifetime, which nothing moves. ExpiresAt is never
	// later than EndsAt. At ExpiresAt itself the session is no longer active.
	ExpiresAt time.Time `json:"expiresAt"`
	EndsAt    time.Time `json:"endsAt"`
}

// ActiveAt reports whether the session's lease and lifetime last beyond now.
func (s *Session) ActiveAt(now time.Time) bool { return now.Before(s.ExpiresAt) }

// Lease returns LeaseSeconds as a duration.
func (s *Session) Lease() time.Duration { return time.Duration(s.LeaseSeconds) * time.Second }

// EndReason says why a session is no longer active.
type EndReason string

// The reasons.
const (
	EndLeft         EndReason = "left"          // the member left the game
	EndKicked       EndReason = "kicked"        // an operator, an agent or the game said so
	EndDisplaced    EndReason = "displaced"     // a newer session of the member took its place
	EndExpired      EndReason = "expired"       // the lease or the lifetime ran out
	EndServerLost   EndReason = "server-lost"   // its game server began anew
	EndAgentBlocked EndReason = "agent-blocked" // its agent may no longer call
)

// Valid reports whether r is one of the reasons.
func (r EndReason) Valid() bool {
	switch r {
	case EndLeft, EndKicked, EndDisplaced, EndExpired, EndServerLost, EndAgentBlocked:
		return true
	}
	return false
}

// An EndedSession is a session that was, and how it ended.
type EndedSession struct {
	Session

	// EndedAt is zero and Reason empty where a live session stands among ended
	// ones.
	EndedAt time.Time `json:"endedAt,omitzero"`
	Reason  EndReason `json:"reason,omitempty"`
	// By says who ended it: "agent A", "game server S", "rollcall", or the name
	// of an operator.
	By string `json:"by,omitempty"`
	// KickID is of the Kick that ended it; empty: none did.
	KickID string `json:"kickId,omitempty"`
	// Note is what the game server says of the settlement, SettledAt when it said
	// so after the end; zero: with the end, or not.
	Note      string    `json:"note,omitempty"`
	SettledAt time.Time `json:"settledAt,omitzero"`
}

// A SessionFilter picks live sessions; what is empty picks all.
type SessionFilter struct {
	SessionID  string `json:"sessionId,omitempty"`
	AgentID    string `json:"agentId,omitempty"`
	Username   string `json:"username,omitempty"` // with AgentID only
	GameCode   string `json:"gameCode,omitempty"`
	Currency   string `json:"currency,omitempty"`
	GameServer string `json:"gameServer,omitempty"`
}

// Picks reports whether the filter picks s.
func (f *SessionFilter) Picks(s *Session) bool {
	for _, pair := range [][2]string{
		{f.SessionID, s.ID},
		{f.AgentID, s.AgentID},
		{f.Username, s.Username},
		{f.GameCode, s.GameCode},
		{f.Currency, s.Currency},
		{f.GameServer, s.GameServer},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// String says in words what the filter picks, such as "agent a1, game g1".
func (f *SessionFilter) String() string {
	var texts []string
	for _, pair := range [][2]string{
		{"session", f.SessionID},
		{"agent", f.AgentID},
		{"member", f.Username},
		{"game", f.GameCode},
		{"currency", f.Currency},
		{"game server", f.GameServer},
	} {
		if pair[1] != "" {
			texts = append(texts, pair[0]+" "+pair[1])
		}
	}
	if len(texts) == 0 {
		return "all sessions"
	}
	return strings.Join(texts, ", ")
}

// A SessionCount is how many live sessions share all that is named; what is
// empty is not told apart.
type SessionCount struct {
	AgentID    string     `json:"agentId,omitempty"`
	GameCode   string     `json:"gameCode,omitempty"`
	Mode       Mode       `json:"mode,omitempty"`
	Currency   string     `json:"currency,omitempty"`
	Device     DeviceType `json:"device,omitzero"`
	GameServer string     `json:"gameServer,omitempty"`
	Count      int        `json:"count"`
}

// Mode is what a session is played for.
type Mode string

// The two modes.
const (
	ModeReal Mode = "real"
	ModeDemo Mode = "demo"
)

// Valid reports whether m is one of the two modes.
func (m Mode) Valid() bool { return m == ModeReal || m == ModeDemo }

// DeviceType is what the member plays on, by the numbers of spec 6.2.
type DeviceType int

// The two devices.
const (
	DevicePC     DeviceType = 1
	DeviceMobile DeviceType = 2
)

// Valid reports whether d is one of the two devices.
func (d DeviceType) Valid() bool { return d == DevicePC || d == DeviceMobile }

// String returns "pc" or "mobile".
func (d DeviceType) String() string { return names(deviceNames, d) }

// MarshalText writes the device by its name.
func (d DeviceType) MarshalText() ([]byte, error) { return marshalName(deviceNames, d) }

// UnmarshalText reads what MarshalText writes; another text is ErrInvalid.
func (d *DeviceType) UnmarshalText(text []byte) error { return unmarshalName(deviceNames, text, d) }

var deviceNames = map[DeviceType]string{DevicePC: "pc", DeviceMobile: "mobile"}

// LaunchType is the mode that was asked for at launch, by the numbers of spec 6.2.
type LaunchType int

// What can be asked for. LaunchBoth means real where the game offers it.
const (
	LaunchBoth LaunchType = 0
	LaunchDemo LaunchType = 1
	LaunchReal LaunchType = 2
)

// Valid reports whether l is one of the three.
func (l LaunchType) Valid() bool { return l >= LaunchBoth && l <= LaunchReal }

// String returns "both", "demo" or "real".
func (l LaunchType) String() string { return names(launchNames, l) }

// MarshalText writes the launch type by its name.
func (l LaunchType) MarshalText() ([]byte, error) { return marshalName(launchNames, l) }

// UnmarshalText reads what MarshalText writes; another text is ErrInvalid.
func (l *LaunchType) UnmarshalText(text []byte) error { return unmarshalName(launchNames, text, l) }

var launchNames = map[LaunchType]string{LaunchBoth: "both", LaunchDemo: "demo", LaunchReal: "real"}
