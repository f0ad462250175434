package explain

import (
	"fmt"
	"io"
	"strings"
)

const (
	textWidth = 100
	indent    = 15
)

var marks = map[Verdict]string{Right: "ok", Wrong: "WRONG", Unknown: "?"}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	title := strings.TrimSpace(r.Method + " " + clip(r.Path, 80))
	if title == "" {
		title = "A request"
	}
	if r.AgentID != "" {
		title += ", agent " + clip(r.AgentID, 64)
	}
	fmt.Fprintf(w, "%s\n\n", title)
	for _, s := range r.Steps {
		r.printStep(w, s)
	}
	fmt.Fprintln(w)
	wrap(w, "", "", r.Likely)
}

func (r *Report) printStep(w io.Writer, s Step) {
	head := fmt.Sprintf("%-5s  %-11s", marks[s.Verdict], s.Name)
	blank := strings.Repeat(" ", indent+4)
	found := s.Found
	if s.Verdict == Wrong && found == "" {
		found = s.Findings[0].Code
	}
	wrap(w, head+" ", blank, found)
	for _, f := range s.Findings {
		if f.Code != found {
			fmt.Fprintf(w, "%s%s\n", blank, f.Code)
		}
		wrap(w, blank+"  ", blank+"  ", f.What)
		wrap(w, blank+"  Mend: ", blank+"  ", f.Mend)
		fmt.Fprintf(w, "%s  Spec: %s\n", blank, f.Spec)
	}
}

// wrap writes a text in lines of at most textWidth, where words allow.
func wrap(w io.Writer, first, next, text string) {
	line, used := first, false
	for word := range strings.FieldsSeq(text) {
		if used && len([]rune(line))+1+len([]rune(word)) > textWidth {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, used = next, false
		}
		if used {
			line += " "
		}
		line += word
		used = true
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}
