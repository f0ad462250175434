package client

import "github.com/rollcall-server/rollcall/wire"

// What package wire knows, under the names by which users of this package need it.
type (
	// An Error is an answer of the v2 API whose code is not 0, with its code,
	// message and logUUID. errors.Is finds the sentinel in it.
	Error = wire.Error
	// A Session is one active session as the v2 API shows it (spec 6.2).
	Session = wire.Session
	// An OpenGameRequest asks for a launch (spec 7.2). Its DeviceType is OnPC or
	// OnMobile, its LaunchType a rollcall.LaunchType.
	OpenGameRequest = wire.OpenGameRequest
	// An OpenGameResponse is a launch: the URL to send the member to, and the mode.
	OpenGameResponse = wire.OpenGameResponse

	// A FaultError is an answer of the game servers' API that is no success.
	// errors.Is finds the sentinel in it.
	FaultError = wire.FaultError
	// An EndRequest says why a session has ended, and of its settlement.
	EndRequest = wire.EndRequest
	// A BootResponse is what a game server learns at its boot.
	BootResponse = wire.BootResponse
)

// What an OpenGameRequest's DeviceType says: one less than that of a Session, since
// the protocol's two tables differ (spec 7.2).
const (
	OnPC     = 0
	OnMobile = 1
)
