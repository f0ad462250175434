// Package client is for those who talk to Rollcall: a Client calls the v2 API
// for an integrator (docs/protocol.md), a GameServer reports sessions and hears
// events (docs/game-api.md). It imports the standard library, rollcall and wire
// only.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// Options say who calls whom. BaseURL, AgentID, APIKey and SecretKey are
// required.
type Options struct {
	// BaseURL is where /v2 begins, such as https://rollcall.example.com.
	BaseURL string
	AgentID string
	// APIKey is 64 lower-case hex digits, the key of AES-256-GCM.
	APIKey string
	// SecretKey is what an access token is asked for with.
	SecretKey string
	// Signature is the profile that the agent is set to; empty: plain.
	Signature rollcall.SignatureProfile
	// HTTPClient does the calls; nil: one with a timeout of 10 s. No redirect is
	// followed.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Trace, if set, is called after each call, for people who want to see the
	// wire. The headers hold the access token.
	Trace func(Exchange)
}

// An Exchange is one call as it went over the wire.
type Exchange struct {
	URL    string
	Header http.Header
	// Plaintext is what was sealed into Body.
	Plaintext, Body []byte
	Status          int
	AnswerHeader    http.Header
	Answer          []byte
}

// A Client calls for one agent. It is safe for concurrent use; goroutines share
// one access token, which is fetched when it is first needed, again a minute
// before it expires, and again when it is refused, as after a revocation.
//
// An answer with another code than 0 is a *wire.Error, in which errors.Is finds
// the sentinel. Beside those that a method names, each may be
// rollcall.ErrAuthentication, ErrAgentRefused, ErrDecryption, ErrParameters,
// ErrTooManyRequests, ErrBranchNotConfigured or ErrInternal. What is no answer of
// the service is another error, such as net/http's.
//
// A call that is refused for its number (ErrTooManyRequests) or for want of time
// (ErrInternal with a RetryAfter) was not carried out. It is not repeated: RetryAfter
// tells how long to wait before.
type Client struct {
	base    string
	agentID string
	secret  string
	key     *wire.APIKey
	profile rollcall.SignatureProfile
	http    *http.Client
	now     func() time.Time
	trace   func(Exchange)

	fetching  chan struct{} // has an element while a token is looked at or fetched, so that one is
	token     string
	refreshAt time.Time
}

// New makes a Client; the error, a rollcall.ErrInvalid, says which option is wrong.
func New(o Options) (*Client, error) {
	key, err := wire.ParseAPIKey(o.APIKey)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: strings.TrimRight(o.BaseURL, "/"), agentID: o.AgentID, secret: o.SecretKey, key: key,
		profile: o.Signature, http: direct(cmp.Or(o.HTTPClient, &http.Client{Timeout: callTimeout})), now: o.Now, trace: o.Trace,
		fetching: make(chan struct{}, 1),
	}
	if c.profile == "" {
		c.profile = rollcall.SignaturePlain
	}
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case !validBase(o.BaseURL):
		return nil, errBaseURL
	case !rollcall.ValidID(c.agentID):
		return nil, fmt.Errorf("%w option AgentID: want 1 to 64 of A-Za-z0-9_.-", rollcall.ErrInvalid)
	case !c.profile.Valid():
		return nil, fmt.Errorf("%w option Signature: want plain or hmac", rollcall.ErrInvalid)
	}
	return c, nil
}

// CheckSessions returns the member's active sessions, oldest first, and an empty
// slice where there is none (spec 6). It may be rollcall.ErrMemberNotFound.
func (c *Client) CheckSessions(ctx context.Context, username string) ([]wire.Session, error) {
	sessions := []wire.Session{}
	if err := c.call(ctx, wire.PathSessionsCheck, wire.MemberRequest{Username: username}, &sessions); err != nil {
		return nil, err
	}
	if sessions == nil { // data was null
		sessions = []wire.Session{}
	}
	return sessions, nil
}

// CreateMember makes a member; an empty siteID is none (spec 7.1). It may be
// rollcall.ErrMemberExists.
func (c *Client) CreateMember(ctx context.Context, username, siteID string) error {
	return c.call(ctx, wire.PathMembers, wire.MemberCreateRequest{Username: username, SiteID: siteID}, nil)
}

// OpenGame launches a game and returns the URL to send the member to, which is
// good once and for 5 minutes (spec 7.2). It may be rollcall.ErrGameNotFound,
// ErrMemberNotFound, ErrMemberSuspended, ErrSiteMismatch or ErrGameRestricted.
func (c *Client) OpenGame(ctx context.Context, r wire.OpenGameRequest) (wire.OpenGameResponse, error) {
	var data wire.OpenGameResponse
	if err := c.call(ctx, wire.PathOpenGame, r, &data); err != nil {
		return wire.OpenGameResponse{}, err
	}
	if data.GameLaunchURL == "" {
		return wire.OpenGameResponse{}, fmt.Errorf("%w answer: no gameLaunchUrl", rollcall.ErrInvalid)
	}
	return data, nil
}

// Online returns the agent's members that are online, at most 30 s old (spec 7.3);
// its UserList is never nil.
func (c *Client) Online(ctx context.Context) (wire.OnlineResponse, error) {
	var data wire.OnlineResponse
	if err := c.call(ctx, wire.PathMembersOnline, wire.OnlineRequest{}, &data); err != nil {
		return wire.OnlineResponse{}, err
	}
	if data.UserList == nil {
		data.UserList = []string{}
	}
	return data, nil
}

// KickMember ends all the member's sessions and voids its launches; nil also where
// there was none (spec 7.4). It may be rollcall.ErrMemberNotFound.
func (c *Client) KickMember(ctx context.Context, username string) error {
	return c.call(ctx, wire.PathSessionsLogout, wire.MemberRequest{Username: username}, nil)
}

// call does one call with an access token. Where one that was fetched before is
// refused, it does the call, of which nothing was carried out, again with another.
func (c *Client) call(ctx context.Context, path string, request, data any) error {
	token, fetched, err := c.accessToken(ctx, "")
	if err != nil {
		return err
	}
	err = c.exchange(ctx, path, token, request, data)
	if fetched || !errors.Is(err, rollcall.ErrAuthentication) {
		return err
	}
	if token, _, err = c.accessToken(ctx, token); err != nil {
		return err
	}
	return c.exchange(ctx, path, token, request, data)
}

// accessToken returns a token that is good for another minute and is not refused,
// and whether it has fetched it now.
func (c *Client) accessToken(ctx context.Context, refused string) (token string, fetched bool, err error) {
	select {
	case c.fetching <- struct{}{}:
		defer func() { <-c.fetching }()
	case <-ctx.Done(): // while another goroutine fetches
		return "", false, fmt.Errorf("access token: %w", ctx.Err())
	}
	if c.token != "" && c.token != refused && c.now().Before(c.refreshAt) {
		return c.token, false, nil
	}
	asked := c.now()
	var auth wire.AuthResponse
	request := wire.AuthRequest{AgentID: c.agentID, Secret: c.secret}
	if err := c.exchange(ctx, wire.PathAuth, "", request, &auth); err != nil {
		return "", false, fmt.Errorf("access token: %w", err)
	}
	if auth.AccessToken == "" {
		return "", false, fmt.Errorf("access token: %w answer: none in it", rollcall.ErrInvalid)
	}
	lifetime := time.Duration(auth.ExpiresIn) * time.Second
	c.token, c.refreshAt = auth.AccessToken, asked.Add(lifetime-time.Minute)
	return c.token, true, nil
}

// exchange seals and signs request, sends it and reads the answer's data.
func (c *Client) exchange(ctx context.Context, path, token string, request, data any) error {
	plaintext, err := json.Marshal(request)
	if err != nil {
		return err
	}
	cipherText := c.key.Seal(plaintext)
	body, err := json.Marshal(wire.Request{CipherText: cipherText})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	c.sign(req.Header, token, cipherText)
	x := Exchange{URL: req.URL.String(), Header: req.Header, Plaintext: plaintext, Body: body}
	if err := c.send(req, &x); err != nil {
		return fmt.Errorf("POST %s: %w", x.URL, err)
	}
	return readAnswer(&x, data)
}

func (c *Client) sign(to http.Header, token, cipherText string) {
	head := wire.Header{
		AccessToken: token,
		AgentID:     c.agentID,
		Timestamp:   wire.FormatTimestamp(c.now()),
		Nonce:       newNonce(),
	}
	head.Sign(c.profile, c.key, cipherText)
	head.Set(to)
	to.Set("Content-Type", "application/json")
}

// newNonce returns 32 random hex digits.
func newNonce() string {
	var raw [16]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

func (c *Client) send(req *http.Request, x *Exchange) error {
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	x.Status, x.AnswerHeader = res.StatusCode, res.Header
	if x.Answer, err = readBody(res.Body); err != nil {
		return err
	}
	if c.trace != nil {
		c.trace(*x)
	}
	return nil
}

// readAnswer reads the answer's data into what data points to; nil: it has none.
func readAnswer(x *Exchange, data any) error {
	reply, err := wire.ParseReply(x.Answer)
	if err != nil {
		return fmt.Errorf("POST %s: HTTP status %d: %w", x.URL, x.Status, err)
	}
	reply.Message, reply.LogUUID = clip(reply.Message), clip(reply.LogUUID)
	if err := reply.Err(); err != nil {
		if answer, ok := errors.AsType[*wire.Error](err); ok {
			answer.RetryAfter = retryAfter(x.AnswerHeader)
		}
		return err
	}
	if data == nil {
		return nil
	}
	if err := json.Unmarshal(reply.Data, data); err != nil {
		return fmt.Errorf("POST %s: data of the answer: %w", x.URL, err)
	}
	return nil
}

// clip returns what of a text goes into an error.
func clip(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
