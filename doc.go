// Package rollcall holds the words of Rollcall, a service that answers for a
// game platform: which active sessions does this member have, from where, in
// what?
//
// It is the vocabulary that every other package speaks: the values below and
// the sentinel errors of error.go. It knows nothing of bytes on a wire, of
// stores or of HTTP, and imports the standard library only.
//
// One idea has one word, here, in the documents and in every name:
//
//	who calls the v2 API                         Agent
//	the agent's configuration: its currencies    Branch
//	the person                                   Member, Username
//	one member in one game                       Session: active until ended, kicked or expired
//	a launch not yet started by a game server    Launch, launch token
//	game server begins / keeps / finishes        Start, Heartbeat, End
//	one run of a game server                     Boot, BootID
//	end by force                                 Kick
//	what became of an event for a game server    Receipt
//	a time in which a store has lost nothing     Epoch
//	until when a silent session lives            lease, LeaseTTL, ExpiresAt
//	AES key / login secret                       APIKey / SecretKey
//	AEAD encrypt / decrypt, GCM's 12 bytes       Seal / Open, iv
//	JWT of /v2/auth                              access token
//	a store contract / one implementation        store / backend
//	an answer's trace id                         logUUID, log attribute log_uuid
package rollcall
