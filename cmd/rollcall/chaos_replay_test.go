package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// Replays are requests that were sent, to be sent once more: each may be answered
// with code 0 once.
type replays struct {
	mu   sync.Mutex
	kept []*replay
}

type replay struct {
	client.Exchange

	zeros int
}

const maxReplays = 400

func (r *replays) keep(x client.Exchange) {
	kept := &replay{Exchange: x}
	if reply, err := wire.ParseReply(x.Answer); err == nil && reply.Code == 0 {
		kept.zeros = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < maxReplays {
		r.kept = append(r.kept, kept)
	} else {
		r.kept[rand.IntN(maxReplays)] = kept
	}
}

func (r *replays) any() *replay {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 {
		return nil
	}
	return r.kept[rand.IntN(len(r.kept))]
}

// replay sends requests once more, all the while.
func (c *chaos) replay() {
	to := c.fleet.client()
	for pass(c.load, 20*time.Millisecond) {
		x := c.replays.any()
		if x == nil {
			continue
		}
		if resend(c.life, to, x) {
			x.zeros++
		}
		if x.zeros > 1 {
			c.book.note("nonce accepted twice", "%s", x.Header.Get(wire.HeaderNonce))
		}
		c.tally.count("replays")
	}
}

// resend reports whether the answer has code 0.
func resend(ctx context.Context, to *http.Client, x *replay) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.URL, bytes.NewReader(x.Body))
	if err != nil {
		return false
	}
	req.Header = x.Header.Clone()
	res, err := to.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return false
	}
	reply, err := wire.ParseReply(body)
	return err == nil && reply.Code == 0
}
