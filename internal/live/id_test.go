package live

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// IDs come back as they were, sort as their texts, and know when they were made.
func TestSessionIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (string, int64) {
			at := rapid.Int64Range(0, 1<<52).Draw(t, "at")
			return roll.NewSessionID(time.UnixMicro(at), roll.Home(rapid.Uint32().Draw(t, "home"))), at
		}
		first, at := draw()
		second, _ := draw()
		a, ok := parseID(first)
		b, _ := parseID(second)
		if got := string(a.appendTo(nil)); !ok || got != first || !a.isUUID() {
			t.Fatalf("%s has become %s, %v", first, got, ok)
		}
		if got := a.micros(); got != at%(1<<48*1000) {
			t.Fatalf("%s is of %d, want %d", first, got, at)
		}
		if a.compare(b) != strings.Compare(first, second) {
			t.Fatalf("%s and %s sort as %d", first, second, a.compare(b))
		}
	})
}

func TestOtherTextsAreNoUUIDs(t *testing.T) {
	const id = "0197a3b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
	if _, ok := parseID(id); !ok {
		t.Fatalf("%s is refused", id)
	}
	for i := range id {
		for _, c := range []byte("g-G/: ") {
			text := id[:i] + string(c) + id[i+1:]
			if _, ok := parseID(text); ok && text != id {
				t.Errorf("%s is taken", text)
			}
		}
	}
	for _, text := range []string{"", id[1:], id + "0", strings.ToUpper(id), strings.Replace(id, "7e3f", "4e3f", 1)} {
		if _, ok := parseID(text); ok {
			t.Errorf("%s is taken", text)
		}
	}
}
