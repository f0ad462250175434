package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newBranch() *cobra.Command {
	return group("branch", "The branches: the currencies that agents share",
		newBranchCreate(),
		verb[rollcall.Branch]{
			use: "show BRANCH", short: "Show a branch", args: 1,
			method: http.MethodGet, path: to("branches", "{0}"), show: showBranch,
		}.command(),
		lister[rollcall.Branch]{
			use: "list", short: "List the branches", path: to("branches"), head: "BRANCH\tCURRENCY\tBRAND CURRENCY",
			row: func(b rollcall.Branch) []any { return []any{b.ID, b.Currency, b.BrandCurrency} },
		}.command(),
		newBranchChange(),
		verb[deleted]{
			use: "delete BRANCH", short: "Delete a branch that no agent has", args: 1,
			method: http.MethodDelete, path: to("branches", "{0}"),
		}.command())
}

func showBranch(w io.Writer, b rollcall.Branch) {
	fields(w, "branch", b.ID, "currency", b.Currency, "brand currency", b.BrandCurrency, "created", at(b.CreatedAt), "updated", at(b.UpdatedAt))
}

func newBranchCreate() *cobra.Command {
	var in admin.BranchCreate
	cmd := verb[rollcall.Branch]{
		use: "create BRANCH --currency CURRENCY", short: "Make a branch", args: 1,
		example: "  rollcall branch create THB --currency THB",
		method:  http.MethodPost, path: to("branches"), show: showBranch,
		body: func(args []string) (any, error) {
			in.ID = args[0]
			return in, nil
		},
	}.command()
	cmd.Flags().StringVar(&in.Currency, "currency", "", "what members play in, such as THB (required)")
	cmd.Flags().StringVar(&in.BrandCurrency, "brand-currency", "", "what the games' brand settles in (default: the currency)")
	return cmd
}

func newBranchChange() *cobra.Command {
	var currency, brand string
	var cmd *cobra.Command
	cmd = verb[rollcall.Branch]{
		use: "change BRANCH", short: "Change a branch; members and sessions keep what they began with", args: 1,
		example: "  rollcall branch change THB --brand-currency USD",
		method:  http.MethodPatch, path: to("branches", "{0}"), show: showBranch,
		body: func([]string) (any, error) {
			return admin.BranchChange{Currency: given(cmd, "currency", &currency), BrandCurrency: given(cmd, "brand-currency", &brand)}, nil
		},
	}.command()
	cmd.Flags().StringVar(&currency, "currency", "", "what members play in")
	cmd.Flags().StringVar(&brand, "brand-currency", "", "what the games' brand settles in")
	return cmd
}

// given returns a flag's value where the flag was given, and else nil.
func given(cmd *cobra.Command, flag string, value *string) *string {
	if cmd.Flags().Changed(flag) {
		return value
	}
	return nil
}

func newGame() *cobra.Command {
	return group("game", "The games, and the modes that they offer",
		newGameSet("create GAME --modes MODES", "Make a game", http.MethodPost, to("games"), func(code string, modes []rollcall.Mode) any {
			return admin.GameCreate{Code: code, Modes: modes}
		}),
		verb[rollcall.Game]{
			use: "show GAME", short: "Show a game", args: 1,
			method: http.MethodGet, path: to("games", "{0}"), show: showGame,
		}.command(),
		lister[rollcall.Game]{
			use: "list", short: "List the games", path: to("games"), head: "GAME\tMODES",
			row: func(g rollcall.Game) []any { return []any{g.Code, joinModes(g.Modes)} },
		}.command(),
		newGameSet("change GAME --modes MODES", "Change a game's modes; live sessions go on", http.MethodPatch, to("games", "{0}"),
			func(_ string, modes []rollcall.Mode) any { return admin.GameChange{Modes: modes} }),
		verb[deleted]{
			use: "delete GAME", short: "Delete a game that nobody plays", args: 1,
			method: http.MethodDelete, path: to("games", "{0}"),
		}.command())
}

func showGame(w io.Writer, g rollcall.Game) {
	fields(w, "game", g.Code, "modes", joinModes(g.Modes), "created", at(g.CreatedAt), "updated", at(g.UpdatedAt))
}

func joinModes(modes []rollcall.Mode) string {
	texts := make([]string, len(modes))
	for i, m := range modes {
		texts[i] = string(m)
	}
	return strings.Join(texts, ",")
}

func newGameSet(use, short, method string, path func([]string) string, body func(code string, modes []rollcall.Mode) any) *cobra.Command {
	var texts []string
	cmd := verb[rollcall.Game]{
		use: use, short: short, args: 1, method: method, path: path, show: showGame,
		example: "  rollcall game create VP_230001_1 --modes real,demo",
		body: func(args []string) (any, error) {
			modes := make([]rollcall.Mode, len(texts))
			for i, text := range texts {
				if modes[i] = rollcall.Mode(text); !modes[i].Valid() {
					return nil, fmt.Errorf("--modes: want real, demo or both, got %q", text)
				}
			}
			return body(args[0], modes), nil
		},
	}.command()
	cmd.Flags().StringSliceVar(&texts, "modes", nil, "real, demo or real,demo (required)")
	return cmd
}

func newMember() *cobra.Command {
	return group("member", "The members of an agent: who plays",
		newMemberCreate(),
		verb[rollcall.Member]{
			use: "show AGENT USERNAME", short: "Show a member", args: 2,
			method: http.MethodGet, path: to("agents", "{0}", "members", "{1}"), show: showMember,
		}.command(),
		lister[rollcall.Member]{
			use: "list AGENT", short: "List the members of an agent", args: 1, path: to("agents", "{0}", "members"),
			head: "USERNAME\tSITE\tCURRENCY\tCREATED",
			row:  func(m rollcall.Member) []any { return []any{m.Username, dash(m.SiteID), m.Currency, at(m.CreatedAt)} },
		}.command(),
		newMemberChange(),
		verb[deleted]{
			use: "delete AGENT USERNAME", short: "Delete a member and end its sessions", args: 2,
			method: http.MethodDelete, path: to("agents", "{0}", "members", "{1}"),
		}.command())
}

func showMember(w io.Writer, m rollcall.Member) {
	fields(w, "agent", m.AgentID, "username", m.Username, "site", m.SiteID, "currency", m.Currency, "created", at(m.CreatedAt), "updated", at(m.UpdatedAt))
}

func newMemberCreate() *cobra.Command {
	var in admin.MemberCreate
	cmd := verb[rollcall.Member]{
		use: "create AGENT USERNAME", short: "Make a member, in the currency of the agent's branch", args: 2,
		example: "  rollcall member create myCasino player001",
		method:  http.MethodPost, path: to("agents", "{0}", "members"), show: showMember,
		body: func(args []string) (any, error) {
			in.Username = args[1]
			return in, nil
		},
	}.command()
	cmd.Flags().StringVar(&in.SiteID, "site", "", "`id` of the member's site")
	return cmd
}

func newMemberChange() *cobra.Command {
	var site string
	var cmd *cobra.Command
	cmd = verb[rollcall.Member]{
		use: "change AGENT USERNAME --site SITE", short: "Change a member's site", args: 2,
		method: http.MethodPatch, path: to("agents", "{0}", "members", "{1}"), show: showMember,
		body: func([]string) (any, error) { return admin.MemberChange{SiteID: given(cmd, "site", &site)}, nil },
	}.command()
	cmd.Flags().StringVar(&site, "site", "", "`id` of the site; '' takes it away")
	return cmd
}
