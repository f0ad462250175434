package wire

import "github.com/rollcall-server/rollcall"

// The game-server API: JSON over HTTP, with the game server's token as Bearer.
// docs/game-api.md describes it. An answer that is no success is a Fault.
const (
	GamePrefix         = "/game/v1"
	PathGameBoot       = GamePrefix + "/boot"
	PathGameSessions   = GamePrefix + "/sessions"
	PathGameHeartbeats = GamePrefix + "/heartbeats"
	PathGameAnnounce   = GamePrefix + "/announce"
	PathGameEvents     = GamePrefix + "/events"
	PathGameAck        = GamePrefix + "/events/ack"
)

// PathGameEnd is where a session is ended.
func PathGameEnd(sessionID string) string { return PathGameSessions + "/" + sessionID + "/end" }

// MaxBatch is how many sessions one call may name.
const MaxBatch = 10000

// HeaderLastEventID says behind which event a stream is to begin.
const HeaderLastEventID = "Last-Event-ID"

// A BootRequest says which run of the game server calls from now on.
type BootRequest struct {
	// BootID is 1–64 of A-Za-z0-9_.-, another for each run: a UUID, say.
	BootID string `json:"bootId"`
}

// A BootResponse is what a game server has to know to begin.
type BootResponse struct {
	GameServer string `json:"gameServer"`
	// Epoch names the store's data. If it changes, the store has lost them, and
	// the game server is to announce its sessions.
	Epoch string `json:"epoch"`
	// Cursor is the Last-Event-ID to begin the events with.
	Cursor string `json:"cursor"`
	// LeaseSeconds and HeartbeatSeconds are those of games without their own.
	LeaseSeconds     int `json:"leaseSeconds"`
	HeartbeatSeconds int `json:"heartbeatSeconds"`
	// Ended is how many sessions of earlier boots this has ended.
	Ended int `json:"ended"`
}

// A StartRequest begins the session of a launch.
type StartRequest struct {
	BootID      string `json:"bootId"`
	LaunchToken string `json:"launchToken"`
}

// A StartResponse is the session; a repeated StartRequest gets the same.
type StartResponse struct {
	Session          rollcall.Session `json:"session"`
	HeartbeatSeconds int              `json:"heartbeatSeconds"`
}

// A HeartbeatRequest renews sessions and tells of ended ones, MaxBatch at the
// most in all.
type HeartbeatRequest struct {
	BootID string       `json:"bootId"`
	IDs    []string     `json:"ids"`
	Ended  []SessionEnd `json:"ended,omitempty"`
}

// A SessionEnd says that a session has ended, in a HeartbeatRequest.
type SessionEnd struct {
	ID string `json:"id"`
	EndRequest
}

// A HeartbeatResponse says what was not renewed.
type HeartbeatResponse struct {
	Epoch string `json:"epoch"`
	// Unknown are those of the request's IDs that this game server does not hold
	// or that have ended, and of which nothing is left to tell.
	Unknown []string `json:"unknown"`
	// End are the events of those that are to be ended.
	End []rollcall.Event `json:"end"`
}

// An EndRequest ends a session.
type EndRequest struct {
	// Reason is empty for "left".
	Reason rollcall.EndReason `json:"reason,omitempty"`
	// Note, of at most 1,000 bytes, is of the settlement, for operators.
	Note string `json:"note,omitempty"`
}

// An EndResponse says whether the session was active until now; a repeated
// EndRequest finds that it was not.
type EndResponse struct {
	WasActive bool `json:"wasActive"`
}

// An AnnounceRequest tells a store that has lost its data of sessions that the
// game server holds, as it got them, MaxBatch at the most.
type AnnounceRequest struct {
	BootID   string             `json:"bootId"`
	Sessions []rollcall.Session `json:"sessions"`
}

// An AnnounceResponse says which are not live after it.
type AnnounceResponse struct {
	Epoch    string            `json:"epoch"`
	Accepted int               `json:"accepted"`
	Refused  []RefusedAnnounce `json:"refused"`
}

// A RefusedAnnounce is a session that the game server is to end, and why.
type RefusedAnnounce struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// An AckRequest says that events have been taken over, MaxBatch at the most.
type AckRequest struct {
	IDs []string `json:"ids"`
}

// An AckResponse is how many of them were not acknowledged before.
type AckResponse struct {
	Acknowledged int `json:"acknowledged"`
}
