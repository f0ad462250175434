package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/internal/store"
)

func newInit() *cobra.Command {
	var c config
	settings := c.flags()
	var name, credentials string
	cmd := &cobra.Command{
		Use:   "init --data DIR | init --directory URL --sessions URL --master-key-file FILE",
		Short: "Make the stores, the master key and the first admin token",
		Long: `Init makes the directory of the stores with a random master key in it (mode
0600) and the first admin token, which is shown this once.

With --directory, and --sessions, it makes them in PostgreSQL and Redis. Every
server needs the same master key then: in --data, --master-key-file, or
ROLLCALL_MASTER_KEY. URLs with passwords are better kept in ROLLCALL_DIRECTORY and
ROLLCALL_SESSIONS than on the command line, which others on the machine can see.

Keep a copy of the master key apart from the backups of the data: without it the
API keys and the token keys in the stores cannot be opened; with it and the data,
anyone can.`,
		Example: `  rollcall init --data /var/lib/rollcall
  rollcall init --data /var/lib/rollcall --credentials ~/.rollcall.json
  rollcall init --directory postgres://db.internal/rollcall --sessions redis://redis.internal --master-key-file /etc/rollcall/master.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := c.load(settings, "", os.Environ()); err != nil {
				return err
			}
			token, err := initialise(cmd.Context(), &c, name)
			if err != nil {
				return err
			}
			return tellToken(cmd, &c, token, credentials)
		},
	}
	for _, flag := range []string{"data", "sessions", "directory", "redis-prefix", "master-key-file", "admin-listen"} {
		cmd.Flags().AddFlag(settings.Lookup(flag))
	}
	cmd.Flags().StringVar(&name, "admin-token", "admin", "`name` of the first admin token, as the audit will show it")
	cmd.Flags().StringVar(&credentials, "credentials", "", "write the token to this `file` (mode 0600) and do not print it")
	return cmd
}

// initialise makes the stores and returns the first admin token. Stores that
// have one already are left as they are.
func initialise(ctx context.Context, c *config, name string) (token string, err error) {
	if err := createMasterKey(ctx, c); err != nil {
		return "", err
	}
	keys, err := openVault(c)
	if err != nil {
		return "", err
	}
	stores, err := openStores(ctx, c, store.UseBeside, false)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	service := roll.New(roll.Options{Stores: stores.Stores, Vault: keys})
	if err := service.Prepare(ctx); err != nil {
		return "", err
	}
	have, err := service.AdminTokens(ctx)
	if err != nil {
		return "", err
	}
	if len(have) > 0 {
		return "", fmt.Errorf("%s: %w: it has admin tokens; nothing was changed", c.where(), rollcall.ErrExists)
	}
	return service.CreateAdminToken(ctx, "rollcall init", name)
}

func tellToken(cmd *cobra.Command, c *config, token, credentials string) error {
	adminURL := "http://" + c.AdminListen
	if credentials != "" {
		if err := writeCredentials(credentials, Credentials{AdminURL: adminURL, AdminToken: token, Agents: []AgentCredentials{}}); err != nil {
			return err
		}
	}
	key := c.masterKeyFile()
	if c.masterKey != "" {
		key = "in " + envMasterKey
	}
	if wantJSON(cmd) {
		out := map[string]string{"stores": c.where(), "data": c.Data, "masterKeyFile": key, "adminUrl": adminURL}
		if credentials == "" {
			out["adminToken"] = token
		}
		return printJSON(cmd.OutOrStdout(), out)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "stores       %s\nmaster key   %s\n", c.where(), key)
	if credentials == "" {
		fmt.Fprintf(w, "admin token  %s\n\nThe token is not shown again. Put it into a file or ROLLCALL_ADMIN_TOKEN.\n", token)
	} else {
		fmt.Fprintf(w, "admin token  in %s\n", credentials)
	}
	serve := "rollcall serve --data " + c.Data
	if c.Data == "" {
		serve = "rollcall serve, on each machine, with the same --sessions, --directory and master key"
	}
	fmt.Fprintf(w, "\nNext: %s\n      rollcall branch create --help, then agent, game, member and gameserver add\n", serve)
	return nil
}
