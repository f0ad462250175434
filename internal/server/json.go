package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A callOf is one request of an API of JSON over HTTP whose caller is known.
type callOf[Who, Req any] struct {
	*http.Request

	caller Who
	in     Req
}

// An api is what all calls of one share: who calls, how long a body may be, and how
// many calls are worked on at a time.
type api[Who any] struct {
	who     func(*http.Request) (Who, error)
	maxBody int64
	gate    *gate
}

// none is the request of calls without a body.
type none struct{}

// serve makes the handler of a call: who calls, the body as a Req, the rule, and
// its answer with status.
func serve[Who, Req, Resp any](s *Server, a api[Who], status int, rule func(callOf[Who, Req]) (Resp, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf[Who, Req]{Request: r}
		var err error
		if c.caller, err = a.who(r); err == nil {
			// Behind the caller, so that a stranger takes up no room, and before the
			// body, which may be long.
			if err = enter(r, a.gate); err == nil {
				defer a.gate.leave()
				err = readJSON(r, a.maxBody, &c.in)
			}
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

// bearer returns the token that r carries; what names it for who sends none.
func bearer(r *http.Request, what string) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: send the header Authorization: Bearer and %s", rollcall.ErrAuthentication, what)
	}
	return token, nil
}

// An httpError is a request that is refused for its form as HTTP.
type httpError struct {
	status        int
	code, message string
}

func (e httpError) Error() string { return e.message }

// readJSON reads a body strictly: unknown and repeated members, invalid UTF-8
// and trailing data are refused. A none takes no body, and other types take an
// empty one as {}.
func readJSON(r *http.Request, maxBody int64, in any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	_, noBody := in.(*none)
	switch {
	case err != nil:
		return fmt.Errorf("%w body: %w", rollcall.ErrInvalid, err)
	case int64(len(body)) > maxBody:
		return httpError{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes", maxBody)}
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
		writeFault(w, e.status, wire.FaultDetail{Code: e.code, Message: e.message})
		return
	}
	reason, retryAfter := refusedFor(err)
	if reason != "" {
		s.o.Metrics.refused("game", reason)
	}
	code, status := wire.FaultOf(err)
	detail := wire.FaultDetail{Code: code, Message: err.Error()}
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		setRetryAfter(w.Header(), retryAfter)
	case http.StatusServiceUnavailable:
		setRetryAfter(w.Header(), retryAfter)
		if reason != "" {
			break // the message says all, and each would be a line of the log
		}
		detail = s.logged(ctx, code, "a store does not answer; nothing is promised to have been changed", err)
	case http.StatusInternalServerError:
		detail = s.logged(ctx, code, "internal error", err)
	}
	writeFault(w, status, detail)
}

func (s *Server) logged(ctx context.Context, code, message string, err error) wire.FaultDetail {
	id := uuid.Must(uuid.NewV7()).String()
	s.log.LogAttrs(ctx, slog.LevelError, "call failed", slog.String("id", id), slog.Any("error", err))
	return wire.FaultDetail{Code: code, Message: message, ID: id}
}

func writeFault(w http.ResponseWriter, status int, detail wire.FaultDetail) {
	writeJSON(w, status, wire.Fault{Error: detail})
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
