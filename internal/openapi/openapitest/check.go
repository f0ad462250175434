package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// An Exchange is a request and its answer.
type Exchange struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte // as far as it was read

	Status       int
	AnswerHeader http.Header
	Answer       []byte

	// Open opens a sealed text of the request; nil: there is none.
	Open func(text string) ([]byte, error)
}

// Check returns what is wrong with an exchange by the document, and remembers what
// it has shown. What was accepted has to be right as a request too.
func (d *Document) Check(x *Exchange) []string {
	op, params := d.find(x.Method, x.URL.EscapedPath())
	name, responses := "otherwise", d.at("x-otherwise", "responses")
	if op != nil {
		name, responses = op.id, op.node.get("responses")
	}
	response := responses.get(strconv.Itoa(x.Status))
	if response.value == nil {
		return []string{fmt.Sprintf("%s: status %d is not documented", name, x.Status)}
	}
	d.see(name + " " + strconv.Itoa(x.Status))
	c := checker{d: d, x: x, name: fmt.Sprintf("%s %d", name, x.Status)}
	c.answerHeaders(response.get("headers"))
	c.answer(response.get("content"))
	if op != nil && x.accepted() {
		c.request(op, params)
	}
	return c.faults
}

// accepted reports whether the call was carried out. An envelope has a code.
func (x *Exchange) accepted() bool {
	var envelope struct {
		Code json.Number `json:"code"`
	}
	_ = json.Unmarshal(x.Answer, &envelope)
	return x.Status < http.StatusBadRequest && (envelope.Code == "" || envelope.Code == "0")
}

// A checker collects what is wrong with one exchange.
type checker struct {
	d      *Document
	x      *Exchange
	name   string // of the operation, and the status
	faults []string
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, c.name+": "+fmt.Sprintf(format, args...))
}

func (c *checker) valid(what string, s node, value any) {
	if err := s.validate(value); err != nil {
		c.fault("%s: %v", what, err)
		return
	}
	c.faults = append(c.faults, c.d.walk(s, value, c.x.Open)...)
}

// told are headers that tell a client something: an answer has them only where the
// document says so.
var told = []string{"Allow", "Link", "Location", "Retry-After", "Set-Cookie", "Www-Authenticate"}

// silent are headers that begin like told ones and are on every answer.
var silent = []string{"X-Content-Type-Options"}

func (c *checker) answerHeaders(documented node) {
	known := make(map[string]bool)
	for _, name := range documented.keys() {
		header, canonical := documented.get(name), http.CanonicalHeaderKey(name)
		known[canonical] = true
		switch values := c.x.AnswerHeader[canonical]; {
		case len(values) == 1:
			c.d.see(c.name + " header " + name)
			c.valid("header "+name, header.child("schema"), values[0])
		case len(values) > 1:
			c.fault("header %s %d times", name, len(values))
		case header.get("required").isTrue():
			c.fault("header %s is missing", name)
		}
	}
	for name := range c.x.AnswerHeader {
		tells := slices.Contains(told, name) || strings.HasPrefix(name, "X-") && !slices.Contains(silent, name)
		if tells && !known[name] {
			c.fault("header %s is not documented", name)
		}
	}
}

func (c *checker) answer(content node) {
	if content.value == nil {
		if len(c.x.Answer) > 0 {
			c.fault("a body, which is not documented: %.100s", c.x.Answer)
		}
		return
	}
	media := mediaType(c.x.AnswerHeader)
	described := content.get(media)
	switch schema := described.child("schema"); {
	case described.value == nil:
		c.fault("Content-Type %q is not documented", media)
	case media == "application/json":
		c.json("answer", schema, c.x.Answer)
	case media == "text/event-stream":
		c.events(described.child("x-item-schema"))
	default:
		c.valid("answer", schema, string(c.x.Answer))
	}
}

func mediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

func (c *checker) json(what string, s node, text []byte) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		c.fault("%s is no JSON: %v: %.100s", what, err, text)
		return
	}
	c.valid(what, s, value)
}

// events holds each whole event of a stream against its schema.
func (c *checker) events(s node) {
	blocks := strings.Split(string(c.x.Answer), "\n\n")
	for _, block := range blocks[:len(blocks)-1] { // the last may be cut off
		event := make(map[string]any)
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			if name != "" && name != "retry" {
				event[name] = value
			}
		}
		if len(event) > 0 {
			c.valid("event", s, event)
		}
	}
}
