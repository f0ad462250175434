package main

import (
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newServe() *cobra.Command {
	var c config
	settings := c.flags()
	var file string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Serve answers integrators (the v2 API) and game servers on one listener, or with
--game-listen on two, and operators on another, from the stores that 'rollcall
init' has made:

  --sessions  --directory  nodes
  -           -            one: all is in --data
  -           postgres://  one: the sessions are in --data
  redis://    -            one: directory and history are in --data
  redis://    postgres://  any number, all with the same master key

A URL with a password belongs into the environment or the file, not on the
command line. 'rollcall export' and 'import' move everything from some stores to
others.

Every setting below can also be an environment variable (--admin-listen is
ROLLCALL_ADMIN_LISTEN) or a key of the YAML file that --config names
(admin-listen: 127.0.0.1:7402). The flag beats the environment, and that the
file. A name that is no setting is refused; all faults are told at once.

SIGTERM or Ctrl-C: /readyz says no, requests in flight are finished, exit 0.
A second signal ends the process at once.`,
		Example: `  rollcall init --data /var/lib/rollcall
  rollcall serve --data /var/lib/rollcall --tls-cert cert.pem --tls-key key.pem --listen :443
  rollcall serve --config /etc/rollcall.yaml --check
  rollcall serve --sessions redis+sentinel://s1,s2,s3/rollcall --directory postgres://db/rollcall --master-key-file /etc/rollcall/master.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = os.Getenv(envPrefix + "CONFIG")
			}
			sources, err := c.load(settings, file, os.Environ())
			if err != nil {
				return err
			}
			if check {
				return checkConfig(cmd, &c, settings, sources)
			}
			return serve(cmd, &c)
		},
	}
	cmd.Flags().AddFlagSet(settings)
	cmd.Flags().StringVar(&file, "config", "", "YAML `file` of settings (environment: ROLLCALL_CONFIG)")
	cmd.Flags().BoolVar(&check, "check", false, "say what the settings are and where each is from, look whether they work, and do not start")
	return cmd
}

func serve(cmd *cobra.Command, c *config) error {
	log := newLog(cmd.ErrOrStderr(), c)
	go limitGarbage(cmd.Context(), c.Sessions != "")
	n, err := openNode(cmd.Context(), c, log)
	if err != nil && cmd.Context().Err() != nil {
		log.Info("stopped before it served", slog.Any("cause", err))
		return nil //nolint:nilerr // to be told to stop is no failure
	}
	if err != nil {
		return err
	}
	log.Info("serving", slog.String("v2", n.baseURL), slog.String("game", n.gameURL), slog.String("admin", n.adminURL), slog.String("stores", c.where()), slog.String("version", version()))
	err = n.Run(cmd.Context())
	if closeErr := n.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// checkConfig shows the settings, and tries what can be tried without touching
// the stores, which another process may have open.
func checkConfig(cmd *cobra.Command, c *config, settings *pflag.FlagSet, sources map[string]string) error {
	type row struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Source string `json:"source"`
	}
	var rows []row
	settings.VisitAll(func(f *pflag.Flag) {
		rows = append(rows, row{f.Name, shown(f), sources[f.Name]})
	})
	if _, err := openVault(c); err != nil {
		return usageError{err}
	}
	for _, pair := range [][2]string{{c.TLSCert, c.TLSKey}, {c.GameTLSCert, c.GameTLSKey}, {c.AdminTLSCert, c.AdminTLSKey}} {
		if _, err := tlsConfig(pair[0], pair[1], slog.Default()); err != nil {
			return usageError{err}
		}
	}
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), rows)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Value, r.Source)
	}
	return w.Flush()
}
