package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// maxGameBody fits 10,000 sessions, or as many ends with long notes.
const maxGameBody = 16 << 20

// A gameCall is one request of the game-server API.
type gameCall[Req any] = callOf[*roll.GameServer, Req]

// Game returns the handler of the game-server API, /game/v1, and of its
// description.
func (s *Server) Game() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.gameRoutes() {
		mux.Handle(pattern, s.counted(pattern, h))
	}
	mux.Handle(openapi.Prefix, s.describe(openapi.GameServers))
	mux.HandleFunc("/", notFound)
	return s.guard(s.addressed(jsonErrors(mux)))
}

// gameRoutes is the route table of /game/v1: a line a call.
func (s *Server) gameRoutes() map[string]http.Handler {
	const ok, created = http.StatusOK, http.StatusCreated
	return map[string]http.Handler{
		"POST " + wire.PathGameBoot:             play(s, ok, s.boot),
		"POST " + wire.PathGameSessions:         play(s, created, s.startSession),
		"POST " + wire.PathGameHeartbeats:       play(s, ok, s.heartbeat),
		"POST " + wire.PathGameAnnounce:         play(s, ok, s.announce),
		"POST " + wire.PathGameEnd("{session}"): play(s, ok, s.endSession),
		"POST " + wire.PathGameAck:              play(s, ok, s.acknowledge),
		"GET " + wire.PathGameEvents:            http.HandlerFunc(s.streamEvents),
	}
}

// play makes the handler of a call.
func play[Req, Resp any](s *Server, status int, rule func(gameCall[Req]) (Resp, error)) http.Handler {
	return serve(s, api[*roll.GameServer]{who: s.gameServer, maxBody: maxGameBody, gate: s.gates.game}, status, rule)
}

// gameServer returns the game server whose token r carries.
func (s *Server) gameServer(r *http.Request) (*roll.GameServer, error) {
	token, err := bearer(r, "the game server's token")
	if err != nil {
		return nil, err
	}
	return s.o.Service.VerifyGameServer(r.Context(), token)
}

func (s *Server) boot(c gameCall[wire.BootRequest]) (out wire.BootResponse, err error) {
	info, err := s.o.Service.Boot(c.Context(), c.caller, c.in.BootID)
	if err != nil {
		return out, err
	}
	return wire.BootResponse{
		GameServer: c.caller.ID, Epoch: info.Epoch, Cursor: info.Cursor,
		LeaseSeconds: int(info.Lease / time.Second), HeartbeatSeconds: int(info.Heartbeat / time.Second), Ended: info.Ended,
	}, nil
}

func (s *Server) startSession(c gameCall[wire.StartRequest]) (wire.StartResponse, error) {
	session, heartbeat, err := s.o.Service.Start(c.Context(), c.caller, c.in.BootID, c.in.LaunchToken)
	return wire.StartResponse{Session: session, HeartbeatSeconds: int(heartbeat / time.Second)}, err
}

func (s *Server) heartbeat(c gameCall[wire.HeartbeatRequest]) (out wire.HeartbeatResponse, err error) {
	if err := checkBatch("ids and ended", len(c.in.IDs)+len(c.in.Ended)); err != nil {
		return out, err
	}
	ends := make([]roll.SessionEnd, len(c.in.Ended))
	for i, e := range c.in.Ended {
		ends[i] = roll.SessionEnd{ID: e.ID, Reason: e.Reason, Note: e.Note}
	}
	beat, err := s.o.Service.Heartbeat(c.Context(), c.caller, c.in.BootID, c.in.IDs, ends)
	return wire.HeartbeatResponse{Epoch: beat.Epoch, Unknown: beat.Unknown, End: beat.End}, err
}

func (s *Server) announce(c gameCall[wire.AnnounceRequest]) (out wire.AnnounceResponse, err error) {
	if err := checkBatch("sessions", len(c.in.Sessions)); err != nil {
		return out, err
	}
	refused, epoch, err := s.o.Service.Announce(c.Context(), c.caller, c.in.BootID, c.in.Sessions)
	if err != nil {
		return out, err
	}
	out = wire.AnnounceResponse{Epoch: epoch, Refused: []wire.RefusedAnnounce{}}
	for i := range c.in.Sessions {
		if _, no := refused[c.in.Sessions[i].ID]; !no {
			out.Accepted++
		}
	}
	for id, why := range refused {
		out.Refused = append(out.Refused, wire.RefusedAnnounce{ID: id, Why: why})
	}
	return out, nil
}

func (s *Server) endSession(c gameCall[wire.EndRequest]) (wire.EndResponse, error) {
	was, err := s.o.Service.End(c.Context(), c.caller, roll.SessionEnd{ID: c.PathValue("session"), Reason: c.in.Reason, Note: c.in.Note})
	return wire.EndResponse{WasActive: was}, err
}

func (s *Server) acknowledge(c gameCall[wire.AckRequest]) (out wire.AckResponse, err error) {
	if err := checkBatch("ids", len(c.in.IDs)); err != nil {
		return out, err
	}
	out.Acknowledged, err = s.o.Service.Acknowledge(c.Context(), c.caller.ID, c.in.IDs)
	return out, err
}

func checkBatch(what string, n int) error {
	if n > wire.MaxBatch {
		return fmt.Errorf("%w %s: want at most %d, got %d", rollcall.ErrInvalid, what, wire.MaxBatch, n)
	}
	return nil
}

// counted counts the calls of one pattern by the status of their answers.
func (s *Server) counted(pattern string, h http.Handler) http.Handler {
	_, name, _ := strings.Cut(pattern, wire.GamePrefix)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() { s.o.Metrics.gameCall(name, seen.status) }()
		h.ServeHTTP(seen, r)
	})
}

// A statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
