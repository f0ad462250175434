package rollcall

import "errors"

// The sentinels of the v2 API. A server returns them and package wire turns
// them into an answer's code; a client gets an answer's code and package wire
// turns it back into the same sentinel, so errors.Is reads alike on both ends.
// The comment of each names its code (spec 9).
var (
	// ErrGameNotFound: no such game (5).
	ErrGameNotFound = errors.New("game not found")
	// ErrMemberExists: the username is taken under this agent (6).
	ErrMemberExists = errors.New("member exists already")
	// ErrInternal: the service failed; its log has the cause beside the logUUID (7).
	ErrInternal = errors.New("internal server error")
	// ErrMemberNotFound: the agent has no such member (8).
	ErrMemberNotFound = errors.New("member not found")
	// ErrAgentRefused: the agent is unknown or blocked, or its SecretKey is wrong (10).
	ErrAgentRefused = errors.New("agent unknown, blocked or not proved")
	// ErrParameters: the request is not of the endpoint's form (11).
	ErrParameters = errors.New("parameters error")
	// ErrMemberSuspended: the member may not play (19).
	ErrMemberSuspended = errors.New("member suspended")
	// ErrTooManyRequests: the caller is over its rate (77).
	ErrTooManyRequests = errors.New("too many requests")
	// ErrBranchNotConfigured: the agent has no branch (81).
	ErrBranchNotConfigured = errors.New("branch not configured")
	// ErrSiteMismatch: the site is not the member's (82).
	ErrSiteMismatch = errors.New("site is not the member's")
	// ErrAuthentication: headers, agent, clock, signature, token or nonce were
	// refused; which, is in the request record only (83).
	ErrAuthentication = errors.New("authentication failed")
	// ErrDecryption: the cipherText does not open (84).
	ErrDecryption = errors.New("decryption failed")
	// ErrGameRestricted: the agent may not offer this game (86).
	ErrGameRestricted = errors.New("game restricted")
	// ErrUnavailable: a store does not answer or the service is overloaded;
	// nothing was promised and the same call may be tried again (7, with HTTP 503).
	ErrUnavailable = errors.New("service unavailable")
)

// The sentinels of the stores and of the operators' API.
var (
	// ErrNotFound: nothing has this name.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name is taken.
	ErrExists = errors.New("exists already")
	// ErrInUse: something still refers to what was to be deleted.
	ErrInUse = errors.New("still in use")
	// ErrInvalid: a value has not the form that its field asks for.
	ErrInvalid = errors.New("invalid")
)

// The sentinels of the game-server API.
var (
	// ErrLaunchUnknown: there is no such launch token, or it is long gone.
	ErrLaunchUnknown = errors.New("launch token unknown")
	// ErrLaunchUsed: the launch token has started a session already.
	ErrLaunchUsed = errors.New("launch token used")
	// ErrLaunchExpired: the launch token was not used in time.
	ErrLaunchExpired = errors.New("launch token expired")
	// ErrLaunchVoided: the member was kicked after the launch.
	ErrLaunchVoided = errors.New("launch token voided")
	// ErrGameNotRun: the game server is not one of this game.
	ErrGameNotRun = errors.New("game server does not run this game")
	// ErrStaleBoot: another boot of this game server is the current one, or it
	// has not said which is.
	ErrStaleBoot = errors.New("boot is not the current one")
	// ErrDraining: the game server is to start no more sessions.
	ErrDraining = errors.New("game server is draining")
	// ErrSessionLimit: the member has as many sessions as the agent allows.
	ErrSessionLimit = errors.New("too many sessions of the member")
)
