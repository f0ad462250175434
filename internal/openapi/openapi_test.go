package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-server/rollcall/internal/openapi"
)

func get(p openapi.Page, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/openapi/x", nil)
	if change != nil {
		change(r)
	}
	res := httptest.NewRecorder()
	p.ServeHTTP(res, r)
	return res
}

// Each audience sees the documents of its listener, as three files each, and none
// else.
func TestPages(t *testing.T) {
	for audience, want := range map[openapi.Audience]int{openapi.Integrators: 8, openapi.GameServers: 5, openapi.Operators: 11} {
		pages := openapi.Pages(audience)
		if len(pages) != want {
			t.Errorf("%s: got %d pages, want %d", audience, len(pages), want)
		}
		for name, p := range pages {
			res := get(p, nil)
			if res.Code != http.StatusOK || res.Body.Len() < 1000 || res.Header().Get("X-Content-Type-Options") != "nosniff" ||
				!strings.HasPrefix(res.Header().Get("Content-Security-Policy"), "default-src 'none'; ") {
				t.Errorf("%s %q: got %d, %d bytes, %v", audience, name, res.Code, res.Body.Len(), res.Header())
			}
		}
	}
	for name, want := range map[string]string{
		"": "text/html; charset=utf-8", "v2.html": "text/html; charset=utf-8", "v2.json": "application/json",
		"v2.yaml": "application/yaml; charset=utf-8", "style.css": "text/css; charset=utf-8",
	} {
		if got := get(openapi.Pages(openapi.Operators)[name], nil).Header().Get("Content-Type"); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

// What a client has already is not sent again, and another page has another ETag.
// A range of a page is the page: thousands of ranges would cost more than all else.
func TestNoRanges(t *testing.T) {
	page := openapi.Pages(openapi.Integrators)["v2.yaml"]
	whole := get(page, nil)
	res := get(page, func(r *http.Request) { r.Header.Set("Range", "bytes=0-0,2-2,4-4") })
	if res.Code != http.StatusOK || res.Body.String() != whole.Body.String() {
		t.Errorf("got status %d and %d bytes, want the whole page", res.Code, res.Body.Len())
	}
}

func TestConditional(t *testing.T) {
	pages := openapi.Pages(openapi.Operators)
	etags := make(map[string]string)
	for name, p := range pages {
		etag := get(p, nil).Header().Get("ETag")
		if other, twice := etags[etag]; twice || etag == "" {
			t.Errorf("%q: ETag %q, as %q", name, etag, other)
		}
		etags[etag] = name
		res := get(p, func(r *http.Request) { r.Header.Set("If-None-Match", etag) })
		if res.Code != http.StatusNotModified || res.Body.Len() > 0 {
			t.Errorf("%q: got %d and %d bytes, want 304", name, res.Code, res.Body.Len())
		}
	}
	if res := get(pages["v2.json"], func(r *http.Request) { r.Method = http.MethodHead }); res.Body.Len() > 0 || res.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: got %d bytes, %v", res.Body.Len(), res.Header())
	}
}

var (
	loads  = regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	script = regexp.MustCompile(`(?i)<script|<iframe|<object|javascript:|\son[a-z]+=|style="|<style`)
	ids    = regexp.MustCompile(`id="([^"]+)"`)
)

// A page needs nothing from elsewhere, and its links lead to what its audience can
// see.
func TestPagesStandAlone(t *testing.T) {
	outside := map[string]bool{"https://html.spec.whatwg.org/multipage/server-sent-events.html": true} // to read
	for _, audience := range openapi.Audiences() {
		texts := make(map[string]string)
		for name, p := range openapi.Pages(audience) {
			texts[name] = get(p, nil).Body.String()
		}
		for name, text := range texts {
			if name != "" && !strings.HasSuffix(name, ".html") {
				continue
			}
			if found := script.FindString(text); found != "" {
				t.Errorf("%s %q: %q", audience, name, found)
			}
			known := make(map[string]bool)
			for _, id := range ids.FindAllStringSubmatch(text, -1) {
				if known[id[1]] {
					t.Errorf("%q: id %q twice", name, id[1])
				}
				known[id[1]] = true
			}
			for _, link := range loads.FindAllStringSubmatch(text, -1) {
				file, anchor, _ := strings.Cut(link[1], "#")
				there, have := texts[strings.TrimPrefix(file, "./")]
				switch {
				case link[1] == "data:,", outside[link[1]]:
				case file == "" && known[anchor]:
				case file != "" && have && (anchor == "" || strings.Contains(there, `id="`+anchor+`"`)):
				default:
					t.Errorf("%s %q: link to %q, which is not there", audience, name, link[1])
				}
			}
		}
	}
}

func TestNoSuchDocument(t *testing.T) {
	if openapi.JSON("none") != nil || openapi.Audience("none").Documents() != nil {
		t.Error("there is a document that is none")
	}
}
