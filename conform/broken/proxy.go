package main

import (
	"bytes"
	"context"
	"crypto/rand"
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

// A fault changes requests on their way to the right server, or its answers.
type fault struct {
	about string
	// ask changes a call before it is passed on; an answer that it returns is given
	// in the place of the server's.
	ask func(p *proxy, c *call) *answer
	// tell changes an answer.
	tell func(p *proxy, c *call, a *answer)
}

// A call is a request with what is in it, as far as it can be read.
type call struct {
	method, uri string
	header      http.Header
	body        []byte
	agent       *agent // nil: unknown
	head        wire.Header
	cipherText  string
	plaintext   string // "" where it does not open
	rightly     bool   // the signature is right
	rejoin      func()
}

// An answer is the server's, or one of the proxy's own.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// agent is one of the target's, with a token of the right server.
type agent struct {
	id, role, secret string
	key              *wire.APIKey
	profile          rollcall.SignatureProfile
	token            string
}

// A proxy is a server with one fault.
type proxy struct {
	base   string
	fault  fault
	agents map[string]*agent

	mu     sync.Mutex
	nonces map[string]int // how often each was seen
	busy   map[string]int // how many calls with it are under way
}

func newProxy(t target, name string) (*proxy, error) {
	f, ok := faults[name]
	if !ok && name != "" {
		return nil, fmt.Errorf("there is no fault %q", name)
	}
	p := &proxy{base: t.BaseURL, fault: f, agents: map[string]*agent{}, nonces: map[string]int{}, busy: map[string]int{}}
	for _, a := range t.Agents {
		key, err := wire.ParseAPIKey(a.APIKey)
		if err != nil {
			return nil, err
		}
		own := &agent{id: a.AgentID, role: a.Role, secret: a.Secret, key: key, profile: rollcall.SignatureProfile(a.Signature)}
		if own.profile == "" {
			own.profile = rollcall.SignaturePlain
		}
		p.agents[own.id] = own
	}
	return p, nil
}

// ServeHTTP passes a request on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := p.read(r, body)
	a, err := p.answer(r.Context(), c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for name, values := range a.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

func (p *proxy) answer(ctx context.Context, c *call) (*answer, error) {
	if p.fault.ask != nil {
		if a := p.fault.ask(p, c); a != nil {
			return a, nil
		}
	}
	if c.rejoin != nil {
		defer c.rejoin()
	}
	a, err := p.pass(ctx, c)
	if err == nil && p.fault.tell != nil {
		p.fault.tell(p, c, a)
	}
	return a, err
}

// read takes a request apart.
func (p *proxy) read(r *http.Request, body []byte) *call {
	c := &call{method: r.Method, uri: r.URL.RequestURI(), header: r.Header.Clone(), body: body}
	var in wire.Request
	if in.Decode(body) != nil {
		return c
	}
	c.cipherText = in.CipherText
	get := r.Header.Get
	c.head = wire.Header{
		AccessToken: strings.TrimPrefix(get(wire.HeaderAuthorization), "Bearer "), AgentID: get(wire.HeaderAgentID),
		Timestamp: get(wire.HeaderTimestamp), Nonce: get(wire.HeaderNonce), Signature: get(wire.HeaderSignature),
	}
	if c.agent = p.agents[c.head.AgentID]; c.agent == nil {
		return c
	}
	c.rightly = c.head.VerifySignature(c.agent.profile, c.agent.key, c.cipherText)
	if text, err := c.agent.key.Open(c.cipherText); err == nil {
		c.plaintext = string(text)
	}
	return c
}

// pass sends a call to the right server.
func (p *proxy) pass(ctx context.Context, c *call) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, p.base+c.uri, bytes.NewReader(c.body)) //nolint:gosec // a proxy: its target is what the flag names
	if err != nil {
		return nil, err
	}
	req.Header = c.header
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header}
	a.body, err = io.ReadAll(res.Body)
	return a, err
}

// resign makes the call right again after its head or its cipherText was changed. It
// leaves a call alone that had a fault of another sort.
func (c *call) resign() {
	c.head.Sign(c.agent.profile, c.agent.key, c.cipherText)
	for name, value := range map[string]string{
		wire.HeaderTimestamp: c.head.Timestamp, wire.HeaderNonce: c.head.Nonce, wire.HeaderSignature: c.head.Signature,
	} {
		c.header[name] = []string{value}
	}
	if c.head.AccessToken != "" {
		c.header[wire.HeaderAuthorization] = []string{"Bearer " + c.head.AccessToken}
	}
	c.body, _ = json.Marshal(wire.Request{CipherText: c.cipherText}) // a string is always encoded
}

// reseal puts another plaintext into the call.
func (c *call) reseal(plaintext string) {
	c.plaintext = plaintext
	c.cipherText = c.agent.key.Seal([]byte(plaintext))
	c.resign()
}

// tokenOf returns the right server's token of an agent.
func (p *proxy) tokenOf(a *agent) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.token != "" {
		return a.token
	}
	c := p.callAs(a, wire.PathAuth, fmt.Sprintf(`{"agentId":%q,"secret":%q}`, a.id, a.secret), "")
	out, err := p.pass(context.Background(), c)
	if err != nil {
		return ""
	}
	reply, _ := wire.ParseReply(out.body)
	var auth wire.AuthResponse
	_ = json.Unmarshal(reply.Data, &auth) // then there is no token, and the call is refused
	a.token = auth.AccessToken
	return a.token
}

// callAs makes a right call of an agent.
func (p *proxy) callAs(a *agent, path, plaintext, token string) *call {
	c := &call{method: http.MethodPost, uri: path, header: http.Header{}, agent: a}
	c.head = wire.Header{AgentID: a.id, AccessToken: token, Timestamp: wire.FormatTimestamp(time.Now()), Nonce: newNonce()} //nolint:forbidigo // it is the caller
	c.header[wire.HeaderAgentID] = []string{a.id}
	c.header.Set("Content-Type", "application/json")
	c.reseal(plaintext)
	return c
}

func newNonce() string { return (rand.Text() + rand.Text())[:32] }
