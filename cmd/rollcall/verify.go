package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/internal/store"
)

func newVerify() *cobra.Command {
	var c config
	settings := c.flags()
	var file string
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Look whether what the stores hold fits together, and mend what does not",
		Long: `Verify looks, in Redis, whether each session is in its home and in the index of
what it shares with others, each index entry has its session, each index its
place in the order of expiry, launches can be read and will be forgotten, and no
event lies in a journal. --repair mends what is wrong; what cannot be read is
dropped, and said. It may run beside servers and any traffic, looks at a bounded
number of keys at a time, and mends only what is as it was found.

Of the directory it looks whether members have their agents and agents their
branches, and has SQLite look at its files. These faults are only told: they need a
backup or an operator. The embedded stores are opened, so no server may have them.

Of the log in which the embedded store keeps sessions, --repair takes out what is
damaged. What that held is lost here, and announced again by the game servers.

Exit code 1: there are faults that are not mended.`,
		Example: `  rollcall verify --sessions redis://redis.internal --directory postgres://db.internal/rollcall
  rollcall verify --repair --config /etc/rollcall.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.NoMigrate = true
			if err := c.settleStores(settings, file); err != nil {
				return err
			}
			if err := c.mustBeThere(); err != nil {
				return err
			}
			s, err := openStores(cmd.Context(), &c, store.UseBeside, repair)
			if err != nil {
				return err
			}
			m := newMeter(cmd.ErrOrStderr())
			found, err := s.Verify(cmd.Context(), repair, m.show)
			m.end()
			if err = errors.Join(err, s.Close()); err != nil {
				return err
			}
			return tellVerified(cmd, &found, c.where())
		},
	}
	addFlags(cmd, settings, storeFlagNames...)
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&repair, "repair", false, "mend what can be mended")
	return cmd
}

func tellVerified(cmd *cobra.Command, v *store.Verified, where string) error {
	w := cmd.OutOrStdout()
	if wantJSON(cmd) {
		if err := printJSON(w, v); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%s: %d agents, %d members", where, v.Agents, v.Members)
		if r := v.Sessions; r != nil {
			fmt.Fprintf(w, ", %d sessions, %d index entries, %d launches\n", r.Sessions, r.Entries, r.Launches)
			for _, sort := range slices.Sorted(maps.Keys(r.Found)) {
				fmt.Fprintf(w, "%s: %d\n", sort, r.Found[sort])
			}
			for _, f := range r.Faults {
				fmt.Fprintf(w, "  %s: %s%s\n", f.Sort, f.Where, map[bool]string{true: " (mended)"}[f.Mended])
			}
		} else {
			fmt.Fprintln(w)
		}
		for _, f := range v.Faults {
			fmt.Fprintf(w, "  %s\n", f)
		}
		for _, m := range v.Mended {
			fmt.Fprintf(w, "  %s (mended)\n", m)
		}
	}
	if left := v.Left(); left > 0 {
		return fmt.Errorf("%d faults are not mended", left)
	}
	if !wantJSON(cmd) {
		fmt.Fprintln(w, "ok")
	}
	return nil
}
