package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newAgent() *cobra.Command {
	return group("agent", "The agents: who may call the v2 API, and with which keys",
		newAgentCreate(),
		verb[rollcall.Agent]{
			use: "show AGENT", short: "Show an agent; its keys are told apart by their ids", args: 1,
			method: http.MethodGet, path: to("agents", "{0}"), show: showAgent,
		}.command(),
		lister[rollcall.Agent]{
			use: "list", short: "List the agents", path: to("agents"), head: "AGENT\tSTATUS\tBRANCH\tWALLET\tSIGNATURE",
			row: func(a rollcall.Agent) []any { return []any{a.ID, a.Status, dash(a.BranchID), a.Wallet, a.Signature} },
		}.command(),
		newAgentChange(),
		verb[rollcall.Agent]{
			use: "block AGENT", short: "Refuse all requests of an agent, at once, and end its sessions", args: 1,
			method: http.MethodPost, path: to("agents", "{0}", "block"), show: showAgent,
		}.command(),
		verb[rollcall.Agent]{
			use: "unblock AGENT", short: "Let a blocked agent call again", args: 1,
			method: http.MethodPost, path: to("agents", "{0}", "unblock"), show: showAgent,
		}.command(),
		verb[rollcall.Agent]{
			use: "revoke-tokens AGENT", short: "End all access tokens of an agent; it can fetch new ones", args: 1,
			method: http.MethodPost, path: to("agents", "{0}", "revoke-tokens"), show: showAgent,
		}.command(),
		verb[deleted]{
			use: "delete AGENT", short: "Delete an agent that has no members", args: 1,
			method: http.MethodDelete, path: to("agents", "{0}"),
		}.command(),
		newAddKey(), newRetireKey(), newAgentWebhook())
}

func showAgent(w io.Writer, a rollcall.Agent) {
	fields(w, "agent", a.ID, "status", a.Status, "branch", a.BranchID, "wallet", a.Wallet, "signature", a.Signature,
		"games", joinGames(a.Games), "limits", limitsText(a.Limits), "rate limit", rateText(a.RateLimit), "webhook", a.WebhookURL,
		"tokens not before", at(a.TokensNotBefore), "created", at(a.CreatedAt), "updated", at(a.UpdatedAt))
	for _, k := range a.APIKeys {
		fields(w, "API key", k.ID+"  made "+at(k.CreatedAt))
	}
	for _, k := range a.SecretKeys {
		fields(w, "Secret key", k.ID+"  made "+at(k.CreatedAt))
	}
}

func limitsText(l rollcall.SessionLimits) string {
	if l.PerMember == 0 && l.PerGame == 0 {
		return "none"
	}
	var texts []string
	if l.PerMember > 0 {
		texts = append(texts, fmt.Sprintf("%d per member", l.PerMember))
	}
	if l.PerGame > 0 {
		texts = append(texts, fmt.Sprintf("%d per member and game", l.PerGame))
	}
	return strings.Join(texts, ", ") + ", one more is " + map[bool]string{
		true: "in place of the oldest", false: "refused",
	}[l.Policy == rollcall.LimitDisplaceOldest]
}

func rateText(l rollcall.RateLimit) string {
	if l.PerSecond == 0 {
		return "the server's"
	}
	return fmt.Sprintf("%d per second and endpoint, %d at once", l.PerSecond, l.Or(l).Burst)
}

// rateFlags declares the limit of an agent's own calls.
func rateFlags(f *pflag.FlagSet, l *rollcall.RateLimit) {
	f.IntVar(&l.PerSecond, "rate-limit", 0, "how many calls of each endpoint in a second; 0: the server's --rate-limit")
	f.IntVar(&l.Burst, "rate-burst", 0, "how many at once, after a pause; 0: twice --rate-limit")
}

// limitFlags declares the limits of an agent's members, and its games.
func limitFlags(f *pflag.FlagSet, limits *rollcall.SessionLimits, games *[]string) {
	f.IntVar(&limits.PerMember, "max-per-member", 0, "how many sessions a member may have at a time; 0: no bound")
	f.IntVar(&limits.PerGame, "max-per-game", 0, "how many in one game and mode; 0: no bound")
	f.StringVar((*string)(&limits.Policy), "limit-policy", "", "of a session that is one too many: refuse it (the default), or displace-oldest")
	f.StringSliceVar(games, "games", nil, "`codes` of the games that the agent may offer, with commas; '': all")
}

func newAgentCreate() *cobra.Command {
	var in admin.AgentCreate
	var signature, wallet, apiKeyFile, secretKeyFile string
	var hand handOver
	cmd := verb[admin.AgentCreated]{
		use: "create AGENT --branch BRANCH", short: "Make an agent and its keys, which are shown this once", args: 1,
		example: "  rollcall agent create myCasino --branch THB\n" +
			"  rollcall agent create myCasino --branch THB --hand-over casino.json --base-url https://rollcall.example\n" +
			"  rollcall agent create moved --branch THB --api-key-file k --secret-key-file s",
		method: http.MethodPost, path: to("agents"),
		body: func(args []string) (any, error) {
			in.ID, in.Signature = args[0], rollcall.SignatureProfile(signature)
			err := hand.check()
			if err != nil {
				return nil, err
			}
			if err = in.Wallet.UnmarshalText([]byte(wallet)); err != nil {
				return nil, fmt.Errorf("--wallet: %w: want transfer or seamless", err)
			}
			if in.APIKey, err = readSecret(apiKeyFile); err != nil {
				return nil, err
			}
			in.SecretKey, err = readSecret(secretKeyFile)
			return in, err
		},
		keep: func(out *admin.AgentCreated) error {
			keys := AgentCredentials{AgentID: out.Agent.ID, APIKey: out.APIKey, Secret: out.SecretKey}
			err := hand.write(Credentials{BaseURL: hand.baseURL, Agents: []AgentCredentials{keys}})
			if hand.written {
				out.APIKey, out.SecretKey = "", ""
			}
			return err
		},
		show: func(w io.Writer, out admin.AgentCreated) {
			showAgent(w, out.Agent)
			if hand.written {
				fmt.Fprintf(w, "\nIts keys are in %s, for the integrator.\n", hand.file)
				return
			}
			fmt.Fprintf(w, "\nFor the integrator, not shown again:\n  apiKey  %s\n  secret  %s\n", out.APIKey, out.SecretKey)
		},
	}.command()
	f := cmd.Flags()
	hand.flags(f)
	f.StringVar(&in.BranchID, "branch", "", "`id` of the agent's branch (without one, its checks are answered 81)")
	f.StringVar(&wallet, "wallet", "transfer", "transfer or seamless")
	f.StringVar(&signature, "signature", "plain", "plain, or hmac: signed with the API key")
	f.StringVar(&apiKeyFile, "api-key-file", "", "`file` with an API key to take over (default: a new one)")
	f.StringVar(&secretKeyFile, "secret-key-file", "", "`file` with a Secret key to take over (default: a new one)")
	limitFlags(f, &in.Limits, &in.Games)
	rateFlags(f, &in.RateLimit)
	return cmd
}

// readSecret reads a key from a file, so that it is on no command line; "" for
// no file.
func readSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

func newAgentChange() *cobra.Command {
	var branch, signature, wallet string
	var limits rollcall.SessionLimits
	var rate rollcall.RateLimit
	var games []string
	var cmd *cobra.Command
	var had rollcall.Agent
	cmd = verb[rollcall.Agent]{
		use: "change AGENT", short: "Change an agent's branch, wallet, signature profile, limits, rate or games", args: 1,
		example: "  rollcall agent change myCasino --signature hmac\n  rollcall agent change myCasino --branch ''    (takes it away)\n" +
			"  rollcall agent change myCasino --max-per-member 2 --limit-policy displace-oldest\n" +
			"  rollcall agent change myCasino --rate-limit 500",
		method: http.MethodPatch, path: to("agents", "{0}"), show: showAgent,
		before: func(ctx context.Context, c *admin.Client, args []string) error {
			return c.Do(ctx, http.MethodGet, admin.Path("agents", args[0]), nil, &had)
		},
		body: func([]string) (any, error) {
			in := admin.AgentChange{
				BranchID:  given(cmd, "branch", &branch),
				Signature: (*rollcall.SignatureProfile)(given(cmd, "signature", &signature)),
				Limits:    changedLimits(cmd, had.Limits, limits),
				RateLimit: changedRate(cmd, had.RateLimit, rate),
				Games:     given(cmd, "games", &games),
			}
			if cmd.Flags().Changed("wallet") {
				in.Wallet = new(rollcall.Wallet)
				if err := in.Wallet.UnmarshalText([]byte(wallet)); err != nil {
					return nil, fmt.Errorf("--wallet: %w: want transfer or seamless", err)
				}
			}
			return in, nil
		},
	}.command()
	cmd.Flags().StringVar(&branch, "branch", "", "`id` of the branch")
	cmd.Flags().StringVar(&signature, "signature", "", "plain or hmac")
	cmd.Flags().StringVar(&wallet, "wallet", "", "transfer or seamless")
	limitFlags(cmd.Flags(), &limits, &games)
	rateFlags(cmd.Flags(), &rate)
	return cmd
}

// changedLimits returns an agent's limits with those changed that were given,
// since the API takes them as a whole; nil where none was.
func changedLimits(cmd *cobra.Command, had, wanted rollcall.SessionLimits) *rollcall.SessionLimits {
	changed := false
	for flag, take := range map[string]func(){
		"max-per-member": func() { had.PerMember = wanted.PerMember },
		"max-per-game":   func() { had.PerGame = wanted.PerGame },
		"limit-policy":   func() { had.Policy = wanted.Policy },
	} {
		if cmd.Flags().Changed(flag) {
			changed = true
			take()
		}
	}
	if !changed {
		return nil
	}
	return &had
}

// changedRate is changedLimits for an agent's own rate limit; one that is taken
// away takes its burst with it.
func changedRate(cmd *cobra.Command, had, wanted rollcall.RateLimit) *rollcall.RateLimit {
	perSecond, burst := cmd.Flags().Changed("rate-limit"), cmd.Flags().Changed("rate-burst")
	if !perSecond && !burst {
		return nil
	}
	if perSecond {
		had.PerSecond = wanted.PerSecond
	}
	if burst || had.PerSecond == 0 {
		had.Burst = wanted.Burst
	}
	return &had
}

// keyPath is a path below an agent's keys of one kind.
func keyPath(secret *bool, segments ...string) func(args []string) string {
	return func(args []string) string {
		kind := "api-keys"
		if *secret {
			kind = "secret-keys"
		}
		return to(append([]string{"agents", "{0}", kind}, segments...)...)(args)
	}
}

func newAddKey() *cobra.Command {
	var secret bool
	var file string
	cmd := verb[admin.KeyAdded]{
		use: "add-key AGENT", short: "Give an agent a second key, to rotate: both work until one is retired", args: 1,
		example: "  rollcall agent add-key myCasino\n  rollcall agent add-key myCasino --secret",
		method:  http.MethodPost, path: keyPath(&secret),
		body: func([]string) (any, error) {
			key, err := readSecret(file)
			return admin.KeyAdd{Key: key}, err
		},
		show: func(w io.Writer, out admin.KeyAdded) {
			fields(w, "key id", out.ID, "key", out.Key)
			fmt.Fprint(w, "\nThe key is not shown again. When the integrator uses it, retire the old one.\n")
		},
	}.command()
	cmd.Flags().BoolVar(&secret, "secret", false, "a Secret key (default: an API key)")
	cmd.Flags().StringVar(&file, "key-file", "", "`file` with a key to take over (default: a new one)")
	return cmd
}

func newRetireKey() *cobra.Command {
	var secret bool
	cmd := verb[rollcall.Agent]{
		use: "retire-key AGENT KEYID", short: "Take one of an agent's two keys away, at once", args: 2,
		example: "  rollcall agent show myCasino        (has the ids)\n  rollcall agent retire-key myCasino 019…",
		method:  http.MethodDelete, path: keyPath(&secret, "{1}"), show: showAgent,
	}.command()
	cmd.Flags().BoolVar(&secret, "secret", false, "a Secret key (default: an API key)")
	return cmd
}
