package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall/wire"
)

// byHandCommands are the steps of a call, one by one and without the service.
func byHandCommands() []*cobra.Command {
	return []*cobra.Command{newSeal(), newOpen(), newSign(), newToken()}
}

func newSeal() *cobra.Command {
	var keys keyring
	var body bool
	cmd := keys.flags(&cobra.Command{
		Use:   "seal [FILE]",
		Short: "Seal a plaintext into a cipherText, by hand",
		Long: `Seal encrypts FILE or standard input, byte for byte, with the agent's API key
and prints the cipherText that a request carries (section 4 of the protocol):

  base64(iv) + base64(tag) + base64(AES-256-GCM of the plaintext)

Each time with another random iv, so two outputs are never alike.`,
		Example: `  echo '{"username":"player001"}' | rollcall seal --credentials c.json
  echo '{"username":"player001"}' | rollcall seal --body | tee body.json | rollcall sign
  ROLLCALL_API_KEY=$(cat key) rollcall seal plaintext.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sealing, err := keys.apiKeys()
			if err != nil {
				return err
			}
			plaintext, err := readInput(cmd, args)
			if err != nil {
				return err
			}
			text := sealing[0].Seal(plaintext)
			if body || wantJSON(cmd) {
				text = fmt.Sprintf(`{"cipherText":"%s"}`, text) // base64 needs no escaping
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	})
	cmd.Flags().BoolVar(&body, "body", false, "print the whole body of a request, with cipherText in it")
	return cmd
}

func newOpen() *cobra.Command {
	var keys keyring
	var parts bool
	cmd := keys.flags(&cobra.Command{
		Use:   "open [FILE]",
		Short: "Open a cipherText, by hand",
		Long: `Open decrypts the cipherText in FILE or on standard input, alone or in a
request's body, with the agent's API key and prints the plaintext byte for byte.
It takes exactly what the service takes. Of what it does not take,
'rollcall explain' says what is wrong with it.`,
		Example: `  rollcall open --credentials c.json <body.json
  rollcall open --parts cipherText.txt      # iv, tag and ciphertext in hex too`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opening, err := keys.apiKeys()
			if err != nil {
				return err
			}
			text, err := readCipherText(cmd, args)
			if err != nil {
				return err
			}
			plaintext, err := openBy(opening, text)
			if err != nil {
				return fmt.Errorf("%w: layout, key or a bit is not right; 'rollcall explain' says which of a whole request", err)
			}
			return showOpened(cmd, text, plaintext, parts)
		},
	})
	cmd.Flags().BoolVar(&parts, "parts", false, "show the parts that the cipherText is of, in hex")
	return cmd
}

func openBy(keys []*wire.APIKey, text string) (plaintext []byte, err error) {
	for _, key := range keys {
		if plaintext, err = key.Open(text); err == nil {
			return plaintext, nil
		}
	}
	return nil, err
}

// An openedText is a cipherText and what it is made of; bytes are in hex.
type openedText struct {
	IV         string `json:"iv"`
	Tag        string `json:"tag"`
	Ciphertext string `json:"ciphertext"`
	Plaintext  string `json:"plaintext"`
}

func showOpened(cmd *cobra.Command, text string, plaintext []byte, parts bool) error {
	out := cmd.OutOrStdout()
	if !parts && !wantJSON(cmd) {
		_, err := out.Write(plaintext)
		return err
	}
	o := openedText{unbase64(text[:16]), unbase64(text[16:40]), unbase64(text[40:]), string(plaintext)} // spec 4.2
	if wantJSON(cmd) {
		return printJSON(out, o)
	}
	_, err := fmt.Fprintf(out, "iv          %s\ntag         %s\nciphertext  %s\nplaintext   %s\n", o.IV, o.Tag, o.Ciphertext, o.Plaintext)
	return err
}

// unbase64 turns base64 that has been opened, so is right, into hex.
func unbase64(text string) string {
	raw, _ := base64.StdEncoding.DecodeString(text)
	return hex.EncodeToString(raw)
}
