package rollcall

import (
	"net/netip"
	"time"
)

// A Session is one member in one game, begun by a game server. It is active
// until it is ended or kicked, its lease runs out, or its lifetime has passed
// (spec 6.4).
type Session struct {
	// ID is unique for all time and sorts by start: a version 7 UUID.
	ID       string `json:"id"`
	AgentID  string `json:"agentId"`
	Username string `json:"username"`
	GameCode string `json:"gameCode"`
	Mode     Mode   `json:"mode"`
	// GameServer names the reporter that holds the session.
	GameServer string `json:"gameServer"`
	// Device, IP, Lang and Launch are as the member launched: Lang is 1–16 of
	// A-Za-z0-9_-, IP is v4 or v6 without a zone.
	Device DeviceType `json:"device"`
	IP     netip.Addr `json:"ip"`
	Lang   string     `json:"lang"`
	Launch LaunchType `json:"launch"`
	// Currency, BrandCurrency and Wallet are the agent's at the Start.
	Currency      string `json:"currency"`
	BrandCurrency string `json:"brandCurrency"`
	Wallet        Wallet `json:"wallet"`
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

// EndReason says why a session is no longer active.
type EndReason string

// The reasons of part of a session's life that this service decides or is told.
const (
	EndLeft    EndReason = "left"    // the game server said so
	EndKicked  EndReason = "kicked"  // an operator or agent said so
	EndExpired EndReason = "expired" // the lease or the lifetime ran out
)

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
