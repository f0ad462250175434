// Package roll holds the rules of Rollcall: what an active session is, who may
// have which, what operators may change; and the contracts that it asks of
// stores. It knows nothing of HTTP, of the wire or of any engine. It implements
// sections 6 and 7 of docs/protocol.md, beneath the wire.
package roll
