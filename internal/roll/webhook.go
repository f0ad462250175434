package roll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/webhook"
)

// SetWebhook sets where an agent is told of its sessions and returns the secret
// that signs what it is told, once; an empty URL ends that. Errors: ErrNotFound;
// ErrInvalid for a URL that webhooks may not go to.
func (s *Service) SetWebhook(ctx context.Context, actor, agentID, url string) (secret string, err error) {
	var sealed []byte
	if url != "" {
		if err := s.webhooks.CheckURL(url); err != nil {
			return "", fmt.Errorf("%w webhook URL: %w", rollcall.ErrInvalid, err)
		}
		secret = webhook.NewSecret()
		sealed = s.vault.Seal(WebhookContext(agentID), []byte(secret))
	}
	action := "agent.set-webhook"
	if url == "" {
		action = "agent.remove-webhook"
	}
	_, err = s.updateAgent(ctx, s.entry(actor, action, agentID, ""), func(a *Agent) error {
		a.WebhookURL, a.SealedWebhookSecret = url, sealed
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// A webhookBody is what an agent is sent of a session.
type webhookBody struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	SessionID string              `json:"sessionId"`
	Username  string              `json:"username"`
	GameCode  string              `json:"gameCode"`
	Mode      rollcall.Mode       `json:"mode"`
	Device    rollcall.DeviceType `json:"device"`
	IP        string              `json:"ip"`
	Currency  string              `json:"currency"`
	StartedAt time.Time           `json:"startedAt"`
	EndedAt   time.Time           `json:"endedAt,omitzero"`
	Reason    rollcall.EndReason  `json:"reason,omitempty"`
}

// deliveriesOf returns the webhooks that changes are worth to agents that want
// them.
func (s *Service) deliveriesOf(ctx context.Context, changes []Change) ([]rollcall.WebhookDelivery, error) {
	var deliveries []rollcall.WebhookDelivery
	for i := range changes {
		if !changes[i].SettledAt.IsZero() {
			continue
		}
		agent, err := s.directory.Agents().Get(ctx, changes[i].AgentID)
		if errors.Is(err, rollcall.ErrNotFound) || err == nil && agent.WebhookURL == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, err := deliveryOf(&changes[i].EndedSession, s.now())
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, nil
}

func deliveryOf(e *rollcall.EndedSession, now time.Time) (rollcall.WebhookDelivery, error) {
	kind, at, suffix := rollcall.WebhookEnded, e.EndedAt, "-ended"
	switch e.Reason {
	case "":
		kind, at, suffix = rollcall.WebhookStarted, e.StartedAt, "-started"
	case rollcall.EndKicked:
		kind = rollcall.WebhookKicked
	}
	body, err := json.Marshal(webhookBody{Type: kind, Timestamp: at.UTC(), Data: webhookData{
		SessionID: e.ID, Username: e.Username, GameCode: e.GameCode, Mode: e.Mode, Device: e.Device, IP: e.IP.String(),
		Currency: e.Currency, StartedAt: e.StartedAt.UTC(), EndedAt: e.EndedAt.UTC(), Reason: e.Reason,
	}})
	return rollcall.WebhookDelivery{
		ID: e.ID + suffix, AgentID: e.AgentID, Type: kind, SessionID: e.ID, Body: body, CreatedAt: now, NextAt: now,
	}, err
}

// Deliveries returns at most limit webhooks of an agent ("": of all) with an ID
// above after, by ID: those that were given up, or those that are on their way.
func (s *Service) Deliveries(ctx context.Context, agentID string, dead bool, after string, limit int) ([]rollcall.WebhookDelivery, error) {
	return s.history.DeliveriesOf(ctx, agentID, dead, after, limit)
}

// RetryDelivery sends a webhook again that was given up, or sooner one that
// waits. rollcall.ErrNotFound.
func (s *Service) RetryDelivery(ctx context.Context, actor, id string) (rollcall.WebhookDelivery, error) {
	d, err := s.history.Delivery(ctx, id)
	if err != nil {
		return d, named("webhook", id, err)
	}
	if err := s.directory.Note(ctx, s.entry(actor, "webhook.retry", id, "")); err != nil {
		return d, err
	}
	if !d.DeadAt.IsZero() {
		d.DeadAt, d.Attempts = time.Time{}, 0
	}
	d.NextAt = s.now()
	return d, s.history.PutDelivery(ctx, d)
}

const (
	// webhookEvery is when webhooks that are due are looked for, webhookSoon where
	// there were some just now.
	webhookEvery = time.Second
	webhookSoon  = 20 * time.Millisecond
	// webhookClaim is how long a delivery is its claimer's: longer than an
	// attempt takes, so that none is under way twice.
	webhookClaim = time.Minute
	// webhooksPerAgent keeps an agent whose receiver hangs from holding up others.
	webhooksPerAgent = 32
	webhooksAtOnce   = 512
)

// runWebhooks sends what is due until ctx ends, and then waits for what is under
// way.
func (s *Service) runWebhooks(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	under := &busy{of: make(map[string]int)}
	for next := webhookEvery; pause(ctx, next); {
		now := s.now()
		due, err := s.history.ClaimDeliveries(ctx, DeliveryClaim{
			Now: now, Until: now.Add(webhookClaim), PerAgent: webhooksPerAgent, Limit: webhooksAtOnce - under.total(), Except: under.full(),
		})
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "webhooks wait", slog.Any("error", err))
		}
		if next = webhookEvery; len(due) > 0 || under.total() > 0 {
			next = webhookSoon
		}
		for _, d := range due {
			under.add(d.AgentID, 1)
			all.Go(func() {
				defer under.add(d.AgentID, -1)
				if err := s.deliver(ctx, d); err != nil && ctx.Err() == nil {
					s.log.LogAttrs(ctx, slog.LevelError, "webhook", slog.String("webhook", d.ID), slog.Any("error", err))
				}
			})
		}
	}
}

// deliver makes one attempt and keeps what came of it.
func (s *Service) deliver(ctx context.Context, d rollcall.WebhookDelivery) error {
	agent, err := s.directory.Agents().Get(ctx, d.AgentID)
	if errors.Is(err, rollcall.ErrNotFound) || err == nil && agent.WebhookURL == "" {
		return s.history.DropDelivery(ctx, d.ID) // nobody wants it any more
	}
	if err != nil {
		return err
	}
	err = s.send(ctx, agent, d)
	if err == nil {
		return s.history.DropDelivery(ctx, d.ID)
	}
	if ctx.Err() != nil {
		return ctx.Err() // it is due again when the claim ends
	}
	d.Attempts++
	d.LastError = err.Error()
	d.NextAt = s.now().Add(webhook.Backoff(d.Attempts))
	if d.Attempts >= webhook.MaxAttempts || errors.Is(err, webhook.ErrGone) {
		d.DeadAt, d.NextAt = s.now(), time.Time{}
		s.log.LogAttrs(ctx, slog.LevelWarn, "webhook given up",
			slog.String("webhook", d.ID), slog.String("agent", d.AgentID), slog.String("cause", d.LastError))
	}
	return s.history.PutDelivery(ctx, d)
}

func (s *Service) send(ctx context.Context, agent *Agent, d rollcall.WebhookDelivery) error {
	text, err := s.vault.Open(WebhookContext(agent.ID), agent.SealedWebhookSecret)
	if err != nil {
		return err
	}
	secret, err := webhook.ParseSecret(string(text))
	if err != nil {
		return err
	}
	return s.webhooks.Send(ctx, agent.WebhookURL, secret, webhook.Message{ID: d.ID, At: s.now(), Body: d.Body})
}

// busy counts what is under way by agent.
type busy struct {
	mu sync.Mutex
	of map[string]int
}

func (b *busy) add(agent string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of[agent] += n; b.of[agent] == 0 {
		delete(b.of, agent)
	}
}

func (b *busy) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := 0
	for _, n := range b.of {
		sum += n
	}
	return sum
}

// full returns the agents that have as many under way as they may.
func (b *busy) full() (agents []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for agent, n := range b.of {
		if n >= webhooksPerAgent {
			agents = append(agents, agent)
		}
	}
	return agents
}
