package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// A crowd is many sessions of one game server, each of a member of its own. It
// keeps them alive as a game server does.
type crowd struct {
	*life

	big, rest *signer // bigMembers are those of big
	size      int     // how many members there are to be
	bodies    [][]byte
}

// bigMembers is how many members the agent has who is asked for its members
// online.
const bigMembers = 200_000

func newCrowd(ctx context.Context, n *node, size int) (c *crowd, err error) {
	c = &crowd{life: &life{node: n, beaten: time.Now()}, size: size}
	if err := n.furnish(ctx, 0); err != nil {
		return nil, err
	}
	if c.big, err = n.agent(ctx, "big"); err != nil {
		return nil, err
	}
	if c.rest, err = n.agent(ctx, "rest"); err != nil {
		return nil, err
	}
	c.token, err = n.gameServer(ctx, "games")
	return c, err
}

// fill makes members and sessions until there are n, and returns what it took. keep
// is called again and again, to keep alive what there is.
func (c *crowd) fill(ctx context.Context, n int, keep func(context.Context) error) (members, sessions sample, err error) {
	for len(c.names) < n {
		from := len(c.names)
		to := min(n, from+wire.MaxBatch)
		agent := c.big
		if from >= bigMembers {
			agent = c.rest
		}
		for i := from; i < to; i++ {
			c.names = append(c.names, fmt.Sprintf("player%07d", i))
		}
		some, err := c.members(ctx, agent.agentID, c.names[from:])
		members = members.plus(some)
		if err != nil {
			return members, sessions, err
		}
		some, err = c.announce(ctx, agent.agentID, from)
		sessions = sessions.plus(some)
		if err != nil {
			return members, sessions, err
		}
		if err := keep(ctx); err != nil {
			return members, sessions, err
		}
		if to/100_000 > from/100_000 {
			c.o.tell("%d members and sessions, %.0f members/s, %.0f sessions/s", to, members.perSecond(), sessions.perSecond())
		}
	}
	return members, sessions, nil
}

func (s sample) plus(other sample) sample {
	s.n, s.took, s.cpu = s.n+other.n, s.took+other.took, s.cpu+other.cpu
	return s
}

// announce brings the sessions of members in, as a game server does whose store
// has lost them: they seem to have begun before the store did.
func (c *crowd) announce(ctx context.Context, agentID string, from int) (sample, error) {
	began := c.born.Add(-time.Minute)
	r := wire.AnnounceRequest{BootID: boot}
	for i, name := range c.names[from:] {
		id := roll.NewSessionID(began.Add(time.Duration(from+i)*time.Microsecond/10), roll.HomeOf(agentID, name))
		c.ids = append(c.ids, id)
		r.Sessions = append(r.Sessions, rollcall.Session{
			ID: id, AgentID: agentID, Username: name, GameCode: game, Mode: rollcall.ModeReal,
			Device: rollcall.DevicePC, IP: netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), Lang: "en",
			Launch: rollcall.LaunchReal, Currency: "THB", BrandCurrency: "THB", Wallet: rollcall.WalletTransfer,
			StartedAt: began, EndsAt: began.Add(11 * time.Hour),
		})
	}
	c.bodies = nil
	requests := [][]byte{post(wire.PathGameAnnounce, c.address, c.token, r)}
	s, err := load(ctx, c.process, job{address: c.address, requests: requests, conns: 1, take: func(_ int, body []byte) error {
		var answer wire.AnnounceResponse
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		for _, refused := range answer.Refused {
			return fmt.Errorf("a session was not taken: %s", refused.Why)
		}
		return nil
	}})
	return s.of(len(r.Sessions)), err
}

// keep renews all sessions if it is time.
func (c *crowd) keep(ctx context.Context) error {
	if time.Since(c.beaten) < 20*time.Second {
		return nil
	}
	_, err := c.beatAll(ctx, 0)
	return err
}

// beatAll renews all sessions, at so many batches a second; 0: as fast as can be.
func (c *crowd) beatAll(ctx context.Context, rate float64) (sample, error) {
	if c.bodies == nil {
		c.bodies = c.beats(c.ids)
	}
	c.beaten = time.Now()
	s, err := load(ctx, c.process, job{address: c.address, requests: c.bodies, conns: 2, rate: rate, take: renewed})
	return s.of(len(c.ids)), err
}

// rounds takes a sample o.rounds times.
func (c *crowd) rounds(do func() (sample, error)) (all []sample, err error) {
	for range c.o.rounds {
		s, err := do()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return slices.Clip(all), nil
}

// random returns a chooser of numbers below n, the same ones in each run.
func (c *crowd) random() func(n int) int {
	return rand.New(rand.NewPCG(1, uint64(c.size))).IntN //nolint:gosec // G404: no secret
}
