package conform

import "github.com/rollcall-server/rollcall/wire"

func kickTests() []test {
	wrong := answers(wire.CodeParameters)
	all := table("kick", RolePrimary, wire.PathSessionsLogout, []row{
		{"nothing-to-end", "a member without a session", "7.4", Must, asIs, withoutData},
		{"unknown-member", "a member that there is not", "7.4", Must, unknownMember, answers(codeNoMember)},
		{"case", "a member's name with other capitals", "6.1", Must, func(r *request) { named(swapCase(r.username))(r) }, answers(codeNoMember)},
		{"username-missing", "no username", "7.4", Must, plain(`{}`), wrong},
		{"username-26", "a username of 26 characters", "7.4", Must, named("conform0123456789abcdefghi"), wrong},
		{"username-wildcard", "a wildcard as username", "7.4", Must, named("*"), wrong},
		{"username-number", "a number as username", "7.4", Ours, plain(`{"username":1}`), wrong},
		{"duplicate", "username twice, the same", "1.2", Ours, func(r *request) {
			r.plaintext = `{"username":"` + r.username + `","username":"` + r.username + `"}`
		}, wrong},
	})
	return append(append(all, table("kick", RoleNoBranch, wire.PathSessionsLogout, []row{
		{"no-branch", "an agent without a branch", "7.4", Must, asIs, answers(codeNoBranch)},
	})...), writing(
		steps("kick/other-agents-member", "another agent's member", "6.3", Should, func(t *trial) error {
			if _, err := t.agent(RoleOther); err != nil {
				return err
			}
			username, err := t.newMember(RoleOther)
			if err != nil {
				return err
			}
			return t.kick(RolePrimary, username, refusedBy(codeNoMember))
		}),
		steps("kick/again", "a member that was kicked before", "7.4", Ours, func(t *trial) error {
			username, err := t.newMember(RolePrimary)
			if err != nil {
				return err
			}
			if err := t.kick(RolePrimary, username, withoutData); err != nil {
				return err
			}
			return t.kick(RolePrimary, username, withoutData)
		}),
	)...)
}

// kick has a member kicked by an agent.
func (t *trial) kick(role, username string, want expect) error {
	req, err := t.request(role, wire.PathSessionsLogout)
	if err != nil {
		return err
	}
	named(username)(req)
	return t.want(req, want)
}
