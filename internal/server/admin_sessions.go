package server

import (
	"fmt"
	"strconv"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (s *Server) startSession(c call[admin.SessionStart]) (rollcall.Session, error) {
	return s.o.Service.Start(c.Context(), roll.StartParams(c.in))
}

// listSessions pages through all, or all of an agent; a member's come in one
// page.
func (s *Server) listSessions(c call[none]) (sessionPage, error) {
	query := c.URL.Query()
	agent, username := query.Get("agent"), query.Get("username")
	if username != "" && agent == "" {
		return sessionPage{}, fmt.Errorf("%w username: a member is one agent's, so give agent too", rollcall.ErrInvalid)
	}
	page, err := list(c.Request, func(after string, limit int) ([]rollcall.Session, error) {
		return s.o.Service.Sessions(c.Context(), agent, username, after, limit)
	}, func(s rollcall.Session) string { return s.ID })
	if username != "" {
		page.Next = ""
	}
	return page, err
}

func (s *Server) showSession(c call[none]) (rollcall.Session, error) {
	return s.o.Service.Session(c.Context(), c.PathValue("session"))
}

func (s *Server) endSession(c call[none]) (rollcall.Session, error) {
	return s.o.Service.End(c.Context(), c.PathValue("session"), rollcall.EndKicked)
}

func (s *Server) heartbeat(c call[admin.Heartbeat]) (admin.HeartbeatAnswer, error) {
	if len(c.in.IDs) > admin.MaxHeartbeat {
		return admin.HeartbeatAnswer{}, fmt.Errorf("%w ids: want at most %d", rollcall.ErrInvalid, admin.MaxHeartbeat)
	}
	unknown, err := s.o.Service.Heartbeat(c.Context(), c.in.GameServer, c.in.IDs)
	return admin.HeartbeatAnswer{Unknown: unknown}, err
}

func (s *Server) countSessions(c call[none]) (admin.Page[rollcall.SessionCount], error) {
	counts, err := s.o.Service.Counts(c.Context())
	return admin.Page[rollcall.SessionCount]{Items: counts}, err
}

func (s *Server) rotateTokenKey(c call[none]) (rollcall.KeyInfo, error) {
	return s.o.Service.RotateTokenKey(c.Context(), c.actor)
}

func (s *Server) listTokenKeys(c call[none]) (keyPage, error) {
	keys, err := s.o.Service.TokenKeys(c.Context())
	return keyPage{Items: keys}, err
}

func (s *Server) createToken(c call[admin.TokenCreate]) (admin.TokenCreated, error) {
	text, err := s.o.Service.CreateAdminToken(c.Context(), c.actor, c.in.Name)
	return admin.TokenCreated{Name: c.in.Name, Token: text}, err
}

func (s *Server) listTokens(c call[none]) (keyPage, error) {
	tokens, err := s.o.Service.AdminTokens(c.Context())
	return keyPage{Items: tokens}, err
}

func (s *Server) deleteToken(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteAdminToken(c.Context(), c.actor, c.PathValue("token"))
}

// listAudit goes from the newest entry backwards.
func (s *Server) listAudit(c call[none]) (page admin.Page[rollcall.AuditEntry], err error) {
	n, err := limit(c.Request)
	if err != nil {
		return page, err
	}
	var before int64
	if text := c.URL.Query().Get("before"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return page, fmt.Errorf("%w before: want a seq", rollcall.ErrInvalid)
		}
	}
	if page.Items, err = s.o.Service.Audit(c.Context(), before, n); err != nil {
		return page, err
	}
	if len(page.Items) == n {
		page.Next = strconv.FormatInt(page.Items[n-1].Seq, 10)
	}
	return page, nil
}

func (s *Server) showRequest(c call[none]) (rollcall.RequestRecord, error) {
	return s.o.Service.Request(c.Context(), c.PathValue("request"))
}
