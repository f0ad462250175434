package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A Verdict is what is said of one step.
type Verdict string

// The verdicts.
const (
	Right   Verdict = "right"
	Wrong   Verdict = "wrong"
	Unknown Verdict = "unknown" // Found says what it takes to know
)

// A Finding is one fault. No field of it is secret.
type Finding struct {
	Code string `json:"code"`
	Step string `json:"step,omitempty"`
	// Value is a number that goes with some codes, such as milliseconds.
	Value int64  `json:"value,omitempty"`
	What  string `json:"what,omitempty"`
	Mend  string `json:"mend,omitempty"`
	Spec  string `json:"spec,omitempty"`
	// Assumed: it was found by taking now for the time of sending. That it is a
	// fault is certain by that clock, its size is not.
	Assumed bool `json:"assumed,omitempty"`

	vague bool
}

// A Step is one check of the request.
type Step struct {
	Name     string    `json:"name"`
	Verdict  Verdict   `json:"verdict"`
	Found    string    `json:"found,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
}

// A Report is what Explain has to say of a request.
type Report struct {
	Method  string `json:"method,omitempty"`
	Path    string `json:"path,omitempty"`
	AgentID string `json:"agentId,omitempty"`
	LogUUID string `json:"logUUID,omitempty"`
	Steps   []Step `json:"steps"`
	// Likely is one sentence: what to mend first, or that nothing was found.
	Likely string `json:"likely"`
}

func newReport(req *Request) *Report {
	return &Report{Method: clip(req.Method, 20), Path: shownPath(req.Path)}
}

// shownPath is a path without what may be a key in it.
func shownPath(path string) string {
	const longest = 31 // of a segment; those of endpoints are short
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if len(s) > longest {
			segments[i] = "..."
		}
	}
	return clip(strings.Join(segments, "/"), 80)
}

// ShownID returns an agent's id, cut where it may be a key that was sent in its place:
// they have 40 characters and 64.
func ShownID(id string) string {
	if len(id) > 32 {
		return id[:8] + "..."
	}
	return id
}

// Findings returns all findings, in the order of the checks.
func (r *Report) Findings() []Finding {
	var all []Finding
	for _, s := range r.Steps {
		all = append(all, s.Findings...)
	}
	return all
}

// Wrong reports whether anything was found wrong.
func (r *Report) Wrong() bool { return len(r.Findings()) > 0 }

// step returns the step of this name, made where it is not there yet.
func (r *Report) step(name string) *Step {
	if i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Name == name }); i >= 0 {
		return &r.Steps[i]
	}
	r.Steps = append(r.Steps, Step{Name: name, Verdict: Right})
	return &r.Steps[len(r.Steps)-1]
}

// found says what a step has found; its verdict stays wrong where it is wrong.
func (x *exam) found(step string, v Verdict, format string, args ...any) {
	s := x.rep.step(step)
	if s.Verdict != Wrong {
		s.Verdict = v
	}
	s.Found = fmt.Sprintf(format, args...)
}

// fault notes a finding, once; detail is added to what it says.
func (x *exam) fault(code string, value int64, detail string) *Finding {
	kind, ok := kindOf(code)
	if !ok {
		panic("explain: no kind " + code)
	}
	s := x.rep.step(kind.Step)
	s.Verdict = Wrong
	if i := slices.IndexFunc(s.Findings, func(f Finding) bool { return f.Code == code && f.Value == value }); i >= 0 {
		return &s.Findings[i]
	}
	s.Findings = append(s.Findings, kind.finding(value, detail))
	return &s.Findings[len(s.Findings)-1]
}

// has reports whether a step is wrong.
func (x *exam) has(step string) bool { return x.rep.step(step).Verdict == Wrong }

// hasFinding reports whether this has been found.
func (x *exam) hasFinding(code string, value int64) bool {
	return slices.ContainsFunc(x.rep.Findings(), func(f Finding) bool { return f.Code == code && f.Value == value })
}

// stepsOf are the steps that a code of the answer can come from (spec 8).
var stepsOf = map[int][]string{
	10: {"agent", "secret"},
	11: {"transport", "size", "body", "plaintext"},
	83: {"headers", "agent", "timestamp", "signature", "token", "nonce"},
	84: {"cipherText"},
}

// finish writes the last sentence, and takes out whatever is secret should a text
// have it in spite of all.
func (r *Report) finish(x *exam) {
	r.AgentID = clip(ShownID(x.agentID), 64)
	r.Likely = r.likely(x)
	hide := x.hider()
	r.Path, r.AgentID, r.LogUUID, r.Likely = hide(r.Path), hide(r.AgentID), hide(r.LogUUID), hide(r.Likely)
	for i := range r.Steps {
		s := &r.Steps[i]
		s.Found = hide(s.Found)
		for j := range s.Findings {
			s.Findings[j].What = hide(s.Findings[j].What)
		}
	}
}

func (r *Report) likely(x *exam) string {
	f, ok := r.first(x)
	if !ok {
		if code, known := x.answered(); known && code != 0 {
			return fmt.Sprintf("Nothing wrong was found here, though the answer is code %d (%s).", code, wire.Code(code).Message())
		}
		return r.nothing()
	}
	text := "Most likely: " + f.What
	if f.Assumed {
		text += " It is so much by this machine's clock if the request was sent just now, and more if it was sent before: say with --at when it was."
	}
	switch more := len(r.Findings()) - 1; {
	case more == 1:
		text += " One more thing is wrong."
	case more > 1:
		text += fmt.Sprintf(" %d more things are wrong.", more)
	}
	return text
}

// nothing says that nothing was found, and what could not be looked at.
func (r *Report) nothing() string {
	var open []string
	for _, s := range r.Steps {
		if s.Verdict == Unknown {
			open = append(open, s.Name)
		}
	}
	if len(open) == 0 {
		return "Nothing wrong was found."
	}
	return "Nothing wrong was found, but not all is known: see " + strings.Join(open, ", ") + " above."
}

// first picks the finding to mend first: of a step that the answer's code names,
// that is certain, that says what is wrong, that is checked first.
func (r *Report) first(x *exam) (Finding, bool) {
	code, _ := x.answered()
	rank := func(f Finding) int {
		n := 0
		if len(stepsOf[code]) > 0 && !slices.Contains(stepsOf[code], f.Step) {
			n += 4
		}
		if f.Assumed {
			n += 2
		}
		if f.vague {
			n++
		}
		return n
	}
	all := r.Findings()
	if len(all) == 0 {
		return Finding{}, false
	}
	return slices.MinFunc(all, func(a, b Finding) int { return rank(a) - rank(b) }), true
}

// Diagnosis returns the findings as a record holds them.
func (r *Report) Diagnosis() []rollcall.RequestFinding {
	var out []rollcall.RequestFinding
	for _, f := range r.Findings() {
		if !f.Assumed {
			out = append(out, rollcall.RequestFinding{Code: f.Code, Value: f.Value})
		}
	}
	return out
}

// hider returns what blots out keys, secrets and the token.
func (x *exam) hider() func(string) string {
	var pairs []string
	add := func(secret string) {
		if len(secret) >= 6 {
			pairs = append(pairs, secret, "…")
		}
	}
	for _, a := range x.know.Agents {
		for _, key := range a.APIKeys {
			add(key)
		}
		add(a.Secret)
	}
	for _, value := range x.req.Header[wire.HeaderAuthorization] {
		scheme, token, _ := strings.Cut(value, " ")
		add(token)
		if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Basic") {
			add(scheme)
		}
	}
	return strings.NewReplacer(pairs...).Replace
}
