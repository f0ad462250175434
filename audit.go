package rollcall

import "time"

// An AuditEntry says who changed what in the directory, and when.
type AuditEntry struct {
	// Seq grows with each entry; gaps are possible.
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
	// Actor is the name of the admin token, or of the command that ran on the
	// server's own machine.
	Actor string `json:"actor"`
	// Action is what was done to what sort of thing, such as agent.block.
	Action string `json:"action"`
	// Subject is the key of what was changed, such as an agent's id.
	Subject string `json:"subject"`
	// Detail says what else a reader would ask for, never a secret.
	Detail string `json:"detail,omitempty"`
}
