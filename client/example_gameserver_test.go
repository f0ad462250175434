package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/rollcalltest"
)

// The whole life of a game server: it boots, starts the session of a launch, keeps
// it alive, gives it back to a service that has lost it, ends one whose member
// leaves, and hears that another is kicked.
func ExampleGameServer() {
	s := rollcalltest.Start()
	defer s.Close()
	address, token := s.URL, s.GameServer.Token
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	settled := make(chan string)

	var g *client.GameServer
	g, err := client.NewGameServer(client.GameServerOptions{
		BaseURL: address,
		Token:   token,
		OnEvent: func(ctx context.Context, e rollcall.Event) error {
			if e.SessionID == "" {
				return nil // a drain: starts are refused from now on, what is played goes on
			}
			fmt.Println("to the player:", e.Message)
			// Settle, then say so. An end that cannot be told now goes with a heartbeat.
			if err := g.End(ctx, e.SessionID, client.EndRequest{Note: "bet returned"}); err != nil {
				fmt.Println(err)
			}
			settled <- e.Username
			return nil // taken over: it is not told again
		},
		OnLost: func(lost rollcall.Session, why string) {
			fmt.Println("end the game of", lost.Username, why)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := g.Boot(ctx); err != nil { // ends what an earlier run has left
		fmt.Println(err)
		return
	}
	ran := make(chan error)
	go func() { ran <- g.Run(ctx) }() // heartbeats and events, until ctx ends

	// A member brings the launch token in the URL of the game.
	session, err := g.Start(ctx, s.Launch("player001", "VP_230001_1"))
	switch {
	case errors.Is(err, rollcall.ErrLaunchExpired), errors.Is(err, rollcall.ErrLaunchUsed):
		fmt.Println("launch again")
	case err != nil:
		fmt.Println(err)
	}
	fmt.Println(session.Username, session.GameCode, session.Mode)

	// The service loses its sessions. The next heartbeat finds out and announces
	// them, by itself within 30 s.
	s.LoseSessions()
	fmt.Println(g.Heartbeat(ctx), len(g.Sessions()))

	// A member leaves, and another one is kicked.
	other, err := g.Start(ctx, s.Launch("player002", "VP_230001_1"))
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(g.End(ctx, other.ID, client.EndRequest{}))
	s.Kick("player001", "The casino is closing.")
	fmt.Println("settled:", <-settled)

	stop()
	fmt.Println(<-ran, len(g.Sessions()))
	// Output:
	// player001 VP_230001_1 real
	// <nil> 1
	// <nil>
	// to the player: The casino is closing.
	// settled: player001
	// <nil> 0
}
