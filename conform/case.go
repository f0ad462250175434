package conform

import "fmt"

// Severity says how much a case weighs.
type Severity string

const (
	// Must is what the vendor's pages say.
	Must Severity = "must"
	// Should is what follows from them, or what no server may do without harm to
	// others, though no page says it in words.
	Should Severity = "should"
	// Ours is what docs/protocol.md has decided for Rollcall, where no page settles it.
	// Another server may do otherwise, so it is a note, unless Options.Strict.
	Ours Severity = "ours"
)

// A Case is one thing that is tried: one fault, or none, and what answers it.
type Case struct {
	// ID is its group and its name, as in wire/base64-newline. It stays.
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Spec     string   `json:"spec"` // section of docs/protocol.md
	Severity Severity `json:"severity"`
	// Writes says that it makes members, launches or kicks: see Options.AllowWrites.
	Writes bool `json:"writes"`
}

// Cases returns all cases, in the order in which they run.
func Cases() []Case {
	var all []Case
	for _, t := range tests() {
		all = append(all, t.Case)
	}
	return all
}

// A test is a case with what does it. do returns nil if the server is right, a
// skip if it cannot be tried here, and else what is wrong.
type test struct {
	Case

	do func(t *trial) error
}

// A row is a test that is one request: right, but for one change.
type row struct {
	id, title, spec string
	severity        Severity
	change          change
	want            expect
}

// table makes the rows' tests. The requests are of the agent of role as and for the
// path to; that of a member's name needs one.
func table(group, as, to string, rows []row) []test {
	var all []test
	for _, r := range rows {
		all = append(all, test{
			Case: Case{ID: group + "/" + r.id, Title: r.title, Spec: r.spec, Severity: r.severity, Writes: writes(to)},
			do: func(t *trial) error {
				req, err := t.request(as, to)
				if err != nil {
					return err
				}
				r.change(req)
				return t.want(req, r.want)
			},
		})
	}
	return all
}

// steps makes a test that is more than one request.
func steps(id, title, spec string, severity Severity, do func(t *trial) error) test {
	return test{Case{ID: id, Title: title, Spec: spec, Severity: severity}, do}
}

// writing marks tests as such that write.
func writing(all ...test) []test {
	for i := range all {
		all[i].Writes = true
	}
	return all
}

// tests are all of them; those of a topic stand in a file of its name.
func tests() []test {
	var all []test
	for _, topic := range []func() []test{
		envelopeTests, transportTests, bodyTests, headerTests, cipherTests, signatureTests, clockTests, authTests, tokenTests,
		replayTests, orderTests, checkTests, plaintextTests, onlineTests, memberTests, launchTests, kickTests, lifeTests,
	} {
		all = append(all, topic()...)
	}
	return all
}

// A skip is why a case cannot be tried.
type skip string

func (s skip) Error() string { return string(s) }

func skipf(format string, args ...any) error { return skip(fmt.Sprintf(format, args...)) }
