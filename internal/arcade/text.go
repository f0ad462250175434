package arcade

import (
	"cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// over says how a session ended, for the player.
type over struct {
	// Type is an event's type, or left, expired or lost.
	Type    string `json:"type"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

const typeLeft = "left"

// The ends of which no event tells.
var (
	overLeft    = &over{typeLeft, "You left the game", "The game ended a moment after its page was closed or fell silent. Open it again from the lobby."}
	overExpired = &over{"expired", "Time is up", "A game lasts only so long. Your game is settled; open it again from the lobby."}
	overLost    = &over{"lost", "The game has ended", "The game server no longer has this game. Open it again from the lobby."}
)

// overBy returns how an event ends a session: in the words of who asked for it,
// else in its type's.
func overBy(e rollcall.Event) *over {
	how := over{string(e.Type), "The game has ended", "Your game was ended and is settled."}
	switch e.Type {
	case rollcall.EventKicked:
		how.Title, how.Message = "You were signed out", "An operator has ended your game. It is settled, and nothing of it is lost."
	case rollcall.EventDisplaced:
		how.Title, how.Message = "You are playing elsewhere", "A newer game of yours has taken the place of this one, which is settled."
	case rollcall.EventAgentBlocked:
		how.Title, how.Message = "This casino is closed for now", "Its games have been ended and settled. Please ask the casino."
	}
	how.Message = cmp.Or(e.Message, how.Message)
	return &how
}

// A problem says why a page cannot play, for the player.
type problem struct {
	// Code is of wire's faults.
	Code    string `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message"`
	// Retry reports whether it may go better soon.
	Retry bool `json:"retry,omitempty"`
}

const again = " Please open the game again from the lobby."

// problems are the texts by the code.
var problems = map[string]problem{
	"launch_unknown":   {Title: "This link is not valid", Message: "It may be incomplete, or very old." + again},
	"launch_used":      {Title: "This link was used already", Message: "A link starts one game, once." + again},
	"launch_expired":   {Title: "This link has expired", Message: "A link is good for five minutes." + again},
	"launch_voided":    {Title: "This link was withdrawn", Message: "You were signed out after it was made." + again},
	"game_not_run":     {Title: "This game is not played here", Message: "The link led to a game server that does not run the game. Please tell the casino."},
	"draining":         {Title: "No new games here", Message: "This game server is going out of service and starts no more games." + again},
	"session_limit":    {Title: "You are playing already", Message: "You have as many games open as you may. Close one and load this page again.", Retry: true},
	"member_suspended": {Title: "Your account is suspended", Message: "Please ask the casino."},
	"agent_blocked":    {Title: "This casino is closed for now", Message: "Please ask the casino."},
	"stale_boot":       {Title: "No new games here", Message: "Another game server has taken over from this one." + again},
	"unavailable":      {Title: "Not just now", Message: "The service does not answer. Your link is still good: try again in a moment.", Retry: true},
	"internal":         {Title: "Something went wrong", Message: "The game could not be started. Try again in a moment.", Retry: true},
}

// problemOf returns what to tell of an error of Start, and the HTTP status.
func problemOf(err error) (p problem, status int) {
	code, status := wire.FaultOf(err)
	p, known := problems[code]
	if !known {
		p = problems["internal"]
	}
	p.Code = code
	return p, status
}
