package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A signer is the command sign by its flags.
type signer struct {
	keys                              keyring
	profile, timestamp, nonce, verify string
	show                              bool
}

func newSign() *cobra.Command {
	var s signer
	cmd := s.keys.flags(&cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign a cipherText, or verify a signature, by hand",
		Long: `Sign prints the headers of a request whose cipherText is in FILE or on standard
input, alone or in a request's body. x-signature is in lower-case hex the SHA-256
of four values joined by "|" (section 3 of the protocol):

  agentId|timestamp|nonce|cipherText

with --profile hmac the HMAC-SHA-256 of the same, under the API key's 32 bytes.
Timestamp and nonce are new ones, or those that are given.

--verify compares a signature with the right one: exit code 1 if it is another.
'rollcall explain' says what a wrong one was made of.`,
		Example: `  rollcall sign --credentials c.json <body.json
  rollcall sign --timestamp 1769745532582 --nonce AbCd… --show <body.json
  rollcall sign --timestamp 1769745532582 --nonce AbCd… --verify 904e97be… <body.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.run,
	})
	f := cmd.Flags()
	f.StringVar(&s.profile, "profile", "", "plain or hmac, as the agent is set (default: as in the credentials, or plain)")
	f.StringVar(&s.timestamp, "timestamp", "", "`milliseconds` since 1970, 13 digits (default: now)")
	f.StringVar(&s.nonce, "nonce", "", "32 letters and digits (default: random ones)")
	f.StringVar(&s.verify, "verify", "", "the `signature` in hex to compare")
	f.BoolVar(&s.show, "show", false, "show on standard error what is signed")
	return cmd
}

func (s *signer) run(cmd *cobra.Command, args []string) error {
	head, key, err := s.header()
	if err != nil {
		return err
	}
	text, err := readCipherText(cmd, args)
	if err != nil {
		return err
	}
	if s.show {
		fmt.Fprintln(cmd.ErrOrStderr(), strings.Join([]string{head.AgentID, head.Timestamp, head.Nonce, text}, "|"))
	}
	profile := rollcall.SignatureProfile(s.profile)
	if s.verify != "" {
		return s.compare(cmd, &head, profile, key, text)
	}
	head.Sign(profile, key, text)
	return showHeader(cmd, &head)
}

// header returns the headers without the signature, and the key where the profile
// has one.
func (s *signer) header() (head wire.Header, key *wire.APIKey, err error) {
	agent, err := s.keys.agent()
	if err != nil {
		return head, nil, err
	}
	s.profile = cmp.Or(s.profile, string(agent.Signature), string(rollcall.SignaturePlain))
	head = wire.Header{
		AgentID:   agent.AgentID,
		Timestamp: cmp.Or(s.timestamp, wire.FormatTimestamp(time.Now())),
		Nonce:     cmp.Or(s.nonce, rand.Text()+rand.Text()[:6]),
	}
	switch {
	case s.verify != "" && (s.timestamp == "" || s.nonce == ""):
		err = errors.New("--verify needs the --timestamp and --nonce that were signed")
	case !rollcall.ValidID(head.AgentID):
		err = errors.New("the agent's id: want 1 to 64 of A-Za-z0-9_.- in the credentials or " + envAgentID)
	case !rollcall.SignatureProfile(s.profile).Valid():
		err = fmt.Errorf("--profile %q: want plain or hmac", s.profile)
	case !wire.ValidTimestamp(head.Timestamp):
		err = errors.New("--timestamp: want 13 digits, milliseconds since 1970")
	case !wire.ValidNonce(head.Nonce):
		err = errors.New("--nonce: want exactly 32 of A-Za-z0-9")
	case s.profile == string(rollcall.SignatureHMAC):
		key, err = wire.ParseAPIKey(agent.APIKey)
	}
	if err != nil {
		return head, nil, usageError{err}
	}
	return head, key, nil
}

func (s *signer) compare(cmd *cobra.Command, head *wire.Header, profile rollcall.SignatureProfile, key *wire.APIKey, text string) error {
	head.Signature = s.verify
	if head.VerifySignature(profile, key, text) {
		return say(cmd, map[string]bool{"right": true}, "The signature is right.\n")
	}
	head.Sign(profile, key, text)
	return fmt.Errorf("the signature is wrong: the right one is %s", head.Signature)
}

func showHeader(cmd *cobra.Command, head *wire.Header) error {
	values := map[string]string{}
	var lines strings.Builder
	for _, line := range [][2]string{
		{wire.HeaderAgentID, head.AgentID}, {wire.HeaderTimestamp, head.Timestamp}, {wire.HeaderNonce, head.Nonce}, {wire.HeaderSignature, head.Signature},
	} {
		name := strings.ToLower(line[0])
		values[name] = line[1]
		fmt.Fprintf(&lines, "%s: %s\n", name, line[1])
	}
	return say(cmd, values, "%s", &lines)
}
