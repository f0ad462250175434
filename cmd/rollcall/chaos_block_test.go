package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/internal/admin"
)

// blockDeaf cuts the connections by which nodes hear of changes, again and again,
// and blocks agents meanwhile: each is out at every node within 1 s, or 2 s on a
// machine that is busy.
func (c *chaos) blockDeaf() {
	const agents = 3
	ctx, stop := context.WithCancel(c.life)
	var cutting sync.WaitGroup
	defer cutting.Wait()
	defer stop()
	cut := 0
	cutting.Go(func() {
		for pass(ctx, 50*time.Millisecond) {
			c.pg.SQL("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%watch'")
			cut++
		}
	})
	for i := range agents {
		took := c.block(fmt.Sprint("blocked", i))
		c.Logf("blocked everywhere after %s", took.Round(time.Millisecond))
		if took > 2*time.Second {
			c.book.note("blocked too late", "after %s", took)
		}
	}
	stop()
	cutting.Wait()
	c.Logf("cut %d times", cut)
}

// block makes an agent, blocks it at one node, and returns how long after the
// answer a check still began, at any node, that was answered.
func (c *chaos) block(id string) (last time.Duration) {
	var made admin.AgentCreated
	c.make("/agents", admin.AgentCreate{ID: id, BranchID: "THB", Wallet: rollcall.WalletSeamless}, &made)
	c.make("/agents/"+id+"/members", admin.MemberCreate{Username: "player"}, nil)
	var mu sync.Mutex
	var blocked time.Time
	var checking sync.WaitGroup
	ctx, stop := context.WithCancel(c.life)
	defer checking.Wait()
	defer stop()
	known := make(chan struct{}, len(c.fleet.nodes))
	out := make(chan struct{}, len(c.fleet.nodes))
	for _, n := range c.fleet.nodes {
		caller, err := client.New(client.Options{BaseURL: n.at.Load().v2, AgentID: id, APIKey: made.APIKey, SecretKey: made.SecretKey, Attempts: 1})
		if err != nil {
			c.Fatal(err)
		}
		checking.Go(func() {
			served, refused := 0, 0
			for pass(ctx, 5*time.Millisecond) {
				begun := time.Now()
				_, err := caller.CheckSessions(ctx, "player")
				mu.Lock()
				switch {
				case err == nil:
					if served++; served == 1 {
						known <- struct{}{}
					}
					if !blocked.IsZero() && begun.After(blocked) {
						last, refused = max(last, begun.Sub(blocked)), 0
					}
				case !blocked.IsZero() && (errors.Is(err, rollcall.ErrAuthentication) || errors.Is(err, rollcall.ErrAgentRefused)):
					if refused++; refused == 50 {
						out <- struct{}{}
					}
				}
				mu.Unlock()
			}
		})
	}
	c.await(known, "the agent is known everywhere")
	c.make("/agents/"+id+"/block", nil, nil)
	mu.Lock()
	blocked = time.Now()
	mu.Unlock()
	c.await(out, "the agent is refused everywhere")
	stop()
	checking.Wait()
	return last
}

// await waits for a word from each node.
func (c *chaos) await(from <-chan struct{}, what string) {
	c.Helper()
	late := time.After(15 * time.Second)
	for range c.fleet.nodes {
		select {
		case <-from:
		case <-late:
			c.Fatalf("after 15 s still not: %s", what)
		}
	}
}
