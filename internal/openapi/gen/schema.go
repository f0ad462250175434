package main

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

const schemaRef = "#/components/schemas/"

// A row is one member of a table: of an object, or of a request's parameters.
type row struct {
	Name     string
	In       string // of a parameter: path, query, header
	Type     template.HTML
	Optional bool
	Text     template.HTML
	Values   []string // that it can have
	Limits   string
}

// A view is a schema with what it refers to laid under it.
type view struct {
	layers []*object // its own first
	name   string    // of the component that it refers to, if it does
}

// viewOf follows $ref and allOf, which lay members over each other.
func (p *page) viewOf(s *object) view {
	v := view{layers: []*object{s}}
	if ref := s.text("$ref"); ref != "" {
		v.name = strings.TrimPrefix(ref, schemaRef)
		v.layers = append(v.layers, p.viewOf(p.doc.referred(ref)).layers...)
	}
	return v
}

// get is a keyword of the nearest layer that has it.
func (v view) get(name string) any {
	for _, layer := range v.layers {
		if layer.has(name) {
			return layer.get(name)
		}
	}
	return nil
}

func (v view) text(name string) string {
	text, _ := v.get(name).(string)
	return text
}

// example is one of the schema, as text; "" where there is none.
func (p *page) example(v view) string {
	value := p.exampleValue(v)
	if text, ok := value.(string); ok {
		return strings.TrimRight(text, "\n")
	}
	text, err := asJSON(value)
	if err != nil || value == nil {
		return ""
	}
	return strings.TrimRight(string(text), "\n")
}

// exampleValue is the first of a schema's examples, or an object made of those of
// its required members; nil where one of them has none.
func (p *page) exampleValue(v view) any {
	if examples, _ := v.get("examples").([]any); len(examples) > 0 {
		return examples[0]
	}
	if v.get("type") == "array" {
		if item := p.exampleValue(p.viewOf(v.get("items").(*object))); item != nil {
			return []any{item}
		}
		return nil
	}
	made := &object{values: make(map[string]any)}
	v.properties(func(name string, s *object, required bool) {
		if value := p.exampleValue(p.viewOf(s)); required && made != nil {
			if made.names, made.values[name] = append(made.names, name), value; value == nil {
				made = nil
			}
		}
	})
	if made == nil || len(made.names) == 0 {
		return nil
	}
	return made
}

// properties calls each for every member, those of the lowest layer first.
func (v view) properties(each func(name string, s *object, required bool)) {
	required := make(map[string]bool)
	for _, layer := range v.layers {
		for _, name := range layer.list("required") {
			required[name.(string)] = true
		}
	}
	for _, layer := range slices.Backward(v.layers) {
		properties := layer.object("properties")
		for _, name := range properties.members() {
			if s := properties.object(name); s != nil {
				each(name, s, required[name])
			}
		}
	}
}

// rows are the members of an object, and of the objects in it that have no name of
// their own or are used here only.
func (p *page) rows(s *object, prefix string) []row {
	var rows []row
	p.viewOf(s).properties(func(name string, member *object, required bool) {
		v := p.viewOf(member)
		r := row{
			Name: prefix + name, Type: p.typeOf(v), Optional: !required,
			Text: p.textOf(v), Values: valuesOf(v), Limits: limitsOf(v),
		}
		rows = append(rows, r)
		if inner, mark := p.innerOf(v); inner != nil {
			rows = append(rows, p.rows(inner, prefix+name+mark)...)
		}
	})
	return rows
}

// innerOf returns the object whose members are rows too, and what joins their names.
func (p *page) innerOf(v view) (*object, string) {
	mark := "."
	s := v.layers[0]
	if v.get("type") == "array" {
		s, mark = s.object("items"), "[]."
		v = p.viewOf(s)
	}
	if v.get("properties") == nil || p.isNamed(v) {
		return nil, ""
	}
	return s, mark
}

// isNamed reports whether the view is of an object with an entry of its own among
// the types, and takes note that it is to have one.
func (p *page) isNamed(v view) bool {
	named := v.name != "" && v.get("properties") != nil && p.uses[v.name] > 1 && !v.isSealed()
	if named {
		p.named[v.name] = true
	}
	return named
}

// isSealed reports whether a member of the object holds another text: it is shown
// wherever it is sent, together with that.
func (v view) isSealed() bool {
	sealed := false
	v.properties(func(_ string, s *object, _ bool) { sealed = sealed || s.has("contentEncoding") })
	return sealed
}

// typeOf says of what type a value is, with a link where the type has a name.
func (p *page) typeOf(v view) template.HTML {
	kind := v.text("type")
	switch content := v.layers[0].object("contentSchema"); {
	case p.isNamed(v):
		return typeLink(v.name)
	case kind == "array":
		return "array of " + p.typeOf(p.viewOf(v.get("items").(*object)))
	case v.get("contentEncoding") != nil:
		return "string, sealed"
	case content != nil && p.isNamed(p.viewOf(content)):
		return "string that holds " + typeLink(p.viewOf(content).name)
	case kind == "" && v.get("const") != nil:
		if _, ok := v.get("const").(string); ok {
			return "string"
		}
		return "number"
	}
	return template.HTML(template.HTMLEscapeString(kind + formatOf(v))) //nolint:gosec // it is escaped
}

func typeLink(name string) template.HTML {
	return template.HTML(fmt.Sprintf(`<a href="#schema-%[1]s">%[1]s</a>`, template.HTMLEscapeString(name))) //nolint:gosec // it is escaped
}

var formats = map[string]string{"date-time": ", a time", "uri": ", a URL", "uuid": ", a UUID"}

func formatOf(v view) string {
	if v.get("anyOf") != nil {
		return ", an IP address" // the only ones that are alternatives
	}
	return formats[v.text("format")]
}

// textOf is the description that stands at the place, and that of the type where
// it adds something.
func (p *page) textOf(v view) template.HTML {
	own := v.layers[0].text("description")
	if p.isNamed(v) || v.get("properties") != nil {
		return sentence(own)
	}
	for _, layer := range v.layers[1:] {
		if text := layer.text("description"); text != "" && text != own {
			own = strings.TrimSpace(own + "\n" + text)
			if strings.Contains(text, "\n- ") || strings.HasPrefix(text, "- ") {
				own = strings.Replace(own, "\n"+text, "\n\n"+text, 1)
			}
		}
	}
	if own == "" {
		own = v.text("title")
	}
	return sentence(own)
}

func valuesOf(v view) []string {
	if v.get("type") == "array" || v.get("type") == "integer" && v.text("description") != "" {
		return nil // the text says what each number means
	}
	if fixed := v.get("const"); fixed != nil {
		return []string{fmt.Sprintf("%v", fixed)}
	}
	var values []string
	options, _ := v.get("enum").([]any)
	for _, option := range options {
		values = append(values, fmt.Sprint(option))
	}
	return values
}

// limitsOf are a number's bounds, an array's length and the default.
func limitsOf(v view) string {
	var limits []string
	least, most := v.get("minimum"), v.get("maximum")
	switch {
	case least != nil && most != nil:
		limits = append(limits, fmt.Sprintf("%v to %v", least, most))
	case least != nil:
		limits = append(limits, fmt.Sprintf("%v or more", least))
	}
	if most := v.get("maxItems"); most != nil {
		limits = append(limits, fmt.Sprintf("at most %v", most))
	}
	if most := v.get("maxLength"); most != nil && !strings.Contains(v.text("description"), "at most") {
		limits = append(limits, fmt.Sprintf("at most %v characters", most))
	}
	if value := v.get("default"); value != nil {
		limits = append(limits, fmt.Sprintf("default %v", value))
	}
	return strings.Join(limits, "; ")
}
