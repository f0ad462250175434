package openapitest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// request holds a request that was accepted against the document.
func (c *checker) request(op *operation, path map[string]string) {
	query := c.x.URL.Query()
	for _, p := range op.parameters() {
		name := p.get("name").text()
		var values []string
		switch p.get("in").text() {
		case "path":
			values = []string{path[name]}
		case "query":
			values = query[name]
			query.Del(name)
		case "header":
			values = c.x.Header.Values(name)
		}
		c.parameter(op, p, values)
	}
	for name := range query {
		c.fault("query %s is not documented", name)
	}
	if len(op.security().items()) > 0 && c.x.Header.Get("Authorization") == "" {
		c.fault("was done without Authorization")
	}
	c.requestBody(op.node.get("requestBody"))
}

func (op *operation) parameters() []node {
	var parameters []node
	for _, p := range op.node.get("parameters").items() {
		parameters = append(parameters, p.target())
	}
	return parameters
}

// security is the operation's own, or else the document's.
func (op *operation) security() node {
	if own := op.node.get("security"); own.value != nil {
		return own
	}
	return op.node.d.at("security")
}

func (c *checker) parameter(op *operation, p node, values []string) {
	name := p.get("in").text() + " " + p.get("name").text()
	switch {
	case len(values) > 1:
		c.fault("%s was sent %d times", name, len(values))
	case len(values) == 1:
		c.d.see(op.id + " " + name)
		c.valid(name, p.child("schema"), typed(p, values[0]))
	case p.get("required").isTrue():
		c.fault("was done without %s", name)
	}
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// typed is a parameter's text as the type that its schema asks for; the text
// itself where it is none.
func typed(p node, text string) any {
	switch kind := p.get("schema", "type").text(); {
	case kind == "integer" && wholeNumber.MatchString(text):
		return json.Number(text)
	case kind == "boolean" && (text == "true" || text == "false"):
		return text == "true"
	case kind == "array":
		var items []any
		for item := range strings.SplitSeq(text, ",") {
			items = append(items, item)
		}
		return items
	}
	return text
}

func (c *checker) requestBody(body node) {
	switch {
	case body.value == nil:
		if len(c.x.Body) > 0 && c.x.Method != http.MethodGet {
			c.fault("a request body, which is not documented: %.100s", c.x.Body)
		}
	case len(c.x.Body) == 0:
		if body.get("required").isTrue() {
			c.fault("was done without a body")
		}
	case mediaType(c.x.Header) != "application/json":
		c.fault("was done with Content-Type %q", c.x.Header.Get("Content-Type"))
	default:
		c.json("request", body.get("content", "application/json").child("schema"), c.x.Body)
	}
}
