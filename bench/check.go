package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-server/rollcall/wire"
)

// checkFigures are of checks beside a floor.
type checkFigures struct {
	turns []turn
	o     options
	size  int // of an answer
}

// measureCheck measures a check of a member with one session against the floor.
func measureCheck(ctx context.Context, o options, dir string) (_ report, err error) {
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	agent, _, err := n.play(ctx, []string{someone})
	if err != nil {
		return nil, err
	}
	answer, err := agent.sessionsOf(ctx, someone)
	if err != nil {
		return nil, err
	}
	floor, err := n.floor(ctx, agent, someone, answer)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.server.stop()) }()
	check := checks(n.process, members{"rollcall: the check", agent, func(int) string { return someone }})
	l := lineup{o: &o, all: []*contender{floor, check}}
	f := &checkFigures{o: o, size: len(answer)}
	if f.turns, err = l.measure(ctx, o.requests, o.conns); err != nil {
		return nil, err
	}
	return f, n.profileTo(ctx, o.profile, check)
}

// floorName is the floor's in tables.
const floorName = "floor: net/http, fixed answer"

// someone is the member who is asked for where one is enough.
const someone = "player001"

// floor starts the floor of an answer to a check of username.
func (n *node) floor(ctx context.Context, agent *signer, username string, answer []byte) (*contender, error) {
	server, err := startFloor(ctx, n.dir, n.o.core, false, answer)
	if err != nil {
		return nil, err
	}
	c := checks(server, members{floorName, agent, func(int) string { return username }})
	return c, nil
}

// sessionsOf returns the answer to a check of a member who has sessions.
func (s *signer) sessionsOf(ctx context.Context, username string) ([]byte, error) {
	answer, err := s.ask(ctx, wire.PathSessionsCheck, wire.MemberRequest{Username: username})
	if err == nil && len(answer) < 200 {
		err = fmt.Errorf("member %s has no session: %s", username, answer)
	}
	return answer, err
}

// play makes an agent, its members and a game server, and a session of each
// member, which lives for an hour. It returns the agent and the game server's
// token.
func (n *node) play(ctx context.Context, names []string) (agent *signer, token string, err error) {
	if err := n.furnish(ctx, 3600); err != nil {
		return nil, "", err
	}
	if agent, err = n.agent(ctx, "agent"); err != nil {
		return nil, "", err
	}
	if token, err = n.gameServer(ctx, "games"); err != nil {
		return nil, "", err
	}
	if _, err := n.members(ctx, agent.agentID, names); err != nil {
		return nil, "", err
	}
	l := life{node: n, agent: agent, token: token, names: names}
	if _, err := l.launch(ctx); err != nil {
		return nil, "", err
	}
	_, err = l.start(ctx, 0, len(names), n.o.conns)
	return agent, token, err
}

// profileTo writes a CPU profile of the server, loaded by a contender, to a file;
// "": none is asked for.
func (n *node) profileTo(ctx context.Context, file string, c *contender) error {
	if file == "" {
		return nil
	}
	text, err := n.profile(ctx, c)
	return errors.Join(err, os.WriteFile(file, text, 0o600))
}

// profile takes a CPU profile of the server while it is loaded.
func (n *node) profile(ctx context.Context, c *contender) (text []byte, err error) {
	var group errgroup.Group
	taken := make(chan struct{})
	group.Go(func() (err error) {
		defer close(taken)
		text, err = n.get(ctx, "/debug/pprof/profile?seconds=5")
		return err
	})
	for {
		select {
		case <-taken:
			return text, group.Wait()
		default:
		}
		if _, err := c.load(ctx, n.o.requests, n.o.conns); err != nil {
			return nil, err
		}
	}
}

func (f *checkFigures) write(out io.Writer) {
	writeTurns(out, f.turns)
	fmt.Fprintf(out, "\nMedian (and extremes) of %d rounds of %d requests over %d connections, answers of %d bytes, servers on one core.\n",
		f.o.rounds, f.o.requests, f.o.conns, f.size)
}
