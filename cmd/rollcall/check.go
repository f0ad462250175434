package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/client"
)

func newCheck() *cobra.Command {
	var who integrator
	return who.flags(&cobra.Command{
		Use:   "check USERNAME --credentials FILE",
		Short: "Ask for a member's active sessions, as an integrator does",
		Long: `Check calls POST /v2/members/sessions/check as an agent: it fetches an access
token, seals and signs the request, and shows the member's active sessions. The
agent's keys are read from a credentials file:

  {"baseUrl": "https://…", "agents": [{"role": "primary", "agentId": "…",
   "apiKey": "64 hex digits", "secret": "…"}]}

--verbose shows the bytes that went over the wire.`,
		Example: `  rollcall check player001 --credentials c.json
  rollcall check player001 --credentials c.json --agent other --verbose`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := who.client(cmd)
			if err != nil {
				return err
			}
			sessions, err := c.CheckSessions(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			warnPartial(cmd, sessions.Partial)
			return showSessions(cmd, args[0], sessions)
		},
	})
}

// warnPartial says on standard error that an answer may lack sessions.
func warnPartial(cmd *cobra.Command, partial bool) {
	if partial {
		fmt.Fprintln(cmd.ErrOrStderr(), "There may be more: the service has lost sessions, and game servers are telling it of theirs again.")
	}
}

func showSessions(cmd *cobra.Command, username string, sessions client.Sessions) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), sessions.Active)
	}
	if len(sessions.Active) == 0 {
		text := "%s has no active session.\n"
		if sessions.Partial {
			text = "%s: no active session is known.\n"
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), text, username)
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GAME\tMODE\tDEVICE\tIP\tLANG\tCURRENCY")
	for _, s := range sessions.Active {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", printable(s.GameCode), printable(s.Mode), s.Info.DeviceType,
			printable(s.Info.IPAddress), printable(s.Info.Lang), printable(s.Info.Currency))
	}
	return w.Flush()
}
