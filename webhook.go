package rollcall

import (
	"encoding/json"
	"time"
)

// The types of webhooks.
const (
	WebhookStarted = "session.started"
	WebhookEnded   = "session.ended"
	WebhookKicked  = "session.kicked" // ended by force
)

// A WebhookDelivery is one webhook on its way to an agent's URL.
type WebhookDelivery struct {
	// ID is the same at each attempt: the receiver's webhook-id.
	ID        string `json:"id"`
	AgentID   string `json:"agentId"`
	Type      string `json:"type"`
	SessionID string `json:"sessionId"`
	// Body is what is sent.
	Body      json.RawMessage `json:"body"`
	CreatedAt time.Time       `json:"createdAt"`
	// Attempts is how often it was sent, LastError what the last one came to.
	Attempts  int    `json:"attempts"`
	LastError string `json:"lastError,omitempty"`
	// NextAt is when it is sent next.
	NextAt time.Time `json:"nextAt,omitzero"`
	// DeadAt is when it was given up; zero: it was not.
	DeadAt time.Time `json:"deadAt,omitzero"`
}
