package conform

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	ClassName string        `xml:"classname,attr"`
	Name      string        `xml:"name,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitMessage `xml:"failure,omitempty"`
	Skipped   *junitMessage `xml:"skipped,omitempty"`
	SystemOut string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit's XML, a suite for each group of cases.
// Notes stand as skipped, with "note: " in front.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "rollcall conform " + r.BaseURL}
	for _, group := range groups(r.Results) {
		all.Suites = append(all.Suites, r.suite(group))
	}
	if r.Stopped != "" {
		all.Suites = append(all.Suites, r.stopped())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// stopped is a case of its own for a run that did not come to its end, so that who
// reads only failures sees it.
func (r *Report) stopped() junitSuite {
	why := &junitMessage{Message: visible(r.Stopped)}
	return junitSuite{
		Name: "run", Tests: 1, Failures: 1, Time: secondsOf(r.TookMillis), Timestamp: r.StartedAt.UTC().Format("2006-01-02T15:04:05"),
		Cases: []junitCase{{ClassName: "conform.run", Name: "run/complete", Time: secondsOf(r.TookMillis), Failure: why}},
	}
}

func (r *Report) suite(group string) junitSuite {
	s := junitSuite{Name: group, Timestamp: r.StartedAt.UTC().Format("2006-01-02T15:04:05")}
	var took int64
	for i := range r.Results {
		result := &r.Results[i]
		if result.group() != group {
			continue
		}
		took += result.TookMillis
		s.Tests++
		switch result.Outcome {
		case Fail:
			s.Failures++
		case Skip, Note:
			s.Skipped++
		case Pass:
		}
		s.Cases = append(s.Cases, result.junit())
	}
	s.Time = secondsOf(took)
	return s
}

func (r *Result) junit() junitCase {
	c := junitCase{ClassName: "conform." + r.group(), Name: r.ID, Time: secondsOf(r.TookMillis)}
	detail := visible(fmt.Sprintf("%s (spec %s)\n\nsent:\n%s\n\nwant:\n%s\n\ncame:\n%s\n\nlogUUID: %s\n",
		r.Title, r.Spec, r.Sent, r.Want, r.Came, r.LogUUID))
	switch r.Outcome {
	case Fail:
		c.Failure = &junitMessage{Type: string(r.Severity), Message: visible(r.Reason), Text: detail}
	case Note:
		c.Skipped, c.SystemOut = &junitMessage{Message: "note: " + visible(r.Reason)}, detail
	case Skip:
		c.Skipped = &junitMessage{Message: visible(r.Reason)}
	case Pass:
	}
	return c
}

func secondsOf(millis int64) string {
	return fmt.Sprintf("%.3f", (time.Duration(millis) * time.Millisecond).Seconds())
}

// visible drops what XML has no way to say.
func visible(text string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && !unicode.IsPrint(c) {
			return '\uFFFD'
		}
		return c
	}, text)
}
