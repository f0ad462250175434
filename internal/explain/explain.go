// Package explain says, step by step in the order of spec 8, what is right and
// what is wrong in one captured v2 request, and how to mend it. It reads captures
// of several formats, and where a signature or a cipherText does not fit it makes
// it anew in every wrong way that it knows, until one fits.
//
// It knows no store, no network and no clock: who calls gives keys, time and
// record. Nothing that it returns has a key, a token, a secret or the plaintext
// of /v2/auth in it. A new hypothesis is a row in the tables of its topic's file
// (transport.go to plaintext.go) and one in docs/explain.md.
package explain

import (
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// An Agent is who may have made the request, with what it holds.
type Agent struct {
	// ID may be empty: whoever x-agentid names.
	ID string
	// APIKeys are texts of 64 hex digits; two during a rotation (spec 4.4).
	APIKeys []string
	// Secret is the Secret key; empty where it is not known.
	Secret string
	// Profile is that of its signatures (spec 3.4); empty where it is not known.
	Profile rollcall.SignatureProfile
}

// Knowledge is what is known beside the request. Its zero value is good: then
// less can be told.
type Knowledge struct {
	Agents []Agent
	// Profile goes before that of the agent. Where neither is known, plain is right
	// and so is hmac.
	Profile rollcall.SignatureProfile
	// At is when the request was sent, by the server's clock. Where it is zero the
	// capture's own word is taken, and then Now, which is an assumption.
	At, Now time.Time
	// MaxClockSkew is the server's; 0: 5 min.
	MaxClockSkew time.Duration
	// Record is the server's record of the request.
	Record *rollcall.RequestRecord
	// Brief bounds the search to what a server can afford beside its work.
	Brief bool
}

// defaultSkew is the server's MaxClockSkew unless configured otherwise (spec 2).
const defaultSkew = 5 * time.Minute

// maxBody is what a server takes (spec 1.6); what is beyond is not searched.
const maxBody = 64 << 10

// An exam is one request under examination.
type exam struct {
	req  *Request
	know Knowledge
	rep  *Report

	// endpoint is what the path is, or was meant to be; "" where none is known.
	endpoint string
	// The headers' values; "" where one is missing or sent twice.
	agentID, timestamp, nonce, signature, token string
	claims                                      *claims
	// noToken says why there is no token to look at.
	noToken string
	// cipherText is what the body has, or was meant to have.
	cipherText    string
	hasCipherText bool
	keys          []*candidate
	open          opening
	budget        int
}

// The budgets are bytes that each of the two searches may run through hash and
// cipher: about half a second, and a few milliseconds.
const (
	fullBudget  = 256 << 20
	briefBudget = 3 << 19
)

// briefBody is how long a body may be that is searched briefly: many times what
// any right one has.
const briefBody = 16 << 10

// fund sets the budget of the search that is to begin.
func (x *exam) fund() {
	x.budget = fullBudget
	if x.know.Brief {
		x.budget = briefBudget
	}
	if len(x.req.Body) > maxBody || x.know.Brief && len(x.req.Body) > briefBody {
		x.budget = 0
	}
}

// Explain examines one request.
func Explain(req *Request, know Knowledge) *Report { //nolint:gocritic // Knowledge is given by value so that defaults can be filled in
	if know.MaxClockSkew == 0 {
		know.MaxClockSkew = defaultSkew
	}
	x := &exam{req: req, know: know, rep: newReport(req)}
	if x.req.Header == nil {
		x.req.Header = http.Header{}
	}
	for _, step := range []func(){
		x.transport, x.body, x.headers, x.prepare, x.agent, x.clock, x.signatureStep, x.tokenStep,
		x.cipherTextStep, x.nonceStep, x.plaintextStep, x.secretStep, x.recorded, x.answer,
	} {
		step()
	}
	x.rep.finish(x)
	return x.rep
}

// prepare reads what several steps need: the claims, the keys and the plaintext.
func (x *exam) prepare() {
	x.claims = readClaims(x.token)
	x.keys = candidates(x.know.Agents, x.agentID)
	if x.hasCipherText {
		x.fund()
		x.open = x.search()
	}
}

// withToken reports whether the endpoint asks for an access token.
func (x *exam) withToken() bool { return x.endpoint != wire.PathAuth }

// checked returns the record's verdict of a check; found is false without one.
func (x *exam) checked(name string) (c rollcall.RequestCheck, found bool) {
	if x.know.Record == nil {
		return c, false
	}
	for _, c := range x.know.Record.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return c, false
}

// answered returns the code by which the server has answered.
func (x *exam) answered() (code int, known bool) {
	if r := x.know.Record; r != nil {
		return r.Code, true
	}
	if a := x.req.Answer; a != nil && a.HasCode {
		return a.Code, true
	}
	return 0, false
}

// passedBy reports whether the answer tells that the checks of code 83 before the
// cipherText were passed: it is of a check behind them.
func (x *exam) passedBy() bool {
	code, known := x.answered()
	if !known {
		return false
	}
	switch code {
	case 0, 5, 6, 8, 19, 81, 82, 84, 86:
		return true
	}
	return false
}
