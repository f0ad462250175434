package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked for did not happen; standard error says why
	exitUsage  = 2 // the command line or the configuration is wrong; nothing was tried
)

// A usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(agoBehind(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "rollcall: %s\n", printableLines(err))
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "rollcall",
		Short: "Which active sessions does this member have, from where, in what?",
		Long: `Rollcall answers, for a game platform: which active sessions does this member
have, from where, in what? Integrators ask its v2 API, game servers report to it,
operators run it with this command.

To look at it:        rollcall sandbox
To run it for real:   rollcall init --data DIR, then rollcall serve --data DIR
To set it up:         rollcall branch, agent, game, member, gameserver
To connect to it:     rollcall check, launch, online, logout, register
It does not work:     rollcall explain
A call step by step:  rollcall seal, open, sign, token
To operate it:        rollcall session, kick, history, webhook, key, audit, request
Its stores:           rollcall migrate, export, import, verify
To test any server:   rollcall conform

Exit codes: 0 done; 1 it did not happen, standard error says why; 2 the command
line or the configuration is wrong, nothing was tried.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
	})
	root.PersistentFlags().Bool("json", false, "print JSON, for scripts")
	root.AddCommand(newServe(), newSandbox(), newInit(), newMigrate(), newExport(), newImport(), newVerify(), newExplain(), newVersion())
	root.AddCommand(integratorCommands()...)
	root.AddCommand(byHandCommands()...)
	root.AddCommand(newConform())
	root.AddCommand(adminCommands()...)
	usageArgs(root)
	return root
}

// usageArgs makes wrong arguments of every command a usageError.
func usageArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageArgs(sub)
	}
}

// wantJSON reports whether --json was given.
func wantJSON(cmd *cobra.Command) bool {
	json, err := cmd.Flags().GetBool("json")
	return err == nil && json
}

// printJSON writes v as one indented JSON text.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
