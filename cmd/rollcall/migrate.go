package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall/internal/store"
	"github.com/rollcall-server/rollcall/internal/store/postgres"
)

func newMigrate() *cobra.Command {
	var c config
	settings := c.flags()
	var file string
	cmd := &cobra.Command{
		Use:   "migrate --directory URL",
		Short: "Bring a PostgreSQL database to this program's version",
		Long: `Migrate makes the tables of an empty PostgreSQL database, and brings those of an
older rollcall to this program's version. On one that is at it already it changes
nothing; one of a newer rollcall is refused. Servers may run meanwhile, and of
several migrations at a time one does the work.

'rollcall serve' does the same at its start. With --no-migrate it does not, and
refuses an older database: for those who let a login without the right to change
tables serve, and another one migrate.

The embedded stores migrate whenever they are opened; Redis has nothing to
migrate.`,
		Example: `  rollcall migrate --directory postgres://owner@db.internal/rollcall
  ROLLCALL_DIRECTORY=postgres://… rollcall migrate --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := c.readStores(settings, file)
			if o := (store.Options{Directory: c.Directory, Sessions: c.Sessions, Data: "."}); err == nil {
				err = o.Check()
			}
			if err == nil && c.Directory == "" {
				err = fmt.Errorf("directory: say which database to migrate (--directory URL)")
			}
			if err != nil {
				return wrongConfig(err)
			}
			return migrate(cmd, c.Directory)
		},
	}
	addFlags(cmd, settings, "directory")
	configFlag(cmd, &file)
	return cmd
}

// addFlags gives a command some of the settings as flags; the others are set by
// the environment and the file.
func addFlags(cmd *cobra.Command, settings *pflag.FlagSet, names ...string) {
	for _, name := range names {
		cmd.Flags().AddFlag(settings.Lookup(name))
	}
}

func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "YAML `file` of settings (environment: ROLLCALL_CONFIG)")
}

// readStores reads the settings for a command that needs the stores and no
// server.
func (c *config) readStores(settings *pflag.FlagSet, file string) (map[string]string, error) {
	if file == "" {
		file = os.Getenv(envPrefix + "CONFIG")
	}
	return c.read(settings, file, os.Environ())
}

// migration is what migrate tells.
type migration struct {
	Database string   `json:"database"`
	Before   int64    `json:"before"`
	After    int64    `json:"after"`
	Steps    []string `json:"steps"`
}

func migrate(cmd *cobra.Command, url string) error {
	done := migration{Database: store.Redacted(url), Steps: []string{}}
	var err error
	if done.Before, _, err = postgres.Version(cmd.Context(), url); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	err = postgres.Migrate(cmd.Context(), url, func(step string) {
		done.Steps = append(done.Steps, step)
		if !wantJSON(cmd) {
			fmt.Fprintln(out, step)
		}
	})
	if err != nil {
		return err
	}
	if done.After, _, err = postgres.Version(cmd.Context(), url); err != nil {
		return err
	}
	if wantJSON(cmd) {
		return printJSON(out, done)
	}
	if done.Before == done.After {
		fmt.Fprintf(out, "%s was at version %d already\n", done.Database, done.After)
		return nil
	}
	fmt.Fprintf(out, "%s was at version %d and is at version %d now\n", done.Database, done.Before, done.After)
	return nil
}
