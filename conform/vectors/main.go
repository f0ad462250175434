// Command vectors writes the test vectors of the v2 protocol, each from the rule
// that it stands for: seals (spec 4), signatures (spec 3), texts that are to be
// refused, one fault each, and plaintexts (spec 1.2, 6.1). It knows the protocol by
// the standard library alone and shares no code with package wire, which is tested
// by what it writes. Its output is always the same.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run .

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := write(dir); err != nil {
		fmt.Fprintln(os.Stderr, "vectors:", err)
		os.Exit(1) //nolint:forbidigo // main
	}
}

func write(dir string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // nothing in it is a secret
			return err
		}
	}
	return nil
}

// generate returns the files by their names.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, make := range map[string]func() (any, error){
		"seal.json": sealFile, "refused.json": refusedFile, "signature.json": signatureFile,
		"hmac.json": hmacFile, "signature_refused.json": signatureRefusedFile, "plaintext.json": plaintextFile,
	} {
		v, err := make()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text := new(bytes.Buffer)
		enc := json.NewEncoder(text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		if err := enc.Encode(v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text.Bytes()
	}
	return files, nil
}
