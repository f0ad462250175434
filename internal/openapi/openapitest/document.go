// Package openapitest holds a running server against its OpenAPI documents: what
// passes a Document's Handler is checked, and what was seen is remembered, so that
// a test can ask what of the document nothing has shown yet. Only tests import it.
//
// It knows of the documents what internal/openapi says in them, and no rules of the
// server.
package openapitest

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/rollcall-server/rollcall/internal/openapi"
)

// A Document is one OpenAPI document, and what was seen of it. It is safe for
// concurrent use.
type Document struct {
	name       string
	root       map[string]any
	operations []operation

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
	seen     map[string]bool
}

// An operation is one method of one path.
type operation struct {
	id, method, path string
	pattern          *regexp.Regexp // of path; its groups are the parameters in params
	params           []string
	node             node
}

// Load reads one of the documents of package openapi. It panics where there is
// none, or where it is no JSON: those have been checked there.
func Load(name string) *Document {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.JSON(name)))
	if err != nil {
		panic(fmt.Sprintf("openapitest: %s: %v", name, err))
	}
	d := &Document{
		name: name, root: value.(map[string]any), compiler: jsonschema.NewCompiler(),
		schemas: make(map[string]*jsonschema.Schema), seen: make(map[string]bool),
	}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(d.location(""), value); err != nil {
		panic(fmt.Sprintf("openapitest: %s: %v", name, err))
	}
	d.readOperations()
	return d
}

func (d *Document) location(pointer string) string {
	return (&url.URL{Scheme: "doc", Host: d.name, Path: "/", Fragment: pointer}).String()
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (d *Document) readOperations() {
	paths := d.at("paths")
	for _, path := range paths.keys() {
		item := paths.get(path)
		for _, method := range item.keys() {
			if !slices.Contains(methods, method) {
				continue
			}
			op := operation{method: strings.ToUpper(method), path: path, node: item.get(method)}
			op.id = op.node.get("operationId").text()
			op.pattern, op.params = patternOf(path)
			d.operations = append(d.operations, op)
		}
	}
	// A path without parameters goes before one with.
	slices.SortStableFunc(d.operations, func(a, b operation) int { return len(a.params) - len(b.params) })
}

var braces = regexp.MustCompile(`\\\{([^}]+)\\\}`)

func patternOf(path string) (*regexp.Regexp, []string) {
	quoted := regexp.QuoteMeta(path)
	var params []string
	for _, group := range braces.FindAllStringSubmatch(quoted, -1) {
		params = append(params, group[1])
	}
	return regexp.MustCompile("^" + braces.ReplaceAllString(quoted, "([^/]+)") + "$"), params
}

// Routes returns the method and the path of each operation, with a space between
// and the path's parameters unnamed, such as "GET /admin/v1/agents/{}".
func (d *Document) Routes() []string {
	var routes []string
	for _, op := range d.operations {
		routes = append(routes, Route(op.method+" "+op.path))
	}
	slices.Sort(routes)
	return routes
}

// HasBody reports whether the operation of a route takes a body.
func (d *Document) HasBody(route string) bool {
	op := d.operation(route)
	return op != nil && op.node.get("requestBody").value != nil
}

// HasQuery reports whether the operation of a route takes this query parameter.
func (d *Document) HasQuery(route, name string) bool {
	op := d.operation(route)
	return op != nil && slices.ContainsFunc(op.parameters(), func(p node) bool {
		return p.get("in").value == "query" && p.get("name").value == name
	})
}

func (d *Document) operation(route string) *operation {
	for i := range d.operations {
		if op := &d.operations[i]; Route(op.method+" "+op.path) == route {
			return op
		}
	}
	return nil
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// Route takes the names of a route's parameters away.
func Route(pattern string) string { return parameter.ReplaceAllString(pattern, "{}") }

// find returns the operation of a request, and its path's parameters.
func (d *Document) find(method, path string) (op *operation, params map[string]string) {
	for i := range d.operations {
		op := &d.operations[i]
		if op.method != method {
			continue
		}
		if values := op.pattern.FindStringSubmatch(path); values != nil {
			params := make(map[string]string, len(op.params))
			for i, name := range op.params {
				params[name], _ = url.PathUnescape(values[i+1])
			}
			return op, params
		}
	}
	return nil, nil
}

// A node is a place in a document.
type node struct {
	d       *Document
	pointer string
	value   any // nil: there is none
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// child is the member of that name, or the element of that number, as it stands
// there.
func (n node) child(name string) node {
	c := node{d: n.d, pointer: n.pointer + "/" + escape.Replace(name)}
	switch value := n.value.(type) {
	case map[string]any:
		c.value = value[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(value) {
			c.value = value[i]
		}
	}
	return c
}

// get is the member of that name, or what it refers to.
func (n node) get(names ...string) node {
	for _, name := range names {
		n = n.child(name).target()
	}
	return n
}

// target is what a node refers to, and itself where it refers to nothing.
func (n node) target() node {
	for {
		ref, ok := n.child("$ref").value.(string)
		if !ok {
			return n
		}
		n = n.d.referred(ref)
	}
}

func (d *Document) referred(ref string) node {
	n := node{d, "", d.root}
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		n = n.child(strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	return n
}

func (d *Document) at(names ...string) node { return node{d, "", d.root}.get(names...) }

// keys are the names of an object's members, sorted.
func (n node) keys() []string {
	members, _ := n.value.(map[string]any)
	return slices.Sorted(maps.Keys(members))
}

// items are the elements of an array, as they stand there.
func (n node) items() []node {
	list, _ := n.value.([]any)
	items := make([]node, len(list))
	for i, value := range list {
		items[i] = node{n.d, fmt.Sprintf("%s/%d", n.pointer, i), value}
	}
	return items
}

func (n node) text() string {
	text, _ := n.value.(string)
	return text
}

func (n node) isTrue() bool { return n.value == true }

// schema compiles the schema at a node.
func (n node) schema() (*jsonschema.Schema, error) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if s, ok := n.d.schemas[n.pointer]; ok {
		return s, nil
	}
	s, err := n.d.compiler.Compile(n.d.location(n.pointer))
	if err == nil {
		n.d.schemas[n.pointer] = s
	}
	return s, err
}

// validate holds a value against the schema at a node.
func (n node) validate(value any) error {
	s, err := n.schema()
	if err != nil {
		return err
	}
	return s.Validate(value)
}
