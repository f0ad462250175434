// Command gen makes what package openapi serves from its documents: each as JSON
// and as a page, a list of the pages for each audience, and their style sheet. It
// runs in internal/openapi, by go generate.
//
// A page needs neither network nor script. The server serves it as it is, and links
// none of this.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rollcall-server/rollcall/internal/openapi"
)

//go:embed style.css
var style []byte

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(dir string) error {
	files, err := build(dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "dist", name), text, 0o644); err != nil { //nolint:gosec // anyone may read it
			return err
		}
	}
	return nil
}

// build makes the files of dist from the documents in dir.
func build(dir string) (map[string][]byte, error) {
	files := map[string][]byte{"style.css": style}
	docs := make(map[string]*object)
	for _, name := range openapi.Operators.Documents() { // they see all
		doc, err := readDocument(filepath.Join(dir, name+".yaml"))
		if err != nil {
			return nil, err
		}
		docs[name] = doc
		if files[name+".json"], err = asJSON(doc); err != nil {
			return nil, err
		}
		if files[name+".html"], err = render("page.html", newPage(name, doc)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, audience := range openapi.Audiences() {
		text, err := render("index.html", newIndex(audience.Documents(), docs))
		if err != nil {
			return nil, err
		}
		files["index-"+string(audience)+".html"] = text
	}
	return files, nil
}

func render(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	err := templates.ExecuteTemplate(&out, name, data)
	return out.Bytes(), err
}
