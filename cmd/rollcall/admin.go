package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall/internal/admin"
)

// adminCommands are those that talk to the operators' API of a running server.
func adminCommands() []*cobra.Command {
	commands := []*cobra.Command{
		newAgent(), newBranch(), newGame(), newMember(), newGameServer(), newSession(), newKick(), newHistory(), newWebhook(),
		newKey(), newAdminToken(), newAudit(), newRequest(),
	}
	for _, cmd := range commands {
		adminFlags(cmd.PersistentFlags())
	}
	return commands
}

// adminFlags are what connect reads.
func adminFlags(f *pflag.FlagSet) {
	f.String("credentials", "", "`file` with adminUrl and adminToken (environment: ROLLCALL_CREDENTIALS)")
	f.String("admin-url", "", "`URL` of the admin listener (environment: ROLLCALL_ADMIN_URL; default http://"+defaultAdminListen+")")
	f.String("admin-token-file", "", "`file` with the admin token (environment: ROLLCALL_ADMIN_TOKEN, the token itself)")
}

// connect finds the server and the token: a flag beats the environment, and
// either the credentials file. A token is never a flag, since ps shows those.
func connect(cmd *cobra.Command) (*admin.Client, error) {
	option := func(flag, env string) string {
		if value, err := cmd.Flags().GetString(flag); err == nil && value != "" {
			return value
		}
		return os.Getenv(envPrefix + env)
	}
	var c Credentials
	if file := option("credentials", "CREDENTIALS"); file != "" {
		var err error
		if c, err = readCredentials(file); err != nil {
			return nil, usageError{err}
		}
	}
	o := admin.Options{URL: option("admin-url", "ADMIN_URL"), Token: os.Getenv(envPrefix + "ADMIN_TOKEN")}
	if file, err := cmd.Flags().GetString("admin-token-file"); err == nil && file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{err}
		}
		o.Token = strings.TrimSpace(string(text))
	}
	o.URL, o.Token = firstOf(o.URL, c.AdminURL, "http://"+defaultAdminListen), firstOf(o.Token, c.AdminToken)
	if o.Token == "" {
		return nil, usageError{errors.New("no admin token: give --credentials FILE, --admin-token-file FILE or the environment variable ROLLCALL_ADMIN_TOKEN")}
	}
	return admin.New(o), nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// group is a noun and its verbs.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(verbs...)
	return cmd
}

// A verb is one command: what it sends where, and how the answer is shown.
type verb[T any] struct {
	use, short, long, example string
	args                      int
	method                    string
	path                      func(args []string) string
	// before asks the server for what body needs to know; nil: nothing.
	before func(ctx context.Context, c *admin.Client, args []string) error
	// body makes what is sent; nil: nothing.
	body func(args []string) (any, error)
	// keep takes away what is not to be shown; nil: nothing.
	keep func(out *T) error
	// show is for people; nil: fields of the answer, a line each; --json shows
	// the answer as it is.
	show func(w io.Writer, out T)
}

func (v verb[T]) command() *cobra.Command {
	return &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example, Args: cobra.ExactArgs(v.args),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			if v.before != nil {
				if err := v.before(cmd.Context(), c, args); err != nil {
					return err
				}
			}
			var in any
			if v.body != nil {
				if in, err = v.body(args); err != nil {
					return usageError{err}
				}
			}
			var out T
			if err := c.Do(cmd.Context(), v.method, v.path(args), in, &out); err != nil {
				return err
			}
			if v.keep != nil {
				err = v.keep(&out)
			}
			return errors.Join(err, v.print(cmd, out))
		},
	}
}

func (v verb[T]) print(cmd *cobra.Command, out T) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), out)
	}
	if v.show != nil {
		v.show(cmd.OutOrStdout(), out)
	}
	return nil
}

// deleted is the answer of a verb that leaves nothing to show.
type deleted struct{}

// A lister is a command that shows a list as a table.
type lister[T any] struct {
	use, short, long, example string
	args                      int
	path                      func(args []string) string
	// query is what the list is asked by; nil: nothing.
	query  func(args []string) (url.Values, error)
	cursor string // "": after
	head   string
	row    func(T) []any
}

func (l lister[T]) command() *cobra.Command {
	most := 0
	cmd := &cobra.Command{
		Use: l.use, Short: l.short, Long: l.long, Example: l.example, Args: cobra.ExactArgs(l.args),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd)
			if err != nil {
				return err
			}
			items := []T{}
			var query url.Values
			if l.query != nil {
				if query, err = l.query(args); err != nil {
					return usageError{err}
				}
			}
			err = admin.List(cmd.Context(), c, l.path(args), query, firstOf(l.cursor, "after"), func(item T) bool {
				items = append(items, item)
				return most == 0 || len(items) < most
			})
			if err != nil {
				return err
			}
			if wantJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), items)
			}
			return l.table(cmd.OutOrStdout(), items)
		},
	}
	cmd.Flags().IntVar(&most, "limit", 1000, "show at most `N`; 0: all")
	return cmd
}

func (l lister[T]) table(w io.Writer, items []T) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, l.head)
	for _, item := range items {
		for i, cell := range l.row(item) {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, printable(cell))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// fields shows names and values, a line each; an empty value is a dash.
func fields(w io.Writer, pairs ...any) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(t, "%s\t%s\n", pairs[i], dash(printable(pairs[i+1])))
	}
	_ = t.Flush()
}

// printable has a blank for each character that a terminal would obey: some texts,
// such as the notes of game servers, are others' words.
func printable(value any) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, fmt.Sprint(value))
}

// printableLines is printable for texts of several lines.
func printableLines(value any) string {
	lines := strings.Split(fmt.Sprint(value), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02 15:04:05")
}

// to makes the path of a verb from fixed segments and arguments: {0} is the
// first argument.
func to(segments ...string) func(args []string) string {
	return func(args []string) string {
		filled := make([]string, len(segments))
		for i, s := range segments {
			filled[i] = s
			if len(s) == 3 && s[0] == '{' {
				filled[i] = args[s[1]-'0']
			}
		}
		return admin.Path(filled...)
	}
}
