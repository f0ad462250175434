package main

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"

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
		newSessionStart(),
		verb[rollcall.Session]{
			use: "end ID", short: "End a session by force", args: 1,
			method: http.MethodDelete, path: to("sessions", "{0}"), show: showSession,
		}.command(),
		lister[rollcall.SessionCount]{
			use: "count", short: "Count the live sessions by agent, game and mode", path: to("session-counts"), head: "AGENT\tGAME\tMODE\tLIVE",
			row: func(c rollcall.SessionCount) []any { return []any{c.AgentID, c.GameCode, c.Mode, c.Count} },
		}.command())
}

func showSession(w io.Writer, s rollcall.Session) {
	fields(w, "session", s.ID, "agent", s.AgentID, "username", s.Username, "game", s.GameCode, "mode", s.Mode,
		"game server", s.GameServer, "device", s.Device, "ip", s.IP, "lang", s.Lang, "launch", s.Launch,
		"currency", s.Currency, "brand currency", s.BrandCurrency, "wallet", s.Wallet,
		"started", at(s.StartedAt), "seen", at(s.SeenAt), "expires", at(s.ExpiresAt), "ends", at(s.EndsAt))
}

func newSessionList() *cobra.Command {
	var agent, username string
	cmd := lister[rollcall.Session]{
		use: "list", short: "List live sessions: all, an agent's or a member's",
		example: "  rollcall session list --agent myCasino --username player001",
		path:    to("sessions"), head: "ID\tAGENT\tUSERNAME\tGAME\tMODE\tDEVICE\tIP\tSTARTED",
		query: func() url.Values {
			q := url.Values{}
			if agent != "" {
				q.Set("agent", agent)
			}
			if username != "" {
				q.Set("username", username)
			}
			return q
		},
		row: func(s rollcall.Session) []any {
			return []any{s.ID, s.AgentID, s.Username, s.GameCode, s.Mode, s.Device, s.IP, at(s.StartedAt)}
		},
	}.command()
	cmd.Flags().StringVar(&agent, "agent", "", "only of this agent")
	cmd.Flags().StringVar(&username, "username", "", "only of this member (with --agent)")
	return cmd
}

func newSessionStart() *cobra.Command {
	var in admin.SessionStart
	var mode, device, ip, launch string
	cmd := verb[rollcall.Session]{
		use: "start AGENT USERNAME GAME", short: "Begin a session by hand, as a game server would; it lives for one lease", args: 3,
		example: "  rollcall session start myCasino player001 VP_230001_1 --mode demo --launch demo",
		method:  http.MethodPost, path: to("sessions"), show: showSession,
		body: func(args []string) (_ any, err error) {
			in.AgentID, in.Username, in.GameCode, in.Mode = args[0], args[1], args[2], rollcall.Mode(mode)
			if in.IP, err = netip.ParseAddr(ip); err != nil {
				return nil, fmt.Errorf("--ip: %w", err)
			}
			if err := in.Device.UnmarshalText([]byte(device)); err != nil {
				return nil, fmt.Errorf("--device: %w: want pc or mobile", err)
			}
			if err := in.Launch.UnmarshalText([]byte(launch)); err != nil {
				return nil, fmt.Errorf("--launch: %w: want both, demo or real", err)
			}
			return in, nil
		},
	}.command()
	f := cmd.Flags()
	f.StringVar(&mode, "mode", "real", "real or demo")
	f.StringVar(&device, "device", "pc", "pc or mobile")
	f.StringVar(&ip, "ip", "127.0.0.1", "the player's `address`")
	f.StringVar(&in.Lang, "lang", "en", "language of the game")
	f.StringVar(&launch, "launch", "both", "what was asked for at launch: both, demo or real")
	f.StringVar(&in.GameServer, "game-server", "by-hand", "`name` of the game server that holds the session")
	return cmd
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
answered, and each check that it went through with its verdict. A record is there
within 2 s of the answer, which this command waits for, and for the configured
time (default 7 days).`,
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

func showRequest(w io.Writer, r rollcall.RequestRecord) {
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
}
