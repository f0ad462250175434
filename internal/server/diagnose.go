package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
)

// How many refused requests of a second are looked into, in all and of one address.
// Each takes up to some ten milliseconds, and strangers can send what is refused.
const (
	diagnosesPerSecond  = 10
	diagnosesPerAddress = 5
)

// refusedRequest returns the request for its diagnosis, or nil where there is to be
// none. That is done by who stores the records, so that neither the answer nor the
// time that it took tells anything of what was found. It is a copy in all.
func (s *Server) refusedRequest(x *exchange, r *http.Request) *explain.Request {
	switch x.record.Code {
	case 10, 11, 83, 84:
	default:
		return nil
	}
	if !strings.HasPrefix(r.URL.Path, "/v2/") || !s.diagnoses.each.pick(x.address.String()) || !s.diagnoses.all.pick("") {
		return nil
	}
	req := &explain.Request{Method: strings.Clone(r.Method), Path: strings.Clone(r.URL.Path), Header: http.Header{}, HasBody: x.hasBody}
	for name, values := range r.Header {
		for _, value := range values {
			name = strings.Clone(name)
			req.Header[name] = append(req.Header[name], strings.Clone(value))
		}
	}
	if x.hasBody {
		req.Body = bytes.Clone(x.body)
	}
	return req
}

// diagnose returns what is wrong with a refused request. That it fails is no reason
// to lose the record.
func (s *Server) diagnose(ctx context.Context, req *explain.Request, record *rollcall.RequestRecord) (found []rollcall.RequestFinding) {
	defer func() {
		if p := recover(); p != nil {
			found = nil
			s.log.LogAttrs(ctx, slog.LevelError, "diagnosis failed", slog.String("log_uuid", record.LogUUID),
				slog.String("error", fmt.Sprintf("panic: %v\n%s", p, debug.Stack())))
		}
	}()
	return s.o.Auth.Diagnose(ctx, req, record)
}
