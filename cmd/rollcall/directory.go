package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
func given[T any](cmd *cobra.Command, flag string, value *T) *T {
	if cmd.Flags().Changed(flag) {
		return value
	}
	return nil
}

func newGame() *cobra.Command {
	return group("game", "The games, the modes that they offer, and how long their sessions live",
		newGameCreate(),
		verb[rollcall.Game]{
			use: "show GAME", short: "Show a game", args: 1,
			method: http.MethodGet, path: to("games", "{0}"), show: showGame,
		}.command(),
		lister[rollcall.Game]{
			use: "list", short: "List the games", path: to("games"), head: "GAME\tMODES\tLEASE\tHEARTBEAT\tLIFETIME\tLAUNCH URL",
			row: func(g rollcall.Game) []any {
				return []any{
					g.Code, joinModes(g.Modes), dash(duration(g.LeaseSeconds)), dash(duration(g.HeartbeatSeconds)),
					dash(duration(g.LifetimeSeconds)), dash(g.LaunchURL),
				}
			},
		}.command(),
		newGameChange(),
		verb[deleted]{
			use: "delete GAME", short: "Delete a game that nobody plays", args: 1,
			method: http.MethodDelete, path: to("games", "{0}"),
		}.command())
}

func showGame(w io.Writer, g rollcall.Game) {
	fields(w, "game", g.Code, "modes", joinModes(g.Modes), "launch URL", g.LaunchURL, "lease", duration(g.LeaseSeconds),
		"heartbeat", duration(g.HeartbeatSeconds), "lifetime", duration(g.LifetimeSeconds), "created", at(g.CreatedAt), "updated", at(g.UpdatedAt))
}

// duration shows seconds; "" for 0, which means the service's own setting.
func duration(seconds int) string {
	if seconds == 0 {
		return ""
	}
	return (time.Duration(seconds) * time.Second).String()
}

func joinModes(modes []rollcall.Mode) string {
	texts := make([]string, len(modes))
	for i, m := range modes {
		texts[i] = string(m)
	}
	return strings.Join(texts, ",")
}

// gameFlags are what can be set about a game.
type gameFlags struct {
	modes                      []string
	launchURL                  string
	lease, heartbeat, lifetime time.Duration
}

func (g *gameFlags) declare(f *pflag.FlagSet) {
	f.StringSliceVar(&g.modes, "modes", nil, "real, demo or real,demo")
	f.StringVar(&g.launchURL, "launch-url", "", "`URL` where members are sent to play it; '': the setting launch-url")
	f.DurationVar(&g.lease, "lease", 0, "how long a session lives without a heartbeat, in whole seconds; 0: the setting lease-ttl")
	f.DurationVar(&g.heartbeat, "heartbeat", 0, "how often a session is to be renewed; 0: the setting heartbeat-every")
	f.DurationVar(&g.lifetime, "lifetime", 0, "how long a session lives at the most; 0: the setting session-lifetime")
}

// read returns all as the fields of a game.
func (g *gameFlags) read() (in admin.GameCreate, err error) {
	in = admin.GameCreate{Modes: make([]rollcall.Mode, len(g.modes)), LaunchURL: g.launchURL}
	for i, text := range g.modes {
		if in.Modes[i] = rollcall.Mode(text); !in.Modes[i].Valid() {
			return in, fmt.Errorf("--modes: want real, demo or both, got %q", text)
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
		field *int
	}{{"lease", g.lease, &in.LeaseSeconds}, {"heartbeat", g.heartbeat, &in.HeartbeatSeconds}, {"lifetime", g.lifetime, &in.LifetimeSeconds}} {
		if d.value%time.Second != 0 {
			return in, fmt.Errorf("--%s: want whole seconds, got %s", d.flag, d.value)
		}
		*d.field = int(d.value / time.Second)
	}
	return in, nil
}

func newGameCreate() *cobra.Command {
	var flags gameFlags
	cmd := verb[rollcall.Game]{
		use: "create GAME --modes MODES", short: "Make a game", args: 1,
		example: "  rollcall game create VP_230001_1 --modes real,demo --launch-url https://play.example/slots",
		method:  http.MethodPost, path: to("games"), show: showGame,
		body: func(args []string) (any, error) {
			in, err := flags.read()
			in.Code = args[0]
			return in, err
		},
	}.command()
	flags.declare(cmd.Flags())
	return cmd
}

func newGameChange() *cobra.Command {
	var flags gameFlags
	var cmd *cobra.Command
	cmd = verb[rollcall.Game]{
		use: "change GAME", short: "Change a game's modes, launch URL or times; live sessions go on as they began", args: 1,
		example: "  rollcall game change VP_230001_1 --modes real\n  rollcall game change VP_230001_1 --lease 30s --heartbeat 10s",
		method:  http.MethodPatch, path: to("games", "{0}"), show: showGame,
		body: func([]string) (any, error) {
			in, err := flags.read()
			return admin.GameChange{
				Modes: given(cmd, "modes", &in.Modes), LaunchURL: given(cmd, "launch-url", &in.LaunchURL),
				LeaseSeconds: given(cmd, "lease", &in.LeaseSeconds), HeartbeatSeconds: given(cmd, "heartbeat", &in.HeartbeatSeconds),
				LifetimeSeconds: given(cmd, "lifetime", &in.LifetimeSeconds),
			}, err
		},
	}.command()
	flags.declare(cmd.Flags())
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
			head: "USERNAME\tSTATE\tSITE\tCURRENCY\tCREATED",
			row: func(m rollcall.Member) []any {
				return []any{m.Username, memberState(m), dash(m.SiteID), m.Currency, at(m.CreatedAt)}
			},
		}.command(),
		newMemberChange(),
		verb[rollcall.Member]{
			use: "suspend AGENT USERNAME", short: "Kick a member and let it launch no game, until unsuspend", args: 2,
			method: http.MethodPost, path: to("agents", "{0}", "members", "{1}", "suspend"), show: showMember,
		}.command(),
		verb[rollcall.Member]{
			use: "unsuspend AGENT USERNAME", short: "Let a suspended member play again", args: 2,
			method: http.MethodPost, path: to("agents", "{0}", "members", "{1}", "unsuspend"), show: showMember,
		}.command(),
		verb[deleted]{
			use: "delete AGENT USERNAME", short: "Delete a member and end its sessions", args: 2,
			method: http.MethodDelete, path: to("agents", "{0}", "members", "{1}"),
		}.command())
}

func showMember(w io.Writer, m rollcall.Member) {
	fields(w, "agent", m.AgentID, "username", m.Username, "state", memberState(m), "site", m.SiteID, "currency", m.Currency,
		"created", at(m.CreatedAt), "updated", at(m.UpdatedAt))
}

func memberState(m rollcall.Member) string {
	if m.Suspended {
		return "suspended"
	}
	return "active"
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
