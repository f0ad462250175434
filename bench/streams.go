package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

const (
	// streamServers is how many game servers the streams are of.
	streamServers = 100
	// streamKicks is how many kicks are timed.
	streamKicks = 50
	// kickPatience is how long to wait for an event.
	kickPatience = 20 * time.Second
	// idleFor is how long the streams are idle: each is told twice that the
	// server is still there.
	idleFor = 30 * time.Second
)

// measureStreams measures idle event streams, and how soon one of them has a kick.
func measureStreams(ctx context.Context, o options, dir string) (_ report, err error) {
	if err := allowFiles(uint64(o.n) + 500); err != nil {
		return nil, err
	}
	n, err := newNode(ctx, o, dir, "full")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	agent, token, err := n.play(ctx, kickNames())
	if err != nil {
		return nil, err
	}
	kicked, err := n.stream(ctx, token)
	if err != nil {
		return nil, err
	}
	defer kicked.close()
	s := streaming{node: n, o: o, agent: agent, kicked: kicked}
	if err := s.measure(ctx); err != nil {
		return nil, err
	}
	return &s, nil
}

// kickNames are the members that are kicked, one after the other.
func kickNames() []string {
	names := make([]string, streamKicks)
	for i := range names {
		names[i] = fmt.Sprintf("player%03d", i)
	}
	return names
}

// A streaming is one measurement of streams, and what was found.
type streaming struct {
	node   *node
	o      options
	agent  *signer
	kicked *stream

	before, after memory
	opened, idle  sample
	alone, among  figure
}

func (s *streaming) measure(ctx context.Context) (err error) {
	names := kickNames()
	tokens := make([]string, streamServers)
	for i := range tokens {
		if tokens[i], err = s.node.gameServer(ctx, fmt.Sprintf("games-%d", i)); err != nil {
			return err
		}
	}
	if s.before, err = s.node.memory(ctx); err != nil {
		return err
	}
	if s.alone, err = timeKicks(ctx, s.kicked, s.agent, names[:streamKicks/2]); err != nil {
		return err
	}
	s.o.tell("opening %d streams", s.o.n)
	streams, opened, err := s.node.openStreams(ctx, tokens)
	defer closeStreams(streams)
	if err != nil {
		return err
	}
	s.opened = opened
	if s.after, err = s.node.memory(ctx); err != nil {
		return err
	}
	s.o.tell("idle for %s", idleFor)
	if s.idle, err = watched(s.node.process, s.o.n, func() error { return idle(ctx) }); err != nil {
		return err
	}
	s.among, err = timeKicks(ctx, s.kicked, s.agent, names[streamKicks/2:])
	return err
}

func idle(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(idleFor):
	}
	return nil
}

func closeStreams(streams []*stream) {
	for _, s := range streams {
		if s != nil {
			s.close()
		}
	}
}

func (s *streaming) write(out io.Writer) {
	each := func(a, b int) string { return number(float64(b-a)/float64(s.o.n), 0) + " bytes a stream" }
	fmt.Fprintf(out, "%s idle event streams of %d game servers on one node.\n\n", number(float64(s.o.n), 0), streamServers)
	table(out, "what|figure",
		[]string{"memory: resident", each(s.before.rss, s.after.rss) + ", " + megabytes(s.after.rss)},
		[]string{"of it live heap, after a collection", each(s.before.live, s.after.live)},
		[]string{"of it goroutines' stacks", each(s.before.stacks, s.after.stacks)},
		[]string{"opening them", number(s.opened.perSecond(), 0) + "/s"},
		[]string{"CPU while they are idle", fmt.Sprintf("%.1f %% of a core", 100*s.idle.cpu.Seconds()/s.idle.took.Seconds())},
		[]string{"from the call that kicks to the event, one stream", s.alone.show(2) + " ms"},
		[]string{fmt.Sprintf("the same, among %s streams", number(float64(s.o.n), 0)), s.among.show(2) + " ms"})
	fmt.Fprintf(out, "\nKicks: median (and extremes) of %d, `--sync full`. The kernel's buffers are not in the memory.\n", streamKicks/2)
}

// allowFiles lets this process and its children have so many files open.
func allowFiles(want uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur, limit.Max = max(limit.Max, want), max(limit.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d streams want as many open files (ulimit -Hn): %w; give a smaller -n", want, err)
	}
	return nil
}

// A stream is a connection on which events come.
type stream struct {
	lines interface{ ReadString(byte) (string, error) }
	close func()
}

// stream opens an event stream and reads its first words.
func (n *node) stream(ctx context.Context, token string) (*stream, error) {
	conn, hangUp, err := dial(ctx, n.address)
	if err != nil {
		return nil, err
	}
	s := &stream{lines: conn, close: hangUp}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", wire.PathGameEvents, n.address, token)
	if err := send(conn.Writer, []byte(request)); err != nil {
		return s, err
	}
	return s, s.until("retry:")
}

// until reads up to a line that begins so.
func (s *stream) until(prefix string) error {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "HTTP/") && !strings.HasPrefix(line, "HTTP/1.1 200") {
			return errors.New(strings.TrimSpace(line))
		}
		if strings.HasPrefix(line, prefix) {
			return nil
		}
	}
}

// openStreams opens n streams, 32 at a time.
func (n *node) openStreams(ctx context.Context, tokens []string) ([]*stream, sample, error) {
	streams, errs := make([]*stream, n.o.n), make([]error, 32)
	s, err := watched(n.process, len(streams), func() error {
		var workers sync.WaitGroup
		for w := range errs {
			workers.Go(func() {
				for i := w; i < len(streams) && errs[w] == nil; i += len(errs) {
					streams[i], errs[w] = n.stream(ctx, tokens[i%len(tokens)])
				}
			})
		}
		workers.Wait()
		return errors.Join(errs...)
	})
	return streams, s, err
}

// timeKicks kicks members, and returns how long it took until their game server
// had the events, in ms.
func timeKicks(ctx context.Context, to *stream, agent *signer, names []string) (figure, error) {
	var all figure
	for _, name := range names {
		request, err := agent.sign(wire.PathSessionsLogout, wire.MemberRequest{Username: name})
		if err != nil {
			return nil, err
		}
		conn, hangUp, err := dial(ctx, agent.address)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		giveUp := time.AfterFunc(kickPatience, to.close)
		err = errors.Join(send(conn.Writer, request), to.until("event: kicked"))
		all = append(all, float64(time.Since(begun).Microseconds())/1000)
		giveUp.Stop()
		if err == nil {
			_, err = readAnswer(conn.Reader, nil)
		}
		hangUp()
		if err != nil {
			return nil, fmt.Errorf("kick of %s: %w", name, err)
		}
	}
	return all, nil
}
