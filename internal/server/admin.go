package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

// Admin returns the handler of the operators' listener: health and metrics for
// anyone who reaches it, the rest for those with an admin token.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.o.Metrics.handler())
	s.adminRoutes(mux)
	for name, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+name, s.operators(h))
	}
	mux.HandleFunc("/", notFound)
	// A page elsewhere, open in an operator's browser, must not change anything.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, http.StatusForbidden, admin.FaultDetail{Code: "cross_origin", Message: "this request comes from another site's page"})
	}))
	return s.guard(origin.Handler(jsonErrors(mux)))
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
	writeFault(w, http.StatusNotFound, admin.FaultDetail{Code: "not_found", Message: fmt.Sprintf("no such path: %q", r.URL.Path)})
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
			writeFault(w, http.StatusMethodNotAllowed, admin.FaultDetail{
				Code: "method_not_allowed", Message: "want " + strings.Join(allowed, " or "),
			})
			return
		}
		notFound(w, r)
	})
}

// methodsOf returns the methods that the mux knows for the path of r.
func methodsOf(mux *http.ServeMux, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
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
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: send the header Authorization: Bearer and an admin token", rollcall.ErrAuthentication)
	}
	return s.o.Service.VerifyAdminToken(r.Context(), token)
}

// A call is one request of the operators' API whose caller is known.
type call[Req any] struct {
	*http.Request

	actor string
	in    Req
}

// none is the request of calls without a body.
type none struct{}

// operate makes the handler of a call: who calls, the body as a Req, the rule,
// and its answer with status.
func operate[Req, Resp any](s *Server, status int, rule func(call[Req]) (Resp, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call[Req]{Request: r}
		var err error
		if c.actor, err = s.operator(r); err == nil {
			err = readJSON(r, &c.in)
		}
		var out Resp
		if err == nil {
			out, err = rule(c)
		}
		if err != nil {
			s.refuse(r.Context(), w, err)
			return
		}
		writeJSON(w, status, out)
	})
}

// maxAdminBody fits a Heartbeat of 10,000 sessions.
const maxAdminBody = 1 << 20

// An httpError is a request that is refused for its form as HTTP.
type httpError struct {
	status        int
	code, message string
}

func (e httpError) Error() string { return e.message }

// readJSON reads a body strictly: unknown and repeated members, invalid UTF-8
// and trailing data are refused. A none takes no body, and other types take an
// empty one as {}.
func readJSON(r *http.Request, in any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAdminBody+1))
	_, noBody := in.(*none)
	switch {
	case err != nil:
		return fmt.Errorf("%w body: %w", rollcall.ErrInvalid, err)
	case len(body) > maxAdminBody:
		return httpError{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes", maxAdminBody)}
	case len(body) == 0 || noBody:
		return nil
	case !isJSON(r.Header["Content-Type"]):
		return httpError{http.StatusUnsupportedMediaType, "unsupported_media_type", "want Content-Type: application/json"}
	}
	if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w body: %s", rollcall.ErrInvalid, cause(err))
	}
	return nil
}

// cause says what is wrong with a JSON text in the words of the innermost error,
// without the decoder's own names for our types.
func cause(err error) string {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok && semantic.Err != nil {
		return fmt.Sprintf("member %s: %v", semantic.JSONPointer, semantic.Err)
	}
	return err.Error()
}

// refuse answers with a Fault. What the caller cannot mend goes to the log.
func (s *Server) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[httpError](err); ok {
		writeFault(w, e.status, admin.FaultDetail{Code: e.code, Message: e.message})
		return
	}
	code, status := admin.FaultOf(err)
	detail := admin.FaultDetail{Code: code, Message: err.Error()}
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		detail = s.logged(ctx, code, "a store does not answer; nothing is promised to have been changed", err)
	case http.StatusInternalServerError:
		detail = s.logged(ctx, code, "internal error", err)
	}
	writeFault(w, status, detail)
}

func (s *Server) logged(ctx context.Context, code, message string, err error) admin.FaultDetail {
	id := uuid.Must(uuid.NewV7()).String()
	s.log.LogAttrs(ctx, slog.LevelError, "admin request failed", slog.String("id", id), slog.Any("error", err))
	return admin.FaultDetail{Code: code, Message: message, ID: id}
}

func writeFault(w http.ResponseWriter, status int, detail admin.FaultDetail) {
	writeJSON(w, status, admin.Fault{Error: detail})
}

// writeJSON writes an answer; 204 has no body.
func writeJSON(w http.ResponseWriter, status int, v any) {
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be written"}}`)
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
