package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

func newLaunch() *cobra.Command {
	var who integrator
	in := wire.OpenGameRequest{}
	var mobile bool
	var launchType string
	cmd := who.flags(&cobra.Command{
		Use:   "launch USERNAME GAME --credentials FILE",
		Short: "Launch a game for a member, as an integrator does: prints the URL to open",
		Long: `Launch calls POST /v2/opengame as an agent and prints the URL that the member
opens in a browser. It is good once, and for 5 minutes. The session begins when
the game is loaded there, and not before.

USERNAME may be '' with --launch-type demo.`,
		Example: `  rollcall launch player002 VP_230001_1 --credentials c.json
  rollcall launch player002 VP_230001_1 --credentials c.json --mobile --launch-type demo`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Username, in.GameCode = args[0], args[1]
			if mobile {
				in.DeviceType = int(rollcall.DeviceMobile) - 1 // spec 7.2 counts from 0
			}
			var launch rollcall.LaunchType
			if err := launch.UnmarshalText([]byte(launchType)); err != nil {
				return usageError{fmt.Errorf("--launch-type: %w: want both, demo or real", err)}
			}
			in.LaunchType = int(launch)
			return openGame(cmd, &who, in)
		},
	})
	f := cmd.Flags()
	f.BoolVar(&mobile, "mobile", false, "the member plays on a mobile device (default: a PC)")
	f.StringVar(&launchType, "launch-type", "both", "what to play for: both (real where the game offers it), demo or real")
	f.StringVar(&in.Lang, "lang", "en", "language of the game")
	f.StringVar(&in.IPAddress, "ip", "127.0.0.1", "the member's `address`")
	f.StringVar(&in.LobbyURL, "lobby-url", "", "https `URL` that the game leads back to")
	return cmd
}

func openGame(cmd *cobra.Command, who *integrator, in wire.OpenGameRequest) error {
	c, err := who.client(cmd)
	if err != nil {
		return err
	}
	opened, err := c.OpenGame(cmd.Context(), in)
	if err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), opened)
	}
	fmt.Fprintln(cmd.OutOrStdout(), opened.GameLaunchURL)
	fmt.Fprintf(cmd.ErrOrStderr(), "Open it in a browser, once, within 5 minutes. Mode: %s.\n", opened.Mode)
	return nil
}

func newOnline() *cobra.Command {
	var who integrator
	return who.flags(&cobra.Command{
		Use:   "online --credentials FILE",
		Short: "List the members that play now, as an integrator does",
		Long: `Online calls POST /v2/members/online as an agent: the names of its members with
an active session, as they were at most 30 s ago.`,
		Example: "  rollcall online --credentials c.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := who.client(cmd)
			if err != nil {
				return err
			}
			online, err := c.Online(cmd.Context())
			if err != nil {
				return err
			}
			warnPartial(cmd, online.Partial)
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), wire.OnlineResponse{UserList: online.Usernames, Counts: len(online.Usernames)})
			}
			for _, name := range online.Usernames {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Online: %d.\n", len(online.Usernames))
			return nil
		},
	})
}

func newLogout() *cobra.Command {
	var who integrator
	return who.flags(&cobra.Command{
		Use:   "logout USERNAME --credentials FILE",
		Short: "Kick a member out of all games, as an integrator does",
		Long: `Logout calls POST /v2/members/sessions/logout as an agent: all the member's
sessions end at once, launches that were not used yet are void, and the game
servers are told, so that the member sees a message.`,
		Example: "  rollcall logout player002 --credentials c.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := who.client(cmd)
			if err != nil {
				return err
			}
			if err := c.KickMember(cmd.Context(), args[0]); err != nil {
				return err
			}
			return say(cmd, map[string]string{"loggedOut": args[0]}, "%s has no session any more.\n", args[0])
		},
	})
}

func newRegister() *cobra.Command {
	var who integrator
	var site string
	cmd := who.flags(&cobra.Command{
		Use:     "register USERNAME --credentials FILE",
		Short:   "Make a member, as an integrator does",
		Long:    `Register calls POST /v2/members as an agent; the member's currency is the branch's.`,
		Example: "  rollcall register player004 --credentials c.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := who.client(cmd)
			if err != nil {
				return err
			}
			if err := c.CreateMember(cmd.Context(), args[0], site); err != nil {
				return err
			}
			return say(cmd, map[string]string{"registered": args[0]}, "%s is a member now.\n", args[0])
		},
	})
	cmd.Flags().StringVar(&site, "site", "", "`id` of the member's site")
	return cmd
}

// say tells what was done, to a person or as JSON.
func say(cmd *cobra.Command, out any, format string, args ...any) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), out)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format, args...)
	return err
}
