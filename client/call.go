package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	callTimeout = 10 * time.Second // of each call but the stream
	// maxAnswer is far above any answer and keeps a wrong server from filling
	// memory; maxFault is the same for one that is no success.
	maxAnswer = 64 << 20
	maxFault  = 64 << 10
)

var errBaseURL = fmt.Errorf("%w option BaseURL: want http:// or https://, a host, and no user and no query", rollcall.ErrInvalid)

func validBase(base string) bool {
	u, err := url.Parse(base)
	// A password in it would stand in every error.
	return err == nil && u.User == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.ContainsAny(base, "?#")
}

// direct returns a copy of c that follows no redirect: net/http would take the
// token along to other ports, to subdomains and from https to http, and whoever
// answers there would be believed.
func direct(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// readBody reads a body of at most maxAnswer bytes.
func readBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("%w answer: more than %d bytes", rollcall.ErrInvalid, maxAnswer)
	}
	return text, err
}

// readFault returns the error that an answer is which is no success.
func readFault(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxFault))
	if err != nil {
		return err
	}
	err = wire.FaultIn(res.StatusCode, text)
	if fault, ok := errors.AsType[*wire.FaultError](err); ok {
		fault.RetryAfter = retryAfter(res.Header)
	}
	return err
}

// maxRetryAfter bounds what is waited for, whatever a service says.
const maxRetryAfter = time.Minute

// retryAfter reads the header Retry-After in seconds, which is how Rollcall
// writes it; 0: there is none, or none that is to be followed.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// RetryAfter returns how long the service asks to wait before the call that err is
// of is made again, a minute at the most; 0: it does not say, as after any other
// error than being refused for the number of calls or for want of time.
func RetryAfter(err error) time.Duration {
	if answer, ok := errors.AsType[*wire.Error](err); ok {
		return answer.RetryAfter
	}
	if fault, ok := errors.AsType[*wire.FaultError](err); ok {
		return fault.RetryAfter
	}
	if none, ok := errors.AsType[*unanswered](err); ok {
		return none.retryAfter
	}
	return 0
}

// errNoEpoch is an answer of something that is no Rollcall, whatever its status.
func errNoEpoch(path string) error { return fmt.Errorf("POST %s: the answer names no epoch", path) }

// final reports whether no repetition helps: another process has taken over, or
// the token is not, or no longer, good.
func final(err error) bool {
	return errors.Is(err, rollcall.ErrStaleBoot) || errors.Is(err, rollcall.ErrAuthentication)
}

// unreached reports whether err leaves open what the service would have said. A
// fault without a code is by something in front of it, such as a proxy.
func unreached(err error) bool {
	var fault *wire.FaultError
	if !errors.As(err, &fault) {
		return err != nil
	}
	return fault.Code == "" || fault.Status >= http.StatusInternalServerError || fault.Status == http.StatusTooManyRequests
}

// post does one call and reads the answer.
func (g *GameServer) post(ctx context.Context, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := g.request(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := g.calls.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		err = readFault(res)
	} else {
		var text []byte
		if text, err = readBody(res.Body); err == nil {
			err = json.Unmarshal(text, answer)
		}
	}
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	return nil
}

func (g *GameServer) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	return req, nil
}
