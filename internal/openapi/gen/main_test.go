package main

import (
	"bytes"
	"html/template"
	"os"
	"path/filepath"
	"strings"
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

// The request of section 6 is the one that docs/protocol.md writes out byte by
// byte.
func TestExampleIsTheSpecifications(t *testing.T) {
	spec, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := build("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"x-agentid: integratorNBTest00\nx-timestamp: 1769745539421\nx-nonce: e39e33c18bd6ca5c9ea128c2154dd592\n",
		"x-signature: 320d4dc4728109c3cdf9168b84561ec96e1f3f731482442e1027bc1aabab3524\n",
		"x6/UUfEY1mI+kpv1TzMyGvG1S2z2hWf0hGnczQ==12VbmRz/BSW3DyMwXIRYzU5bSgkm5siB",
	} {
		escaped := strings.ReplaceAll(template.HTMLEscapeString(line), "+", "&#43;")
		if !bytes.Contains(spec, []byte(line)) || !bytes.Contains(files["v2.html"], []byte(escaped)) {
			t.Errorf("%q is not in both", line)
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
