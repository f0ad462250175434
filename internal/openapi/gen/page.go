package main

import (
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.html
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"markdown": markdown, "sentence": sentence, "lower": strings.ToLower,
	"anchor": func(text string) string { return strings.ReplaceAll(strings.ToLower(text), " ", "-") },
}).ParseFS(templateFiles, "*.html"))

// A page is what page.html shows of a document.
type page struct {
	Name                        string // of the document's files
	Title, Summary, Description string
	Server                      string
	Groups                      []group
	Otherwise                   group // its one operation is all else
	Codes                       []refusal
	Types                       []schemaType

	doc   *object
	uses  map[string]int // of each schema of the components
	named map[string]bool
}

// A group is the operations of one tag.
type group struct {
	Name, Description string
	Operations        []operation
}

// A schemaType is a schema that several others refer to.
type schemaType struct {
	Name, Title, Description string
	Rows                     []row
	Example                  string
}

func newPage(name string, doc *object) *page {
	p := &page{
		Name: name, Title: doc.text("info", "title"), Summary: doc.text("info", "summary"), Description: doc.text("info", "description"),
		doc: doc, uses: make(map[string]int), named: make(map[string]bool),
	}
	for _, server := range doc.list("servers") {
		p.Server = server.(*object).text("variables", "server", "default")
	}
	p.count(doc)
	for _, tag := range doc.list("tags") {
		p.Groups = append(p.Groups, p.group(tag.(*object)))
	}
	otherwise := p.operation("", "", doc.object("x-otherwise"))
	p.Otherwise = group{Name: "Anything else", Operations: []operation{otherwise}}
	p.Codes = p.codes()
	p.Types = p.types()
	return p
}

// count counts how often each schema of the components is referred to.
func (p *page) count(value any) {
	switch value := value.(type) {
	case *object:
		if name, ok := strings.CutPrefix(value.text("$ref"), schemaRef); ok {
			p.uses[name]++
		}
		for _, name := range value.members() {
			p.count(value.get(name))
		}
	case []any:
		for _, item := range value {
			p.count(item)
		}
	}
}

func (p *page) group(tag *object) group {
	g := group{Name: tag.text("name"), Description: tag.text("description")}
	paths := p.doc.object("paths")
	for _, path := range paths.members() {
		item := paths.object(path)
		for _, method := range item.members() {
			if op := item.object(method); slices.Contains(op.list("tags"), any(g.Name)) {
				g.Operations = append(g.Operations, p.operation(strings.ToUpper(method), path, op))
			}
		}
	}
	return g
}

// types are the schemas that were linked to, and those that they link to.
func (p *page) types() []schemaType {
	schemas := p.doc.object("components", "schemas")
	made := make(map[string]schemaType)
	for {
		grown := false
		for _, name := range schemas.members() {
			if _, done := made[name]; !done && (p.named[name] || name == "Fault") {
				s := schemas.object(name)
				v := p.viewOf(s)
				made[name] = schemaType{
					Name: name, Title: v.text("title"), Description: s.text("description"),
					Rows: p.rows(s, ""), Example: p.example(v),
				}
				grown = true
			}
		}
		if !grown {
			break
		}
	}
	var types []schemaType
	for _, name := range schemas.members() {
		if t, ok := made[name]; ok {
			types = append(types, t)
		}
	}
	return types
}

// codes are those of the components, each with the statuses that it comes with.
func (p *page) codes() []refusal {
	statuses := make(map[string][]string)
	for _, g := range append(slices.Clone(p.Groups), p.Otherwise) {
		for _, op := range g.Operations {
			for _, r := range op.Refusals {
				if !slices.Contains(statuses[r.Code], r.Status) {
					statuses[r.Code] = append(statuses[r.Code], r.Status)
				}
			}
		}
	}
	var codes []refusal
	schemas := p.doc.object("components", "schemas")
	for _, name := range schemas.members() {
		r, ok := p.refusal(schemas.object(name))
		if ok && r.Code != "0" {
			slices.Sort(statuses[r.Code])
			r.Status = strings.Join(statuses[r.Code], ", ")
			r.When = schemas.text(name, "description")
			codes = append(codes, r)
		}
	}
	return codes
}

func statusText(status string) string {
	n, _ := strconv.Atoi(status)
	return http.StatusText(n)
}

// An index is what index.html shows: the documents of an audience.
type index struct{ Documents []*page }

func newIndex(names []string, docs map[string]*object) index {
	var x index
	for _, name := range names {
		x.Documents = append(x.Documents, newPage(name, docs[name]))
	}
	return x
}
