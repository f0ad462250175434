// Package webhook sends signed webhooks by the scheme of Standard Webhooks
// (standardwebhooks.com). Their targets are chosen by others, so what it dials
// is judged by its address, after DNS: only what is globally routable, unless
// the operator opens more.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	defaultTimeout   = 10 * time.Second
	defaultUserAgent = "rollcall-webhook"
	maxAnswer        = 4 << 10
	maxHeader        = 16 << 10
	maxExcerpt       = 200
	maxCause         = 300
	maxID            = 256
)

// A Message is one webhook.
type Message struct {
	// ID is the same at each attempt, so that the receiver knows a repetition:
	// 1 to 256 visible ASCII characters, no full stop among them.
	ID string
	// At is the time of this attempt; zero takes Options.Now. Receivers refuse
	// what is minutes old, so it is not the time of what happened.
	At time.Time
	// Body is JSON, and sent as it is.
	Body []byte
}

// Options say how a Sender sends. The zero value is ready for use.
type Options struct {
	// AllowPrivate lets webhooks go to loopback, to 10/8, 172.16/12, 192.168/16
	// and to fc00::/7, over http too. Link-local addresses and the metadata
	// services of clouds stay shut.
	AllowPrivate bool
	// AllowPrefixes are addresses that webhooks may go to, whatever they are,
	// over http too.
	AllowPrefixes []netip.Prefix
	// Timeout is for one attempt as a whole, name lookup and answer with it;
	// 10 seconds where it is 0 or less.
	Timeout time.Duration
	// UserAgent is the header of this name; "rollcall-webhook" where it is "".
	UserAgent string
	// Now is the clock for messages that say no time; time.Now where it is nil.
	Now func() time.Time

	rootCAs *x509.CertPool // for tests; nil takes the system's
}

// A Sender sends webhooks. New makes it. It is safe for concurrent use.
type Sender struct {
	policy         policy
	timeout        time.Duration
	userAgent      string
	now            func() time.Time
	secure, opened *http.Transport // for https, and for http
}

// New makes a Sender.
func New(o Options) *Sender {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	p := policy{private: o.AllowPrivate, allowed: slices.Clone(o.AllowPrefixes)}
	return &Sender{
		policy: p, timeout: o.Timeout, userAgent: cmp.Or(o.UserAgent, defaultUserAgent), now: o.Now,
		secure: transport(o, p.control(true)), opened: transport(o, p.control(false)),
	}
}

// transport has no proxy, not even the environment's: that would dial in our
// stead, past control. HTTP/1.1 is what each receiver knows.
func transport(o Options, control func(network, address string, _ syscall.RawConn) error) *http.Transport {
	dialer := &net.Dialer{Timeout: o.Timeout, Control: control}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.rootCAs},
		TLSHandshakeTimeout:    o.Timeout,
		Protocols:              protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
	}
}

// Send makes one attempt to post m to the URL to, signed with secret. Any answer
// of 2xx is success. Everything else is an error, a redirect too, which is not
// followed: it says the status and begins to cite the answer. It is ErrGone for
// a 410 and ErrTarget where the target is refused. The error holds neither the
// secret nor the URL beyond its host.
func (s *Sender) Send(ctx context.Context, to string, secret Secret, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, to, secret, m)
	if err != nil {
		return err
	}
	// A transport, unlike a client, follows no redirect and keeps no cookie.
	resp, err := s.through(req.URL.Scheme).RoundTrip(req)
	if err != nil {
		return &sendError{host: req.URL.Hostname(), cause: err}
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status has said it all
	return verdict(resp.StatusCode, secret, answer)
}

func (s *Sender) through(scheme string) *http.Transport {
	if scheme == "https" {
		return s.secure
	}
	return s.opened
}

func (s *Sender) request(ctx context.Context, to string, secret Secret, m Message) (*http.Request, error) {
	target, err := s.policy.parse(to)
	switch {
	case err != nil:
		return nil, err
	case secret.key == nil:
		return nil, errors.New("webhook: no secret")
	case !isID(m.ID):
		return nil, fmt.Errorf("webhook: id of %d bytes, want 1 to %d visible ASCII characters and no full stop", len(m.ID), maxID)
	}
	if m.At.IsZero() {
		m.At = s.now()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrTarget) // the cause has the URL
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", unixSeconds(m.At))
	req.Header.Set("Webhook-Signature", Sign(secret, m.ID, m.At, m.Body))
	// Empty, it is not sent: it lets the transport try again where a receiver
	// closes an idle connection under us. The id tells repetitions.
	req.Header["Idempotency-Key"] = []string{}
	return req, nil
}

func isID(id string) bool {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '.' }
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, bad)
}

func verdict(status int, secret Secret, answer []byte) error {
	if status/100 == 2 {
		return nil
	}
	// Not the receiver's own words for the status, which are of any length.
	said := fmt.Sprintf("%d %s: %q", status, http.StatusText(status), clip(secret.hide(printable(string(answer))), maxExcerpt))
	if status == http.StatusGone {
		return fmt.Errorf("%w: answered %s", ErrGone, said)
	}
	return fmt.Errorf("webhook: answered %s", said)
}

// printable has a blank for each character that is none of letters, marks,
// numbers, punctuation and symbols.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// clip cuts text to at most size bytes, and not within a character.
func clip(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "")
}

// A sendError says why there was no answer. What a cause says can be the
// receiver's own words, so it is cut and made printable.
type sendError struct {
	host  string
	cause error
}

// Error gives the host and the cause.
func (e *sendError) Error() string {
	return fmt.Sprintf("webhook: post to %q: %s", e.host, clip(printable(e.cause.Error()), maxCause))
}

// Unwrap gives the cause.
func (e *sendError) Unwrap() error { return e.cause }
