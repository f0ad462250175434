package server

import (
	"net/http"
	"strings"

	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/wire"
)

// describe shows the OpenAPI documents of the APIs that an audience reaches, to
// anyone (spec 1.6). They are bytes, so none of the gates is asked.
func (s *Server) describe(a openapi.Audience) http.Handler {
	pages := openapi.Pages(a)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[strings.TrimPrefix(r.URL.Path, openapi.Prefix)]
		switch {
		case !openapi.Allowed(r.Method):
			w.Header().Set("Allow", "GET, HEAD")
			writeFault(w, http.StatusMethodNotAllowed, wire.FaultDetail{Code: "method_not_allowed", Message: "want GET or HEAD"})
		case !ok:
			notFound(w, r)
		default:
			page.ServeHTTP(w, r)
		}
	})
}
