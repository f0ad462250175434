package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/conform"
)

// A conformance is one run of the command.
type conformance struct {
	file, baseURL  string
	only           string
	junit, vectors string
	list           bool
	verbose        bool
	options        conform.Options
}

func newConform() *cobra.Command {
	var c conformance
	cmd := &cobra.Command{
		Use:   "conform --credentials FILE",
		Short: "Try any server of the v2 API, yours or ours, on every rule of the protocol",
		Long: `Conform sends requests to a server of the v2 API, each with one fault or none, and
holds the answers to the protocol. It asks nothing of the server but that API, so
it tries servers in any language. docs/conform.md explains it.

Each case has a severity. must: the vendor's pages say so. should: it follows from
them, or what else would harm others. ours: a decision of Rollcall; a server that
does otherwise gets a note, and with --strict a failure.

Without --allow-writes nothing is made and nobody is kicked. With it, cases make
members of random names beginning with "conform", and launch and kick these alone.

The credentials file is that of the other commands, with agents by their roles:
primary, and where there is one other, no-branch, blocked, hmac and two-keys. What
is known of the server's data stands in its optional part "facts":

  "facts": {"member": "player002", "playing": "player001", "game": "VP_230001_1"}

A case for which something is missing is skipped and says what. The file that
rollcall sandbox writes has everything.

No key, secret or token is ever printed. Exit codes: 0 none failed, 1 some did or the
server could not be reached, 2 the command line or the file is wrong.`,
		Example: `  rollcall conform --credentials c.json
  rollcall conform --credentials c.json --base-url https://staging.example --allow-writes --strict
  rollcall conform --credentials c.json --run '^(token|replay)/' --junit report.xml
  rollcall conform --list
  rollcall conform --vectors vectors`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&c.file, "credentials", "", "`file` with the address and the agents' keys (environment: ROLLCALL_CREDENTIALS)")
	f.StringVar(&c.baseURL, "base-url", "", "`URL` of the server (default: the file's baseUrl)")
	f.BoolVar(&c.options.AllowWrites, "allow-writes", false, "make members, launch games and kick, too")
	f.BoolVar(&c.options.Strict, "strict", false, "count the cases of severity ours")
	f.StringVar(&c.only, "run", "", "only the cases whose id this `regexp` finds")
	f.BoolVar(&c.list, "list", false, "show the cases and send nothing")
	f.Float64Var(&c.options.Rate, "rate", 20, "requests in a second")
	f.IntVar(&c.options.MaxRequests, "max-requests", 3000, "stop after so many requests")
	f.DurationVar(&c.options.Timeout, "timeout", 10*time.Minute, "stop after so long")
	f.StringVar(&c.junit, "junit", "", "write a JUnit report to this `file`")
	f.StringVar(&c.vectors, "vectors", "", "write the test vectors to this `directory` and send nothing")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "show the cases that pass or are skipped, too")
	return cmd
}

func (c *conformance) run(cmd *cobra.Command) error {
	only, err := regexp.Compile(c.only)
	if err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	c.options.Only = only
	switch {
	case !slices.ContainsFunc(conform.Cases(), func(c conform.Case) bool { return only.MatchString(c.ID) }):
		return usageError{errors.New("--run finds no case: rollcall conform --list shows them")}
	case c.vectors != "":
		return writeVectors(cmd, c.vectors)
	case c.list:
		return listCases(cmd, only)
	}
	if err := c.target(); err != nil {
		return err
	}
	if !wantJSON(cmd) {
		c.options.Progress = progress(cmd.OutOrStdout(), c.verbose)
	}
	report, err := conform.Run(cmd.Context(), c.options)
	if errors.Is(err, rollcall.ErrInvalid) && len(report.Results) == 0 {
		return usageError{err}
	}
	return errors.Join(c.tell(cmd, &report), err, verdict(&report))
}

// target reads who calls what from the credentials.
func (c *conformance) target() error {
	credentials, _, err := readAgent(firstOf(c.file, os.Getenv(envPrefix+"CREDENTIALS")), "", c.baseURL)
	if err != nil {
		return err
	}
	if c.options.Rate <= 0 || c.options.MaxRequests <= 0 || c.options.Timeout <= 0 {
		return usageError{errors.New("--rate, --max-requests and --timeout: want more than 0")}
	}
	c.options.BaseURL = credentials.BaseURL
	for i, a := range credentials.Agents {
		role := a.Role
		if role == "" && i == 0 {
			role = conform.RolePrimary
		}
		c.options.Agents = append(c.options.Agents, conform.Agent{
			Role: role, AgentID: a.AgentID, APIKey: a.APIKey, NextAPIKey: a.NextAPIKey, SecretKey: a.Secret, Signature: a.Signature,
		})
	}
	return c.facts(credentials)
}

func (c *conformance) facts(credentials Credentials) error {
	facts := credentials.Facts
	if facts == nil {
		return nil
	}
	c.options.Facts = facts.Facts
	if facts.GameServer == "" {
		return nil
	}
	at := slices.IndexFunc(credentials.GameServers, func(g GameServerCredentials) bool { return g.ID == facts.GameServer })
	if at < 0 {
		return usageError{fmt.Errorf("the credentials' facts name the game server %q, which is not among its gameServers", facts.GameServer)}
	}
	c.options.Facts.GameURL = cmp.Or(credentials.GameURL, credentials.BaseURL)
	c.options.Facts.GameToken = credentials.GameServers[at].Token
	return nil
}

// progress returns what shows each case as it ends, under its group: those that pass
// or are skipped only if all are asked for.
func progress(w io.Writer, all bool) func(conform.Result) {
	words := map[conform.Outcome]string{conform.Pass: "ok", conform.Fail: "FAIL", conform.Note: "note", conform.Skip: "skip"}
	last := ""
	return func(r conform.Result) {
		if group, _, _ := strings.Cut(r.ID, "/"); group != last {
			fmt.Fprintf(w, "%s …\n", group)
			last = group
		}
		switch {
		case r.Outcome == conform.Fail || r.Outcome == conform.Note || r.Outcome == conform.Skip && all:
			fmt.Fprintf(w, "%-4s %s: %s\n", words[r.Outcome], r.ID, r.Reason)
		case all:
			fmt.Fprintf(w, "%-4s %s (%d ms)\n", words[r.Outcome], r.ID, r.TookMillis)
		}
	}
}

// tell writes the reports.
func (c *conformance) tell(cmd *cobra.Command, report *conform.Report) error {
	if c.junit != "" {
		if err := writeTo(c.junit, report.WriteJUnit); err != nil {
			return err
		}
	}
	if len(report.Results) == 0 {
		return nil // nothing was tried
	}
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), report)
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return report.WriteText(cmd.OutOrStdout())
}

func writeTo(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// verdict is an error where the server is not conformant, or not all was tried.
func verdict(report *conform.Report) error {
	switch n := report.Count(conform.Fail); {
	case report.OK():
		return nil
	case n > 0:
		return fmt.Errorf("%d of %d cases failed", n, len(report.Results))
	}
	return fmt.Errorf("not all cases were run: %s", report.Stopped)
}

func listCases(cmd *cobra.Command, only *regexp.Regexp) error {
	cases := slices.DeleteFunc(conform.Cases(), func(c conform.Case) bool { return !only.MatchString(c.ID) })
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), cases)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSPEC\tSEVERITY\tWRITES\tTITLE")
	for _, c := range cases {
		writes := "-"
		if c.Writes {
			writes = "writes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Spec, c.Severity, writes, c.Title)
	}
	return w.Flush()
}

// writeVectors writes the vectors and their schema.
func writeVectors(cmd *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // they are public
		return err
	}
	names, err := fs.Glob(conform.Vectors(), "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(conform.Vectors(), name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // they are public
			return err
		}
	}
	return say(cmd, map[string]any{"directory": dir, "files": names}, "%d files in %s.\n", len(names), dir)
}
