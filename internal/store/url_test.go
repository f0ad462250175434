package store

import (
	"strings"
	"testing"
)

// TestRedacted: of a URL whose password is not escaped nothing is shown, since
// the password is anywhere in it.
func TestRedacted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"redis://h:1/2":                    "redis://h:1/2",
		"redis://:s3cret@h:1":              "redis://xxxxx@h:1",
		"redis://u:s3cret%2Fx%40@h:1":      "redis://xxxxx@h:1",
		"redis://h:1#s3cret":               "redis://h:1",
		"postgres://u:s3cret@h/d?a=b":      "postgres://xxxxx@h/d?a=b",
		"postgres://h/d?password=s3cret":   "postgres://h/d?password=xxxxx",
		"redis://:123#s3cret@h:1":          "",
		"redis://:123/s3cret@h:1":          "",
		"redis://:123?s3cret@h:1":          "",
		"redis://s3cret%2Fx@h:1":           "",
		"postgres://rollcall:12/s3cret@h/": "",
		"postgres://rollcall:12#s3cret@h/": "",
		"postgres://rollcall:12?s3=cret@h": "",
		"postgres:rollcall:s3cret@h":       "",
	} {
		got := Redacted(text)
		if want == "" && text != "" {
			want = "(hidden: it is no URL of a store)"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestCheckTellsAll: each fault is told, and no password.
func TestCheckTellsAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Sessions: "http://s3cret@h", Directory: "mysql://s3cret@h"}, []string{"sessions: want redis", "directory: want postgres"}},
		{Options{Sessions: "http://s3cret@h"}, []string{"sessions: want redis", "data: say in which directory"}},
		{Options{Sessions: "redis://:12/s3cret@h", Directory: "postgres://u:12/s3cret@h/d"}, []string{"sessions: an @", "directory: ", "an @ is where"}},
		{Options{Sessions: "redis://h?cs3cret=x", Directory: "postgres://u:12#s3cret@h/d"}, []string{"unknown parameter", "an @ is where"}},
		{Options{Sessions: "redis://h", Directory: "postgres://h/d?pool_max_conns=x"}, []string{"directory: "}},
	} {
		err := c.o.Check()
		if err == nil {
			t.Errorf("%+v: no fault", c.o)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want it to say %q", err, want)
			}
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "12") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	good := Options{Sessions: "rediss+sentinel://u:p@a,b/m?sentinel-user=x", Directory: "postgres://u:p@h/d?sslmode=disable"}
	must(t, good.Check())
}
