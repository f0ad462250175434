package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// An object is a JSON object that keeps the order of its members, which is how the
// author wrote them. A nil one is empty.
type object struct {
	names  []string
	values map[string]any
}

// readDocument reads a YAML file as *objects, []any, strings, numbers, bools and
// nils.
func readDocument(name string) (*object, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	value, err := valueOf(root.Content[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	doc, ok := value.(*object)
	if !ok {
		return nil, fmt.Errorf("%s is no object", name)
	}
	return doc, nil
}

func valueOf(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return valueOf(n.Alias)
	case yaml.SequenceNode:
		items := make([]any, len(n.Content))
		for i, item := range n.Content {
			var err error
			if items[i], err = valueOf(item); err != nil {
				return nil, err
			}
		}
		return items, nil
	case yaml.MappingNode:
		return objectOf(n)
	}
	return scalarOf(n)
}

func objectOf(n *yaml.Node) (*object, error) {
	o := &object{values: make(map[string]any)}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := o.values[name]; twice {
			return nil, fmt.Errorf("line %d: %s is given twice", n.Content[i].Line, name)
		}
		value, err := valueOf(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		o.names, o.values[name] = append(o.names, name), value
	}
	return o, nil
}

func scalarOf(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!str":
		return n.Value, nil
	case "!!int", "!!float":
		return json.Number(n.Value), nil
	case "!!bool":
		return n.Value == "true", nil
	case "!!null":
		return nil, nil
	}
	return nil, fmt.Errorf("line %d: a %s: put it in quotes", n.Line, n.Tag)
}

// MarshalJSON writes the members in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	out := bytes.NewBufferString("{")
	for i, name := range o.names {
		if i > 0 {
			out.WriteByte(',')
		}
		text, err := plainJSON(o.values[name])
		if err != nil {
			return nil, err
		}
		out.WriteString(strconv.Quote(name) + ":")
		out.Write(text)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// plainJSON leaves <, > and & as they are, which people read better.
func plainJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

func asJSON(value any) ([]byte, error) {
	text, err := plainJSON(value)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// get follows names down from o; nil where there is nothing.
func (o *object) get(names ...string) any {
	var value any = o
	for _, name := range names {
		inner, ok := value.(*object)
		if !ok || inner == nil {
			return nil
		}
		value = inner.values[name]
	}
	return value
}

// object, list and text are get for values of that type.
func (o *object) object(names ...string) *object {
	value, _ := o.get(names...).(*object)
	return value
}

func (o *object) list(names ...string) []any {
	value, _ := o.get(names...).([]any)
	return value
}

func (o *object) text(names ...string) string {
	value, _ := o.get(names...).(string)
	return value
}

func (o *object) has(name string) bool { return o != nil && slices.Contains(o.names, name) }

// members are the names of an object's members in their order.
func (o *object) members() []string {
	if o == nil {
		return nil
	}
	return o.names
}

// referred is what a reference such as #/components/schemas/Agent leads to.
func (o *object) referred(ref string) *object {
	return o.object(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// target is o, or what it refers to.
func (o *object) target(doc *object) *object {
	for o.text("$ref") != "" {
		o = doc.referred(o.text("$ref"))
	}
	return o
}
