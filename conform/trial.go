package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// A trial is one case while it runs. It keeps the last request and its answer: where
// a case fails they are what it failed by.
type trial struct {
	ctx    context.Context // as long as the case
	r      *runner
	result Result
}

// want sends a request and holds the answer to e.
func (t *trial) want(req *request, e expect) error { return t.wantOf(req.make(), e) }

// wantOf is want for a message that is made already, as for a replay.
func (t *trial) wantOf(m *message, e expect) error {
	a, err := t.exchange(m)
	if err != nil {
		t.note(m, e, nil)
		return err
	}
	return t.judge(m, a, e)
}

// judge holds an answer to e.
func (t *trial) judge(m *message, a *answer, e expect) error {
	t.note(m, e, a)
	if a.noReply != nil {
		return a.noReply
	}
	wrong := e.wrong
	if e.lax != nil && !t.r.o.Strict {
		wrong = e.lax
	}
	if why := wrong(a); why != "" {
		return fmt.Errorf("got %s, want %s", why, e.text)
	}
	return nil
}

// note keeps what was sent, wanted and got.
func (t *trial) note(m *message, e expect, a *answer) {
	t.result.Sent, t.result.Want, t.result.Came = t.r.mask.message(m), e.text, ""
	if a != nil {
		t.result.Came, t.result.LogUUID = t.r.mask.answer(a), t.r.mask.text(a.reply.LogUUID)
	}
}

const (
	maxWait  = time.Minute // whatever Retry-After says
	maxAgain = 5
	// maxAnswer is far above any answer.
	maxAnswer = 64 << 20
)

// exchange sends a message, and again where the server asks to wait: what is refused
// for the number of calls was not carried out (spec 1.7).
func (t *trial) exchange(m *message) (*answer, error) {
	for again := 0; ; again++ {
		if err := t.r.pace.wait(t.ctx, 1); err != nil {
			return nil, err
		}
		a, err := t.send(m)
		if err != nil || !busy(a) || again == maxAgain {
			return a, err
		}
		if err := sleep(t.ctx, retryAfter(a.header)); err != nil {
			return nil, err
		}
	}
}

func busy(a *answer) bool {
	return a.status == http.StatusTooManyRequests || a.reply.Code == codeRate || a.status == http.StatusServiceUnavailable
}

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return time.Second
	}
	return min(time.Duration(n)*time.Second, maxWait)
}

var errCount = errors.New("the run has sent as many requests as it may")

// send sends a message once.
func (t *trial) send(m *message) (*answer, error) {
	if !t.r.count() {
		return nil, errCount
	}
	req, err := http.NewRequestWithContext(t.ctx, m.method, t.r.base+m.path, bytes.NewReader(m.body))
	if err != nil {
		return nil, err
	}
	req.Header = m.header.Clone()
	req.Header.Set("User-Agent", "rollcall-conform")
	res, err := t.r.o.HTTPClient.Do(req)
	if err != nil {
		t.r.heard(nil)
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header, right: m.right}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		t.r.heard(nil)
		return nil, err
	}
	a.reply, a.noReply = wire.ParseReply(a.body)
	t.r.heard(a)
	return a, nil
}

// count takes one of the requests that the run may send.
func (r *runner) count() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests >= r.o.MaxRequests {
		return false
	}
	r.requests++
	return true
}

// heard notes the logUUID of an answer; nil: there was none.
func (r *runner) heard(a *answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a == nil {
		r.lost++
		return
	}
	r.lost = 0
	if id := a.reply.LogUUID; id != "" {
		if r.logUUIDs[id] {
			r.repeated = id
		}
		r.logUUIDs[id] = true
	}
}

// atOnce sends copies of a message at the same moment and returns the answers.
func (t *trial) atOnce(messages []*message) ([]*answer, error) {
	if err := t.r.pace.wait(t.ctx, len(messages)); err != nil {
		return nil, err
	}
	answers, errs := make([]*answer, len(messages)), make([]error, len(messages))
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(messages))
	for i, m := range messages {
		all.Go(func() {
			ready.Done()
			<-start
			answers[i], errs[i] = t.send(m)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
	return answers, errors.Join(errs...)
}
