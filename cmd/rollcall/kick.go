package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newKick() *cobra.Command {
	return group("kick", "The end of sessions by force: start one, follow it, stop it",
		newKickStart(),
		lister[rollcall.Kick]{
			use: "list", short: "List the kicks, the newest first", path: to("kicks"), cursor: "before",
			head: "ID\tAT\tBY\tSTATE\tENDED\tOF\tACKNOWLEDGED\tWHICH",
			row: func(k rollcall.Kick) []any {
				p := k.Progress
				return []any{k.ID, at(k.At), k.By, k.State, p.Ended, k.Matched, p.Acknowledged, k.Filter.String()}
			},
		}.command(),
		newKickShow(),
		verb[rollcall.Kick]{
			use: "abort ID", short: "Stop a kick; what it has ended stays ended", args: 1,
			method: http.MethodPost, path: to("kicks", "{0}", "abort"), show: showKick,
		}.command())
}

func showKick(w io.Writer, k rollcall.Kick) {
	rate := ""
	if k.PerSecond > 0 {
		rate = strconv.Itoa(k.PerSecond)
	}
	fields(w, "kick", k.ID, "state", k.State, "by", k.By, "which", k.Filter.String(), "reason", k.Reason, "why", k.Why,
		"message", k.Message, "per second", rate, "matched", k.Matched, "ended", k.Progress.Ended, "delivered", k.Progress.Delivered,
		"acknowledged", k.Progress.Acknowledged, "settled", k.Progress.Settled, "begun", at(k.At), "finished", at(k.FinishedAt))
}

// A kickStart is one run of the command: what it asks for, and how.
type kickStart struct {
	in        admin.KickCreate
	yes, wait bool

	cmd    *cobra.Command
	client *admin.Client
}

func newKickStart() *cobra.Command {
	var k kickStart
	cmd := &cobra.Command{
		Use:   "start",
		Short: "End sessions by force: one, a member's, or all that have what is named",
		Long: `Start ends the live sessions that have all that is named, or with --all every
one there is. From its answer on no check shows a member's sessions; those of a
larger kick end one after the other, as fast as --per-second lets them, and go on
to do so if the server restarts. Each session's game server is told until it says
that it knows, and 'rollcall kick show' has its receipts.

On a terminal it asks before it ends more than one session; elsewhere it does not.
--dry-run says how many it would end.`,
		Example: `  rollcall kick start --agent myCasino --username player001 --why "chargeback"
  rollcall kick start --game VP_230001_1 --dry-run
  rollcall kick start --game-server gs1 --per-second 200 --message "Back in 10 minutes" --wait
  rollcall kick start --session 019aa0b2-7d1e-7c3e-9b1a-3f0e5d2c1b0a`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if k.in.Filter == (rollcall.SessionFilter{}) && !k.in.All {
				return usageError{errors.New("say which sessions: --agent, --game or the like, or --all; see 'rollcall kick start --help'")}
			}
			k.cmd = cmd
			if k.client, err = connect(cmd); err != nil {
				return err
			}
			return k.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	filterFlags(f, &k.in.Filter)
	f.StringVar(&k.in.Filter.SessionID, "session", "", "only the session of this `id`")
	f.BoolVar(&k.in.All, "all", false, "every session there is")
	f.StringVar(&k.in.Why, "why", "", "the reason, for operators")
	f.StringVar(&k.in.Message, "message", "", "what the player is shown")
	f.IntVar(&k.in.PerSecond, "per-second", 0, "end at most `N` sessions in a second; 0: no bound")
	f.BoolVar(&k.in.DryRun, "dry-run", false, "say how many sessions it would end, and end none")
	f.BoolVar(&k.yes, "yes", false, "do not ask")
	f.BoolVar(&k.wait, "wait", false, "wait until all of them have ended")
	return cmd
}

func (k *kickStart) run(ctx context.Context) error {
	if !k.in.DryRun && !k.yes && isTerminal(k.cmd.InOrStdin()) {
		if err := k.ask(ctx); err != nil {
			return err
		}
	}
	var out admin.KickCreated
	if err := k.client.Do(ctx, http.MethodPost, admin.Path("kicks"), k.in, &out); err != nil {
		return err
	}
	if out.Kick != nil && k.wait {
		if err := k.follow(ctx, out.Kick); err != nil {
			return err
		}
	}
	if wantJSON(k.cmd) {
		return printJSON(k.cmd.OutOrStdout(), out)
	}
	if out.Kick == nil {
		fmt.Fprintf(k.cmd.OutOrStdout(), "It would end %s (%s).\n", sessions(out.Matched), k.in.Filter.String())
		return nil
	}
	showKick(k.cmd.OutOrStdout(), *out.Kick)
	return nil
}

func sessions(n int) string {
	if n == 1 {
		return "1 session"
	}
	return strconv.Itoa(n) + " sessions"
}

// ask returns nil where the kick is to go on.
func (k *kickStart) ask(ctx context.Context) error {
	preview := k.in
	preview.DryRun = true
	var out admin.KickCreated
	if err := k.client.Do(ctx, http.MethodPost, admin.Path("kicks"), preview, &out); err != nil {
		return err
	}
	if out.Matched <= 1 {
		return nil
	}
	fmt.Fprintf(k.cmd.ErrOrStderr(), "This ends %s (%s). Go on? [y/N] ", sessions(out.Matched), k.in.Filter.String())
	answer, err := readLine(ctx, k.cmd.InOrStdin())
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return errors.New("nothing was ended")
	}
	return nil
}

// readLine reads a line, and gives up with ctx, which a read from a terminal
// does not know of.
func readLine(ctx context.Context, r io.Reader) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n') // at the end of input: no
		lines <- strings.TrimSpace(line)
	}()
	select {
	case line := <-lines:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// isTerminal reports whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

const followEvery = 300 * time.Millisecond

// follow reads the kick until it runs no more, and shows on a terminal how far
// it has got. A kick that was aborted is an error.
func (k *kickStart) follow(ctx context.Context, kick *rollcall.Kick) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	w := k.cmd.ErrOrStderr()
	for terminal := isTerminal(w); ; {
		p := kick.Progress
		if terminal {
			fmt.Fprintf(w, "\r%d of %d ended, %d acknowledged ", p.Ended, kick.Matched, p.Acknowledged)
		}
		if kick.State != rollcall.KickRunning {
			if terminal {
				fmt.Fprintln(w)
			}
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the kick goes on: rollcall kick show %[1]s, rollcall kick abort %[1]s", kick.ID)
		}
		var out admin.KickShown
		err := k.client.Do(ctx, http.MethodGet, admin.Path("kicks", kick.ID)+"?limit=1", nil, &out)
		switch {
		case err == nil:
			*kick = out.Kick
		case ctx.Err() == nil:
			return fmt.Errorf("the kick %s goes on, but how far it is cannot be told: %w", kick.ID, err)
		}
	}
	if kick.State == rollcall.KickAborted {
		return fmt.Errorf("the kick %s was aborted after %s", kick.ID, sessions(kick.Progress.Ended))
	}
	return nil
}

func newKickShow() *cobra.Command {
	most := 0
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a kick, how far it is, and the receipt of each session", Args: cobra.ExactArgs(1),
		Long: `Show has a line for each session that the kick has ended: when its game server
was told of it (delivered), said that it knows (acknowledged), and said that the
game has ended, with its note.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			shown, err := readKick(cmd.Context(), c, args[0], most)
			if err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			showKick(cmd.OutOrStdout(), shown.Kick)
			fmt.Fprintln(cmd.OutOrStdout())
			return receipts.table(cmd.OutOrStdout(), shown.Receipts)
		},
	}
	cmd.Flags().IntVar(&most, "limit", 1000, "show at most `N` receipts; 0: all")
	return cmd
}

var receipts = lister[rollcall.Receipt]{
	head: "SESSION\tMEMBER\tGAME SERVER\tQUEUED\tDELIVERED\tACKNOWLEDGED\tENDED\tNOTE",
	row: func(r rollcall.Receipt) []any {
		return []any{
			r.SessionID, dash(r.Username), r.GameServer, at(r.QueuedAt),
			dash(at(r.DeliveredAt)), dash(at(r.AcknowledgedAt)), dash(at(r.EndedAt)), dash(r.Note),
		}
	},
}

// readKick reads a kick with at most most of its receipts; 0: all.
func readKick(ctx context.Context, c *admin.Client, id string, most int) (shown admin.KickShown, err error) {
	query := url.Values{"limit": {"1000"}}
	shown.Receipts = []rollcall.Receipt{}
	for {
		var page admin.KickShown
		if err := c.Do(ctx, http.MethodGet, admin.Path("kicks", id)+"?"+query.Encode(), nil, &page); err != nil {
			return shown, err
		}
		shown.Kick = page.Kick
		shown.Receipts = append(shown.Receipts, page.Receipts...)
		if most > 0 && len(shown.Receipts) >= most {
			shown.Receipts = shown.Receipts[:most]
			return shown, nil
		}
		if page.Next == "" {
			return shown, nil
		}
		query.Set("after", page.Next)
	}
}
