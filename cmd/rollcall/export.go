package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store"
)

// storeFlagNames are the settings of commands that open the stores themselves.
var storeFlagNames = []string{"data", "sessions", "directory", "redis-prefix", "redis-timeout", "max-clock-skew"}

// settleStores reads the settings and checks those that are about stores.
func (c *config) settleStores(settings *pflag.FlagSet, file string) error {
	_, err := c.readStores(settings, file)
	var faults faults
	c.checkStores(&faults)
	return wrongConfig(append(faults, err)...)
}

// mustBeThere refuses an embedded store that is not there: to open it would make
// it.
func (c *config) mustBeThere() error {
	o := c.storeOptions(nil)
	if !o.Embedded() {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.Data, "rollcall.db")); err != nil {
		return fmt.Errorf("there are no stores in %s: %w", c.Data, err)
	}
	return nil
}

// openQuiet opens the stores of the settings for a command that must be alone with
// them.
func (c *config) openQuiet(ctx context.Context) (*store.Stores, error) {
	s, err := openStores(ctx, c, store.UseAlone, false)
	if err != nil {
		return nil, err
	}
	if err := s.Quiet(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newExport() *cobra.Command {
	var c config
	settings := c.flags()
	var file, to string
	cmd := &cobra.Command{
		Use:   "export --to FILE",
		Short: "Write everything in the stores to a file, to move it to others",
		Long: `Export writes everything that the stores of the settings hold: the directory with
its audit, request records, ended sessions, webhooks, and what is live: boots,
sessions, kicks, and events that game servers have not acknowledged. 'rollcall
import' puts it into other stores.

All servers must be stopped; stores that a server has open are refused. Not
exported: launches that no game server has started, which live for minutes, so
members launch again; and nonces.

Secrets stay as they are kept, sealed or hashed under the master key, so the new
stores need the same one. Apart from that the file is as secret as the data:
mode 0600. It is JSON Lines, one record a line with its kind; the last line has
the counts and SHA-256 hashes of all others.

An export that is broken off leaves no file: begin it anew. To go on with one
would be a file of two moments, in which a session may have ended and be live.`,
		Example: `  rollcall export --data /var/lib/rollcall --to rollcall.jsonl
  rollcall export --data old --to - | ssh new rollcall import --from - --sessions redis://… --directory postgres://…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.NoMigrate = true // a typing error must not make a database
			err := c.settleStores(settings, file)
			if err == nil {
				err = c.mustBeThere()
			}
			if err != nil {
				return err
			}
			s, err := c.openQuiet(cmd.Context())
			if err != nil {
				return err
			}
			sum, err := exportTo(cmd, &c, s, to)
			if err = errors.Join(err, s.Close()); err != nil {
				return err
			}
			return tellExport(cmd, &sum, to)
		},
	}
	addFlags(cmd, settings, storeFlagNames...)
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&to, "to", "", "`file` to write; - for standard output (required)")
	_ = cmd.MarkFlagRequired("to") // it is there
	return cmd
}

func exportTo(cmd *cobra.Command, c *config, s *store.Stores, to string) (sum store.Summary, err error) {
	ctx := cmd.Context()
	// What has ended is to be in the history, with its webhooks.
	if err := roll.New(roll.Options{Stores: s.Stores}).HandOver(ctx); err != nil {
		return sum, err
	}
	m := newMeter(cmd.ErrOrStderr())
	defer m.end()
	write := func(w io.Writer) error {
		sum, err = store.Export(ctx, s, w, store.ExportOptions{Version: version(), Source: c.where(), Progress: m.show})
		return err
	}
	if to == "-" {
		return sum, write(cmd.OutOrStdout())
	}
	return sum, writeWhole(to, write)
}

// writeWhole writes a file of mode 0600 that is under its name only when it is
// whole and on the disk.
func writeWhole(path string, write func(io.Writer) error) error {
	part := path + ".part"
	// One that was left behind may have another mode, or be a link to elsewhere.
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

func tellExport(cmd *cobra.Command, sum *store.Summary, to string) error {
	switch {
	case to == "-": // standard output is the file
		return nil
	case wantJSON(cmd):
		return printJSON(cmd.OutOrStdout(), sum)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: %d records, %d bytes\n%s\nsha256 of all: %s\n", to, sum.Records(), sum.Bytes, countsOf(sum), sum.All)
	fmt.Fprintf(w, "\nNext: rollcall import --from %s, with the new stores and the same master key\n", to)
	return nil
}

// countsOf lists the counts by kind.
func countsOf(sum *store.Summary) string {
	var lines []string
	for kind, n := range sum.Counts {
		lines = append(lines, fmt.Sprintf("  %-12s %d", kind, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
