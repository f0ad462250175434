package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

func newCheck() *cobra.Command {
	var file, who, baseURL string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "check USERNAME --credentials FILE",
		Short: "Ask for a member's active sessions, as an integrator does",
		Long: `Check calls POST /v2/members/sessions/check as an agent: it fetches an access
token, seals and signs the request, and shows the member's active sessions. The
agent's keys are read from a credentials file:

  {"baseUrl": "https://…", "agents": [{"role": "primary", "agentId": "…",
   "apiKey": "64 hex digits", "secret": "…"}]}

--verbose shows the bytes that went over the wire.`,
		Example: `  rollcall check player001 --credentials c.json
  rollcall check player001 --credentials c.json --agent other --verbose`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, agent, err := readAgent(file, who, baseURL)
			if err != nil {
				return err
			}
			var trace func(client.Exchange)
			if verbose {
				trace = showExchange(cmd.ErrOrStderr())
			}
			sessions, err := checkSessions(cmd.Context(), c, agent, args[0], trace)
			if err != nil {
				return err
			}
			return showSessions(cmd, args[0], sessions)
		},
	}
	cmd.Flags().StringVar(&file, "credentials", "", "`file` with the address and the agents' keys (required)")
	cmd.Flags().StringVar(&who, "agent", "", "`role or id` of the agent in the file (default: the first)")
	cmd.Flags().StringVar(&baseURL, "base-url", "", "`URL` of the service (default: the file's baseUrl)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show requests and answers on standard error")
	return cmd
}

// readAgent returns the credentials and the agent in them that is asked for.
func readAgent(file, who, baseURL string) (Credentials, AgentCredentials, error) {
	if file == "" {
		return Credentials{}, AgentCredentials{}, usageError{fmt.Errorf("say where the agent's keys are: --credentials FILE (rollcall sandbox writes such a file)")}
	}
	c, err := readCredentials(file)
	if err != nil {
		return c, AgentCredentials{}, usageError{err}
	}
	if baseURL != "" {
		c.BaseURL = baseURL
	}
	for _, agent := range c.Agents {
		if who == "" || who == agent.Role || who == agent.AgentID {
			return c, agent, nil
		}
	}
	return c, AgentCredentials{}, usageError{fmt.Errorf("%s: no agent %q in it", file, who)}
}

func checkSessions(ctx context.Context, c Credentials, agent AgentCredentials, username string, trace func(client.Exchange)) ([]wire.Session, error) {
	caller, err := client.New(client.Options{
		BaseURL: c.BaseURL, AgentID: agent.AgentID, APIKey: agent.APIKey, SecretKey: agent.Secret, Trace: trace,
	})
	if err != nil {
		return nil, err
	}
	return caller.CheckSessions(ctx, username)
}

func showSessions(cmd *cobra.Command, username string, sessions []wire.Session) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), sessions)
	}
	if len(sessions) == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has no active session.\n", username)
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GAME\tMODE\tDEVICE\tIP\tLANG\tCURRENCY")
	for _, s := range sessions {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", s.GameCode, s.Mode, s.Info.DeviceType, s.Info.IPAddress, s.Info.Lang, s.Info.Currency)
	}
	return w.Flush()
}

// showExchange returns a client's trace that explains each call on w. Of the
// access token and the secret only the beginning is shown.
func showExchange(w io.Writer) func(client.Exchange) {
	return func(x client.Exchange) {
		fmt.Fprintf(w, "\n> POST %s\n", x.URL)
		for _, name := range []string{"Content-Type", wire.HeaderAuthorization, wire.HeaderAgentID, wire.HeaderTimestamp, wire.HeaderNonce, wire.HeaderSignature} {
			if value := x.Header.Get(name); value != "" {
				fmt.Fprintf(w, "> %s: %s\n", strings.ToLower(name), shorten(name, value))
			}
		}
		fmt.Fprintf(w, ">\n> %s\n", x.Body)
		fmt.Fprintf(w, "  cipherText is base64(iv) + base64(tag) + base64(AES-256-GCM of this plaintext):\n  %s\n", hideSecret(x.Plaintext))
		fmt.Fprint(w, "  x-signature is SHA-256 in hex of x-agentid|x-timestamp|x-nonce|cipherText.\n")
		fmt.Fprintf(w, "< %d %s\n< %s\n", x.Status, http.StatusText(x.Status), hideToken(x.Answer))
	}
}

func shorten(name, value string) string {
	if name == wire.HeaderAuthorization && len(value) > 24 {
		return value[:24] + "…"
	}
	return value
}

// hideSecret blots out the value of "secret", and hideToken that of
// "accessToken".
func hideSecret(text []byte) string { return blot(text, `"secret":"`) }
func hideToken(text []byte) string  { return blot(text, `"accessToken":"`) }

func blot(text []byte, before string) string {
	head, rest, found := bytes.Cut(text, []byte(before))
	if !found {
		return string(text)
	}
	_, tail, _ := bytes.Cut(rest, []byte(`"`))
	return string(head) + before + `…"` + string(tail)
}
