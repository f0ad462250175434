// Package client is for those who talk to Rollcall: a Client calls the v2 API
// for an integrator (docs/protocol.md), a GameServer reports sessions and hears
// events (docs/game-api.md). It imports the standard library, rollcall and wire
// only. docs/sdk.md is the guide to both.
//
// What goes over the wire has its form in package wire; this package names what
// its users need of that, so that they import client, and rollcall for the
// sentinel errors. Package rollcalltest has a true Rollcall for their tests.
package client

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// Options say who calls whom. BaseURL, AgentID, APIKey and SecretKey are
// required.
type Options struct {
	// BaseURL is where /v2 begins, such as https://rollcall.example.com.
	BaseURL string
	// AgentID is who calls, as the service's operator has named it.
	AgentID string
	// APIKey is 64 lower-case hex digits, the key of AES-256-GCM.
	APIKey string
	// NextAPIKey is for a change of keys without an interruption: it is tried
	// before APIKey from the beginning on, and APIKey serves as long as the service
	// refuses it, which costs a call more every five minutes. When the service has
	// retired APIKey, NextAPIKey takes its place here. Empty: no change is on.
	NextAPIKey string
	// SecretKey is what an access token is asked for with.
	SecretKey string
	// Signature is the profile that the agent is set to; empty: plain.
	Signature rollcall.SignatureProfile
	// Attempts is how often a call is made at the most, where it is safe to repeat
	// it; 0: 3; 1: no call is repeated.
	Attempts int
	// HTTPClient does the calls; nil: one with a timeout of 10 s. No redirect is
	// followed.
	HTTPClient *http.Client
	// Now is the clock of timestamps and of the access token; nil: time.Now.
	Now func() time.Time
	// Sleep waits for d before a call is repeated, or until ctx ends, and returns
	// what that ended with then; nil: by the machine's clock.
	Sleep func(ctx context.Context, d time.Duration) error
	// Log gets calls that are repeated, at level warn; changes of the key, at info;
	// and fetches of the access token, at debug; nil: nothing is logged. It never
	// gets a key, a secret or a token.
	Log *slog.Logger
	// Trace, if set, is called after each call that was answered, by several
	// goroutines at once, for people who want to see the wire. It sees the access
	// token and, in the plaintext of /v2/auth, the SecretKey.
	Trace func(Exchange)
}

const (
	defaultAttempts = 3
	// idleConns are how many connections a Client without a HTTPClient keeps: with
	// net/http's two, many goroutines would open and close all the time.
	idleConns = 64
)

// A Client calls for one agent. It is safe for concurrent use; goroutines share
// one access token, which is fetched when it is first needed, again a minute
// before it expires, and again when it is refused, as after a revocation.
//
// An answer with another code than 0 is an *Error, in which errors.Is finds the
// sentinel, and which has the logUUID that the service's operator asks for. Beside
// those that a method names, each may be rollcall.ErrAuthentication,
// ErrAgentRefused, ErrDecryption, ErrParameters, ErrTooManyRequests,
// ErrBranchNotConfigured or ErrInternal. What is no answer of the service is
// another error, such as net/http's.
//
// A call is repeated, with a nonce, timestamp and signature of its own, where no
// answer came, where it was refused for its number (ErrTooManyRequests), and where
// the service is unavailable (HTTP 503): after a pause that grows and is random in
// part, and in any case what the service asks for. After any other answer nothing
// is repeated. A wait that ctx would not outlive, or of more than 10 s, is not
// begun: the error comes at once, and RetryAfter tells what the service asks for.
// After several attempts the error is that of the last one.
type Client struct {
	base    string
	agentID string
	secret  string
	keys    *keyring
	profile rollcall.SignatureProfile
	again   repeater
	http    *http.Client
	now     func() time.Time
	log     *slog.Logger
	trace   func(Exchange)

	mu        sync.Mutex // guards what follows
	token     string
	refreshAt time.Time
	fetching  *fetch // nil: nobody fetches a token
}

// Format hides the keys and the token from every verb.
func (c *Client) Format(to fmt.State, _ rune) {
	_, _ = io.WriteString(to, "client of agent "+c.agentID)
}

// Format hides the keys from every verb.
func (o Options) Format(to fmt.State, _ rune) {
	_, _ = io.WriteString(to, "options of agent "+o.AgentID)
}

// New makes a Client and calls nobody; the error, a rollcall.ErrInvalid, says which
// option is wrong.
func New(o Options) (*Client, error) {
	o.Signature = cmp.Or(o.Signature, rollcall.SignaturePlain)
	o.Attempts = cmp.Or(o.Attempts, defaultAttempts)
	if err := o.check(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(&o)
	if err != nil {
		return nil, err
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	c := &Client{
		base: strings.TrimRight(o.BaseURL, "/"), agentID: o.AgentID, secret: o.SecretKey, keys: keys, profile: o.Signature,
		again: repeater{o.Attempts, o.Sleep, log}, now: o.Now, log: log, trace: o.Trace,
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: callTimeout, Transport: newTransport()}
	}
	c.http = direct(o.HTTPClient)
	if c.now == nil {
		c.now = time.Now
	}
	if c.again.sleep == nil {
		c.again.sleep = pause
	}
	return c, nil
}

func (o *Options) check() error {
	switch {
	case !validBase(o.BaseURL):
		return errBaseURL
	case !rollcall.ValidID(o.AgentID):
		return fmt.Errorf("%w option AgentID: want 1 to 64 of A-Za-z0-9_.-", rollcall.ErrInvalid)
	case o.SecretKey == "":
		return fmt.Errorf("%w option SecretKey: it is empty", rollcall.ErrInvalid)
	case !o.Signature.Valid():
		return fmt.Errorf("%w option Signature: want plain or hmac", rollcall.ErrInvalid)
	case o.Attempts < 1:
		return errAttempts
	}
	return nil
}

var errAttempts = fmt.Errorf("%w option Attempts: want 0 or more", rollcall.ErrInvalid)

// newTransport is the default one, with more connections; nil, which is the
// default one, where somebody has put another sort in its place.
func newTransport() http.RoundTripper {
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil
	}
	own := usual.Clone()
	own.MaxIdleConnsPerHost = idleConns
	return own
}

// Sessions are what CheckSessions has found.
type Sessions struct {
	// Active are the member's active sessions, oldest first; never nil.
	Active []Session
	// Partial says that some may be missing: the service has lost sessions, and game
	// servers are telling it of theirs again, which takes a lease at the most, 90 s
	// unless set otherwise. Until then an empty Active does not mean that the member
	// plays nothing.
	Partial bool
	// LogUUID names the call to the service's operator.
	LogUUID string
}

// CheckSessions returns the member's active sessions (spec 6). Look at Partial
// before you conclude from a session that is not there. It may be
// rollcall.ErrMemberNotFound.
func (c *Client) CheckSessions(ctx context.Context, username string) (Sessions, error) {
	s := Sessions{Active: []Session{}}
	a, err := c.call(ctx, wire.PathSessionsCheck, wire.MemberRequest{Username: username}, &s.Active)
	if err != nil {
		return Sessions{}, err
	}
	if s.Active == nil { // data was null
		s.Active = []Session{}
	}
	s.Partial, s.LogUUID = a.partial, a.logUUID
	return s, nil
}

// CreateMember makes a member; an empty siteID is none (spec 7.1). It may be
// rollcall.ErrMemberExists.
//
// It is repeated only where it surely was not carried out: refused for its number,
// or no connection came about. After another error without an answer nobody knows:
// call it again, and take ErrMemberExists then for what it is, a member that was
// made by this call, or before it.
func (c *Client) CreateMember(ctx context.Context, username, siteID string) error {
	return c.callOnce(ctx, wire.PathMembers, wire.MemberCreateRequest{Username: username, SiteID: siteID})
}

// OpenGame launches a game and returns the URL to send the member to, which is
// good once and for 5 minutes (spec 7.2). It may be rollcall.ErrGameNotFound,
// ErrMemberNotFound, ErrMemberSuspended, ErrSiteMismatch or ErrGameRestricted.
// Repeated after an answer that got lost, it launches twice, and the first launch,
// which nobody has the URL of, does nothing.
func (c *Client) OpenGame(ctx context.Context, r OpenGameRequest) (OpenGameResponse, error) {
	var data OpenGameResponse
	if _, err := c.call(ctx, wire.PathOpenGame, r, &data); err != nil {
		return OpenGameResponse{}, err
	}
	if data.GameLaunchURL == "" {
		return OpenGameResponse{}, fmt.Errorf("%w answer: no gameLaunchUrl", rollcall.ErrInvalid)
	}
	return data, nil
}

// Online are what Client.Online has found.
type Online struct {
	// Usernames are sorted, each member's once; never nil.
	Usernames []string
	// Partial says that some may be missing, as that of Sessions.
	Partial bool
	// LogUUID names the call to the service's operator.
	LogUUID string
}

// Online returns the agent's members that are online, at most 30 s old (spec 7.3).
// Look at Partial before you conclude from one that is not there.
func (c *Client) Online(ctx context.Context) (Online, error) {
	var data wire.OnlineResponse
	a, err := c.call(ctx, wire.PathMembersOnline, wire.OnlineRequest{}, &data)
	if err != nil {
		return Online{}, err
	}
	if data.UserList == nil {
		data.UserList = []string{}
	}
	return Online{Usernames: data.UserList, Partial: a.partial, LogUUID: a.logUUID}, nil
}

// KickMember ends all the member's sessions and voids its launches; nil also where
// there was none (spec 7.4). It may be rollcall.ErrMemberNotFound. Repeated after
// an answer that got lost, it also ends what has begun in between.
func (c *Client) KickMember(ctx context.Context, username string) error {
	_, err := c.call(ctx, wire.PathSessionsLogout, wire.MemberRequest{Username: username}, nil)
	return err
}
