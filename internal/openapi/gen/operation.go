package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// An operation is one call.
type operation struct {
	ID, Method, Path, Summary, Description string
	Token                                  string // what is said of who calls; empty: nobody is asked
	Parameters                             []row
	Bodies                                 []body // of v2 two: what is sent, and the plaintext
	Answers                                []answer
	Refusals                               []refusal
	Request                                string // the request, as it goes over the wire
	Plaintext                              string // what is sealed in it
}

// A body is the table of an object that is sent or answered.
type body struct {
	Title, Description string
	Type               string // where the object has a name: its rows are there
	Optional           bool
	Rows               []row
	Example            string
}

// An answer is one that carries something.
type answer struct {
	Status, StatusText, Description, Media string
	Headers                                []row
	Bodies                                 []body
	Example                                string
}

// A refusal is one code.
type refusal struct {
	Status, Code, Message, Title, When string
	Headers                            []string
}

func (p *page) operation(method, path string, op *object) operation {
	o := operation{
		ID: op.text("operationId"), Method: method, Path: path,
		Summary: op.text("summary"), Description: op.text("description"),
	}
	p.addSecurity(&o, op)
	for _, parameter := range op.list("parameters") {
		o.Parameters = append(o.Parameters, p.parameter(parameter.(*object).target(p.doc)))
	}
	if request := op.object("requestBody"); request != nil {
		p.addRequest(&o, request)
	}
	responses := op.object("responses")
	for _, status := range responses.members() {
		p.addResponse(&o, status, responses.object(status).target(p.doc))
	}
	if method != "" {
		o.Request = p.wire(&o, op)
	}
	return o
}

func (p *page) addSecurity(o *operation, op *object) {
	security := p.doc.list("security")
	if op.has("security") {
		security = op.list("security")
	}
	for _, scheme := range security {
		for _, name := range scheme.(*object).members() {
			o.Token = p.doc.text("components", "securitySchemes", name, "description")
		}
	}
}

func (p *page) parameter(parameter *object) row {
	v := p.viewOf(parameter.object("schema"))
	if items, ok := v.get("items").(*object); ok {
		v = p.viewOf(items)
	}
	r := row{
		Name: parameter.text("name"), In: parameter.text("in"), Optional: parameter.get("required") != true,
		Type: p.typeOf(v), Text: sentence(parameter.text("description")), Values: valuesOf(v), Limits: limitsOf(v),
	}
	if text := v.text("description"); text != "" {
		r.Text = sentence(parameter.text("description") + "\n" + text)
	}
	return r
}

func (p *page) addRequest(o *operation, request *object) {
	s := request.object("content", "application/json", "schema")
	b := p.body(s)
	b.Optional = request.get("required") != true
	o.Bodies = append(o.Bodies, b)
	p.viewOf(s).properties(func(_ string, member *object, _ bool) {
		if plain := member.object("contentSchema"); plain != nil {
			inside := p.body(plain)
			o.Bodies, o.Plaintext = append(o.Bodies, inside), compact(p.viewOf(plain))
		}
	})
}

func (p *page) body(s *object) body {
	v := p.viewOf(s)
	b := body{Title: v.text("title"), Description: v.text("description"), Example: p.example(v)}
	if p.isNamed(v) {
		b.Type, b.Description = v.name, ""
		return b
	}
	b.Rows = p.rows(s, "")
	return b
}

// compact is the example of a schema on one line, as a client would send it.
func compact(v view) string {
	examples, _ := v.get("examples").([]any)
	if len(examples) == 0 {
		return ""
	}
	text, err := plainJSON(examples[0])
	if err != nil {
		return ""
	}
	return string(text)
}

// addResponse parts what a response can be into answers and refusals.
func (p *page) addResponse(o *operation, status string, response *object) {
	a := answer{Status: status, StatusText: statusText(status), Description: response.text("description")}
	headers := response.object("headers")
	for _, name := range headers.members() {
		r := p.parameter(headers.object(name).target(p.doc))
		r.Name = name
		a.Headers = append(a.Headers, r)
	}
	refused := false
	content := response.object("content")
	for _, media := range content.members() {
		a.Media = media
		for _, s := range alternatives(content.object(media, "schema")) {
			if r, ok := p.refusal(s); ok && r.Code != "0" {
				refused = true
				o.Refusals = append(o.Refusals, r.of(status, response, headers))
				continue
			}
			a.addBody(p.body(s))
		}
		if item := content.object(media, "x-item-schema"); item != nil {
			a.Bodies = append(a.Bodies, p.body(item))
		}
	}
	if len(a.Bodies) > 0 || !refused {
		o.Answers = append(o.Answers, a)
	}
}

func alternatives(s *object) []*object {
	list := s.list("oneOf")
	if list == nil {
		return []*object{s}
	}
	schemas := make([]*object, len(list))
	for i := range list {
		schemas[i] = list[i].(*object)
	}
	return schemas
}

func (a *answer) addBody(b body) {
	if a.Example == "" {
		a.Example = b.Example
	}
	if b.Type != "" || len(b.Rows) > 0 {
		a.Bodies = append(a.Bodies, b)
	}
}

// refusal reads a schema that is of one code: an envelope's number, or a fault's
// name.
func (p *page) refusal(s *object) (refusal, bool) {
	v := p.viewOf(s)
	r := refusal{Title: v.text("title"), When: v.text("description")}
	v.properties(func(name string, member *object, _ bool) {
		switch name {
		case "error":
			if fixed := member.get("properties", "code", "const"); fixed != nil {
				r.Code = fmt.Sprint(fixed)
			}
		case "code":
			if fixed, ok := member.get("const").(json.Number); ok {
				r.Code = fixed.String()
			}
		case "message":
			r.Message = member.text("const")
		}
	})
	return r, r.Code != ""
}

// of is the refusal as an answer to one call. What the response says of it goes
// before what the code means everywhere.
func (r refusal) of(status string, response, headers *object) refusal {
	r.Status = status
	content := response.object("content", "application/json", "schema")
	if content.list("oneOf") == nil {
		r.When = response.text("description")
	}
	for _, name := range headers.members() {
		if name == "Retry-After" || name == "Allow" {
			r.Headers = append(r.Headers, name)
		}
	}
	return r
}

// wire is a request as it goes over the wire.
func (p *page) wire(o *operation, op *object) string {
	var out strings.Builder
	var query, signed []string
	var headers strings.Builder
	for _, parameter := range op.list("parameters") {
		parameter := parameter.(*object).target(p.doc)
		example := parameter.get("example")
		switch name := parameter.text("name"); parameter.text("in") {
		case "header":
			if name == "x-signature" {
				example = signature(append(signed, p.sent(op).text("cipherText")))
			}
			if text, ok := example.(string); ok {
				signed = append(signed, text)
				headers.WriteString(name + ": " + text + "\n")
			}
		case "query":
			if example != nil {
				query = append(query, name+"="+queryText(example))
			}
		}
	}
	path := o.Path
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	fmt.Fprintf(&out, "%s %s HTTP/1.1\n", o.Method, path)
	if len(o.Bodies) > 0 {
		out.WriteString("Content-Type: application/json\n")
	}
	if o.Token != "" {
		out.WriteString("Authorization: Bearer " + p.tokenExample() + "\n")
	}
	out.WriteString(headers.String())
	if len(o.Bodies) > 0 {
		body := o.Bodies[0].Example
		if o.Plaintext != "" {
			body = compact(p.viewOf(bodySchema(op)))
		}
		out.WriteString("\n" + body)
	}
	return strings.TrimRight(out.String(), "\n")
}

func bodySchema(op *object) *object {
	return op.object("requestBody", "content", "application/json", "schema")
}

// sent is the example of a request's body.
func (p *page) sent(op *object) *object {
	sent, _ := p.exampleValue(p.viewOf(bodySchema(op))).(*object)
	return sent
}

// signature is that of an example, so that each can be tried (spec 3.1).
func signature(signed []string) string {
	sum := sha256.Sum256([]byte(strings.Join(signed, "|")))
	return hex.EncodeToString(sum[:])
}

func queryText(example any) string {
	if list, ok := example.([]any); ok {
		texts := make([]string, len(list))
		for i := range list {
			texts[i] = fmt.Sprint(list[i])
		}
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(example)
}

// tokenExample says whose token it is, by how it begins.
func (p *page) tokenExample() string {
	return map[string]string{"v2": "eyJhbGciOi…", "game": "rcg_…_gs1", "admin": "rca_…_ann"}[p.Name]
}
