package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newSession() *cobra.Command {
	return group("session", "The live sessions: who is in what, from where",
		newSessionList(),
		verb[rollcall.Session]{
			use: "show ID", short: "Show a live session", args: 1,
			method: http.MethodGet, path: to("sessions", "{0}"), show: showSession,
		}.command(),
		newSessionCount())
}

func showSession(w io.Writer, s rollcall.Session) {
	fields(w, "session", s.ID, "agent", s.AgentID, "username", s.Username, "game", s.GameCode, "mode", s.Mode,
		"game server", s.GameServer, "boot", s.BootID, "device", s.Device, "ip", s.IP, "lang", s.Lang, "launch", s.Launch,
		"currency", s.Currency, "brand currency", s.BrandCurrency, "wallet", s.Wallet, "lobby", s.LobbyURL,
		"started", at(s.StartedAt), "seen", at(s.SeenAt), "lease", s.Lease(), "expires", at(s.ExpiresAt), "ends", at(s.EndsAt))
}

func newSessionList() *cobra.Command {
	var filter rollcall.SessionFilter
	cmd := lister[rollcall.Session]{
		use: "list", short: "List live sessions: all, or those that have all that is named",
		example: "  rollcall session list --agent myCasino --username player001\n  rollcall session list --game VP_230001_1 --game-server gs1",
		path:    to("sessions"), head: "ID\tAGENT\tUSERNAME\tGAME\tMODE\tDEVICE\tIP\tGAME SERVER\tSTARTED",
		query: func([]string) (url.Values, error) { return filterQuery(filter), nil },
		row: func(s rollcall.Session) []any {
			return []any{s.ID, s.AgentID, dash(s.Username), s.GameCode, s.Mode, s.Device, s.IP, s.GameServer, at(s.StartedAt)}
		},
	}.command()
	filterFlags(cmd.Flags(), &filter)
	return cmd
}

// filterFlags declares what picks sessions.
func filterFlags(f *pflag.FlagSet, filter *rollcall.SessionFilter) {
	f.StringVar(&filter.AgentID, "agent", "", "only of this agent")
	f.StringVar(&filter.Username, "username", "", "only of this member (with --agent)")
	f.StringVar(&filter.GameCode, "game", "", "only in this game")
	f.StringVar(&filter.Currency, "currency", "", "only in this currency")
	f.StringVar(&filter.GameServer, "game-server", "", "only on this game server")
}

// filterQuery is what filterFlags has read, as a list's query.
func filterQuery(f rollcall.SessionFilter) url.Values {
	return queryOf("agent", f.AgentID, "username", f.Username, "game", f.GameCode, "currency", f.Currency, "gameServer", f.GameServer)
}

// queryOf makes a query of names and values, without those that are empty.
func queryOf(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// A countColumn is something that sessions can be counted by: its name as a flag's
// value and in the API, and the value.
type countColumn struct {
	flag, name string
	value      func(rollcall.SessionCount) any
}

var countColumns = []countColumn{
	{"agent", "agent", func(c rollcall.SessionCount) any { return c.AgentID }},
	{"game", "game", func(c rollcall.SessionCount) any { return c.GameCode }},
	{"mode", "mode", func(c rollcall.SessionCount) any { return c.Mode }},
	{"currency", "currency", func(c rollcall.SessionCount) any { return c.Currency }},
	{"device", "device", func(c rollcall.SessionCount) any { return c.Device }},
	{"game-server", "gameServer", func(c rollcall.SessionCount) any { return c.GameServer }},
}

func newSessionCount() *cobra.Command {
	var by []string
	cmd := &cobra.Command{
		Use: "count", Short: "Count the live sessions by what they share", Args: cobra.NoArgs,
		Example: "  rollcall session count\n  rollcall session count --by game-server\n  rollcall session count --by agent,currency,device",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return countSessions(cmd, by)
		},
	}
	cmd.Flags().StringSliceVar(&by, "by", []string{"agent", "game", "mode"}, "any of agent, game, mode, currency, device and game-server")
	return cmd
}

func countSessions(cmd *cobra.Command, by []string) error {
	names, table, err := countTable(by)
	if err != nil {
		return usageError{err}
	}
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	var page admin.Page[rollcall.SessionCount]
	query := queryOf("by", strings.Join(names, ","))
	if err := c.Do(cmd.Context(), http.MethodGet, admin.Path("session-counts")+"?"+query.Encode(), nil, &page); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), page.Items)
	}
	return table.table(cmd.OutOrStdout(), page.Items)
}

// countTable returns the API's names of by, and a table with a column for each.
func countTable(by []string) (names []string, table lister[rollcall.SessionCount], err error) {
	var values []func(rollcall.SessionCount) any
	for _, flag := range by {
		i := slices.IndexFunc(countColumns, func(c countColumn) bool { return c.flag == flag })
		if i < 0 {
			return nil, table, fmt.Errorf("--by: want any of agent, game, mode, currency, device and game-server, got %q", flag)
		}
		names, values = append(names, countColumns[i].name), append(values, countColumns[i].value)
		table.head += strings.ToUpper(strings.ReplaceAll(flag, "-", " ")) + "\t"
	}
	table.head += "LIVE"
	table.row = func(c rollcall.SessionCount) (cells []any) {
		for _, value := range values {
			cells = append(cells, value(c))
		}
		return append(cells, c.Count)
	}
	return names, table, nil
}

func newKey() *cobra.Command {
	return group("key", "The keys that sign access tokens",
		lister[rollcall.KeyInfo]{
			use: "list", short: "List the keys, the newest last: it signs, the one before it still verifies", path: to("token-keys"),
			head: "KEY\tCREATED", row: func(k rollcall.KeyInfo) []any { return []any{k.ID, at(k.CreatedAt)} },
		}.command(),
		verb[rollcall.KeyInfo]{
			use: "rotate", short: "Make a new key; it signs at once, and the key before the last is deleted with its tokens",
			method: http.MethodPost, path: to("token-keys"),
			show: func(w io.Writer, k rollcall.KeyInfo) { fields(w, "key", k.ID, "created", at(k.CreatedAt)) },
		}.command())
}

func newAdminToken() *cobra.Command {
	return group("admin-token", "The tokens of those who may use the operators' API",
		verb[admin.TokenCreated]{
			use: "create NAME", short: "Make a token; NAME is whose it is, for the audit. It is shown this once", args: 1,
			method: http.MethodPost, path: to("admin-tokens"),
			body: func(args []string) (any, error) { return admin.TokenCreate{Name: args[0]}, nil },
			show: func(w io.Writer, t admin.TokenCreated) { fields(w, "name", t.Name, "token", t.Token) },
		}.command(),
		lister[rollcall.KeyInfo]{
			use: "list", short: "List the names of the tokens", path: to("admin-tokens"),
			head: "NAME\tCREATED", row: func(k rollcall.KeyInfo) []any { return []any{k.ID, at(k.CreatedAt)} },
		}.command(),
		verb[deleted]{
			use: "delete NAME", short: "End a token, at once", args: 1,
			method: http.MethodDelete, path: to("admin-tokens", "{0}"),
		}.command())
}

func newAudit() *cobra.Command {
	return lister[rollcall.AuditEntry]{
		use: "audit", short: "Show who changed what and when, the newest first", path: to("audit"), cursor: "before",
		head: "SEQ\tAT\tWHO\tWHAT\tWHICH\tDETAIL",
		row: func(e rollcall.AuditEntry) []any {
			return []any{e.Seq, at(e.At), e.Actor, e.Action, e.Subject, e.Detail}
		},
	}.command()
}

func newRequest() *cobra.Command {
	return &cobra.Command{
		Use: "request LOGUUID", Short: "Show what happened to a request, by the logUUID of its answer",
		Long: `Request shows the record of one v2 request: when, who, from where, how it was
answered, and each check that it went through with its verdict. Where it was
refused and the server has found out what its sender does wrong, that and how to
mend it are shown too. A record is there within 2 s of the answer, which this
command waits for, and for the configured time (default 7 days).`,
		Example: "  rollcall request 019aa0b2-7d1e-7c3e-9b1a-3f0e5d2c1b0a --credentials c.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			r, err := waitRequest(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), r)
			}
			showRequest(cmd.OutOrStdout(), r)
			return nil
		},
	}
}

func showRequest(w io.Writer, r admin.RequestShown) {
	fields(w, "logUUID", r.LogUUID, "at", r.At.Format("2006-01-02 15:04:05.000 MST"), "endpoint", r.Endpoint, "agent", r.AgentID,
		"member", r.Username, "from", r.Remote, "code", r.Code, "HTTP status", r.Status, "took", time.Duration(r.TookNanos))
	fmt.Fprintln(w)
	table := lister[rollcall.RequestCheck]{head: "CHECK\tVERDICT\tTOOK\tREASON", row: func(c rollcall.RequestCheck) []any {
		verdict := "passed"
		if !c.Passed {
			verdict = "REFUSED"
		}
		return []any{c.Name, verdict, time.Duration(c.TookNanos), c.Reason}
	}}
	_ = table.table(w, r.Checks)
	for _, f := range r.Findings {
		fmt.Fprintln(w)
		fields(w, "finding", f.Code, "what", f.What, "mend", f.Mend, "spec", f.Spec)
	}
}
