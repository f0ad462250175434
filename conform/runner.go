package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A runner is one run of the kit.
type runner struct {
	o      Options
	base   string
	agents map[string]*agent
	mask   *mask
	pace   *pace
	house  *house

	// offset is how far the server's clock is ahead, if that is known.
	offset     time.Duration
	clockKnown bool

	mu       sync.Mutex // guards what follows
	requests int
	logUUIDs map[string]bool
	repeated string // a logUUID that came twice
	lost     int    // requests in a row that got no answer
}

func newRunner(o Options) (*runner, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	r := &runner{
		o: o, base: strings.TrimRight(o.BaseURL, "/"), agents: map[string]*agent{}, mask: newMask(),
		pace: newPace(o.Rate), logUUIDs: map[string]bool{},
	}
	for _, a := range o.Agents {
		own, err := newAgent(a)
		if err != nil {
			return nil, err
		}
		r.agents[a.Role] = own
		r.mask.hide(a.APIKey, a.NextAPIKey, a.SecretKey)
	}
	if r.agents[RolePrimary] == nil {
		return nil, fmt.Errorf("conform: %w option Agents: none of role %s", rollcall.ErrInvalid, RolePrimary)
	}
	r.mask.hide(o.Facts.GameToken)
	return r, nil
}

// now is the server's time.
func (r *runner) now() time.Time { return r.o.Now().Add(r.offset) }

func (r *runner) run(ctx context.Context) (Report, error) {
	start := r.o.Now()
	report := Report{BaseURL: r.base, StartedAt: start, Strict: r.o.Strict}
	err := r.reach(ctx)
	if err == nil {
		err = r.runCases(ctx, &report)
	} else {
		report.Stopped = "the server was not reached: " + err.Error()
	}
	r.house.close(ctx)
	report.TookMillis = r.o.Now().Sub(start).Milliseconds()
	report.ClockOffsetMillis = r.offset.Milliseconds()
	report.Requests = r.requests
	return report, err
}

func (r *runner) runCases(ctx context.Context, report *Report) error {
	for _, t := range tests() {
		if r.o.Only != nil && !r.o.Only.MatchString(t.ID) {
			continue
		}
		if report.Stopped == "" {
			report.Stopped = r.whyStop(ctx, true)
		}
		result := Result{Case: t.Case, Outcome: Skip, Reason: "not run: " + report.Stopped}
		if report.Stopped == "" {
			result = r.try(ctx, t)
		}
		report.Results = append(report.Results, result)
		if why, ok := strings.CutPrefix(result.Reason, unfinished); ok {
			report.Stopped = why
		}
		if r.o.Progress != nil && report.Stopped == "" {
			r.o.Progress(result)
		}
	}
	if report.Stopped == gone {
		return fmt.Errorf("conform: %s does not answer any more", r.base)
	}
	return nil
}

const (
	// tooManyLost requests in a row without an answer have the run look whether there
	// is still anybody.
	tooManyLost = 3
	gone        = "the server does not answer any more"
	unfinished  = "not finished: "
)

// whyStop says why nothing more is to be sent; "": nothing is wrong.
func (r *runner) whyStop(ctx context.Context, look bool) string {
	if look && r.isLost() {
		// It may have cut off requests that it did not like.
		t := &trial{ctx: ctx, r: r}
		if req, err := t.request(RolePrimary, wire.PathAuth); err == nil {
			_, _ = t.exchange(req.make()) // heard notes whether it was answered
		}
	}
	lost := r.isLost()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "the run took longer than its timeout"
	case ctx.Err() != nil:
		return "interrupted"
	case lost:
		return gone
	case r.requests >= r.o.MaxRequests:
		return fmt.Sprintf("the run has sent the %d requests that it may", r.o.MaxRequests)
	}
	return ""
}

func (r *runner) isLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost >= tooManyLost
}

// try runs one case.
func (r *runner) try(ctx context.Context, t test) Result {
	run := &trial{ctx: ctx, r: r, result: Result{Case: t.Case}}
	start := r.o.Now()
	err := skipUnless(!t.Writes || r.o.AllowWrites, "it writes, and writes are not allowed")
	if err == nil {
		err = t.do(run)
	}
	result := run.result
	result.TookMillis = r.o.Now().Sub(start).Milliseconds()
	why, skipped := errors.AsType[skip](err)
	switch {
	case err == nil:
		result.Outcome = Pass
	case skipped:
		result.Outcome, result.Reason = Skip, string(why)
	case ctx.Err() != nil || errors.Is(err, errCount):
		result.Outcome, result.Reason = Skip, unfinished+r.whyStop(ctx, false)
	case t.Severity == Ours && !r.o.Strict:
		result.Outcome, result.Reason = Note, r.mask.text(err.Error())
	default:
		result.Outcome, result.Reason = Fail, r.mask.text(err.Error())
	}
	return result
}

func skipUnless(ok bool, why string) error {
	if ok {
		return nil
	}
	return skip(why)
}

// reach looks whether there is a v2 API at all, and what its clock says. One clear
// error is better than as many failures as there are cases.
func (r *runner) reach(ctx context.Context) error {
	t := &trial{ctx: ctx, r: r}
	req, err := t.request(RolePrimary, wire.PathAuth)
	if err != nil {
		return err
	}
	before := r.o.Now()
	a, err := t.exchange(req.make())
	if err != nil {
		return fmt.Errorf("conform: %s cannot be reached: %w", r.base, err)
	}
	if a.noReply != nil {
		return fmt.Errorf("conform: %s%s is not of the v2 API, it seems: HTTP %d, %s: %s",
			r.base, wire.PathAuth, a.status, cmp.Or(a.header.Get("Content-Type"), "no content type"), a.noReply.Error())
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return nil //nolint:nilerr // without the header, cases that need the server's clock are skipped
	}
	// Date has whole seconds, so up to two are no difference.
	middle := before.Add(r.o.Now().Sub(before) / 2)
	offset := date.Add(500 * time.Millisecond).Sub(middle)
	r.clockKnown = true
	if math.Abs(offset.Seconds()) > 2 {
		r.offset = offset.Round(time.Second)
	}
	return nil
}

func (t *trial) agent(role string) (*agent, error) {
	a := t.r.agents[role]
	if a == nil {
		return nil, skipf("the credentials have no agent of role %s", role)
	}
	return a, nil
}

// tokenLasts is for how long a token is used that was fetched.
const tokenLasts = 50 * time.Minute

// token returns an access token of the agent, or a skip that says why there is none:
// what is wrong with it is said by the cases auth/….
func (t *trial) token(a *agent) (string, error) {
	if a.Role == RoleBlocked { // it has none: another's has to do
		return t.token(t.r.agents[RolePrimary])
	}
	now := t.r.o.Now()
	if a.token != "" && now.Sub(a.tokenAt) < tokenLasts {
		return a.token, nil
	}
	req, err := t.request(a.Role, wire.PathAuth)
	if err != nil {
		return "", err
	}
	inner := &trial{ctx: t.ctx, r: t.r} // it is not what the case is about
	text, err := inner.login(req)
	if err != nil {
		return "", skipf("agent %s (%s) gets no access token: %v", a.AgentID, a.Role, err)
	}
	a.token, a.tokenAt = text, now
	return text, nil
}

// login sends a request for a token and returns what came.
func (t *trial) login(req *request) (string, error) {
	var auth wire.AuthResponse
	err := t.want(req, data("an accessToken", func(v wire.AuthResponse) string {
		auth = v
		if v.AccessToken == "" {
			return "no accessToken"
		}
		return ""
	}))
	// Its signature alone would do, beside a claim that is known.
	t.r.mask.hide(auth.AccessToken, parseJWT(auth.AccessToken).signature)
	return auth.AccessToken, err
}

// guest returns a member of the agent that this run has made.
func (t *trial) guest(a *agent) (string, error) {
	if a.guest != "" {
		return a.guest, nil
	}
	name, err := t.newMember(a.Role)
	if err != nil {
		return "", skipf("agent %s (%s) cannot make a member: %v", a.AgentID, a.Role, err)
	}
	a.guest = name
	return name, nil
}

// newMember makes a member of its own for a case.
func (t *trial) newMember(role string) (string, error) {
	inner := &trial{ctx: t.ctx, r: t.r}
	req, err := inner.request(role, wire.PathMembers)
	if err != nil {
		return "", err
	}
	if role == RoleNoBranch {
		return req.username, nil // none can be made; the branch is looked at first
	}
	return req.username, inner.want(req, accepted)
}

// A pace lets so many requests begin in a second.
type pace struct {
	mu    sync.Mutex
	every time.Duration
	next  time.Time
	now   func() time.Time
}

func newPace(rate float64) *pace {
	p := &pace{every: time.Duration(float64(time.Second) / rate)}
	p.now = time.Now
	return p
}

// wait waits until n requests may begin.
func (p *pace) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := p.now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(time.Duration(n) * p.every)
	p.mu.Unlock()
	return sleep(ctx, at.Sub(now))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// groups returns the groups of the results, in order.
func groups(results []Result) []string {
	seen := map[string]int{}
	for i := range results {
		if _, ok := seen[results[i].group()]; !ok {
			seen[results[i].group()] = i
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return cmp.Compare(seen[a], seen[b]) })
}
