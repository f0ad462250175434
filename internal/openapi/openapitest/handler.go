package openapitest

import (
	"bytes"
	"io"
	"net/http"
)

// A Watch says how a Handler reports, and what it needs to see all.
type Watch struct {
	// Fault is told what is wrong, a line each; it is called from the goroutine of
	// the request.
	Fault func(text string)
	// Open opens a sealed text of a request; nil: there is none.
	Open func(r *http.Request, text string) ([]byte, error)
}

// Handler passes requests on to h, and checks each when it has been answered.
func (d *Document) Handler(h http.Handler, w Watch) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body := &tee{ReadCloser: r.Body}
		r.Body = body
		x := &Exchange{Method: r.Method, URL: r.URL, Header: r.Header.Clone()}
		if w.Open != nil {
			x.Open = func(text string) ([]byte, error) { return w.Open(r, text) }
		}
		seen := &recording{ResponseWriter: rw}
		h.ServeHTTP(seen, r)
		seen.WriteHeader(http.StatusOK) // where nothing was written
		x.Body, x.Status, x.AnswerHeader, x.Answer = body.read.Bytes(), seen.status, seen.header, seen.body.Bytes()
		for _, fault := range d.Check(x) {
			w.Fault("OpenAPI " + d.name + ": " + r.Method + " " + r.URL.Path + ": " + fault)
		}
	})
}

// A tee keeps what is read.
type tee struct {
	io.ReadCloser

	read bytes.Buffer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.read.Write(p[:n])
	return n, err
}

// A recording keeps what is answered.
type recording struct {
	http.ResponseWriter

	status int
	header http.Header
	body   bytes.Buffer
}

func (r *recording) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	r.status, r.header = status, r.Header().Clone()
	r.ResponseWriter.WriteHeader(status)
}

func (r *recording) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *recording) Unwrap() http.ResponseWriter { return r.ResponseWriter }
