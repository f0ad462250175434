package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

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
	withToken bool
	answer    func(ctx context.Context, x *exchange) (wire.Data, error)
}

// endpoints is the route table: an endpoint is one line here and one method of
// roll.Service.
func (s *Server) endpoints() map[string]endpoint {
	return map[string]endpoint{
		wire.PathAuth:           {answer: s.login},
		wire.PathSessionsCheck:  handle(s, reads, s.checkSessions),
		wire.PathSessionsLogout: handle(s, changes, s.kickMember),
		wire.PathMembers:        handle(s, changes, s.registerMember),
		wire.PathMembersOnline:  handle(s, reads, s.membersOnline),
		wire.PathOpenGame:       handle(s, changes, s.openGame),
	}
}

func (s *Server) checkSessions(ctx context.Context, c roll.Caller, r *wire.MemberRequest) (wire.Data, error) {
	sessions, err := s.o.Service.CheckSessions(ctx, c, r.Username)
	return wire.SessionsCheckResponse(sessions), err
}

func (s *Server) kickMember(ctx context.Context, c roll.Caller, r *wire.MemberRequest) (wire.Data, error) {
	return nil, s.o.Service.KickMember(ctx, c, r.Username)
}

func (s *Server) registerMember(ctx context.Context, c roll.Caller, r *wire.MemberCreateRequest) (wire.Data, error) {
	return nil, s.o.Service.RegisterMember(ctx, c, r.Username, r.SiteID)
}

func (s *Server) membersOnline(ctx context.Context, c roll.Caller, _ *wire.OnlineRequest) (wire.Data, error) {
	names, err := s.o.Service.MembersOnline(ctx, c)
	return wire.OnlineResponse{UserList: names, Counts: len(names)}, err
}

func (s *Server) openGame(ctx context.Context, c roll.Caller, r *wire.OpenGameRequest) (wire.Data, error) {
	ip, err := netip.ParseAddr(r.IPAddress)
	if err != nil {
		return nil, fmt.Errorf("%w: ipaddress: %w", rollcall.ErrParameters, err)
	}
	url, mode, err := s.o.Service.OpenGame(ctx, c, roll.LaunchParams{
		Username: r.Username, SiteID: r.SiteID, GameCode: r.GameCode,
		Device: rollcall.DeviceType(r.DeviceType + 1), // the two tables differ, spec 7.2
		IP:     ip, Lang: r.Lang, Launch: rollcall.LaunchType(r.LaunchType), LobbyURL: r.LobbyURL,
	})
	return wire.OpenGameResponse{GameLaunchURL: url, Mode: mode}, err
}

func (s *Server) login(ctx context.Context, x *exchange) (wire.Data, error) {
	token, err := s.o.Auth.Login(ctx, x.head, x.sent.CipherText, x.trail)
	return wire.NewAuthResponse(token), err
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
func handle[T any, R request[T]](s *Server, does effect, rule func(context.Context, roll.Caller, R) (wire.Data, error)) endpoint {
	return endpoint{withToken: true, answer: func(ctx context.Context, x *exchange) (wire.Data, error) {
		caller, plaintext, err := s.o.Auth.Prove(ctx, x.record.Endpoint, x.head, x.sent.CipherText, x.trail)
		if err != nil {
			return nil, err
		}
		apply := func() (wire.Data, error) {
			req := R(new(T))
			if err := req.Decode(plaintext); x.trail.Check("plaintext", err) != nil {
				return nil, err
			}
			caller.LogUUID = x.record.LogUUID
			data, err := rule(ctx, caller, req)
			if err == nil {
				x.record.Username = req.Subject()
			}
			if err == nil && does == reads {
				x.partial, err = s.o.Service.Partial(ctx)
			}
			return data, err
		}
		if does == reads && s.o.Stores.Remote {
			return s.atOnce(ctx, x, apply)
		}
		if err := s.o.Auth.Spend(ctx, &x.head); x.trail.Check("nonce", err) != nil {
			return nil, err
		}
		return apply()
	}}
}

// atOnce applies a rule that only reads while the nonce is claimed, so that both
// wait for the engine at the same time. What it has found is dropped where the
// nonce was used.
func (s *Server) atOnce(ctx context.Context, x *exchange, apply func() (wire.Data, error)) (wire.Data, error) {
	spent := make(chan error, 1)
	go func() { spent <- s.o.Auth.Spend(ctx, &x.head) }()
	data, err := apply()
	if spentErr := <-spent; x.trail.Check("nonce", spentErr) != nil {
		return nil, spentErr
	}
	return data, err
}

// An exchange is one v2 request on its way.
type exchange struct {
	start   time.Time
	address netip.Addr
	trail   *roll.Trail
	record  rollcall.RequestRecord
	body    []byte // nil: it was not read
	head    wire.Header
	// refused is why it was refused though it may be right, and retryAfter when it
	// may come again.
	refused    string
	retryAfter time.Duration
	// partial says that the answer may lack sessions.
	partial bool
	// What each request needs once has its place here, and not each a place of its own:
	// the body as it is read, values of the answer's headers, and the answer's text.
	sent   wire.Request
	values [2]string
	room   [512]byte
}

// V2 returns the handler of the v2 API. It answers every request, whatever its
// path, with an envelope, and leaves a record of it.
func (s *Server) V2() http.Handler { return http.HandlerFunc(s.serveV2) }

func (s *Server) serveV2(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(r)
	status, body := s.answer(x, r)
	h := w.Header()
	h["Content-Type"] = jsonType
	x.values = [2]string{x.record.LogUUID, strconv.Itoa(len(body))}
	h[wire.HeaderLogUUID] = x.values[:1:1]
	h["Content-Length"] = x.values[1:]
	if x.partial {
		h[wire.HeaderPartial] = []string{"true"}
	}
	setStatusHeaders(h, status, x.retryAfter)
	w.WriteHeader(status)
	w.Write(body)
	s.finish(r, x)
}

var jsonType = []string{"application/json"}

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

func (s *Server) newExchange(r *http.Request) *exchange {
	start := s.now()
	address, remote := s.proxies.remote(r)
	return &exchange{
		start:   start,
		address: address,
		trail:   roll.NewTrail(),
		record: rollcall.RequestRecord{
			LogUUID:  uuid.Must(uuid.NewV7()).String(),
			At:       start,
			Endpoint: otherEndpoint,
			Remote:   remote,
		},
	}
}

// otherEndpoint stands in records and metrics for every path that is none, so
// that strangers cannot fill them with names of their own.
const otherEndpoint = "other"

// answer returns the status and the body that answer r. A panic is answered like
// any other fault of ours, with its stack in the log.
func (s *Server) answer(x *exchange, r *http.Request) (status int, body []byte) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			status, body = s.reply(r.Context(), x, nil, err)
		}
	}()
	data, err := s.process(x, r)
	return s.reply(r.Context(), x, data, err)
}

// process is spec 8 from the method to the answer's data.
func (s *Server) process(x *exchange, r *http.Request) (wire.Data, error) {
	if err := s.checkAddress(r, x.address, x.record.Remote); err != nil {
		return nil, x.trail.Check("address", err)
	}
	if s.gates.v2.isFull() {
		return nil, x.trail.Check("overload", &refusal{forLoad, time.Second, errOverloaded})
	}
	ep, err := s.route(x, r)
	if x.trail.Check("transport", err) != nil {
		return nil, err
	}
	body, err := readBody(r)
	if x.trail.Check("size", err) != nil {
		return nil, err
	}
	x.body = body
	// Not before the body is there: who sends it slowly must not take up room. To
	// read it is cheap.
	if err := enter(r, s.gates.v2); err != nil {
		return nil, x.trail.Check("overload", err)
	}
	defer s.gates.v2.leave()
	return s.work(x, r, ep, body)
}

// work is what the gate is for: spec 8 from the body on.
func (s *Server) work(x *exchange, r *http.Request, ep endpoint, body []byte) (wire.Data, error) {
	if err := x.sent.Decode(body); x.trail.Check("body", err) != nil {
		return nil, err
	}
	head, err := wire.ParseHeader(r.Header, ep.withToken)
	if x.trail.Check("headers", err) != nil {
		return nil, err
	}
	x.head, x.record.AgentID = head, head.AgentID
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
		x.record.Endpoint = r.URL.Path
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

func readBody(r *http.Request) ([]byte, error) {
	body, err := readAtMost(r.Body, r.ContentLength, maxBody+1)
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", rollcall.ErrParameters, err)
	}
	if len(body) > maxBody {
		// What cannot be drained is cut off when the answer has been sent.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		return nil, transportError(http.StatusRequestEntityTooLarge)
	}
	return body, nil
}

// readAtMost reads a body of a length that is told, or of another (-1), and no more
// than most bytes of it.
func readAtMost(body io.Reader, length int64, most int) ([]byte, error) {
	const trusted = 4 << 10 // for more, room is made as it comes: who only says so must not fill memory
	if length < 0 || length > trusted {
		return io.ReadAll(io.LimitReader(body, int64(most)))
	}
	text := make([]byte, length)
	_, err := io.ReadFull(body, text)
	return text, err
}

// reply makes the envelope, and logs what the caller is not told.
func (s *Server) reply(ctx context.Context, x *exchange, data wire.Data, err error) (int, []byte) {
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
	return status, wire.AppendReply(x.room[:0], code, data, x.record.LogUUID)
}

// finish hands the record over and counts the request.
func (s *Server) finish(r *http.Request, x *exchange) {
	defer x.trail.Free() // the recorder copies
	took := s.now().Sub(x.start)
	x.record.TookNanos = took.Nanoseconds()
	x.record.Checks = x.trail.Checks()
	s.o.Metrics.request(x.record.Endpoint, x.record.Code, took)
	if x.refused != "" {
		s.o.Metrics.refused("v2", x.refused)
		if !s.refusals.pick(x.refused) {
			return
		}
	}
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("log_uuid", x.record.LogUUID),
		slog.String("endpoint", x.record.Endpoint),
		slog.String("agent", x.record.AgentID),
		slog.Int("code", x.record.Code),
		slog.Duration("took", took))
	s.recorder.add(&x.record, s.refusedRequest(x, r))
}
