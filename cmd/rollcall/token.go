package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newToken() *cobra.Command {
	var who integrator
	var decode bool
	cmd := who.flags(&cobra.Command{
		Use:   "token [FILE]",
		Short: "Fetch an access token, or look into one, by hand",
		Long: `Token calls POST /v2/auth as an agent and prints the access token, which is good
for an hour, for calls by hand: whoever has it can call with it.

--decode calls nobody: it shows what a token, in FILE or on standard input, says
of itself. Only the service can tell whether it is genuine.`,
		Example: `  rollcall token --credentials c.json >token
  rollcall token --decode token
  curl … -H "Authorization: Bearer $(cat token)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if decode {
				return decodeToken(cmd, args)
			}
			if len(args) > 0 {
				return usageError{errors.New("a FILE is for --decode")}
			}
			c, err := who.client(cmd)
			if err != nil {
				return err
			}
			token, err := c.AccessToken(cmd.Context())
			if err != nil {
				return err
			}
			return say(cmd, map[string]string{"accessToken": token}, "%s\n", token)
		},
	})
	cmd.Flags().BoolVar(&decode, "decode", false, "show what a token says")
	return cmd
}

// A tokenText is what an access token says of itself (spec 5.3).
type tokenText struct {
	Header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	} `json:"header"`
	Claims struct {
		AgentID string `json:"agentId"`
		Iat     int64  `json:"iat"`
		Exp     int64  `json:"exp"`
	} `json:"claims"`
}

func decodeToken(cmd *cobra.Command, args []string) error {
	text, err := readInput(cmd, args)
	if err != nil {
		return err
	}
	token := strings.TrimPrefix(string(bytes.TrimSpace(text)), "Bearer ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("no access token: want three parts with dots between, got %d", len(parts))
	}
	var t tokenText
	if err := errors.Join(decodePart(parts[0], &t.Header), decodePart(parts[1], &t.Claims)); err != nil {
		return fmt.Errorf("no access token: %w", err)
	}
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), t)
	}
	issued, expires := time.Unix(t.Claims.Iat, 0), time.Unix(t.Claims.Exp, 0)
	left := "expired"
	if d := time.Until(expires); d > 0 {
		left = d.Round(time.Second).String() + " left"
	}
	fields(cmd.OutOrStdout(), "agent", t.Claims.AgentID, "issued", at(issued), "expires", at(expires)+", "+left,
		"algorithm", t.Header.Alg, "key", t.Header.Kid)
	return nil
}

// decodePart reads a part of a JWT. The error does not repeat it.
func decodePart(part string, to any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return errors.New("a part is no base64url")
	}
	if json.Unmarshal(text, to) != nil {
		return errors.New("a part is no JSON of the expected form")
	}
	return nil
}
