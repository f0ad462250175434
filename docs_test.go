package rollcall_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linkIn    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingIn = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestLinks follows every link of the documents that stays in the repository.
func TestLinks(t *testing.T) {
	pages := documents(t)
	for _, page := range pages {
		text := codeBlock.ReplaceAllString(readText(t, page), "")
		for _, link := range linkIn.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s: no such file", page, link[1])
			} else if anchor != "" && !slices.Contains(anchors(readText(t, file)), anchor) {
				t.Errorf("%s: %s: no such heading", page, link[1])
			}
		}
	}
	if len(pages) < 8 {
		t.Errorf("got %d documents, want all", len(pages))
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// anchors returns the names by which a forge links to a page's headings.
func anchors(text string) (names []string) {
	for _, h := range headingIn.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(strings.NewReplacer("`", "", "*", "").Replace(h[1]))
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docs/errors.md tells of each code that docs/protocol.md has, and of no other.
func TestErrorsPageHasEveryCode(t *testing.T) {
	_, section, _ := strings.Cut(readText(t, "docs/protocol.md"), "\n## 9 ")
	var want, got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| `+"`").FindAllStringSubmatch(section, -1) {
		want = append(want, row[1])
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (\d+)$`).FindAllStringSubmatch(readText(t, "docs/errors.md"), -1) {
		got = append(got, heading[1])
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("got sections of %v, want %v", got, want)
	}
}
