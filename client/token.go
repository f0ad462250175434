package client

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// refreshBefore is how long before it expires an access token is fetched again.
const refreshBefore = time.Minute

// longestToken is for how many seconds a token is believed to be good at the most.
const longestToken = 24 * 60 * 60

// A fetch is one of an access token, which all goroutines wait for that need one.
type fetch struct {
	done  chan struct{} // closed when there is what follows
	token string
	err   error
}

// accessToken returns a token that is good for another minute and is not refused,
// and whether it was fetched just now.
func (c *Client) accessToken(ctx context.Context, refused string) (token string, fresh bool, err error) {
	c.mu.Lock()
	if c.token != "" && c.token != refused && c.now().Before(c.refreshAt) {
		defer c.mu.Unlock()
		return c.token, false, nil
	}
	f := c.fetching
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		c.fetching = f
		// It is for others too, so it does not end with this caller's context.
		go c.fetch(context.WithoutCancel(ctx), f)
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.token, true, f.err
	case <-ctx.Done():
		return "", false, fmt.Errorf("access token: %w", ctx.Err())
	}
}

// fetch fetches a token for all who wait for f, its failure too: were each of them
// to try anew, they would wait for each other's timeouts.
func (c *Client) fetch(ctx context.Context, f *fetch) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	token, refreshAt, err := c.login(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetching = nil
	if err == nil {
		c.token, c.refreshAt = token, refreshAt
	}
	f.token, f.err = token, err
	close(f.done)
}

// login asks for a token (spec 5).
func (c *Client) login(ctx context.Context) (token string, refreshAt time.Time, err error) {
	asked := c.now()
	var auth wire.AuthResponse
	request := wire.AuthRequest{AgentID: c.agentID, Secret: c.secret}
	if _, err := c.exchange(ctx, wire.PathAuth, "", request, &auth); err != nil {
		return "", time.Time{}, fmt.Errorf("access token: %w", err)
	}
	if auth.AccessToken == "" || strings.ContainsFunc(auth.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", time.Time{}, fmt.Errorf("access token: %w answer: none in it that could be sent", rollcall.ErrInvalid)
	}
	lifetime := time.Duration(min(auth.ExpiresIn, longestToken)) * time.Second
	c.log.DebugContext(ctx, "access token fetched", slog.Duration("lifetime", lifetime))
	return auth.AccessToken, asked.Add(lifetime - refreshBefore), nil
}

// AccessToken returns the access token that calls carry now, and fetches it where
// there is none that lasts for another minute. Calls do that themselves; it is for
// tools, and for a call that this package does not have.
func (c *Client) AccessToken(ctx context.Context) (string, error) {
	token, _, err := c.accessToken(ctx, "")
	return token, err
}
