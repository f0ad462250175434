package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind is one sort of fault.
type Kind struct {
	// Code is stable: scripts and records hold it.
	Code string
	// Step is the check that it belongs to, as records name it.
	Step string
	// What and Mend are sentences; in What, {v} stands for the finding's value.
	What, Mend string
	// Spec is the section of docs/protocol.md.
	Spec string
	// vague kinds say that something is wrong and not what: others go first.
	vague bool
	// say writes a value; nil: as a number.
	say func(value int64) string
}

// kinds are all there are, in the order of the checks.
var kinds = slices.Concat(
	transportKinds, bodyKinds, headerKinds, agentKinds, clockKinds, signatureKinds, tokenKinds,
	layoutKinds, keyKinds, nonceKinds, plaintextKinds, secretKinds,
)

func kindOf(code string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Code == code })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// Expand returns the finding that a record holds as code and value. A code of
// another version, which is not known here, comes back alone.
func Expand(code string, value int64) Finding {
	k, ok := kindOf(code)
	if !ok {
		return Finding{Code: code, Value: value}
	}
	return k.finding(value, "")
}

func (k Kind) finding(value int64, detail string) Finding {
	text := fmt.Sprint(value)
	if k.say != nil {
		text = k.say(value)
	}
	what := strings.ReplaceAll(k.What, "{v}", text)
	if detail != "" {
		what = strings.TrimSuffix(what, ".") + " (" + detail + ")."
	}
	return Finding{Code: k.Code, Step: k.Step, Value: value, What: what, Mend: k.Mend, Spec: k.Spec, vague: k.vague}
}

// sayMillis writes milliseconds as a person reads them.
func sayMillis(ms int64) string { return short(time.Duration(ms) * time.Millisecond) }

// short writes a duration without the zeros at its end.
func short(d time.Duration) string {
	d = d.Abs()
	var out []string
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if n := d / u.of; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.of
		}
	}
	if s := d.Round(100 * time.Millisecond).Seconds(); (s > 0 && len(out) < 2) || len(out) == 0 {
		out = append(out, fmt.Sprintf("%g s", s))
	}
	return strings.Join(out, " ")
}
