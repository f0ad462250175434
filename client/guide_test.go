package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elided stands in the guide where lines of an example are left out.
const elided = "// …"

// Each line of Go in docs/sdk.md is one of an example that is run, in its order.
func TestGuideIsTakenFromExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/sdk.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := squeezed(readExamples(t))
	checked := 0
	for i, block := range strings.Split(string(text), "```go\n")[1:] {
		code, _, closed := strings.Cut(block, "```")
		if !closed {
			t.Fatalf("block %d is not closed", i+1)
		}
		for part := range strings.SplitSeq(code, elided) {
			if checked++; !strings.Contains(examples, squeezed(part)) {
				t.Errorf("block %d of docs/sdk.md is in no example:\n%s", i+1, part)
			}
		}
	}
	if checked < 10 {
		t.Errorf("got %d parts, want the whole guide's", checked)
	}
}

func readExamples(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"example_*_test.go", "../rollcalltest/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

// squeezed makes texts alike that differ in white space only.
func squeezed(text string) string { return " " + strings.Join(strings.Fields(text), " ") + " " }
