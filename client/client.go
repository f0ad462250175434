// Package client calls the v2 API of Rollcall, or of any service that speaks
// docs/protocol.md. It imports the standard library, rollcall and wire only.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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
	AgentID string
	// APIKey is 64 lower-case hex digits, the key of AES-256-GCM.
	APIKey string
	// SecretKey is what an access token is asked for with.
	SecretKey string
	// Signature is the profile that the agent is set to; empty: plain.
	Signature rollcall.SignatureProfile
	// HTTPClient does the calls; nil: one with a timeout of 10 s.
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
	Answer          []byte
}

// A Client calls for one agent. It is safe for concurrent use; goroutines share
// one access token, which is fetched when it is first needed and again a minute
// before it expires.
type Client struct {
	base    string
	agentID string
	secret  string
	key     *wire.APIKey
	profile rollcall.SignatureProfile
	http    *http.Client
	now     func() time.Time
	trace   func(Exchange)

	mu        sync.Mutex // held while a token is fetched, so that one is
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
		profile: o.Signature, http: o.HTTPClient, now: o.Now, trace: o.Trace,
	}
	if c.profile == "" {
		c.profile = rollcall.SignaturePlain
	}
	if c.http == nil {
		c.http = &http.Client{Timeout: 10 * time.Second}
	}
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case c.base == "":
		return nil, fmt.Errorf("%w option BaseURL: empty", rollcall.ErrInvalid)
	case !rollcall.ValidID(c.agentID):
		return nil, fmt.Errorf("%w option AgentID: want 1 to 64 of A-Za-z0-9_.-", rollcall.ErrInvalid)
	case !c.profile.Valid():
		return nil, fmt.Errorf("%w option Signature: want plain or hmac", rollcall.ErrInvalid)
	}
	return c, nil
}

// CheckSessions returns the member's active sessions, oldest first, and an empty
// slice where there is none (spec 6). An answer with another code than 0 is a
// *wire.Error, in which errors.Is finds the sentinel, such as
// rollcall.ErrMemberNotFound.
func (c *Client) CheckSessions(ctx context.Context, username string) ([]wire.Session, error) {
	sessions := []wire.Session{}
	return sessions, c.call(ctx, wire.PathSessionsCheck, wire.MemberRequest{Username: username}, &sessions)
}

// call does one call with an access token.
func (c *Client) call(ctx context.Context, path string, request, data any) error {
	token, err := c.accessToken(ctx)
	if err != nil {
		return err
	}
	return c.exchange(ctx, path, token, request, data)
}

// accessToken returns a token that is good for another minute.
func (c *Client) accessToken(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.now().Before(c.refreshAt) {
		return c.token, nil
	}
	asked := c.now()
	var auth wire.AuthResponse
	request := wire.AuthRequest{AgentID: c.agentID, Secret: c.secret}
	if err := c.exchange(ctx, wire.PathAuth, "", request, &auth); err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	lifetime := time.Duration(auth.ExpiresIn) * time.Second
	c.token, c.refreshAt = auth.AccessToken, asked.Add(lifetime-time.Minute)
	return c.token, nil
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

// maxAnswer is far above any answer and keeps a wrong server from filling memory.
const maxAnswer = 64 << 20

func (c *Client) send(req *http.Request, x *Exchange) error {
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	x.Status = res.StatusCode
	if x.Answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return err
	}
	if c.trace != nil {
		c.trace(*x)
	}
	return nil
}

func readAnswer(x *Exchange, data any) error {
	reply, err := wire.ParseReply(x.Answer)
	if err != nil {
		return fmt.Errorf("POST %s: HTTP status %d: %w", x.URL, x.Status, err)
	}
	if err := reply.Err(); err != nil {
		return err
	}
	if err := json.Unmarshal(reply.Data, data); err != nil {
		return fmt.Errorf("POST %s: data of the answer: %w", x.URL, err)
	}
	return nil
}
