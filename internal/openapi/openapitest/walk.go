package openapitest

import (
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Sealed is the contentEncoding of a text that is sealed by spec 4.
const Sealed = "x-rollcall-seal"

// An opener opens a sealed text.
type opener func(text string) ([]byte, error)

// walk notes what of a schema a valid value shows: members, constants, values of
// enumerations, alternatives. It returns what is wrong with texts that have a
// schema of their own.
func (d *Document) walk(s node, value any, open opener) (faults []string) {
	if _, refers := s.child("$ref").value.(string); refers {
		faults = append(faults, d.walk(s.d.referred(s.child("$ref").text()), value, open)...)
	}
	d.noteValue(s, value)
	for name, member := range object(value) {
		if p := s.child("properties").child(name); p.value != nil {
			d.see(p.pointer)
			faults = append(faults, d.walk(p, member, open)...)
		}
	}
	for _, item := range array(value) {
		faults = append(faults, d.walk(s.child("items"), item, open)...)
	}
	for _, part := range s.child("allOf").items() {
		faults = append(faults, d.walk(part, value, open)...)
	}
	for _, part := range append(s.child("oneOf").items(), s.child("anyOf").items()...) {
		if part.validate(value) == nil {
			d.see(part.pointer)
			faults = append(faults, d.walk(part, value, open)...)
		}
	}
	return append(faults, d.walkContent(s, value, open)...)
}

func object(value any) map[string]any {
	members, _ := value.(map[string]any)
	return members
}

func array(value any) []any {
	items, _ := value.([]any)
	return items
}

func (d *Document) noteValue(s node, value any) {
	if fixed := s.child("const"); has(s, "const") && same(fixed.value, value) {
		d.see(fixed.pointer)
	}
	for _, option := range s.child("enum").items() {
		if same(option.value, value) {
			d.see(option.pointer)
		}
	}
}

func has(s node, name string) bool {
	_, ok := object(s.value)[name]
	return ok
}

// same compares scalars; numbers are json.Numbers on both sides.
func same(a, b any) bool { return fmt.Sprintf("%T %v", a, a) == fmt.Sprintf("%T %v", b, b) }

// walkContent opens a text that holds JSON.
func (d *Document) walkContent(s node, value any, open opener) []string {
	text, isText := value.(string)
	content := s.child("contentSchema")
	if content.value == nil || !isText {
		return nil
	}
	plain := []byte(text)
	if s.child("contentEncoding").value == Sealed {
		var err error
		if plain, err = open(text); err != nil {
			return []string{s.pointer + " does not open: " + err.Error()}
		}
	}
	inner, err := jsonschema.UnmarshalJSON(strings.NewReader(string(plain)))
	if err == nil {
		err = content.validate(inner)
	}
	if err != nil {
		return []string{fmt.Sprintf("%s, opened: %v", s.pointer, err)}
	}
	return d.walk(content, inner, open)
}

func (d *Document) see(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[what] = true
}

// expect collects what walk can note of a schema.
func (d *Document) expect(s node, all map[string]bool) {
	if all[s.pointer+" visited"] || s.value == nil {
		return
	}
	all[s.pointer+" visited"] = false
	if ref := s.child("$ref").text(); ref != "" {
		d.expect(d.referred(ref), all)
	}
	if has(s, "const") {
		all[s.child("const").pointer] = true
	}
	for _, option := range s.child("enum").items() {
		all[option.pointer] = true
	}
	for _, name := range s.child("properties").keys() {
		p := s.child("properties").child(name)
		if p.value != false { // which forbids the member
			all[p.pointer] = true
			d.expect(p, all)
		}
	}
	for _, name := range []string{"items", "contentSchema"} {
		d.expect(s.child(name), all)
	}
	for _, part := range append(s.child("allOf").items(), s.child("anyOf").items()...) {
		d.expect(part, all)
	}
	for _, part := range s.child("oneOf").items() {
		all[part.pointer] = true
		d.expect(part, all)
	}
}
