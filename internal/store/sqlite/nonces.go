package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
)

// nonces answers from a set in memory and writes each claim to the journal
// before it is answered.
type nonces struct {
	set     *live.Nonces
	journal *journal
	now     func() time.Time
	// closedUntil is the latest timestamp that may have been claimed and then
	// forgotten when the machine died; claims up to it are refused.
	closedUntil time.Time
}

func openNonces(dir string, o Options) (*nonces, error) {
	keep := 2 * o.MaxClockSkew
	n := &nonces{set: live.NewNonces(keep), now: o.Now}
	// What is older than any timestamp that is let in again need not be read.
	oldest := o.Now().Add(-keep)
	found, err := readJournals(dir, o.bootID, func(r record) {
		if r.at.After(oldest) {
			n.set.Claim(r.key, o.Now())
		}
	})
	if err != nil {
		return nil, err
	}
	n.closedUntil = found.lost
	if n.closedUntil.After(o.Now().Add(-o.MaxClockSkew)) {
		o.Log.Warn("the machine stopped without closing the store: requests with a timestamp up to then are refused, since their nonces may be lost",
			slog.Time("until", n.closedUntil))
	}
	n.journal, err = openJournal(dir, found.next, keep, o)
	return n, err
}

func (n *nonces) Claim(ctx context.Context, agentID, nonce string, at time.Time) (bool, error) {
	if !at.After(n.closedUntil) {
		return false, nil
	}
	key := live.KeyOfNonce(agentID, nonce)
	if !n.set.Claim(key, n.now()) {
		return false, nil
	}
	// A claim that cannot be written stays claimed: its request was not
	// answered, and never will be.
	if err := n.journal.add(ctx, record{key, at}); err != nil {
		return false, fmt.Errorf("sqlite: claim nonce: %w: %w", rollcall.ErrUnavailable, err)
	}
	return true, nil
}

func (n *nonces) Held(context.Context) (int, error) { return n.set.Held(), nil }

func (n *nonces) Ping(ctx context.Context) error { return outage("nonce journal", n.journal.ping(ctx)) }

func (n *nonces) close() error { return n.journal.close() }
