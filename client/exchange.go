package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

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

// An answer is what there is to one beside its data.
type answer struct {
	logUUID string
	partial bool
}

// An unanswered call is one to which the service has not said anything: the
// connection failed, or something in front of the service has answered for it.
type unanswered struct {
	err error
	// reached says that the service may have got it.
	reached    bool
	retryAfter time.Duration
}

func (e *unanswered) Error() string { return e.err.Error() }
func (e *unanswered) Unwrap() error { return e.err }

// exchangeBy seals request under key, signs and sends it, and reads the answer's
// data.
func (c *Client) exchangeBy(ctx context.Context, key *wire.APIKey, path, token string, request, data any) (answer, error) {
	plaintext, err := json.Marshal(request)
	if err != nil {
		return answer{}, err
	}
	cipherText := key.Seal(plaintext)
	body, err := json.Marshal(wire.Request{CipherText: cipherText})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	c.sign(req.Header, key, token, cipherText)
	x := Exchange{URL: req.URL.String(), Header: req.Header, Plaintext: plaintext, Body: body}
	if err := c.send(req, &x); err != nil {
		return answer{}, fmt.Errorf("POST %s: %w", x.URL, err)
	}
	return readAnswer(&x, data)
}

func (c *Client) sign(to http.Header, key *wire.APIKey, token, cipherText string) {
	head := wire.Header{
		AccessToken: token,
		AgentID:     c.agentID,
		Timestamp:   wire.FormatTimestamp(c.now()),
		Nonce:       newNonce(),
	}
	head.Sign(c.profile, key, cipherText)
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
		return &unanswered{err: err, reached: !unconnected(err)}
	}
	defer res.Body.Close()
	x.Status, x.AnswerHeader = res.StatusCode, res.Header
	if x.Answer, err = readBody(res.Body); errors.Is(err, rollcall.ErrInvalid) {
		return err
	} else if err != nil {
		return &unanswered{err: err, reached: true}
	}
	if c.trace != nil {
		c.trace(*x)
	}
	return nil
}

// unconnected reports whether no connection came about, so that nothing was sent.
func unconnected(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "dial"
}

// readAnswer reads the answer's data into what data points to; nil: it has none.
func readAnswer(x *Exchange, data any) (answer, error) {
	reply, err := wire.ParseReply(x.Answer)
	if err != nil {
		return answer{}, noAnswer(x, err)
	}
	reply.Message, reply.LogUUID = clip(reply.Message), clip(reply.LogUUID)
	if err := reply.Err(); err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			e.Status, e.RetryAfter = x.Status, retryAfter(x.AnswerHeader)
		}
		return answer{}, err
	}
	a := answer{logUUID: reply.LogUUID, partial: x.AnswerHeader.Get(wire.HeaderPartial) == "true"}
	if data == nil {
		return a, nil
	}
	if err := json.Unmarshal(reply.Data, data); err != nil {
		return a, fmt.Errorf("POST %s: data of the answer: %w", x.URL, err)
	}
	return a, nil
}

// noAnswer is the error of an answer that is no envelope. By some statuses a proxy
// says that it has none of the service.
func noAnswer(x *Exchange, err error) error {
	err = fmt.Errorf("POST %s: HTTP status %d: %w", x.URL, x.Status, err)
	switch x.Status {
	case http.StatusTooManyRequests:
		return &unanswered{err: err, retryAfter: retryAfter(x.AnswerHeader)}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &unanswered{err: err, reached: true, retryAfter: retryAfter(x.AnswerHeader)}
	}
	return err
}

// clip returns what of a text goes into an error.
func clip(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
