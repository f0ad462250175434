package sqlite

import (
	"context"
	"log/slog"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
)

// nonces answers from a set in memory and writes each claim to the journal
// before it is answered.
type nonces struct {
	set     *live.Nonces
	journal *journal
	now     func() time.Time
	// lost is the latest timestamp, in Unix ms, that may have been claimed and
	// then forgotten when the machine died; claims up to it are refused.
	lost int64
}

func openNonces(dir string, o Options) (*nonces, error) {
	keep := 2 * o.MaxClockSkew
	n := &nonces{set: live.NewNonces(keep), now: o.Now}
	now := o.Now()
	// A claim's timestamp may have been that much behind the clock, and the claim
	// is to be remembered for keep by the clock.
	oldest := now.Add(-keep - o.MaxClockSkew).UnixMilli()
	found, err := readJournal(dir, o.bootID, func(r record) {
		if r.at > oldest {
			n.set.Claim(r.key, now)
		}
	})
	if err != nil {
		return nil, err
	}
	if o.Moved {
		if err := found.moved(dir, now); err != nil {
			return nil, err
		}
	}
	n.lost = found.lost
	for _, path := range found.damaged {
		o.Log.Error("nonce journal: a record is damaged", slog.String("file", path))
	}
	if !later(now.Add(-o.MaxClockSkew), n.lost) {
		o.Log.Warn("the machine stopped without closing the store, or its journal is damaged: requests with a timestamp up to then are refused, since their nonces may be lost",
			slog.Time("until", time.UnixMilli(n.lost)))
	}
	if n.journal, err = openJournal(dir, found, keep, o); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *nonces) Claim(ctx context.Context, agentID, nonce string, at time.Time) (bool, error) {
	if !later(at, n.lost) {
		return false, nil
	}
	key := live.KeyOfNonce(agentID, nonce)
	if !n.set.Claim(key, n.now()) {
		return false, nil
	}
	// A claim that cannot be written stays claimed: its request was not
	// answered, and never will be.
	if err := n.journal.add(ctx, record{key, at.UnixMilli()}); err != nil {
		return false, outage("claim nonce", err)
	}
	return true, nil
}

// later reports whether a timestamp is beyond mark, in Unix ms.
func later(at time.Time, mark int64) bool { return at.UnixMilli() > mark }

func (n *nonces) Held(context.Context) (int, error) { return n.set.Held(), nil }

func (n *nonces) Ping(ctx context.Context) error { return outage("nonce journal", n.journal.ping(ctx)) }

func (n *nonces) close() error { return n.journal.close() }
