package main

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
)

func newHistory() *cobra.Command {
	return group("history", "What was: a member's sessions, and who was online at a moment",
		lister[rollcall.EndedSession]{
			use: "member AGENT USERNAME", short: "Show a member's sessions, live and ended, the newest first", args: 2,
			example: "  rollcall history member myCasino player001 --limit 20",
			path:    to("agents", "{0}", "members", "{1}", "history"), cursor: "before",
			head: "STARTED\tENDED\tREASON\tBY\tGAME\tMODE\tNOTE",
			row: func(e rollcall.EndedSession) []any {
				return []any{at(e.StartedAt), dash(at(e.EndedAt)), reason(e), dash(e.By), e.GameCode, e.Mode, dash(e.Note)}
			},
		}.command(),
		newHistoryAt())
}

func reason(e rollcall.EndedSession) string {
	if e.EndedAt.IsZero() {
		return "live"
	}
	return string(e.Reason)
}

func newHistoryAt() *cobra.Command {
	var filter rollcall.SessionFilter
	cmd := lister[rollcall.EndedSession]{
		use: "at TIME", short: "Show who was online at a moment", args: 1,
		long: `At shows the sessions that were live at a moment: a time as in RFC 3339, or how
long ago, such as -5m or -36h. Sessions are kept for the setting session-history
after their end (default 90 days).`,
		example: "  rollcall history at 2026-01-30T03:58:52Z --game VP_230001_1\n  rollcall history at -5m --agent myCasino",
		path:    to("history"), head: "ID\tAGENT\tUSERNAME\tGAME\tMODE\tIP\tGAME SERVER\tSTARTED\tENDED\tREASON",
		query: func(args []string) (url.Values, error) {
			moment, err := moment(args[0], time.Now())
			if err != nil {
				return nil, err
			}
			q := filterQuery(filter)
			q.Set("at", moment.UTC().Format(time.RFC3339Nano))
			return q, nil
		},
		row: func(e rollcall.EndedSession) []any {
			return []any{
				e.ID, e.AgentID, dash(e.Username), e.GameCode, e.Mode, e.IP, e.GameServer, at(e.StartedAt), dash(at(e.EndedAt)), reason(e),
			}
		},
	}.command()
	filterFlags(cmd.Flags(), &filter)
	return cmd
}

// moment reads a time, or how long before now it is: 5m and -5m are the same.
func moment(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment, errors.New("TIME: want a time such as 2026-01-30T03:58:52Z, or how long ago such as -5m")
	}
	return moment, nil
}

// agoBehind puts the TIME of 'history at' behind a "--" where it begins with a
// minus, or it would be taken for a flag.
func agoBehind(args []string) []string {
	verb := slices.Index(args, "history") + 1
	if verb == 0 || !slices.Contains(args[verb:], "at") || slices.Contains(args, "--") {
		return args
	}
	ago := slices.IndexFunc(args, func(arg string) bool {
		_, err := time.ParseDuration(arg)
		return err == nil && strings.HasPrefix(arg, "-")
	})
	if ago < 0 {
		return args
	}
	return append(slices.Delete(slices.Clone(args), ago, ago+1), "--", args[ago])
}
