// Package arcade is the sandbox's game server: small, but a true one, that tells
// Rollcall of its sessions by the game-server API and hears which are to end. A
// launch URL opens a page of it. The page starts the session, beats while it is
// open, ends it when the member leaves, and says so when somebody else ended it.
// It knows Rollcall through package client only, like any game server.
package arcade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/wire"
)

// Options say which game server the arcade is. BaseURL and Token are required.
type Options struct {
	// BaseURL is where /game/v1 begins, Token the game server's.
	BaseURL string
	Token   string
	// Silence is how long an open page may say nothing; 0: 15 s. Grace is how long
	// a session without a page goes on, so that a page can be loaded again; 0: 3 s.
	Silence, Grace time.Duration
	// OnExpired is told of a house player's session whose lifetime has passed, and
	// may start another; nil: nobody is told. Heartbeats wait for its return.
	OnExpired func(rollcall.Session)
	// HTTPClient calls Rollcall; nil: one with the default transport.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log gets what the arcade goes on after; nil: nothing is logged.
	Log *slog.Logger
}

// An Arcade is one run of the game server. It is safe for concurrent use.
type Arcade struct {
	game      *client.GameServer
	table     *table
	beat      time.Duration // how often a page is to say something
	onExpired func(rollcall.Session)
	now       func() time.Time
	log       *slog.Logger
	settling  *queue
}

// Path is where the arcade's page is: a launch URL is this path of its listener.
const Path = "/play"

// New makes an Arcade and calls nobody; the error, a rollcall.ErrInvalid, says
// which option is wrong.
func New(o Options) (*Arcade, error) {
	silence := cmp.Or(o.Silence, 15*time.Second)
	a := &Arcade{
		table: newTable(silence, cmp.Or(o.Grace, 3*time.Second)), beat: silence / 5, onExpired: o.OnExpired,
		now: o.Now, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), settling: newQueue(),
	}
	if a.now == nil {
		a.now = time.Now
	}
	var err error
	a.game, err = client.NewGameServer(client.GameServerOptions{
		BaseURL: o.BaseURL, Token: o.Token, HTTPClient: o.HTTPClient, Now: o.Now, Log: a.log,
		OnEvent: a.hear, OnLost: a.lose,
	})
	return a, err
}

// Boot says that this run of the game server calls from now on, which ends the
// sessions of earlier ones. Run does it itself; who seats house players before
// it is up calls Boot first.
func (a *Arcade) Boot(ctx context.Context) error {
	_, err := a.game.Boot(ctx)
	return err
}

// Seat starts the session of a launch token for a house player, who has no page:
// the session goes on until it is ended from elsewhere. The errors are those of
// client.GameServer's Start.
func (a *Arcade) Seat(ctx context.Context, launchToken string) (rollcall.Session, error) {
	session, err := a.game.Start(ctx, launchToken)
	if err == nil {
		a.table.sit(a.now(), launchToken, session, true)
	}
	return session, err
}

const (
	sweepEvery = 200 * time.Millisecond
	settlers   = 8 // ends are told by so many at a time
)

// Run serves the pages on l and keeps the sessions until ctx ends, and then
// leaves them as they are: the next boot ends them. It closes l. Where another
// boot has taken over, the pages are told, and go on to be served.
func (a *Arcade) Run(ctx context.Context, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { a.keep(ctx) })
	all.Go(func() { a.sweep(ctx) })
	for range settlers {
		all.Go(func() { a.settle(ctx) })
	}
	err := a.serve(ctx, l)
	stop()
	all.Wait()
	return err
}

// keep renews the sessions and hears events.
func (a *Arcade) keep(ctx context.Context) {
	err := a.game.Run(ctx)
	if err == nil {
		return
	}
	a.log.LogAttrs(ctx, slog.LevelError, "arcade: its sessions are no longer its own", slog.Any("error", err))
	a.table.endAll(a.now(), overLost)
}

// hear takes an event over: the page is told at once, the settlement follows.
func (a *Arcade) hear(_ context.Context, e rollcall.Event) error {
	if e.SessionID == "" { // a drain: Start will be refused
		return nil
	}
	a.table.end(a.now(), e.SessionID, overBy(e))
	a.settling.add(settlement{e.SessionID, wire.EndRequest{Reason: rollcall.EndKicked, Note: "settled after the event " + string(e.Type)}})
	return nil
}

// lose hears of a session that is no longer known.
func (a *Arcade) lose(s rollcall.Session, _ string) {
	now := a.now()
	if now.Before(s.EndsAt) {
		a.table.end(now, s.ID, overLost)
		return
	}
	if house := a.table.end(now, s.ID, overExpired); house && a.onExpired != nil {
		a.onExpired(s)
	}
}

// sweep ends the sessions whose pages are gone.
func (a *Arcade) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, left := range a.table.sweep(a.now()) {
				a.settling.add(left)
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle tells Rollcall of ends until ctx ends.
func (a *Arcade) settle(ctx context.Context) {
	for {
		s, ok := a.settling.next(ctx)
		if !ok {
			return
		}
		if err := a.game.End(ctx, s.sessionID, s.end); err != nil && ctx.Err() == nil {
			a.log.LogAttrs(ctx, slog.LevelWarn, "arcade: settlement", slog.Any("error", err))
		}
	}
}

const (
	slowest    = 10 * time.Second // that a write to a page may be
	stopWithin = 2 * time.Second
)

// serve serves the pages until ctx ends.
func (a *Arcade) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: a.Handler(), ReadHeaderTimeout: slowest, ReadTimeout: slowest, WriteTimeout: 3 * slowest, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx }, // ends the streams
		ErrorLog:       slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() { stopped <- shutdown(server) })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("arcade: %w", err)
	}
	return <-stopped
}

func shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
