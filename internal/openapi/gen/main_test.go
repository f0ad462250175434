package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is committed is what gen makes of the documents, and nothing else.
func TestDistIsCurrent(t *testing.T) {
	files, err := build("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join("..", "dist", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what the documents make it (%v): run go generate ./internal/openapi", name, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join("..", "dist"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()] == nil {
			t.Errorf("dist/%s is of no document", entry.Name())
		}
	}
}

// What a document says is text, whatever is in it.
func TestMarkdown(t *testing.T) {
	for _, row := range [][2]string{
		{"a <b> & `<c>`", "<p>a &lt;b&gt; &amp; <code>&lt;c&gt;</code></p>\n"},
		{"## A *b*", "<h2>A <em>b</em></h2>\n"},
		{"one\ntwo\n\nthree", "<p>one two</p>\n<p>three</p>\n"},
		{"- a\n  b\n- **c**", "<ul>\n<li>a b</li>\n<li><strong>c</strong></li>\n</ul>\n"},
		{"1. a\n2. [b](#c)", "<ol>\n<li>a</li>\n<li><a href=\"#c\">b</a></li>\n</ol>\n"},
		{"`a*b*` c", "<p><code>a*b*</code> c</p>\n"},
		{`[x](" onclick="y)`, "<p><a href=\"&#34; onclick=&#34;y\">x</a></p>\n"},
	} {
		if got := string(markdown(row[0])); got != row[1] {
			t.Errorf("%q: got %q, want %q", row[0], got, row[1])
		}
	}
}
