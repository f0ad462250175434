package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store"
	"github.com/rollcall-server/rollcall/internal/vault"
)

func newImport() *cobra.Command {
	var c config
	settings := c.flags()
	var file, from string
	var merge bool
	cmd := &cobra.Command{
		Use:   "import --from FILE",
		Short: "Put what 'rollcall export' has written into the stores of the settings",
		Long: `Import reads a file of 'rollcall export' into the stores of the settings. First it
looks whether the file is whole and as it was written, and fits the master key;
only then it stores anything. From standard input the file is put into a
temporary one for that (in TMPDIR, mode 0600).

All servers must be stopped. The stores must be empty, but for an import of the
same file that was broken off: made again, that one goes on. --merge imports into
stores that hold something else; what is there under the same name stays.

Sessions go on, each with a whole lease from now on, at its game server's present
boot: start the servers right after the import. Game servers find a new epoch and
announce what they hold. Requests that were signed before the import are answered
with an error, since their nonces are not known here; who signs anew is answered. A
request whose timestamp was ahead of the import, by a caller's wrong clock, could be
used once more: who fears that waits max-clock-skew between the stop of the
old servers and the import.`,
		Example: `  rollcall import --from rollcall.jsonl --sessions redis://… --directory postgres://… --master-key-file master.key
  rollcall import --from rollcall.jsonl --data /var/lib/rollcall    (with the master key in it)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.settleStores(settings, file); err != nil {
				return err
			}
			keys, err := openVault(&c)
			if err != nil {
				return needsOldKey(&c, err)
			}
			s, err := c.openQuiet(cmd.Context())
			if err != nil {
				return err
			}
			done, err := importFrom(cmd, s, keys, from, merge)
			if done.ID != "" && (err == nil || len(done.Refused) > 0) {
				err = errors.Join(err, tellImport(cmd, &done, c.where()))
			}
			return errors.Join(err, s.Close())
		},
	}
	addFlags(cmd, settings, append(storeFlagNames, "master-key-file")...)
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&from, "from", "", "`file` to read; - for standard input (required)")
	cmd.Flags().BoolVar(&merge, "merge", false, "import into stores that are not empty")
	_ = cmd.MarkFlagRequired("from") // it is there
	return cmd
}

// needsOldKey is in place of the advice to make a key, which would be a wrong one.
func needsOldKey(c *config, err error) error {
	if errors.Is(err, errNoKeyFile) {
		err = fmt.Errorf("no master key in %s", c.masterKeyFile())
	}
	return fmt.Errorf("%w: an import needs the master key of the stores that were exported: name it with --master-key-file, or set %s", err, envMasterKey)
}

func importFrom(cmd *cobra.Command, s *store.Stores, keys *vault.Vault, from string, merge bool) (done store.Imported, err error) {
	f, err := openDump(cmd.InOrStdin(), from)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m := newMeter(cmd.ErrOrStderr())
	defer m.end()
	return store.Import(cmd.Context(), s, f, store.ImportOptions{Merge: merge, Progress: m.show, Check: func(k roll.TokenKey) error {
		if _, err := keys.Open(roll.TokenKeyContext(k.ID), k.Sealed); err != nil {
			return fmt.Errorf("the master key is not that of the stores that were exported: %w", err)
		}
		return nil
	}})
}

// openDump opens a file, or a copy of standard input that has no name any more.
func openDump(stdin io.Reader, from string) (*os.File, error) {
	if from != "-" {
		return os.Open(from)
	}
	f, err := os.CreateTemp("", "rollcall-import-") // made 0600
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, stdin)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func tellImport(cmd *cobra.Command, done *store.Imported, where string) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), done)
	}
	w := cmd.OutOrStdout()
	if !done.Before.IsZero() {
		fmt.Fprintf(w, "%s: this file was imported at %s: nothing to do\n", where, done.Before.UTC().Format(time.RFC3339))
		return nil
	}
	fmt.Fprintf(w, "%s: %d records\n%s\n", where, done.Records(), countsOf(&done.Summary))
	for _, line := range []struct {
		n    int64
		what string
	}{
		{done.There, "were there already"},
		{done.Expired, "sessions have come to the end of their lifetime"},
		{int64(len(done.Refused)), "sessions were refused:"},
	} {
		if line.n > 0 {
			fmt.Fprintf(w, "%d %s\n", line.n, line.what)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(done.Refused)) {
		fmt.Fprintf(w, "  %s  %s\n", id, done.Refused[id])
	}
	if len(done.Refused) == 0 {
		fmt.Fprint(w, "\nStart the servers now: the sessions' leases run.\n")
	}
	return nil
}
