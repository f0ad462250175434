package conform

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/rollcall-server/rollcall/wire"
)

func named(username string) change {
	return func(r *request) {
		r.username = username
		r.plaintext = jsonOf(wire.MemberRequest{Username: username})
	}
}

// listed waits for code 0 and sessions, whatever a request with the known member
// would get.
func listed(text string, wrong func(sessions []json.RawMessage) string) expect {
	return answers(wire.CodeOK).and(text, func(a *answer) string {
		var sessions []json.RawMessage
		if err := json.Unmarshal(a.reply.Data, &sessions); err != nil || sessions == nil {
			return fmt.Sprintf("data %s", clip(string(a.reply.Data)))
		}
		return wrong(sessions)
	})
}

var noSession = listed("data []", func(sessions []json.RawMessage) string {
	if len(sessions) != 0 {
		return fmt.Sprintf("%d sessions", len(sessions))
	}
	return ""
})

// about makes a case of a check that needs a fact: a member by its name.
func about(id, title, spec string, severity Severity, role, fact string, of func(Facts) string, ask func(string) string, want func(username string) expect) test {
	return steps("check/"+id, title, spec, severity, func(t *trial) error {
		username := of(t.r.o.Facts)
		if username == "" {
			return skipf("no such member is known (fact %s)", fact)
		}
		req, err := t.request(role, wire.PathSessionsCheck)
		if err != nil {
			return err
		}
		named(ask(username))(req)
		return t.want(req, want(username))
	})
}

func same(s string) string { return s }

func always(e expect) func(string) expect { return func(string) expect { return e } }

func checkTests() []test {
	member := func(f Facts) string { return f.Member }
	playing := func(f Facts) string { return f.Playing }
	shared := func(f Facts) string { return f.Shared }
	others := func(f Facts) string { return f.OthersMember }
	all := table("check", RolePrimary, wire.PathSessionsCheck, []row{
		{"unknown-member", "a member that there is not", "6.3", Must, unknownMember, answers(codeNoMember)},
		{"username-1", "a username of one letter, which is no fault of form", "6.1", Must, named("a"), notRefused},
		{"username-25", "a username of 25 letters", "6.1", Must, named("conform0123456789abcdefgh"), answers(codeNoMember)},
	})
	all = append(all,
		about("no-session", "a member without a session: [] and never null", "6.2", Must, RolePrimary, "member", member, same, always(noSession)),
		about("username-case", "a member's name with other capitals is another name", "6.1", Must, RolePrimary, "member", member, swapCase, always(answers(codeNoMember))),
		about("username-cut", "the beginning of a member's name is another name", "6.1", Must, RolePrimary, "member", member, func(s string) string { return s[:len(s)-1] }, always(answers(codeNoMember))),
		about("sessions", "a member with sessions", "6.2", Must, RolePrimary, "playing", playing, same, hasSessions(sessionWrong)),
		about("sessions-order", "a session's members, all and no others, in their order", "6.2", Must, RolePrimary, "playing", playing, same, hasSessions(sessionOrderWrong)),
		about("others-member", "another agent's member", "6.3", Should, RolePrimary, "othersMember", others, same, always(refusedBy(codeNoMember))),
		about("others-sessions", "the sessions of another agent's member of the same name", "6.3", Should, RoleOther, "shared", shared, same, always(noSession)),
	)
	return append(all, table("check", RoleNoBranch, wire.PathSessionsCheck, []row{
		{"no-branch", "an agent without a branch", "6.3", Must, asIs, answers(codeNoBranch)},
	})...)
}

// notRefused is for a name of which nobody knows whether there is such a member.
var notRefused = expect{text: "code 0 or 8", wrong: func(a *answer) string {
	if a.reply.Code != wire.CodeOK && a.reply.Code != codeNoMember {
		return fmt.Sprintf("code %d", a.reply.Code)
	}
	return ""
}}

func hasSessions(wrong func(session json.RawMessage, username string) string) func(string) expect {
	return func(username string) expect {
		return listed("at least one session, with its members", func(sessions []json.RawMessage) string {
			if len(sessions) == 0 {
				return "no session"
			}
			for i, s := range sessions {
				if why := wrong(s, username); why != "" {
					return fmt.Sprintf("session %d: %s", i, why)
				}
			}
			return ""
		})
	}
}

// sessionOrderWrong holds a session to the names of spec 6.2.
func sessionOrderWrong(text json.RawMessage, _ string) string {
	if why := namesWrong(text, []string{"mode", "gamecode", "sessionInfo"}); why != "" {
		return why
	}
	var s struct {
		SessionInfo json.RawMessage `json:"sessionInfo"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return err.Error()
	}
	return namesWrong(s.SessionInfo, []string{
		"deviceType", "ipaddress", "lang", "gameCode", "username", "launchType", "currency", "brandCurrency", "agentType",
	})
}

// sessionWrong holds a session's values to the table of spec 6.2. Absent members and
// null are found, since their zero value is none of the allowed ones.
func sessionWrong(text json.RawMessage, username string) string {
	var s wire.Session
	if err := json.Unmarshal(text, &s); err != nil {
		return err.Error()
	}
	ip, err := netip.ParseAddr(s.Info.IPAddress)
	var launch struct {
		Info struct{ LaunchType *int } `json:"sessionInfo"`
	}
	_ = json.Unmarshal(text, &launch) // it was read above
	switch {
	case !s.Mode.Valid():
		return fmt.Sprintf("mode %q", s.Mode)
	case s.GameCode == "" || s.GameCode != s.Info.GameCode:
		return fmt.Sprintf("gamecode %q beside gameCode %q", s.GameCode, s.Info.GameCode)
	case s.Info.DeviceType != 1 && s.Info.DeviceType != 2:
		return fmt.Sprintf("deviceType %d", s.Info.DeviceType)
	case err != nil || ip.String() != s.Info.IPAddress:
		return fmt.Sprintf("ipaddress %q", s.Info.IPAddress)
	case s.Info.Lang == "" || s.Info.Currency == "" || s.Info.BrandCurrency == "":
		return fmt.Sprintf("lang %q, currency %q, brandCurrency %q", s.Info.Lang, s.Info.Currency, s.Info.BrandCurrency)
	case s.Info.Username != username:
		return fmt.Sprintf("username %q", s.Info.Username)
	case launch.Info.LaunchType == nil || s.Info.LaunchType < 0 || s.Info.LaunchType > 2:
		return fmt.Sprintf("launchType %d, or none", s.Info.LaunchType)
	case s.Info.AgentType != 1 && s.Info.AgentType != 2:
		return fmt.Sprintf("agentType %d", s.Info.AgentType)
	}
	return ""
}

// A plaintextVector is one of plaintext.json.
type plaintextVector struct {
	ID, Class, Why, Plaintext string
	Base64                    []byte
	Code                      wire.Code
}

// plaintextTests are the vectors, in checks. What is wrong by the vendor's form is
// Must; how strictly JSON is read is Rollcall's own decision.
func plaintextTests() []test {
	weight := map[string]Severity{
		"right": Must, "json": Ours, "encoding": Ours, "duplicate": Ours, "depth": Ours, "type": Ours, "missing": Must, "form": Must,
	}
	ours := map[string]bool{"depth-32": true, "key-case": true}
	var rows []row
	for _, v := range readVectors[[]plaintextVector]("plaintext.json") {
		severity, want := weight[v.Class], accepted
		if ours[v.ID] {
			severity = Ours
		}
		if v.Code != wire.CodeOK {
			want = answers(v.Code)
		}
		rows = append(rows, row{v.ID, v.Why, "1.2, 6.1", severity, plain(v.Plaintext + string(v.Base64)), want})
	}
	return table("plaintext", RolePrimary, wire.PathSessionsCheck, rows)
}
