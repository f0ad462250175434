package server

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strings"

	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/wire"
)

// Admin returns the handler of the operators' listener: health and metrics for
// anyone who reaches it, the rest for those with an admin token.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	for _, routes := range []map[string]http.Handler{s.healthRoutes(), s.adminRoutes()} {
		for pattern, h := range routes {
			mux.Handle(pattern, h)
		}
	}
	mux.Handle(openapi.Prefix, s.describe(openapi.Operators))
	for name, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+name, s.operators(h))
	}
	mux.HandleFunc("/", notFound)
	// A page elsewhere, open in an operator's browser, must not change anything.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, http.StatusForbidden, wire.FaultDetail{Code: "cross_origin", Message: "this request comes from another site's page"})
	}))
	return s.guard(origin.Handler(jsonErrors(mux)))
}

// healthRoutes are for anyone who reaches the listener.
func (s *Server) healthRoutes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /livez":   http.HandlerFunc(s.live),
		"GET /readyz":  http.HandlerFunc(s.ready),
		"GET /metrics": s.o.Metrics.handler(),
	}
}

// guard turns a panic into an answer, and keeps every answer out of caches.
func (s *Server) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.refuse(r.Context(), w, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeFault(w, http.StatusNotFound, wire.FaultDetail{Code: "not_found", Message: fmt.Sprintf("no such path: %q", r.URL.Path)})
}

// jsonErrors makes the mux's own plain-text 405 a Fault like all others.
func jsonErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if pattern != "/" {
			mux.ServeHTTP(w, r)
			return
		}
		if allowed := methodsOf(mux, r); len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeFault(w, http.StatusMethodNotAllowed, wire.FaultDetail{
				Code: "method_not_allowed", Message: "want " + strings.Join(allowed, " or "),
			})
			return
		}
		notFound(w, r)
	})
}

// methodsOf returns the methods that the mux knows for the path of r.
func methodsOf(mux *http.ServeMux, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			methods = append(methods, method)
		}
	}
	return methods
}

// operators lets only those in who have an admin token.
func (s *Server) operators(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.operator(r); err != nil {
			s.refuse(r.Context(), w, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// operator returns the name of the admin token that r carries.
func (s *Server) operator(r *http.Request) (string, error) {
	token, err := bearer(r, "an admin token")
	if err != nil {
		return "", err
	}
	return s.o.Service.VerifyAdminToken(r.Context(), token)
}

// A call is one request of the operators' API; its caller is the name of an
// admin token.
type call[Req any] = callOf[string, Req]

// maxAdminBody is far above what any call needs.
const maxAdminBody = 1 << 20

// operate makes the handler of a call.
func operate[Req, Resp any](s *Server, status int, rule func(call[Req]) (Resp, error)) http.Handler {
	return serve(s, api[string]{who: s.operator, maxBody: maxAdminBody}, status, rule)
}
