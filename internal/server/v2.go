package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

const (
	maxBody = 64 << 10 // spec 1.6
	// maxDrain is how much of a body that is too large is read and dropped, so
	// that its sender gets to see the answer and not a broken connection.
	maxDrain = 4 << 20
)

// An endpoint answers one path of the v2 API.
type endpoint struct {
	path      string
	withToken bool
	calls     *calls
	// answer leaves what is to be answered in the exchange.
	answer func(ctx context.Context, x *exchange) error
}

// endpoints is the route table: an endpoint is one line here and one method of
// roll.Service.
func (s *Server) endpoints() map[string]endpoint {
	table := map[string]endpoint{
		wire.PathAuth:           {answer: s.login},
		wire.PathSessionsCheck:  handle(s, reads, s.checkSessions),
		wire.PathSessionsLogout: handle(s, changes, s.kickMember),
		wire.PathMembers:        handle(s, changes, s.registerMember),
		wire.PathMembersOnline:  handle(s, reads, s.membersOnline),
		wire.PathOpenGame:       handle(s, changes, s.openGame),
	}
	for path, ep := range table {
		ep.path, ep.calls = path, s.o.Metrics.callsOf(path)
		table[path] = ep
	}
	return table
}

func (s *Server) checkSessions(ctx context.Context, c roll.Caller, r *wire.MemberRequest) (wire.SessionsCheckResponse, error) {
	return s.o.Service.CheckSessions(ctx, c, r.Username)
}

func (s *Server) kickMember(ctx context.Context, c roll.Caller, r *wire.MemberRequest) (wire.Data, error) {
	return nil, s.o.Service.KickMember(ctx, c, r.Username)
}

func (s *Server) registerMember(ctx context.Context, c roll.Caller, r *wire.MemberCreateRequest) (wire.Data, error) {
	return nil, s.o.Service.RegisterMember(ctx, c, r.Username, r.SiteID)
}

func (s *Server) membersOnline(ctx context.Context, c roll.Caller, _ *wire.OnlineRequest) (wire.OnlineResponse, error) {
	names, err := s.o.Service.MembersOnline(ctx, c)
	return wire.OnlineResponse{UserList: names, Counts: len(names)}, err
}

func (s *Server) openGame(ctx context.Context, c roll.Caller, r *wire.OpenGameRequest) (out wire.OpenGameResponse, err error) {
	ip, err := netip.ParseAddr(r.IPAddress)
	if err != nil {
		return out, fmt.Errorf("%w: ipaddress: %w", rollcall.ErrParameters, err)
	}
	out.GameLaunchURL, out.Mode, err = s.o.Service.OpenGame(ctx, c, roll.LaunchParams{
		Username: r.Username, SiteID: r.SiteID, GameCode: r.GameCode,
		Device: rollcall.DeviceType(r.DeviceType + 1), // the two tables differ, spec 7.2
		IP:     ip, Lang: r.Lang, Launch: rollcall.LaunchType(r.LaunchType), LobbyURL: r.LobbyURL,
	})
	return out, err
}

func (s *Server) login(ctx context.Context, x *exchange) error {
	token, err := s.o.Auth.Login(ctx, &x.sent)
	if err != nil {
		return err
	}
	x.keepAgentID()
	say(x, wire.NewAuthResponse(token))
	return nil
}

// A request is the plaintext of an endpoint's request.
type request[T any] interface {
	*T
	Decode(plaintext []byte) error
	Subject() string
}

// An effect says what a rule does.
type effect bool

const (
	reads   effect = false
	changes effect = true
)

// handle makes the endpoint that proves the caller, reads the plaintext as a T
// and applies rule.
func handle[T any, R request[T], D wire.Data](s *Server, does effect, rule func(context.Context, roll.Caller, R) (D, error)) endpoint {
	return endpoint{withToken: true, answer: func(ctx context.Context, x *exchange) error {
		caller, plaintext, err := s.o.Auth.Prove(ctx, &x.sent)
		if err != nil {
			return err
		}
		x.record.AgentID = caller.Agent.ID // see keepAgentID
		apply := func() error {
			req := asked[T, R](x)
			if err := req.Decode(plaintext); x.trail.Check("plaintext", err) != nil {
				return err
			}
			caller.LogUUID = x.record.LogUUID
			data, err := rule(ctx, caller, req)
			if err != nil {
				return err
			}
			x.record.Username = req.Subject()
			say(x, data)
			if does == reads {
				x.partial, err = s.o.Service.Partial(ctx)
			}
			return err
		}
		if does == reads && s.o.Stores.Remote {
			return s.atOnce(ctx, x, apply)
		}
		if err := s.o.Auth.Spend(ctx, &x.sent.Header); x.trail.Check("nonce", err) != nil {
			return err
		}
		return apply()
	}}
}

// atOnce applies a rule that only reads while the nonce is claimed, so that both
// wait for the engine at the same time. What it has found is dropped where the
// nonce was used.
func (s *Server) atOnce(ctx context.Context, x *exchange, apply func() error) error {
	spending := s.o.Auth.SpendEarly(ctx, &x.sent.Header)
	err := apply()
	if spentErr := spending.Wait(ctx); x.trail.Check("nonce", spentErr) != nil {
		return spentErr
	}
	return err
}

// V2 returns the handler of the v2 API. It answers every request, whatever its
// path, with an envelope, and leaves a record of it.
func (s *Server) V2() http.Handler { return http.HandlerFunc(s.serveV2) }

func (s *Server) serveV2(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(r)
	status := s.answer(x, r)
	x.send(w, status)
	s.finish(r, x)
	x.free()
}

// setStatusHeaders sets what goes with an exceptional status (spec 1.6).
func setStatusHeaders(h http.Header, status int, retryAfter time.Duration) {
	switch status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		setRetryAfter(h, retryAfter)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close")
	}
}

// otherEndpoint stands in records and metrics for every path that is none, so
// that strangers cannot fill them with names of their own.
const otherEndpoint = "other"

// answer makes the answer to r and returns its status. A panic is answered like
// any other fault of ours, with its stack in the log.
func (s *Server) answer(x *exchange, r *http.Request) (status int) {
	defer func() {
		if p := recover(); p != nil {
			x.broken = true
			status = s.reply(r.Context(), x, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return s.reply(r.Context(), x, s.process(x, r))
}

// process is spec 8 from the method to the answer's data.
func (s *Server) process(x *exchange, r *http.Request) error {
	if err := s.checkAddress(r, x.address, x.record.Remote); err != nil {
		return x.trail.Check("address", err)
	}
	if s.gates.v2.isFull() {
		return x.trail.Check("overload", &refusal{forLoad, time.Second, errOverloaded})
	}
	ep, err := s.route(x, r)
	if x.trail.Check("transport", err) != nil {
		return err
	}
	if err := x.read(r); x.trail.Check("size", err) != nil {
		return err
	}
	// Not before the body is there: who sends it slowly must not take up room. To
	// read it is cheap.
	if err := enter(r, s.gates.v2); err != nil {
		return x.trail.Check("overload", err)
	}
	defer s.gates.v2.leave()
	return s.work(x, r, &ep)
}

// work is what the gate is for: spec 8 from the body on.
func (s *Server) work(x *exchange, r *http.Request, ep *endpoint) (err error) {
	if x.sent.CipherText, err = wire.CipherText(x.body); x.trail.Check("body", err) != nil {
		return err
	}
	err = x.sent.Parse(r.Header, ep.withToken)
	if x.trail.Check("headers", err) != nil {
		return err
	}
	x.record.AgentID = x.sent.AgentID
	return ep.answer(r.Context(), x)
}

// A transportError is a request that is refused for its form as HTTP (spec 1.6);
// it is a rollcall.ErrParameters with a status of its own.
type transportError int

func (e transportError) Error() string { return http.StatusText(int(e)) }
func (e transportError) Unwrap() error { return rollcall.ErrParameters }

func (s *Server) route(x *exchange, r *http.Request) (endpoint, error) {
	ep, known := s.v2[r.URL.Path]
	if known {
		x.record.Endpoint, x.sent.Endpoint, x.calls = ep.path, ep.path, ep.calls
	}
	switch {
	case r.Method != http.MethodPost:
		return ep, transportError(http.StatusMethodNotAllowed)
	case !known:
		return ep, transportError(http.StatusNotFound)
	case !isJSON(r.Header["Content-Type"]):
		return ep, transportError(http.StatusUnsupportedMediaType)
	}
	return ep, nil
}

func isJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType[0])
	return err == nil && media == "application/json"
}

// reply makes the envelope, and logs what the caller is not told.
func (s *Server) reply(ctx context.Context, x *exchange, err error) (status int) {
	if err == nil {
		x.record.Status = http.StatusOK
		x.end()
		return http.StatusOK
	}
	code, status := wire.CodeOf(err)
	if transport, ok := errors.AsType[transportError](err); ok {
		status = int(transport)
	}
	x.refused, x.retryAfter = refusedFor(err)
	if code == wire.CodeInternal && x.refused == "" {
		level := slog.LevelError
		if ctx.Err() != nil {
			level = slog.LevelDebug // who asked has hung up, which is no fault of ours
		}
		s.log.LogAttrs(ctx, level, "request failed",
			slog.String("log_uuid", x.record.LogUUID),
			slog.String("endpoint", x.record.Endpoint),
			slog.Any("error", err))
	}
	x.record.Code, x.record.Status = int(code), status
	if errors.Is(err, rollcall.ErrAuthentication) || errors.Is(err, rollcall.ErrAgentRefused) { // whose agent is not proved
		x.record.AgentID = explain.ShownID(x.record.AgentID)
	}
	x.keepAgentID()
	x.answer = wire.AppendReply(x.answer[:0], code, nil, x.record.LogUUID)
	return status
}

// finish hands the record over and counts the request.
func (s *Server) finish(r *http.Request, x *exchange) {
	took := x.trail.Took()
	x.record.TookNanos = took.Nanoseconds()
	x.record.Checks = x.trail.Checks() // the recorder copies
	x.calls.count(x.record.Code, took)
	if x.refused != "" {
		s.o.Metrics.refused("v2", x.refused)
		if !s.refusals.pick(x.refused) {
			return
		}
	}
	if ctx := r.Context(); s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.LogAttrs(ctx, slog.LevelDebug, "request",
			slog.String("log_uuid", x.record.LogUUID),
			slog.String("endpoint", x.record.Endpoint),
			slog.String("agent", x.record.AgentID),
			slog.Int("code", x.record.Code),
			slog.Duration("took", took))
	}
	s.recorder.add(&x.record, s.refusedRequest(x, r))
}
