package openapitest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/wire"
)

func each(t *testing.T, test func(t *testing.T, d *Document)) {
	t.Helper()
	for _, name := range openapi.Operators.Documents() {
		t.Run(name, func(t *testing.T) { test(t, Load(name)) })
	}
}

// Each document is one of OpenAPI 3.1, by the schemas of that specification.
func TestDocumentsAreOpenAPI(t *testing.T) {
	files, err := filepath.Glob("testdata/oas31/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("schemas of OpenAPI 3.1: %v, %v", files, err)
	}
	c := jsonschema.NewCompiler()
	var base string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		id := object(value)["$id"].(string)
		if err := c.AddResource(id, value); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(id, "schema-base") {
			base = id
		}
	}
	schema, err := c.Compile(base)
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, d *Document) {
		if err := schema.Validate(d.root); err != nil {
			t.Errorf("%#v", err)
		}
	})
	broken := Load("v2")
	broken.root["paths"] = map[string]any{"/x": map[string]any{"post": map[string]any{"responses": map[string]any{"200": map[string]any{}}}}}
	if schema.Validate(broken.root) == nil {
		t.Error("a response without a description is let through")
	}
	broken = Load("v2")
	object(broken.root["components"])["schemas"] = map[string]any{"X": map[string]any{"type": "strong"}}
	if schema.Validate(broken.root) == nil {
		t.Error("a schema of no type that there is is let through")
	}
}

// references collects all $ref, and each place that can be referred to.
func references(value any, found map[string]int) {
	for name, member := range object(value) {
		if ref, ok := member.(string); ok && name == "$ref" {
			found[ref]++
		}
		references(member, found)
	}
	for _, item := range array(value) {
		references(item, found)
	}
}

// Every reference leads somewhere, every component is referred to, and every
// operation has a name of its own and a tag that is described.
func TestDocumentsHangTogether(t *testing.T) {
	each(t, func(t *testing.T, d *Document) {
		found := make(map[string]int)
		references(d.root, found)
		for ref := range found {
			if d.referred(ref).value == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, kind := range d.at("components").keys() {
			for _, name := range d.at("components", kind).keys() {
				if kind != "securitySchemes" && found["#/components/"+kind+"/"+name] == 0 {
					t.Errorf("nothing refers to %s %s", kind, name)
				}
			}
		}
		tags, ids := make(map[any]bool), make(map[string]bool)
		for _, tag := range d.at("tags").items() {
			tags[tag.get("name").value] = true
		}
		for _, op := range d.operations {
			if ids[op.id] || op.id == "" || op.node.get("summary").text() == "" {
				t.Errorf("%s %s: id %q, summary %q", op.method, op.path, op.id, op.node.get("summary").text())
			}
			ids[op.id] = true
			for _, tag := range op.node.get("tags").items() {
				if !tags[tag.value] {
					t.Errorf("%s: tag %v is not described", op.id, tag.value)
				}
			}
		}
	})
}

var hexKey = regexp.MustCompile(`[0-9a-f]{64}`)

// Every example is right by its schema; those that are sealed open under the key
// that the document names.
func TestExamples(t *testing.T) {
	each(t, func(t *testing.T, d *Document) {
		open := func(text string) ([]byte, error) {
			key, err := wire.ParseAPIKey(hexKey.FindString(d.at("info", "description").text()))
			if err != nil {
				return nil, err
			}
			return key.Open(text)
		}
		n := 0
		hold := func(where string, s node, example any) {
			n++
			if err := s.validate(example); err != nil {
				t.Errorf("%s: %v", where, err)
				return
			}
			for _, fault := range d.walk(s, example, open) {
				t.Errorf("%s: %s", where, fault)
			}
		}
		schemas := d.at("components", "schemas")
		for _, name := range schemas.keys() {
			for _, example := range schemas.child(name).child("examples").items() {
				hold(name, schemas.child(name), example.value)
			}
		}
		parameters := d.at("components", "parameters")
		for _, name := range parameters.keys() {
			if example := parameters.get(name, "example"); example.value != nil {
				hold(name, parameters.get(name).child("schema"), example.value)
			}
		}
		if n < 5 {
			t.Errorf("%d examples", n)
		}
	})
}

// Objects that are answered are closed, so that a member that no document knows is
// found.
func TestAnswersAreClosed(t *testing.T) {
	each(t, func(t *testing.T, d *Document) {
		for _, op := range d.operations {
			for _, status := range op.node.get("responses").keys() {
				content := op.node.get("responses", status, "content")
				for _, media := range content.keys() {
					wantClosed(t, op.id+" "+status, content.get(media).child("schema"), false, make(map[string]bool))
				}
			}
		}
	})
}

// wantClosed looks at the objects of a schema; closed says that one that refers to
// it closes it.
func wantClosed(t *testing.T, where string, s node, closed bool, seen map[string]bool) {
	t.Helper()
	closed = closed || s.child("additionalProperties").value == false || s.child("unevaluatedProperties").value == false
	if ref := s.child("$ref").text(); ref != "" {
		wantClosed(t, where, s.d.referred(ref), closed, seen)
		return // what stands beside it narrows it
	}
	if s.value == nil || seen[s.pointer] {
		return
	}
	seen[s.pointer] = true
	if s.child("properties").value != nil && !closed {
		t.Errorf("%s: %s lets other members in", where, s.pointer)
	}
	for _, name := range s.child("properties").keys() {
		wantClosed(t, where, s.child("properties").child(name), false, seen)
	}
	for _, part := range append(s.child("oneOf").items(), s.child("items")) {
		wantClosed(t, where, part, false, seen)
	}
}

// The codes of v2 are those of package wire, with its messages.
func TestCodesAreWires(t *testing.T) {
	d := Load("v2")
	n := 0
	schemas := d.at("components", "schemas")
	for _, name := range schemas.keys() {
		number, ok := schemas.get(name, "properties", "code", "const").value.(json.Number)
		if !ok {
			continue
		}
		code, err := number.Int64()
		if err != nil {
			t.Fatal(err)
		}
		message := schemas.get(name, "properties", "message", "const").text()
		if got := wire.Code(code); got.Message() != message {
			t.Errorf("%s: code %d has the message %q, want %q", name, code, message, got.Message())
		}
		n++
	}
	if n < 14 {
		t.Errorf("got %d codes, want all of spec 9", n)
	}
}
