// Package conform is the conformance kit of the v2 API: cases, each with one
// fault, that it sends to any server of that API, whoever wrote it and in what
// language, and what the server has to answer (docs/protocol.md, cited as spec).
// It has the test vectors too. It knows the server from outside only, by the
// credentials of agents, and nothing of how Rollcall works inside.
//
// A Go server is held to it by a test of its own:
//
//	report, err := conform.Run(ctx, conform.Options{BaseURL: url, Agents: agents})
//	if err != nil { … }        // it could not be tried
//	if !report.OK() { … }      // report.WriteText says why
package conform

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// Options say what is tried, and how. BaseURL and an agent of role primary are
// required; what else is missing makes cases be skipped, each by name.
type Options struct {
	// BaseURL is where /v2 begins, such as https://rollcall.example.com.
	BaseURL string
	Agents  []Agent
	Facts   Facts
	// AllowWrites has those cases run too that make members, launch games and kick.
	// They touch only members that they have made.
	AllowWrites bool
	// Strict has the cases of severity Ours fail, which else are notes.
	Strict bool
	// Only picks cases by their ID; nil: all.
	Only *regexp.Regexp
	// Rate is how many requests are sent in a second; 0: 20. MaxRequests ends the
	// run after so many; 0: 3000. Timeout is for the whole run; 0: 10 min.
	Rate        float64
	MaxRequests int
	Timeout     time.Duration
	// HTTPClient sends them; nil: one with a timeout of 15 s. No redirect is followed.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now. Requests carry the server's time, by how far
	// the header Date of its answers is from this clock.
	Now func() time.Time
	// Progress, if set, is called after each case.
	Progress func(Result)
}

// The roles of agents. The primary one makes most requests.
const (
	RolePrimary = "primary"
	// RoleOther is another agent that may call.
	RoleOther = "other"
	// RoleNoBranch has no branch: code 81.
	RoleNoBranch = "no-branch"
	// RoleBlocked is blocked: code 10, and 83.
	RoleBlocked = "blocked"
	// RoleHMAC has the hmac profile (spec 3.4).
	RoleHMAC = "hmac"
	// RoleTwoKeys has two API keys (spec 4.4).
	RoleTwoKeys = "two-keys"
)

// An Agent is one whose keys are known. No report holds them.
type Agent struct {
	Role    string
	AgentID string
	// APIKey is 64 lower-case hex digits; NextAPIKey, if not empty, the second one.
	APIKey, NextAPIKey string
	SecretKey          string
	// Signature is the agent's profile; empty: plain.
	Signature rollcall.SignatureProfile
}

// Facts are what is known of the server's data; an empty one has the cases skipped
// that need it.
type Facts struct {
	// Member is one of the primary agent, without a session, with a letter in its
	// name; Playing one with a session that lasts.
	Member  string `json:"member,omitempty"`
	Playing string `json:"playing,omitempty"`
	// Shared is a name that the primary agent and the other one have each, with a
	// session under the primary and none under the other. OthersMember is one that
	// the other agent has and the primary has not.
	Shared       string `json:"shared,omitempty"`
	OthersMember string `json:"othersMember,omitempty"`
	// Suspended is a member of the primary agent that may not play.
	Suspended string `json:"suspended,omitempty"`
	// Game is offered real and as a demo, RealGame is real only, and DemoGame a demo only.
	Game     string `json:"game,omitempty"`
	RealGame string `json:"realGame,omitempty"`
	DemoGame string `json:"demoGame,omitempty"`
	// RestrictedGame has a demo, and the agent of role RestrictedRole may not offer it.
	RestrictedRole string `json:"restrictedRole,omitempty"`
	RestrictedGame string `json:"restrictedGame,omitempty"`
	// MaxClockSkewSeconds is the server's; 0: 300.
	MaxClockSkewSeconds int `json:"maxClockSkewSeconds,omitempty"`
	// GameURL is where /game/v1 begins, and GameToken a game server's that runs
	// Game and that nobody uses: it is booted, which ends its sessions. They are
	// Rollcall's own API, to start sessions by.
	GameURL   string `json:"-"`
	GameToken string `json:"-"`
}

// Run sends the cases one after the other and reports on each. The error is a
// rollcall.ErrInvalid for wrong options; else it says that the server could not be
// reached, does not speak the v2 API, or is gone, and the report has what was done
// until then. That ctx has ended is no error: Report.Stopped says so.
func Run(ctx context.Context, o Options) (Report, error) {
	r, err := newRunner(o)
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	return r.run(ctx)
}

const (
	defaultRate     = 20
	defaultRequests = 3000
	defaultTimeout  = 10 * time.Minute
	defaultSkew     = 300
	callTimeout     = 15 * time.Second
	copies          = 20 // of one request, sent at once
)

func (o *Options) setDefaults() {
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = defaultRequests
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Facts.MaxClockSkewSeconds == 0 {
		o.Facts.MaxClockSkewSeconds = defaultSkew
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTPClient == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 2 * copies
		o.HTTPClient = &http.Client{Timeout: callTimeout, Transport: transport}
	}
	direct := *o.HTTPClient
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.HTTPClient = &direct
}

func (o *Options) check() error {
	u, err := url.Parse(o.BaseURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(o.BaseURL, "?#"):
		return fmt.Errorf("conform: %w option BaseURL: want http:// or https://, a host, no user and no query", rollcall.ErrInvalid)
	case o.Rate <= 0 || o.MaxRequests < 0 || o.Timeout < 0:
		return fmt.Errorf("conform: %w option: Rate, MaxRequests and Timeout have to be more than 0", rollcall.ErrInvalid)
	}
	for _, name := range []string{o.Facts.Member, o.Facts.Playing, o.Facts.Shared, o.Facts.OthersMember, o.Facts.Suspended} {
		if name != "" && !rollcall.ValidUsername(name) {
			return fmt.Errorf("conform: %w fact %q: want 1 to 25 letters or digits", rollcall.ErrInvalid, name)
		}
	}
	seen := map[string]bool{}
	for i := range o.Agents { // of two the second would go untried
		if role := o.Agents[i].Role; seen[role] && role != "" {
			return fmt.Errorf("conform: %w option Agents: role %q is given twice", rollcall.ErrInvalid, role)
		}
		seen[o.Agents[i].Role] = true
	}
	return nil
}

// agent is one with its keys ready for use, and what this run has found of it.
type agent struct {
	Agent

	key, next *wire.APIKey
	token     string
	tokenAt   time.Time
	guest     string // the member that this run has made under it
}

func newAgent(a Agent) (*agent, error) {
	if a.Signature == "" {
		a.Signature = rollcall.SignaturePlain
	}
	wrong := func(what string, err error) error {
		return fmt.Errorf("conform: agent %q: %s: %w", a.Role, what, err)
	}
	if !rollcall.ValidID(a.AgentID) || !a.Signature.Valid() {
		return nil, wrong("want an ID, and plain or hmac", rollcall.ErrInvalid)
	}
	own := &agent{Agent: a}
	var err error
	if own.key, err = wire.ParseAPIKey(a.APIKey); err != nil {
		return nil, wrong("apiKey", err)
	}
	if a.NextAPIKey != "" {
		if own.next, err = wire.ParseAPIKey(a.NextAPIKey); err != nil {
			return nil, wrong("nextApiKey", err)
		}
	}
	return own, nil
}

// newNonce returns 32 random letters and digits.
func newNonce() string { return (rand.Text() + rand.Text())[:32] }

// newName returns a name that no member has: it says whose it is, and is random.
func newName() string { return "conform" + rand.Text()[:14] }
