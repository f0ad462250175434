package server

import (
	"fmt"
	"strconv"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
	"github.com/rollcall-server/rollcall/internal/roll"
)

func (s *Server) kick(c call[admin.KickCreate]) (out admin.KickCreated, err error) {
	params := roll.KickParams{
		Filter: c.in.Filter, All: c.in.All, Why: c.in.Why, Message: c.in.Message, PerSecond: c.in.PerSecond,
	}
	if c.in.DryRun {
		out.Matched, err = s.o.Service.PreviewKick(c.Context(), params)
		return out, err
	}
	kick, err := s.o.Service.Kick(c.Context(), c.caller, params)
	return admin.KickCreated{Matched: kick.Matched, Kick: &kick}, err
}

// listKicks goes from the newest kick backwards.
func (s *Server) listKicks(c call[none]) (kickPage, error) {
	return listBack(c.Request, func(before string, limit int) ([]rollcall.Kick, error) {
		return s.o.Service.Kicks(c.Context(), before, limit)
	}, func(k rollcall.Kick) string { return k.ID })
}

func (s *Server) showKick(c call[none]) (out admin.KickShown, err error) {
	id := c.PathValue("kick")
	if out.Kick, err = s.o.Service.KickOf(c.Context(), id); err != nil {
		return out, err
	}
	page, err := list(c.Request, func(text string, limit int) ([]rollcall.Receipt, error) {
		after, err := seqIn(text, "after")
		if err != nil {
			return nil, err
		}
		return s.o.Service.Receipts(c.Context(), id, after, limit)
	}, func(r rollcall.Receipt) string { return strconv.FormatInt(r.Seq, 10) })
	out.Receipts, out.Next = page.Items, page.Next
	return out, err
}

func (s *Server) abortKick(c call[none]) (rollcall.Kick, error) {
	return s.o.Service.AbortKick(c.Context(), c.caller, c.PathValue("kick"))
}

func (s *Server) listDeliveries(c call[none]) (page hookPage, err error) {
	query := c.URL.Query()
	dead := false
	if text := query.Get("dead"); text != "" {
		if dead, err = strconv.ParseBool(text); err != nil {
			return page, fmt.Errorf("%w dead: want true or false", rollcall.ErrInvalid)
		}
	}
	return list(c.Request, func(after string, limit int) ([]rollcall.WebhookDelivery, error) {
		return s.o.Service.Deliveries(c.Context(), query.Get("agent"), dead, after, limit)
	}, func(d rollcall.WebhookDelivery) string { return d.ID })
}

func (s *Server) retryDelivery(c call[none]) (rollcall.WebhookDelivery, error) {
	return s.o.Service.RetryDelivery(c.Context(), c.caller, c.PathValue("webhook"))
}
