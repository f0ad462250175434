package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// nextAgain is for how long the current key is tried first after the next one was
// refused.
const nextAgain = 5 * time.Minute

// A keyring holds the keys and knows which one to try first.
type keyring struct {
	current, next *wire.APIKey // next is nil where no change is on

	mu       sync.Mutex
	notUntil time.Time // the next key is not tried first; zero: it is
}

func newKeyring(o *Options) (*keyring, error) {
	k := &keyring{}
	var err error
	if k.current, err = wire.ParseAPIKey(o.APIKey); err != nil {
		return nil, fmt.Errorf("option APIKey: %w", err)
	}
	if o.NextAPIKey == "" {
		return k, nil
	}
	if k.next, err = wire.ParseAPIKey(o.NextAPIKey); err != nil {
		return nil, fmt.Errorf("option NextAPIKey: %w", err)
	}
	return k, nil
}

// order returns which key to try, and which one where that is refused; nil: none.
func (k *keyring) order(now time.Time) (first, second *wire.APIKey) {
	if k.next == nil {
		return k.current, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.notUntil) {
		return k.current, k.next
	}
	return k.next, k.current
}

// prefer remembers which key is not refused where the other is.
func (k *keyring) prefer(key *wire.APIKey, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notUntil = time.Time{}
	if key == k.current {
		k.notUntil = now.Add(nextAgain)
	}
}

// exchange does one call, by the key that is not refused.
func (c *Client) exchange(ctx context.Context, path, token string, request, data any) (answer, error) {
	first, second := c.keys.order(c.now())
	a, err := c.exchangeBy(ctx, first, path, token, request, data)
	if second == nil || !c.refusedKey(err) {
		return a, err
	}
	b, again := c.exchangeBy(ctx, second, path, token, request, data)
	if c.refusedKey(again) {
		return a, err
	}
	c.keys.prefer(second, c.now())
	c.log.InfoContext(ctx, "one API key is refused and the other is not", slog.Bool("next", second == c.keys.next))
	return b, again
}

// refusedKey reports whether err may be for the key. In the profile hmac it signs,
// and a wrong one is refused as all that is wrong in a signed request (spec 8).
func (c *Client) refusedKey(err error) bool {
	return errors.Is(err, rollcall.ErrDecryption) ||
		c.profile == rollcall.SignatureHMAC && errors.Is(err, rollcall.ErrAuthentication)
}
