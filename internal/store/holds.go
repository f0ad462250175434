package store

import (
	"context"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// holds returns the name of something that the stores hold, "" where they are
// empty.
func (s *Stores) holds(ctx context.Context) (what string, err error) {
	d := s.Directory
	for _, look := range []struct {
		what string
		any  func() (int, error)
	}{
		{"branches", someOf(ctx, d.Branches())},
		{"games", someOf(ctx, d.Games())},
		{"agents", someOf(ctx, d.Agents())},
		{"members", someOf(ctx, d.Members())},
		{"game servers", someOf(ctx, d.GameServers())},
		{"admin tokens", someOf(ctx, d.AdminTokens())},
		{"token keys", someOf(ctx, d.TokenKeys())},
		{"audit entries", func() (int, error) { list, err := d.Audit(ctx, 0, 1); return len(list), err }},
		{"sessions", func() (int, error) { list, err := s.Sessions.Counts(ctx); return len(list), err }},
		{"kicks", func() (int, error) { list, err := s.Sessions.Kicks(ctx, "", false, 1); return len(list), err }},
		{"changes", func() (int, error) { list, err := s.Sessions.Changes(ctx, nil, 1); return len(list), err }},
		{"request records", func() (int, error) { list, err := s.History.RequestsAfter(ctx, "", 1); return len(list), err }},
		{"ended sessions", func() (int, error) { list, err := s.History.EndedAfter(ctx, "", 1); return len(list), err }},
		{"webhooks", someDeliveries(ctx, s.History, false)},
		{"webhooks", someDeliveries(ctx, s.History, true)},
	} {
		n, err := look.any()
		if err != nil {
			return "", err
		}
		if n > 0 {
			return look.what, nil
		}
	}
	return "", nil
}

func someOf[T any](ctx context.Context, table roll.Table[T]) func() (int, error) {
	return func() (int, error) {
		list, err := table.List(ctx, "", "", 1)
		return len(list), err
	}
}

func someDeliveries(ctx context.Context, history roll.History, dead bool) func() (int, error) {
	return func() (n int, err error) {
		var list []rollcall.WebhookDelivery
		list, err = history.DeliveriesOf(ctx, "", dead, "", 1)
		return len(list), err
	}
}
