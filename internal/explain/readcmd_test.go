package explain

import (
	"slices"
	"testing"
)

// Words as cmd.exe and the programs behind it part them.
func TestWindowsWords(t *testing.T) {
	for text, want := range map[string][]string{
		`curl "https://h/v2/auth" --data-raw "{""a"":""b""}"`: {"curl", "https://h/v2/auth", "--data-raw", `{"a":"b"}`},
		"curl ^\r\n-H ^\"a: b^\" ^\r\n  x":                    {"curl", "-H", "a: b", "x"},
		"curl ^\"a ^\\^\"b^\\^\" ^%^41 ^^^\"":                 {"curl", `a "b" %41 ^`},
		"curl ^\"a^\n\nb^\"":                                  {"curl", "a\nb"},
		`curl ^"C:\dir\\^" a\b "" \"`:                         {"curl", `C:\dir\`, `a\b`, "", `"`},
		// Chrome before 2023 put carets inside of quotes, and browsers before that two quotes.
		`curl "https://h/v2/auth" --data-raw "^{^\^"a^\^":^\^"b&c^\\r^\^"^}"`: {"curl", "https://h/v2/auth", "--data-raw", `{"a":"b&c\r"}`},
		"curl ^\"a^&b^\" & del": {"curl", "a&b"},
		"curl \"a&b\" | more":   {"curl", "a&b"},
		"curl ^":                {"curl"},
	} {
		if got, err := windowsWords(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := windowsWords(`curl ^"open`); err == nil {
		t.Error("a quote that does not end is taken")
	}
}

// What may stand before a curl command, and what not.
func TestCurlStart(t *testing.T) {
	for text, want := range map[string]int{
		"curl x":                              0,
		"$ curl x":                            2,
		"curl.exe ^\r\n":                      0,
		"curl \\\n":                           0,
		"TOKEN=abc curl x":                    10,
		"A='b c' B=\"d e\" C=$(cat f) curl x": 27,
		"export A=b;\nB=c\ncurl x":            16,
		`C:\Users\me>curl x`:                  12,
		`PS C:\> curl.exe x`:                  8,
		"curly x":                             -1,
		"it says curl x":                      -1,
		"wget x && curl x":                    -1,
	} {
		if got := curlStart([]byte(text)); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}
