package rollcall

import "time"

// A Kick is the end of sessions by force, and who asked for it.
type Kick struct {
	// ID is a version 7 UUID; of a kick over the v2 API, the answer's logUUID.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// By is who asked: "agent A", or the name of an operator.
	By string `json:"by"`
	// Why is for operators, Message for the player; both may be empty.
	Why     string `json:"why,omitempty"`
	Message string `json:"message,omitempty"`
	// Filter picks the sessions, of those that were live at At.
	Filter SessionFilter `json:"filter"`
	Reason EndReason     `json:"reason"`
	// PerSecond bounds how many sessions end in a second; 0: no bound.
	PerSecond int       `json:"perSecond,omitempty"`
	State     KickState `json:"state"`
	// Matched is how many sessions the filter picked at the beginning.
	Matched    int          `json:"matched"`
	Progress   KickProgress `json:"progress"`
	FinishedAt time.Time    `json:"finishedAt,omitzero"`
}

// KickProgress is how many sessions a Kick has ended, of how many the game
// server has been told, has said that it knows, and has said that the game has
// ended.
type KickProgress struct {
	Ended        int `json:"ended"`
	Delivered    int `json:"delivered"`
	Acknowledged int `json:"acknowledged"`
	Settled      int `json:"settled"`
}

// KickState says how far a Kick has got.
type KickState string

// The states of a Kick.
const (
	KickRunning KickState = "running"
	KickDone    KickState = "done"
	KickAborted KickState = "aborted"
)

// EventType says what a game server is told.
type EventType string

// The events.
const (
	EventKicked       EventType = "kicked"
	EventDisplaced    EventType = "displaced"
	EventAgentBlocked EventType = "agent-blocked"
	EventDrain        EventType = "drain" // of no one session: start no more
)

// EventOf returns the event that tells a game server of an end, "" for an end
// of which it is not told.
func EventOf(r EndReason) EventType {
	switch r {
	case EndKicked:
		return EventKicked
	case EndDisplaced:
		return EventDisplaced
	case EndAgentBlocked:
		return EventAgentBlocked
	}
	return ""
}

// An Event is what a game server is told, until it acknowledges it.
type Event struct {
	// ID is where to resume behind the event; it means nothing else.
	ID        string    `json:"id"`
	Type      EventType `json:"type"`
	SessionID string    `json:"sessionId,omitempty"`
	AgentID   string    `json:"agentId,omitempty"`
	Username  string    `json:"username,omitempty"`
	GameCode  string    `json:"gameCode,omitempty"`
	// By is who asked, Message is for the player, and may be empty.
	By       string    `json:"by,omitempty"`
	Message  string    `json:"message,omitempty"`
	QueuedAt time.Time `json:"queuedAt"`
}

// A Receipt is an Event and what became of it, for operators.
type Receipt struct {
	Event

	// Seq grows with each event of a store.
	Seq        int64  `json:"seq"`
	GameServer string `json:"gameServer"`
	BootID     string `json:"bootId,omitempty"`
	KickID     string `json:"kickId,omitempty"`
	// DeliveredAt is when it was first written to the game server's stream, or
	// acknowledged if that was noted first; AcknowledgedAt when the game server said that it has it, EndedAt when it
	// said that the game has ended. Zero: not yet.
	DeliveredAt    time.Time `json:"deliveredAt,omitzero"`
	AcknowledgedAt time.Time `json:"acknowledgedAt,omitzero"`
	EndedAt        time.Time `json:"endedAt,omitzero"`
	// Note is what the game server says of the settlement.
	Note string `json:"note,omitempty"`
}
