package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/arcade"
	"github.com/rollcall-server/rollcall/wire"
)

// A house has the arcade and the agent that launches the cast's games, as their
// true likes would: over the v2 API and the game-server API.
type house struct {
	arcade *arcade.Arcade
	agent  *client.Client
	log    *slog.Logger
}

func newHouse(c Credentials, log *slog.Logger) (*house, error) {
	h := &house{log: log}
	var err error
	if h.agent, err = newCaller(c, c.Agents[0], nil); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(c.GameServers, func(g GameServerCredentials) bool { return g.ID == castServer })
	h.arcade, err = arcade.New(arcade.Options{BaseURL: c.GameURL, Token: c.GameServers[at].Token, OnExpired: h.again, Log: log})
	return h, err
}

const houseWithin = 10 * time.Second

// open begins the cast's sessions; those of an earlier run end by that.
func (h *house) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, houseWithin)
	defer cancel()
	if err := h.arcade.Boot(ctx); err != nil {
		return fmt.Errorf("arcade: %w", err)
	}
	for _, launch := range castLaunches {
		err := h.seat(ctx, launch)
		if !refused(err) {
			if err != nil {
				return err
			}
			continue
		}
		h.log.LogAttrs(ctx, slog.LevelWarn, "sandbox: a session of the cast is refused, as the data are now", slog.Any("error", err))
	}
	return nil
}

func (h *house) seat(ctx context.Context, launch wire.OpenGameRequest) error {
	opened, err := h.agent.OpenGame(ctx, launch)
	if err != nil {
		return fmt.Errorf("launch %s for %s: %w", launch.GameCode, launch.Username, err)
	}
	u, err := url.Parse(opened.GameLaunchURL)
	if err != nil {
		return err
	}
	if _, err := h.arcade.Seat(ctx, u.Query().Get("token")); err != nil {
		return fmt.Errorf("start %s for %s: %w", launch.GameCode, launch.Username, err)
	}
	return nil
}

// refused reports whether err is a rule's and not an outage.
func refused(err error) bool {
	if answer, ok := errors.AsType[*wire.Error](err); ok {
		return answer.Code != wire.CodeInternal
	}
	fault, ok := errors.AsType[*wire.FaultError](err)
	return ok && fault.Status < 500
}

// again begins a session of the cast anew whose lifetime has passed.
func (h *house) again(s rollcall.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), houseWithin)
	defer cancel()
	for _, launch := range castLaunches {
		if launch.Username != s.Username || launch.GameCode != s.GameCode {
			continue
		}
		if err := h.seat(ctx, launch); err != nil {
			h.log.LogAttrs(ctx, slog.LevelError, "sandbox: begin a session anew", slog.Any("error", err))
		}
	}
}
