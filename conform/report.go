package conform

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is how a case went.
type Outcome string

// The outcomes. A Note is a case of severity Ours that would have failed under
// Options.Strict.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Note Outcome = "note"
	Skip Outcome = "skip"
)

// A Result is a case and how it went. It holds no secret.
type Result struct {
	Case

	Outcome Outcome `json:"outcome"`
	// Reason says what was wrong, or why the case was skipped.
	Reason string `json:"reason,omitempty"`
	// Sent, Want and Came are of the last request: the one that was answered
	// wrongly, where the case failed.
	Sent string `json:"sent,omitempty"`
	Want string `json:"want,omitempty"`
	Came string `json:"came,omitempty"`
	// LogUUID is the answer's, by which the server's operator finds the request.
	LogUUID    string `json:"logUUID,omitempty"`
	TookMillis int64  `json:"tookMillis"`
}

func (c *Case) group() string {
	group, _, _ := strings.Cut(c.ID, "/")
	return group
}

// A Report is what a run has found.
type Report struct {
	BaseURL    string    `json:"baseUrl"`
	StartedAt  time.Time `json:"startedAt"`
	TookMillis int64     `json:"tookMillis"`
	Requests   int       `json:"requests"`
	Strict     bool      `json:"strict"`
	// ClockOffsetMillis is how far the server's clock is ahead of this machine's; 0
	// also where it is within two seconds or not known.
	ClockOffsetMillis int64 `json:"clockOffsetMillis"`
	// Stopped says why not all cases were run; empty: they were.
	Stopped string   `json:"stopped,omitempty"`
	Results []Result `json:"results"`
}

// Count returns how many cases went so.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Outcome == o {
			n++
		}
	}
	return n
}

// OK reports whether all cases were run that were to be, and none failed.
func (r *Report) OK() bool { return r.Count(Fail) == 0 && r.Stopped == "" }

// WriteText writes the report for a person: each failure with what was sent, wanted
// and got, then notes, then what was skipped and why, then the numbers.
func (r *Report) WriteText(w io.Writer) error {
	out := &strings.Builder{}
	r.failures(out)
	r.notes(out)
	r.skips(out)
	r.summary(out)
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *Report) failures(out io.Writer) {
	for i := range r.Results {
		f := &r.Results[i]
		if f.Outcome != Fail {
			continue
		}
		fmt.Fprintf(out, "FAIL %s (spec %s, %s)\n  %s\n  %s\n", f.ID, f.Spec, f.Severity, f.Title, f.Reason)
		for _, part := range []struct{ name, text string }{{"sent", f.Sent}, {"want", f.Want}, {"came", f.Came}} {
			if part.text != "" {
				fmt.Fprintf(out, "  %s:\n%s", part.name, indent(part.text))
			}
		}
		if f.LogUUID != "" {
			fmt.Fprintf(out, "  look further: the server's records of logUUID %s\n", f.LogUUID)
		}
		fmt.Fprintln(out)
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

func (r *Report) notes(out io.Writer) {
	if r.Count(Note) == 0 {
		return
	}
	fmt.Fprintln(out, "Notes: Rollcall's own rules, which another server need not follow (--strict makes them count).")
	for i := range r.Results {
		if note := &r.Results[i]; note.Outcome == Note {
			fmt.Fprintf(out, "  %s: %s\n", note.ID, note.Reason)
		}
	}
	fmt.Fprintln(out)
}

// skips names the skipped cases by what they lack.
func (r *Report) skips(out io.Writer) {
	var reasons []string
	ids := map[string][]string{}
	for i := range r.Results {
		s := &r.Results[i]
		if s.Outcome != Skip {
			continue
		}
		if ids[s.Reason] == nil {
			reasons = append(reasons, s.Reason)
		}
		ids[s.Reason] = append(ids[s.Reason], s.ID)
	}
	for _, reason := range reasons {
		fmt.Fprintf(out, "Skipped, %d: %s\n  %s\n\n", len(ids[reason]), reason, strings.Join(ids[reason], " "))
	}
}

func (r *Report) summary(out io.Writer) {
	if r.ClockOffsetMillis != 0 {
		fmt.Fprintf(out, "The server's clock is %s from this machine's; the requests carried the server's time.\n",
			time.Duration(r.ClockOffsetMillis)*time.Millisecond)
	}
	if r.Stopped != "" {
		fmt.Fprintf(out, "Not all cases were run: %s.\n", r.Stopped)
	}
	fmt.Fprintf(out, "%s: %d passed, %d failed, %d notes, %d skipped; %d requests in %s.\n",
		r.BaseURL, r.Count(Pass), r.Count(Fail), r.Count(Note), r.Count(Skip), r.Requests,
		(time.Duration(r.TookMillis) * time.Millisecond).Round(100*time.Millisecond))
}
