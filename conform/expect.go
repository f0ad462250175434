package conform

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/rollcall-server/rollcall/wire"
)

// The codes of spec 9 that cases expect; wire has others.
const (
	codeNoGame     wire.Code = 5
	codeTaken      wire.Code = 6
	codeNoMember   wire.Code = 8
	codeAgent      wire.Code = 10
	codeSuspended  wire.Code = 19
	codeRate       wire.Code = 77
	codeNoBranch   wire.Code = 81
	codeSite       wire.Code = 82
	codeAuth       wire.Code = 83
	codeDecryption wire.Code = 84
	codeRestricted wire.Code = 86
)

// An answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	reply   wire.Reply
	noReply error     // why it is no envelope
	right   wire.Code // that of the request without its fault
}

// An expect is what a case waits for, in words and as a check, which returns what
// is wrong or "".
type expect struct {
	text  string
	wrong func(a *answer) string
	// lax stands in for wrong unless the run is strict; nil: nothing does.
	lax func(a *answer) string
}

// accepted is the answer to a right request.
var accepted = expect{text: "the answer to a right request", wrong: func(a *answer) string { return codeWrong(a, a.right) }}

// answers waits for this code. The HTTP status is looked at in cases of its own.
func answers(c wire.Code) expect {
	return expect{text: fmt.Sprintf("code %d (%s)", c, c.Message()), wrong: func(a *answer) string { return codeWrong(a, c) }}
}

// refusedBy waits for this code; of another server, which may have chosen another
// one, for any refusal: what counts is that it does not carry the request out.
func refusedBy(c wire.Code) expect {
	e := answers(c)
	e.text += ", or another refusal"
	e.lax = func(a *answer) string {
		if a.reply.Code == wire.CodeOK || a.reply.Code == wire.CodeInternal || a.reply.Code == a.right {
			return codeWrong(a, c)
		}
		return ""
	}
	return e
}

// answersStatus waits for this code and this HTTP status (spec 1.6).
func answersStatus(status int, c wire.Code) expect {
	return expect{text: fmt.Sprintf("HTTP %d and code %d (%s)", status, c, c.Message()), wrong: func(a *answer) string {
		if wrong := codeWrong(a, c); wrong != "" {
			return wrong
		}
		if a.status != status {
			return fmt.Sprintf("HTTP status %d", a.status)
		}
		return ""
	}}
}

func codeWrong(a *answer, c wire.Code) string {
	if a.reply.Code != c {
		return fmt.Sprintf("code %d", a.reply.Code)
	}
	return ""
}

// and waits for more: what reads the answer, and returns what is wrong.
func (e expect) and(text string, wrong func(a *answer) string) expect {
	return expect{text: e.text + ", " + text, wrong: func(a *answer) string {
		if why := e.wrong(a); why != "" {
			return why
		}
		return wrong(a)
	}}
}

// data waits for the answer's data to be read into a T, and for it to be right.
func data[T any](text string, wrong func(v T) string) expect {
	return accepted.and(text, func(a *answer) string {
		var v T
		if err := json.Unmarshal(a.reply.Data, &v); err != nil {
			return fmt.Sprintf("data that cannot be read: %v", err)
		}
		return wrong(v)
	})
}
