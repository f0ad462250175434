package rollcall

import "time"

// A RequestRecord is what the service remembers of one v2 request under the
// logUUID of its answer (spec 1.5). It never holds a key, a token, a secret,
// or any part of a plaintext that was refused.
type RequestRecord struct {
	LogUUID  string    `json:"logUUID"`
	At       time.Time `json:"at"`
	Endpoint string    `json:"endpoint"`
	// AgentID is as claimed in x-agentid; empty where its form was refused.
	AgentID string `json:"agentId,omitempty"`
	// Username is the member asked about; only where the answer was code 0.
	Username string `json:"username,omitempty"`
	Remote   string `json:"remote"`
	// Code is the answer's (spec 9), Status its HTTP status.
	Code   int `json:"code"`
	Status int `json:"status"`
	// TookNanos is from the headers read to the answer made, in ns.
	TookNanos int64 `json:"tookNanos"`
	// Checks are in the order in which they were made (spec 8).
	Checks []RequestCheck `json:"checks"`
	// Findings say what the sender may have done wrong; empty where nothing was
	// found, and where nothing was looked for: of such requests only some are
	// looked at in a second.
	Findings []RequestFinding `json:"findings,omitempty"`
}

// A RequestCheck is the verdict of one check of a request.
type RequestCheck struct {
	Name string `json:"name"`
	// Passed is the verdict; Reason says why it was refused, for operators.
	Passed bool   `json:"passed"`
	Reason string `json:"reason,omitempty"`
	// TookNanos is the check's own time, in ns.
	TookNanos int64 `json:"tookNanos"`
}

// A RequestFinding is one fault that the service has seen in a request which it
// has refused, made out after it was answered.
type RequestFinding struct {
	// Code names the fault; docs/explain.md lists all.
	Code string `json:"code"`
	// Value is a number that goes with some codes, such as milliseconds.
	Value int64 `json:"value,omitempty"`
}
