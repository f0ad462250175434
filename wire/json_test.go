package wire

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall"
)

// nested returns levels arrays in one another.
func nested(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

// TestDecodeAccepts has texts that are unusual and right. Each holds s = "ok".
func TestDecodeAccepts(t *testing.T) {
	rows := map[string]string{
		"plain":                      `{"s":"ok"}`,
		"white space":                " \t\r\n{ \t\r\n\"s\" \t\r\n: \t\r\n\"ok\" \t\r\n} \t\r\n",
		"first of two":               `{"s":"ok","z":1}`,
		"last of two":                `{"z":1,"s":"ok"}`,
		"value escaped":              `{"s":"\u006f\u006B"}`,
		"name escaped":               `{"\u0073":"ok"}`,
		"unknown string":             `{"s":"ok","z":"z"}`,
		"unknown number":             `{"s":"ok","z":-12.50e+3}`,
		"unknown number 0":           `{"s":"ok","z":0}`,
		"unknown number -0":          `{"s":"ok","z":-0}`,
		"unknown number 0.0":         `{"s":"ok","z":0.0}`,
		"unknown number 1E5":         `{"s":"ok","z":1E5}`,
		"unknown huge number":        `{"s":"ok","z":1e99999}`,
		"unknown true":               `{"s":"ok","z":true}`,
		"unknown false":              `{"s":"ok","z":false}`,
		"unknown null":               `{"s":"ok","z":null}`,
		"unknown array":              `{"s":"ok","z":[1,"a",{},[],null]}`,
		"unknown object":             `{"s":"ok","z":{"a":{"a":1},"b":[]}}`,
		"same name at other depth":   `{"s":"ok","z":{"s":"no"}}`,
		"same name in two objects":   `{"s":"ok","z":[{"a":1},{"a":2}]}`,
		"names differ by case":       `{"s":"ok","S":"no"}`,
		"empty name":                 `{"s":"ok","":1}`,
		"every escape":               `{"s":"ok","z":"\"\\\/\b\f\n\r\t\u00e9"}`,
		"NUL escaped, unknown":       `{"s":"ok","z":"\u0000"}`,
		"surrogates in a pair":       `{"s":"ok","z":"\ud83d\uDE00"}`,
		"beyond ASCII, unescaped":    `{"s":"ok","ключ":"значение 😀"}`,
		"DEL and noncharacters":      "{\"s\":\"ok\",\"z\":\"\x7f\u2028\ufffe\"}",
		"replacement character":      `{"s":"ok","z":"\ufffd�"}`,
		"depth 32 by arrays":         `{"s":"ok","z":` + nested(31) + `}`,
		"depth 32 by objects":        `{"s":"ok","z":` + strings.Repeat(`{"a":`, 30) + `{}` + strings.Repeat(`}`, 30) + `}`,
		"many siblings at depth 32":  `{"s":"ok","z":` + strings.Repeat("[", 30) + "[],[],[]" + strings.Repeat("]", 30) + `}`,
		"nine names, then the field": `{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"s":"ok"}`,
	}
	for name, text := range rows {
		var s string
		if err := decodeObject([]byte(text), field{name: "s", to: &s}); err != nil || s != "ok" {
			t.Errorf("%s: got %q, %v", name, s, err)
		}
	}
}

// TestDecodeValues has what a string and a number are read as.
func TestDecodeValues(t *testing.T) {
	for text, want := range map[string]string{
		`"https:\/\/lobby.example\/a"`: "https://lobby.example/a", // as PHP writes it
		`"\u0041\u00e9\u20AC"`:         "Aé€",
		`"\ud83d\ude00"`:               "😀",
		`"😀"`:                          "😀",
		`"\u0000"`:                     "\x00",
		`"a\"b\\c\bd\fe\nf\rg\th"`:     "a\"b\\c\bd\fe\nf\rg\th",
		`""`:                           "",
		`"\uFFFD"`:                     "\ufffd",
	} {
		var s string
		if err := decodeObject([]byte(`{"s":`+text+`}`), field{name: "s", to: &s}); err != nil || s != want {
			t.Errorf("%s: got %q, %v; want %q", text, s, err, want)
		}
	}
	for text, want := range map[string]int{"0": 0, "-0": 0, "7": 7, "-12": -12, "9223372036854775807": 1<<63 - 1} {
		var n int
		if err := decodeObject([]byte(`{"n":`+text+`}`), field{name: "n", to: &n}); err != nil || n != want {
			t.Errorf("%s: got %d, %v; want %d", text, n, err, want)
		}
	}
}

// TestDecodeRefuses has one fault per row. The marker stands for a secret: no
// error may repeat any of the text.
func TestDecodeRefuses(t *testing.T) {
	const m = "maRKer"
	rows := map[string]string{
		"empty":                        ``,
		"white space only":             " \n",
		"missing":                      `{}`,
		"missing, other case":          `{"S":"` + m + `"}`,
		"top-level array":              `["` + m + `"]`,
		"top-level string":             `"` + m + `"`,
		"top-level number":             `1`,
		"top-level null":               `null`,
		"no JSON":                      m,
		"BOM":                          "\ufeff" + `{"s":"` + m + `"}`,
		"UTF-16":                       "\xff\xfe{\x00}\x00",
		"NUL in front":                 "\x00" + `{"s":"` + m + `"}`,
		"NUL behind":                   `{"s":"` + m + `"}` + "\x00",
		"NUL between":                  `{"s":` + "\x00" + `"` + m + `"}`,
		"NUL in a string":              `{"s":"` + m + "\x00" + `"}`,
		"two objects":                  `{"s":"` + m + `"}{}`,
		"two objects on lines":         `{"s":"` + m + `"}` + "\n{}",
		"letter behind":                `{"s":"` + m + `"}x`,
		"bracket behind":               `{"s":"` + m + `"}}`,
		"comment":                      `{"s":"` + m + `"/*c*/}`,
		"comment behind":               `{"s":"` + m + `"}//`,
		"cut off in a value":           `{"s":"` + m,
		"cut off in an escape":         `{"s":"` + m + `\`,
		"cut off in \\u":               `{"s":"` + m + `\u00`,
		"cut off behind a name":        `{"s"`,
		"cut off behind a colon":       `{"s":`,
		"cut off behind a value":       `{"s":"` + m + `"`,
		"cut off behind a comma":       `{"s":"` + m + `",`,
		"cut off in a word":            `{"s":"` + m + `","z":tru`,
		"only a bracket":               `{`,
		"comma behind the last":        `{"s":"` + m + `",}`,
		"comma in front":               `{,"s":"` + m + `"}`,
		"two commas":                   `{"s":"` + m + `",,"z":1}`,
		"no comma":                     `{"s":"` + m + `" "z":1}`,
		"no colon":                     `{"s" "` + m + `"}`,
		"two colons":                   `{"s"::"` + m + `"}`,
		"equals sign":                  `{"s"="` + m + `"}`,
		"comma at an array's end":      `{"s":"` + m + `","z":[1,]}`,
		"array closed by }":            `{"s":"` + m + `","z":[1}}`,
		"object closed by ]":           `{"s":"` + m + `"]`,
		"name without quotes":          `{s:"` + m + `"}`,
		"name in single quotes":        `{'s':"` + m + `"}`,
		"value in single quotes":       `{"s":'` + m + `'}`,
		"name is a number":             `{1:1,"s":"` + m + `"}`,
		"no-break space":               "{\u00a0\"s\":\"" + m + "\"}",
		"form feed":                    "{\f\"s\":\"" + m + "\"}",
		"duplicate":                    `{"s":"` + m + `","s":"` + m + `"}`,
		"duplicate, escaped":           `{"s":"` + m + `","\u0073":"` + m + `"}`,
		"duplicate, escaped first":     `{"\u0073":"` + m + `","s":"` + m + `"}`,
		"duplicate, other hex case":    `{"s":"` + m + `","\u004a":1,"\u004A":1}`,
		"duplicate unknown":            `{"s":"` + m + `","z":1,"z":1}`,
		"duplicate empty name":         `{"s":"` + m + `","":1,"":1}`,
		"duplicate nested":             `{"s":"` + m + `","z":{"a":1,"a":2}}`,
		"duplicate nested, escaped":    `{"s":"` + m + `","z":{"a/":1,"a\/":2}}`,
		"duplicate in an array":        `{"s":"` + m + `","z":[{"a":1,"a":2}]}`,
		"duplicate of the 1st in 20":   `{"s":"` + m + `",` + manyNames(0, 20) + `,"n0":1}`,
		"duplicate of the 15th in 20":  `{"s":"` + m + `",` + manyNames(0, 20) + `,"n15":1}`,
		"duplicate of 😀, escaped":      `{"s":"` + m + `","😀":1,"\ud83d\ude00":1}`,
		"invalid UTF-8":                `{"s":"` + m + "\xff" + `"}`,
		"invalid UTF-8, unknown":       `{"s":"` + m + `","z":"` + "\xc3\x28" + `"}`,
		"invalid UTF-8, name":          `{"s":"` + m + `","` + "\x80" + `":1}`,
		"overlong UTF-8":               `{"s":"` + m + "\xc0\xaf" + `"}`,
		"UTF-8 of a surrogate":         `{"s":"` + m + "\xed\xa0\x80" + `"}`,
		"UTF-8 beyond Unicode":         `{"s":"` + m + "\xf4\x90\x80\x80" + `"}`,
		"lone high surrogate":          `{"s":"` + m + `\ud83d"}`,
		"lone low surrogate":           `{"s":"` + m + `\ude00"}`,
		"surrogates the wrong way":     `{"s":"` + m + `\ude00\ud83d"}`,
		"two high surrogates":          `{"s":"` + m + `\ud83d\ud83d"}`,
		"high surrogate and letter":    `{"s":"` + m + `\ud83dx"}`,
		"high surrogate and \\n":       `{"s":"` + m + `\ud83d\n"}`,
		"high surrogate and \\u0041":   `{"s":"` + m + `\ud83d\u0041"}`,
		"lone surrogate, unknown":      `{"s":"` + m + `","z":"\ud800"}`,
		"lone surrogate, name":         `{"s":"` + m + `","\ud800":1}`,
		"escape \\x":                   `{"s":"` + m + `\x41"}`,
		"escape \\'":                   `{"s":"` + m + `\'"}`,
		"escape \\0":                   `{"s":"` + m + `\0"}`,
		"escape \\U":                   `{"s":"` + m + `\U0041"}`,
		"escape with 3 digits":         `{"s":"` + m + `\u041"}`,
		"escape with a sign":           `{"s":"` + m + `\u+041"}`,
		"line end in a string":         "{\"s\":\"" + m + "\n\"}",
		"tab in a string":              "{\"s\":\"" + m + "\t\"}",
		"0x1f behind an escape":        "{\"s\":\"" + m + "\\n\x1f\"}",
		"tab in a name":                "{\"s\":\"" + m + "\",\"\t\":1}",
		"depth 33 by arrays":           `{"s":"` + m + `","z":` + nested(32) + `}`,
		"depth 33 by objects":          `{"s":"` + m + `","z":` + strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31) + `}`,
		"depth 5000":                   `{"s":"` + m + `","z":` + nested(5000) + `}`,
		"depth 30000, never closed":    `{"s":"` + m + `","z":` + strings.Repeat("[", 30000),
		"depth 10000 of objects":       `{"s":"` + m + `","z":` + strings.Repeat(`{"":`, 10000),
		"string is null":               `{"s":null}`,
		"string is true":               `{"s":true}`,
		"string is a number":           `{"s":1}`,
		"string is an array":           `{"s":["` + m + `"]}`,
		"string is an object":          `{"s":{"s":"` + m + `"}}`,
		"string is a bare word":        `{"s":` + m + `}`,
		"word with more letters":       `{"s":"` + m + `","z":nullx}`,
		"word in capitals":             `{"s":"` + m + `","z":True}`,
		"NaN":                          `{"s":"` + m + `","z":NaN}`,
		"Infinity":                     `{"s":"` + m + `","z":-Infinity}`,
		"undefined":                    `{"s":"` + m + `","z":undefined}`,
		"optional string is null":      `{"s":"` + m + `","o":null}`,
		"optional number is null":      `{"s":"` + m + `","n":null}`,
		"number is a string":           `{"s":"` + m + `","n":"1"}`,
		"number is an object":          `{"s":"` + m + `","n":{}}`,
		"number too great for an int":  `{"s":"` + m + `","n":9223372036854775808}`,
		"number of 400 digits":         `{"s":"` + m + `","n":` + strings.Repeat("9", 400) + `}`,
		"1.0 for a whole number":       `{"s":"` + m + `","n":1.0}`,
		"1e0 for a whole number":       `{"s":"` + m + `","n":1e0}`,
		"number true":                  `{"s":"` + m + `","n":true}`,
		"number missing behind colon":  `{"s":"` + m + `","n":}`,
		"no value behind unknown name": `{"s":"` + m + `","z":}`,
	}
	for _, number := range []string{"01", "00", "-01", "1.", ".1", "+1", "1e", "1e+", "1E-", "-", "--1", "0x10", "1_0", "1,0", "1 0", "1.2.3", "1e1.5", "١"} {
		rows["unknown number "+number] = `{"s":"` + m + `","z":` + number + `}`
		rows["whole number "+number] = `{"s":"` + m + `","n":` + number + `}`
		rows["number in an array "+number] = `{"s":"` + m + `","z":[` + number + `]`
	}
	for name, text := range rows {
		var s, o string
		var n int
		err := decodeObject([]byte(text), field{name: "s", to: &s},
			field{name: "o", to: &o, optional: true}, field{name: "n", to: &n, optional: true})
		if !errors.Is(err, rollcall.ErrParameters) {
			t.Errorf("%s: got %q, %v; want ErrParameters", name, s, err)
		} else if strings.Contains(err.Error(), m) {
			t.Errorf("%s: the error shows the text: %v", name, err)
		}
	}
}

// manyNames returns the members n<from> to n<to>-1.
func manyNames(from, to int) string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf(`"n%d":1`, i))
	}
	return strings.Join(names, ",")
}

// TestErrorsHideNames: a name is the sender's text as much as a value is.
func TestErrorsHideNames(t *testing.T) {
	for _, text := range []string{`{"maRKer":1}`, `{"maRKer":1,"maRKer":2}`, `{"maRKer":x}`, `{"maRKer"}`, `{maRKer}`} {
		var r MemberRequest
		if err := r.Decode([]byte(text)); err == nil || strings.Contains(err.Error(), "maRKer") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// TestDecodeCost: a body of 64 KiB, the most that a server takes from anyone,
// must not make it allocate without measure.
func TestDecodeCost(t *testing.T) {
	const size, most = 64 << 10, 2 << 20
	fill := func(item string) string {
		return strings.TrimSuffix(strings.Repeat(item+",", (size-64)/(len(item)+1)), ",")
	}
	var names strings.Builder
	for i := 0; names.Len() < size-64; i++ {
		fmt.Fprintf(&names, `"%x":0,`, i)
	}
	rows := map[string]string{
		"objects":         `{"cipherText":"","z":[` + fill("{}") + `]}`,
		"nine names each": `{"cipherText":"","z":[` + fill("{"+manyNames(0, 9)+"}") + `]}`,
		"arrays":          `{"cipherText":"","z":[` + fill("[]") + `]}`,
		"names":           `{` + names.String() + `"cipherText":""}`,
		"escapes":         `{"cipherText":"` + strings.Repeat(`\/`, size/2-16) + `"}`,
		"escaped strings": `{"cipherText":"","z":[` + fill(`"\/"`) + `]}`,
	}
	for name, text := range rows {
		body := []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var r Request
		if err := r.Decode(body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%s: %d bytes allocated for a body of %d, want at most %d", name, got, len(body), most)
		}
	}
}
