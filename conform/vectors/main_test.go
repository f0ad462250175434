package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The committed files are what the generator writes, to the byte.
func TestGenerated(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes (%v): go generate ./conform/vectors", name, err)
		}
	}
	for _, name := range vectorFiles(t) {
		if _, ok := files[name]; !ok {
			t.Errorf("%s is not by the generator", name)
		}
	}
}

// vectorFiles are the JSON files but the schema.
func vectorFiles(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.json")
	if err != nil || len(all) < 2 {
		t.Fatal(all, err)
	}
	var names []string
	for _, name := range all {
		if name != "schema.json" {
			names = append(names, name)
		}
	}
	return names
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range vectorFiles(t) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		want, wantErr := os.ReadFile(name)
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes, or %v, %v", name, err, wantErr)
		}
	}
}

func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("schema.json#/$defs/" + strings.TrimSuffix(name, ".json"))
	if err != nil {
		t.Fatal(err)
	}
	if schema.DraftVersion != 2020 {
		t.Errorf("the schema is of draft %d", schema.DraftVersion)
	}
	return schema
}

func TestSchema(t *testing.T) {
	for _, name := range vectorFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemaOf(t, name).Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses: each file is held to something.
func TestSchemaRefuses(t *testing.T) {
	const seal, signature, refused, wrong, text = "seal.json", "signature.json", "refused.json", "signature_refused.json", "plaintext.json"
	for _, row := range []struct{ file, old, bad string }{
		{seal, `"iv": "77a9`, `"iv": "77A9`},
		{seal, `"plaintext": ""`, `"plaintext": 1`},
		{seal, `"apiKey"`, `"key"`},
		{refused, `"code": 84`, `"code": 83`},
		{refused, `"class": "length"`, `"class": "long"`},
		{signature, `"timestamp": "1769745532582"`, `"timestamp": "1769745532"`},
		{"hmac.json", `"nonce": "`, `"nonce": "-`},
		{wrong, `"profile": "plain"`, `"profile": "none"`},
		{text, `"base64": "`, `"plaintext": "", "base64": "`},
		{text, `"code": 11`, `"code": 12`},
	} {
		good, err := os.ReadFile(row.file)
		if err != nil {
			t.Fatal(err)
		}
		bad := strings.Replace(string(good), row.old, row.bad, 1)
		if bad == string(good) || !json.Valid([]byte(bad)) {
			t.Fatalf("%s: %s changes nothing", row.file, row.old)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schemaOf(t, row.file).Validate(v) == nil {
			t.Errorf("%s with %s is accepted", row.file, row.bad)
		}
	}
}
