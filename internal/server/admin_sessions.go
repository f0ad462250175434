package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/explain"
)

// filterOf reads the filter of a list.
func filterOf(r *http.Request) (rollcall.SessionFilter, error) {
	query := r.URL.Query()
	f := rollcall.SessionFilter{
		AgentID: query.Get("agent"), Username: query.Get("username"), GameCode: query.Get("game"),
		Currency: query.Get("currency"), GameServer: query.Get("gameServer"),
	}
	if f.Username != "" && f.AgentID == "" {
		return f, fmt.Errorf("%w username: a member is one agent's, so give agent too", rollcall.ErrInvalid)
	}
	return f, nil
}

func (s *Server) listSessions(c call[none]) (page sessionPage, err error) {
	filter, err := filterOf(c.Request)
	if err != nil {
		return page, err
	}
	return list(c.Request, func(after string, limit int) ([]rollcall.Session, error) {
		return s.o.Service.Sessions(c.Context(), filter, after, limit)
	}, func(s rollcall.Session) string { return s.ID })
}

func (s *Server) showSession(c call[none]) (rollcall.Session, error) {
	return s.o.Service.Session(c.Context(), c.PathValue("session"))
}

// countSessions adds up what the query's by does not tell apart.
func (s *Server) countSessions(c call[none]) (page admin.Page[rollcall.SessionCount], err error) {
	var by []string
	if text := c.URL.Query().Get("by"); text != "" {
		by = strings.Split(text, ",")
	}
	page.Items, err = s.o.Service.Counts(c.Context(), by...)
	return page, err
}

// listOnlineAt pages through those who were online at a moment.
func (s *Server) listOnlineAt(c call[none]) (page pastPage, err error) {
	at, err := time.Parse(time.RFC3339, c.URL.Query().Get("at"))
	if err != nil {
		return page, fmt.Errorf("%w at: want a moment such as 2026-01-30T03:58:52Z", rollcall.ErrInvalid)
	}
	filter, err := filterOf(c.Request)
	if err != nil {
		return page, err
	}
	return list(c.Request, func(after string, limit int) ([]rollcall.EndedSession, error) {
		return s.o.Service.OnlineAt(c.Context(), at, filter, after, limit)
	}, endedID)
}

func endedID(e rollcall.EndedSession) string { return e.ID }

func (s *Server) showTimeline(c call[none]) (page pastPage, err error) {
	agent, member := c.PathValue("agent"), c.PathValue("member")
	return listBack(c.Request, func(before string, limit int) ([]rollcall.EndedSession, error) {
		return s.o.Service.Timeline(c.Context(), agent, member, before, limit)
	}, endedID)
}

func (s *Server) rotateTokenKey(c call[none]) (rollcall.KeyInfo, error) {
	return s.o.Service.RotateTokenKey(c.Context(), c.caller)
}

func (s *Server) listTokenKeys(c call[none]) (keyPage, error) {
	keys, err := s.o.Service.TokenKeys(c.Context())
	return keyPage{Items: keys}, err
}

func (s *Server) createToken(c call[admin.TokenCreate]) (admin.TokenCreated, error) {
	text, err := s.o.Service.CreateAdminToken(c.Context(), c.caller, c.in.Name)
	return admin.TokenCreated{Name: c.in.Name, Token: text}, err
}

func (s *Server) listTokens(c call[none]) (keyPage, error) {
	tokens, err := s.o.Service.AdminTokens(c.Context())
	return keyPage{Items: tokens}, err
}

func (s *Server) deleteToken(c call[none]) (none, error) {
	return none{}, s.o.Service.DeleteAdminToken(c.Context(), c.caller, c.PathValue("token"))
}

// listAudit goes from the newest entry backwards.
func (s *Server) listAudit(c call[none]) (admin.Page[rollcall.AuditEntry], error) {
	return listBack(c.Request, func(text string, limit int) ([]rollcall.AuditEntry, error) {
		before, err := seqIn(text, "before")
		if err != nil {
			return nil, err
		}
		return s.o.Service.Audit(c.Context(), before, limit)
	}, func(e rollcall.AuditEntry) string { return strconv.FormatInt(e.Seq, 10) })
}

// seqIn reads a Seq of the query; 0 where there is none.
func seqIn(text, name string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 1 {
		return 0, fmt.Errorf("%w %s: want a seq", rollcall.ErrInvalid, name)
	}
	return seq, nil
}

func (s *Server) showRequest(c call[none]) (shown admin.RequestShown, err error) {
	shown.RequestRecord, err = s.o.Service.Request(c.Context(), c.PathValue("request"))
	for _, found := range shown.RequestRecord.Findings {
		f := explain.Expand(found.Code, found.Value)
		shown.Findings = append(shown.Findings, admin.RequestFinding{RequestFinding: found, What: f.What, Mend: f.Mend, Spec: f.Spec})
	}
	return shown, err
}
