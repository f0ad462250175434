package conform

import (
	"fmt"
	"slices"

	"github.com/rollcall-server/rollcall/wire"
)

// isOnline waits for a list of names that is right in itself.
func isOnline(text string, wrong func(v wire.OnlineResponse) string) expect {
	return data("userList and counts, "+text, func(v wire.OnlineResponse) string {
		if v.UserList == nil {
			return "userList null, or none"
		}
		return wrong(v)
	})
}

func onlineTests() []test {
	wrong := answers(wire.CodeParameters)
	all := table("online", RolePrimary, wire.PathMembersOnline, []row{
		{"right", "the members that are online, and how many", "7.3", Must, asIs, isOnline("counts their number", func(v wire.OnlineResponse) string {
			if v.Counts != len(v.UserList) {
				return fmt.Sprintf("counts %d of %d names", v.Counts, len(v.UserList))
			}
			return ""
		})},
		{"order", "data has userList and counts, in this order", "7.3", Ours, asIs, accepted.and("the members in order", func(a *answer) string {
			return namesWrong(a.reply.Data, []string{"userList", "counts"})
		})},
		{"sorted", "the names are sorted by bytes", "7.3", Ours, asIs, isOnline("sorted", func(v wire.OnlineResponse) string {
			if !slices.IsSorted(v.UserList) {
				return "names that are not sorted"
			}
			return ""
		})},
		{"once", "each member stands there once, however many sessions it has", "7.3", Ours, asIs, isOnline("each name once", func(v wire.OnlineResponse) string {
			slices.Sort(v.UserList)
			if n := len(slices.Compact(slices.Clone(v.UserList))); n != len(v.UserList) {
				return fmt.Sprintf("%d names, %d of them different", len(v.UserList), n)
			}
			return ""
		})},
		{"more-members", "members in the plaintext, which mean nothing", "7.3", Ours, plain(`{"x":1}`), accepted},
		{"array", "an array as plaintext", "7.3", Ours, plain(`[]`), wrong},
		{"null", "null as plaintext", "7.3", Ours, plain(`null`), wrong},
		{"not-json", "a plaintext that is no JSON", "7.3", Ours, plain(`x`), wrong},
		{"duplicate", "a member twice", "1.2", Ours, plain(`{"x":1,"x":1}`), wrong},
	})
	all = append(all, table("online", RoleNoBranch, wire.PathMembersOnline, []row{
		{"no-branch", "an agent without a branch", "7.3", Ours, asIs, answers(codeNoBranch)},
	})...)
	return append(all,
		onlineFact("playing", "a member that plays is among them", "playing", RolePrimary, func(f Facts) string { return f.Playing }, true),
		onlineFact("others-playing", "another agent's member that plays is not among them", "shared", RoleOther, func(f Facts) string { return f.Shared }, false),
	)
}

func onlineFact(id, title, fact, role string, of func(Facts) string, listed bool) test {
	return steps("online/"+id, title, "7.3", Must, func(t *trial) error {
		username := of(t.r.o.Facts)
		if username == "" {
			return skipf("no such member is known (fact %s)", fact)
		}
		req, err := t.request(role, wire.PathMembersOnline)
		if err != nil {
			return err
		}
		return t.want(req, isOnline(fmt.Sprintf("%s among them: %v", username, listed), func(v wire.OnlineResponse) string {
			if slices.Contains(v.UserList, username) != listed {
				return fmt.Sprintf("%d names, %s among them: %v", len(v.UserList), username, !listed)
			}
			return ""
		}))
	})
}
