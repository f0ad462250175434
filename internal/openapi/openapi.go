// Package openapi describes the three APIs, as OpenAPI 3.1 documents and as pages
// for people. The documents v2.yaml, game.yaml and admin.yaml are written by hand;
// all that is in dist is made from them by package gen. Whether the server does what
// they say is tested where it runs, with package openapitest.
//
// It knows nothing of the server, and parses nothing when it is asked: what it
// serves are bytes.
package openapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
	"time"
)

//go:generate go run ./gen

//go:embed v2.yaml game.yaml admin.yaml dist
var files embed.FS

// Prefix is where the pages are served.
const Prefix = "/openapi/"

// An Audience is who reaches a listener: it sees the documents of the APIs there.
type Audience string

// The audiences. Where game servers have a listener of their own, it is for them
// alone.
const (
	Integrators Audience = "integrators"
	GameServers Audience = "game-servers"
	Operators   Audience = "operators"
)

// Audiences are all of them.
func Audiences() []Audience { return []Audience{Integrators, GameServers, Operators} }

// Documents returns the names of the documents that an audience sees, in the order
// in which they are listed.
func (a Audience) Documents() []string {
	switch a {
	case Integrators:
		return []string{"v2", "game"}
	case GameServers:
		return []string{"game"}
	case Operators:
		return []string{"v2", "game", "admin"}
	}
	return nil
}

// JSON returns a document, by its name, as JSON; nil where there is none.
func JSON(name string) []byte {
	text, err := files.ReadFile("dist/" + name + ".json")
	if err != nil {
		return nil
	}
	return text
}

// A Page is one answer. It is safe for concurrent use.
type Page struct {
	media, etag string
	body        []byte
}

// Pages returns what an audience is shown, by path behind Prefix; "" is the page
// that lists the others.
func Pages(a Audience) map[string]Page {
	pages := map[string]Page{"": pageOf("dist/index-" + string(a) + ".html"), "style.css": pageOf("dist/style.css")}
	for _, name := range a.Documents() {
		pages[name+".yaml"] = pageOf(name + ".yaml")
		pages[name+".json"] = pageOf("dist/" + name + ".json")
		pages[name+".html"] = pageOf("dist/" + name + ".html")
	}
	return pages
}

// media are the types by extension: what the machine says of them may differ.
var media = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".json": "application/json",
	".yaml": "application/yaml; charset=utf-8",
}

func pageOf(name string) Page {
	body, err := files.ReadFile(name)
	if err != nil {
		panic("openapi: " + err.Error()) // what is embedded is tested
	}
	sum := sha256.Sum256(body)
	return Page{media: media[path.Ext(name)], etag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
}

// policy lets a page do nothing but look as its style sheet says.
const policy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers GET and HEAD, conditional ones too.
func (p Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", p.media)
	h.Set("ETag", p.etag)
	h.Set("Cache-Control", "no-cache") // ask again: it changes with the server
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	// Of texts as short as these no part is needed, and to send thousands of parts
	// would cost more than all the rest.
	r.Header.Del("Range")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
}

// Allowed reports whether a page answers a method.
func Allowed(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead}, method)
}
