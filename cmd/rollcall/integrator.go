package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// integratorCommands are those that call the v2 API as an agent.
func integratorCommands() []*cobra.Command {
	return []*cobra.Command{newCheck(), newLaunch(), newOnline(), newLogout(), newRegister()}
}

// An integrator is who calls the v2 API, by the flags of a command.
type integrator struct {
	file, who, baseURL string
	verbose            bool
}

func (i *integrator) flags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&i.file, "credentials", "", "`file` with the address and the agents' keys (environment: ROLLCALL_CREDENTIALS)")
	f.StringVar(&i.who, "agent", "", "`role or id` of the agent in the file (default: the first)")
	f.StringVar(&i.baseURL, "base-url", "", "`URL` of the service (default: the file's baseUrl)")
	f.BoolVarP(&i.verbose, "verbose", "v", false, "show requests and answers on standard error")
	return cmd
}

// client makes the agent's client.
func (i *integrator) client(cmd *cobra.Command) (*client.Client, error) {
	c, agent, err := readAgent(firstOf(i.file, os.Getenv(envPrefix+"CREDENTIALS")), i.who, i.baseURL)
	if err != nil {
		return nil, err
	}
	if i.verbose {
		return newCaller(c, agent, showExchange(cmd.ErrOrStderr(), agent.Signature))
	}
	return newCaller(c, agent, nil)
}

// readAgent returns the credentials and the agent in them that is asked for.
func readAgent(file, who, baseURL string) (Credentials, AgentCredentials, error) {
	if file == "" {
		return Credentials{}, AgentCredentials{}, usageError{errors.New("say where the agent's keys are: --credentials FILE (rollcall sandbox writes such a file)")}
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

func newCaller(c Credentials, agent AgentCredentials, trace func(client.Exchange)) (*client.Client, error) {
	return client.New(client.Options{
		BaseURL: c.BaseURL, AgentID: agent.AgentID, APIKey: agent.APIKey, SecretKey: agent.Secret,
		NextAPIKey: agent.NextAPIKey, Signature: agent.Signature, Trace: trace,
	})
}

// showExchange returns a client's trace that explains each call on w. Of the
// access token and the secret only the beginning is shown.
func showExchange(w io.Writer, profile rollcall.SignatureProfile) func(client.Exchange) {
	digest := "SHA-256"
	if profile == rollcall.SignatureHMAC {
		digest = "HMAC-SHA-256, under the API key,"
	}
	return func(x client.Exchange) {
		fmt.Fprintf(w, "\n> POST %s\n", x.URL)
		for _, name := range []string{"Content-Type", wire.HeaderAuthorization, wire.HeaderAgentID, wire.HeaderTimestamp, wire.HeaderNonce, wire.HeaderSignature} {
			if value := x.Header.Get(name); value != "" {
				fmt.Fprintf(w, "> %s: %s\n", strings.ToLower(name), shorten(name, value))
			}
		}
		fmt.Fprintf(w, ">\n> %s\n", x.Body)
		fmt.Fprintf(w, "  cipherText is base64(iv) + base64(tag) + base64(AES-256-GCM of this plaintext):\n  %s\n", hideSecret(x.Plaintext))
		fmt.Fprintf(w, "  x-signature is %s in hex of x-agentid|x-timestamp|x-nonce|cipherText.\n", digest)
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
