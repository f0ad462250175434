package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	defaultEvery = 30 * time.Second // where the service names no interval
	maxEvery     = time.Hour
	maxNote      = 1000 // bytes
)

// GameServerOptions say which game server calls whom. BaseURL and Token are
// required, and OnEvent by Run.
type GameServerOptions struct {
	// BaseURL is where /game/v1 begins, such as https://rollcall.example.com.
	BaseURL string
	// Token is the game server's. No error and no log holds it.
	Token string
	// BootID names this run of the game server, another for each: 1–64 of
	// A-Za-z0-9_.-; empty: a random UUID.
	BootID string
	// Attempts is how often a Start is made at the most, where no answer comes or the
	// service asks to come again; 0: 3; 1: it is not repeated. What else fails, Run
	// does again by itself.
	Attempts int
	// HTTPClient does the calls, each within 10 s; nil: one with the default
	// transport. Its Timeout does not bound the event stream, and its
	// CheckRedirect is not asked: no redirect is followed.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// OnEvent takes an event over: nil has it acknowledged, and drops the session
	// that it ends; after an error, or a panic, it is told again. It is called for
	// one event at a time, and more than once for one where an acknowledgement got
	// lost or the Start of its session was still under way. Its context ends with
	// Run; it must not call Heartbeat.
	OnEvent func(ctx context.Context, e rollcall.Event) error
	// OnLost is told of a session that the service no longer knows, and which is
	// no longer held: the game is to end. Heartbeats wait for its return; it must
	// not call Heartbeat. Nil: nobody is told.
	OnLost func(s rollcall.Session, why string)
	// Log gets what Run goes on after, and a Start that is repeated; nil: nothing is
	// logged.
	Log *slog.Logger
}

// A GameServer tells Rollcall of one game server's sessions, and hears which are
// to end. It is safe for concurrent use.
//
// Errors are a *FaultError where the service answered, in which errors.Is
// finds the sentinel, such as rollcall.ErrLaunchExpired; else they are net/http's.
type GameServer struct {
	base, token, bootID string
	calls, streams      *http.Client // follow no redirect
	now                 func() time.Time
	onEvent             func(context.Context, rollcall.Event) error
	onLost              func(rollcall.Session, string)
	log                 *slog.Logger
	again               repeater

	running sync.Mutex    // held by Run
	beating sync.Mutex    // held by a beat, so that one is at a time
	telling chan struct{} // has an element while events are told, so that each is once
	sooner  chan struct{} // has an element if the interval has become shorter

	mu            sync.Mutex // guards what follows, and is never held during a call
	epoch, cursor string
	every         time.Duration
	held          map[string]heldSession
	ended         map[string]wire.SessionEnd // not yet told
	unacked       map[string]struct{}        // IDs of events that are taken over
	told, before  map[notice]struct{}        // what was taken over; before is the older part
	restart       func(why error)            // ends the stream that is open
}

type heldSession struct {
	rollcall.Session
	every time.Duration
}

// A notice names an event: the service gives IDs anew in each epoch.
type notice struct{ epoch, id string }

// Format hides the token from every verb.
func (g *GameServer) Format(to fmt.State, _ rune) {
	_, _ = io.WriteString(to, "game server of boot "+g.bootID)
}

// Format hides the token from every verb.
func (o GameServerOptions) Format(to fmt.State, _ rune) {
	_, _ = io.WriteString(to, "options of boot "+o.BootID)
}

// NewGameServer makes a GameServer and calls nobody; the error, a
// rollcall.ErrInvalid, says which option is wrong.
func NewGameServer(o GameServerOptions) (*GameServer, error) {
	o.BootID, o.Attempts = cmp.Or(o.BootID, newUUID()), cmp.Or(o.Attempts, defaultAttempts)
	if err := o.check(); err != nil {
		return nil, err
	}
	g := &GameServer{
		base: strings.TrimRight(o.BaseURL, "/"), token: o.Token, bootID: o.BootID,
		calls: direct(cmp.Or(o.HTTPClient, &http.Client{})), now: o.Now, onEvent: o.OnEvent, onLost: o.OnLost,
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		telling: make(chan struct{}, 1), sooner: make(chan struct{}, 1), every: defaultEvery,
		held: map[string]heldSession{}, ended: map[string]wire.SessionEnd{},
		unacked: map[string]struct{}{}, told: map[notice]struct{}{}, restart: func(error) {},
	}
	g.again = repeater{o.Attempts, pause, g.log}
	stream := *g.calls
	stream.Timeout = 0
	g.streams = &stream
	if g.now == nil {
		g.now = time.Now
	}
	return g, nil
}

func (o *GameServerOptions) check() error {
	switch {
	case !validBase(o.BaseURL):
		return errBaseURL
	case o.Token == "" || strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w option Token: want visible ASCII", rollcall.ErrInvalid)
	case !rollcall.ValidID(o.BootID):
		return fmt.Errorf("%w option BootID: want 1 to 64 of A-Za-z0-9_.-", rollcall.ErrInvalid)
	case o.Attempts < 1:
		return errAttempts
	}
	return nil
}

// newUUID returns a random UUID, of version 4.
func newUUID() string {
	h := newNonce()
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// Boot says that this run of the game server is the one that calls from now on,
// which ends the sessions of earlier ones. It may be repeated. Run does it itself.
func (g *GameServer) Boot(ctx context.Context) (BootResponse, error) {
	var a BootResponse
	if err := g.post(ctx, wire.PathGameBoot, wire.BootRequest{BootID: g.bootID}, &a); err != nil {
		return a, err
	}
	if a.Epoch == "" {
		return a, errNoEpoch(wire.PathGameBoot)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.every = cmp.Or(seconds(a.HeartbeatSeconds), g.every)
	// Of sessions that are held, a heartbeat tells the new epoch first.
	if g.epoch != a.Epoch && (g.epoch == "" || len(g.held) == 0) {
		g.adopt(a.Epoch, a.Cursor)
	}
	return a, nil
}

// seconds returns the interval that the service asks for; 0: none. Whatever it
// says, heartbeats neither storm nor cease.
func seconds(n int) time.Duration {
	return min(time.Duration(min(max(n, 0), int(maxEvery/time.Second)))*time.Second, maxEvery)
}

// adopt begins an epoch, in which no event of before has a meaning. g.mu is held.
func (g *GameServer) adopt(epoch, cursor string) {
	g.epoch, g.cursor = epoch, cursor
	clear(g.unacked)
	g.restart(errors.New("the service's data are others than before"))
}

// Start begins the session of a launch token and holds it: Heartbeat and Run
// renew it until it ends. Repeated, it returns the same session, so it repeats
// itself where an answer got lost. It is rollcall.ErrStaleBoot after another process's Boot, and may be ErrLaunchUnknown, ErrLaunchUsed,
// ErrLaunchExpired, ErrLaunchVoided, ErrGameNotRun, ErrDraining, ErrSessionLimit,
// ErrMemberSuspended or ErrAgentRefused.
func (g *GameServer) Start(ctx context.Context, launchToken string) (rollcall.Session, error) {
	var a wire.StartResponse
	r := wire.StartRequest{BootID: g.bootID, LaunchToken: launchToken}
	err := g.again.do(ctx, wire.PathGameSessions, func() (bool, error) {
		err := g.post(ctx, wire.PathGameSessions, r, &a)
		return passingFault(err), err
	})
	if err != nil {
		return rollcall.Session{}, err
	}
	if !validSessionID(a.Session.ID) { // heartbeats with it would be refused as a whole
		return rollcall.Session{}, fmt.Errorf("POST %s: the answer names no session", wire.PathGameSessions)
	}
	g.hold(heldSession{a.Session, seconds(a.HeartbeatSeconds)})
	return a.Session, nil
}

func (g *GameServer) hold(h heldSession) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[h.ID] = h
	if h.every <= 0 || h.every >= g.every {
		return
	}
	select {
	case g.sooner <- struct{}{}:
	default: // it is known already
	}
}

// End says that a session has ended, and why, and no longer holds it. One that
// an event has ended may be ended too, for the note. If the service cannot be
// reached, the end is kept and goes with the next heartbeats; the error says so.
// It is ErrInvalid for what the service would refuse: as reason there are "left",
// "kicked", "expired", "server-lost" and none.
func (g *GameServer) End(ctx context.Context, sessionID string, end EndRequest) error {
	switch {
	case !validSessionID(sessionID):
		return fmt.Errorf("%w session ID", rollcall.ErrInvalid)
	case !validReason(end.Reason):
		return fmt.Errorf("%w reason %q", rollcall.ErrInvalid, end.Reason)
	case len(end.Note) > maxNote:
		return fmt.Errorf("%w note: more than %d bytes", rollcall.ErrInvalid, maxNote)
	}
	g.drop(sessionID) // first, or a heartbeat meanwhile would find it lost
	err := g.post(ctx, wire.PathGameEnd(sessionID), end, &wire.EndResponse{})
	kept := unreached(err)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !kept {
		delete(g.ended, sessionID)
		return err
	}
	g.ended[sessionID] = wire.SessionEnd{ID: sessionID, EndRequest: end}
	return fmt.Errorf("session %s: the end is kept for the next heartbeat: %w", sessionID, err)
}

// validSessionID reports whether id can stand in a path.
func validSessionID(id string) bool { return rollcall.ValidID(id) && strings.Trim(id, ".") != "" }

// validReason reports whether a game server may end a session for r. Another one,
// kept for a heartbeat, would have all others that are kept refused with it.
func validReason(r rollcall.EndReason) bool {
	switch r {
	case "", rollcall.EndLeft, rollcall.EndKicked, rollcall.EndExpired, rollcall.EndServerLost:
		return true
	}
	return false
}

// Sessions returns the sessions that are held, by ID, as the service gave them.
func (g *GameServer) Sessions() []rollcall.Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	sessions := make([]rollcall.Session, 0, len(g.held))
	for _, id := range slices.Sorted(maps.Keys(g.held)) {
		sessions = append(sessions, g.held[id].Session)
	}
	return sessions
}

// drop no longer holds a session; ok reports whether it was held.
func (g *GameServer) drop(id string) (s rollcall.Session, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h, ok := g.held[id]
	delete(g.held, id)
	return h.Session, ok
}

func (g *GameServer) lose(ctx context.Context, id, why string) {
	s, ok := g.drop(id)
	if !ok {
		return
	}
	g.log.WarnContext(ctx, "session lost", slog.String("session", id), slog.String("why", why))
	if g.onLost != nil {
		g.warn(ctx, "OnLost", guard(func() error { g.onLost(s, why); return nil }))
	}
}
