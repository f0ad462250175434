package main

import (
	"bytes"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/wire"
)

// A keyring finds the keys of commands that work by hand, without the service.
type keyring struct{ file, who string }

// Where keys are looked for when no file with them is named.
const (
	envAgentID = envPrefix + "AGENT_ID"
	envAPIKey  = envPrefix + "API_KEY"
	envSecret  = envPrefix + "SECRET"
)

func (k *keyring) flags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.StringVar(&k.file, "credentials", "", "`file` with the agents' keys (environment: ROLLCALL_CREDENTIALS; or "+envAgentID+" and "+envAPIKey+")")
	f.StringVar(&k.who, "agent", "", "`role or id` of the agent in the file (default: the first)")
	return cmd
}

// agent returns the credentials that are meant; those of the environment may
// lack what the command does not need.
func (k *keyring) agent() (AgentCredentials, error) {
	own := AgentCredentials{AgentID: os.Getenv(envAgentID), APIKey: os.Getenv(envAPIKey)}
	if k.file == "" && (own.AgentID != "" || own.APIKey != "") {
		own.AgentID = firstOf(k.who, own.AgentID)
		return own, nil
	}
	_, agent, err := readAgent(firstOf(k.file, os.Getenv(envPrefix+"CREDENTIALS")), k.who, "")
	return agent, err
}

// apiKeys returns the key that seals, and behind it another that opens too, where the
// credentials have two (spec 4.4).
func (k *keyring) apiKeys() (keys []*wire.APIKey, err error) {
	agent, err := k.agent()
	if err != nil {
		return nil, err
	}
	for _, text := range []string{agent.APIKey, agent.NextAPIKey} {
		if text == "" && len(keys) > 0 {
			continue
		}
		key, err := wire.ParseAPIKey(text)
		if err != nil {
			return nil, usageError{err}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readInput reads the file that the arguments name, or standard input; "-" is
// that too.
func readInput(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) == 0 || args[0] == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return nil, usageError{err}
	}
	return text, nil
}

// readCipherText reads a cipherText, alone or in the body of a request. The line
// end that an editor or echo puts behind is not part of it.
func readCipherText(cmd *cobra.Command, args []string) (string, error) {
	text, err := readInput(cmd, args)
	if err != nil {
		return "", err
	}
	if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("{")) {
		return string(text), nil
	}
	var body wire.Request
	err = body.Decode(text)
	return body.CipherText, err
}
