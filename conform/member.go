package conform

import (
	"fmt"
	"strings"

	"github.com/rollcall-server/rollcall/wire"
)

// withoutData is the answer of what has no data (spec 7.1, 7.4).
var withoutData = accepted.and("without data", func(a *answer) string {
	if len(a.reply.Data) != 0 && string(a.reply.Data) != "null" {
		return fmt.Sprintf("data %s", clip(string(a.reply.Data)))
	}
	return ""
})

// fields makes a plaintext of the request's member and these fields.
func fields(text string) change {
	return func(r *request) { r.plaintext = strings.Replace(text, "%", r.username, 1) }
}

func memberTests() []test {
	all := table("members", RolePrimary, wire.PathMembers, memberRows())
	all = append(all, table("members", RoleNoBranch, wire.PathMembers, []row{
		{"no-branch", "an agent without a branch", "7.1", Must, asIs, answers(codeNoBranch)},
	})...)
	return append(all, writing(
		steps("members/again", "a member that there is already", "7.1", Must, memberAgain),
		steps("members/known", "a member is known as soon as it is made", "7.1", Ours, memberKnown),
		steps("members/other-agent", "two agents have members of the same name", "6.3", Should, memberOfBoth),
		steps("members/other-agent-unseen", "a member that another agent has made", "6.3", Should, memberUnseen),
		steps("members/case", "a name with other capitals is another member", "6.1", Should, memberCase),
		steps("members/at-once", fmt.Sprintf("%d requests for one name at the same moment: one makes it", copies), "7.1", Ours, memberAtOnce),
	)...)
}

func memberRows() []row {
	wrong := answers(wire.CodeParameters)
	return []row{
		{"right", "a new member", "7.1", Must, asIs, withoutData},
		{"no-data", "no member data at all in the answer", "7.1", Ours, asIs, accepted.and("code, message and logUUID alone", func(a *answer) string {
			return namesWrong(a.body, []string{"code", "message", "logUUID"})
		})},
		{"site", "a new member with a siteId", "7.1", Must, fields(`{"username":"%","siteId":"s1"}`), withoutData},
		{"site-first", "siteId before username", "7.5", Must, fields(`{"siteId":"s1","username":"%"}`), withoutData},
		{"site-32", "a siteId of 32 characters", "7.1", Ours, fields(`{"username":"%","siteId":"` + strings.Repeat("s", 32) + `"}`), withoutData},
		{"site-33", "a siteId of 33 characters", "7.1", Ours, fields(`{"username":"%","siteId":"` + strings.Repeat("s", 33) + `"}`), wrong},
		{"site-form", "a siteId with a space", "7.1", Ours, fields(`{"username":"%","siteId":"s 1"}`), wrong},
		{"site-null", "siteId null", "1.2", Ours, fields(`{"username":"%","siteId":null}`), wrong},
		{"site-number", "siteId a number", "7.1", Ours, fields(`{"username":"%","siteId":1}`), wrong},
		{"site-empty", "an empty siteId, which is none", "7.1", Ours, fields(`{"username":"%","siteId":""}`), withoutData},
		{"username-missing", "no username", "7.1", Must, fields(`{"siteId":"s1"}`), wrong},
		{"username-empty", "an empty username", "7.1", Must, fields(`{"username":""}`), wrong},
		{"username-26", "a username of 26 characters", "7.1", Must, func(r *request) {
			r.plaintext = jsonOf(wire.MemberCreateRequest{Username: (r.username + strings.Repeat("x", 26))[:26]})
		}, wrong},
		{"username-25", "a username of 25 characters", "7.1", Must, func(r *request) {
			r.plaintext = jsonOf(wire.MemberCreateRequest{Username: (r.username + strings.Repeat("x", 25))[:25]})
		}, withoutData},
		{"username-underscore", "a username with an underscore", "7.1", Must, fields(`{"username":"%_"}`), wrong},
		{"username-space", "a username with a space behind", "7.1", Must, fields(`{"username":"% "}`), wrong},
		{"username-letters", "a username with letters that are not ASCII", "7.1", Must, fields(`{"username":"%é"}`), wrong},
		{"username-number", "a number as username", "7.1", Ours, fields(`{"username":1}`), wrong},
		{"duplicate", "username twice, the same", "1.2", Ours, func(r *request) {
			r.plaintext = fmt.Sprintf(`{"username":%q,"username":%[1]q}`, r.username)
		}, wrong},
	}
}

func memberAgain(t *trial) error {
	req, err := t.request(RolePrimary, wire.PathMembers)
	if err != nil {
		return err
	}
	if err := t.want(req, withoutData); err != nil {
		return err
	}
	second, err := t.request(RolePrimary, wire.PathMembers)
	if err != nil {
		return err
	}
	second.plaintext = req.plaintext
	return t.want(second, answers(codeTaken))
}

// checkOf makes a check of a member by an agent.
func (t *trial) checkOf(role, username string, want expect) error {
	req, err := t.request(role, wire.PathSessionsCheck)
	if err != nil {
		return err
	}
	named(username)(req)
	return t.want(req, want)
}

func memberKnown(t *trial) error {
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, noSession)
}

func memberOfBoth(t *trial) error {
	if _, err := t.agent(RoleOther); err != nil {
		return err
	}
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	req, err := t.request(RoleOther, wire.PathMembers)
	if err != nil {
		return err
	}
	req.plaintext = jsonOf(wire.MemberCreateRequest{Username: username})
	return t.want(req, withoutData)
}

func memberUnseen(t *trial) error {
	if _, err := t.agent(RoleOther); err != nil {
		return err
	}
	username, err := t.newMember(RoleOther)
	if err != nil {
		return err
	}
	if err := t.checkOf(RolePrimary, username, refusedBy(codeNoMember)); err != nil {
		return err
	}
	return t.checkOf(RoleOther, username, noSession)
}

func memberCase(t *trial) error {
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	return t.checkOf(RolePrimary, swapCase(username), answers(codeNoMember))
}

func memberAtOnce(t *trial) error {
	username := newName()
	var all []*message
	for range copies {
		req, err := t.request(RolePrimary, wire.PathMembers)
		if err != nil {
			return err
		}
		req.plaintext = jsonOf(wire.MemberCreateRequest{Username: username})
		all = append(all, req.make())
	}
	answered, err := t.atOnce(all)
	if err != nil {
		return err
	}
	e := expect{text: fmt.Sprintf("of %d, one answered 0 and %d with code 6", copies, copies-1)}
	made, taken := 0, 0
	for i, a := range answered {
		t.note(all[i], e, a)
		switch {
		case busy(a):
			return skipf("the server is too busy for %d requests at once", copies)
		case a.reply.Code == wire.CodeOK:
			made++
		case a.reply.Code == codeTaken:
			taken++
		}
	}
	if made != 1 || taken != copies-1 {
		return fmt.Errorf("got %d answered 0 and %d with code 6, want %s", made, taken, e.text)
	}
	return nil
}
