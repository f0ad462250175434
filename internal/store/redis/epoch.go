package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// epochs know since when each partition has lost nothing. A partition's epoch is
// a key in it: ID, beginning in Unix µs, and the replication ID of the server
// that it was on. Where the key is gone, the partition was lost. Where the
// replication ID is another, a replica has taken over, or the server came back
// from its disk: the last moments may be lost. In both cases an epoch begins, and
// the game servers, who hear of it with their next heartbeat, announce what they
// hold.
type epochs struct {
	engine *engine
	keys   *keys
	now    func() time.Time
	log    *slog.Logger

	looks *looks

	mu      sync.RWMutex
	parts   [partitions]roll.Epoch
	whole   roll.Epoch
	masters []string // replication IDs of all servers; nil: a look is to ask all
}

const epochEvery = time.Second

func openEpochs(ctx context.Context, e *engine, k *keys, now func() time.Time, log *slog.Logger) (*epochs, error) {
	s := &epochs{engine: e, keys: k, now: now, log: log, looks: newLooks()}
	return s, s.check(ctx)
}

// of returns the epoch of a partition.
func (s *epochs) of(p *part) roll.Epoch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.parts[p.n]
}

// all returns the store's: it changes where that of a partition does, and began
// with the last.
func (s *epochs) all() roll.Epoch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.whole
}

// is reports whether text is the epoch that is known of a partition.
func (s *epochs) is(p *part, text string) bool {
	id, _, _ := strings.Cut(text, " ")
	return id != "" && id == s.of(p).ID
}

// fresh makes sure that the epoch of partitions is that of now, by asking the
// servers that have them.
func (s *epochs) fresh(ctx context.Context, parts []*part) error {
	owners, err := s.owners(ctx, parts)
	if err != nil {
		return err
	}
	known := s.servers()
	for i, o := range owners {
		if !slices.Contains(known, o.server) {
			s.mu.Lock()
			s.masters = nil
			s.mu.Unlock()
			return s.check(ctx)
		}
		if !s.is(parts[i], o.epoch) {
			return s.check(ctx)
		}
	}
	return nil
}

func (s *epochs) servers() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.masters
}

func (s *epochs) run(ctx context.Context) {
	for wait(ctx, epochEvery) {
		_ = s.check(ctx) // whoever needs the engine is told that it does not answer
	}
}

// check looks at every partition whose server has changed or whose key is gone.
func (s *epochs) check(ctx context.Context) error {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	return s.looks.once(ctx, "look at the epoch", s.look)
}

func (s *epochs) look(ctx context.Context) error {
	masters, err := s.engine.masters(ctx)
	if err != nil {
		return err
	}
	doubt, err := s.doubt(ctx, slices.Equal(masters, s.servers()))
	if err != nil {
		return err
	}
	for id := hex.EncodeToString(randomBytes(4)); len(doubt) > 0; {
		if doubt, err = s.settle(ctx, doubt, id); err != nil {
			return err
		}
	}
	s.sum(masters)
	return nil
}

// doubt returns the partitions whose epoch is not the one that is known, or all
// where the servers are not the same.
func (s *epochs) doubt(ctx context.Context, same bool) (doubt []*part, err error) {
	commands := make([]command, partitions)
	for n := range commands {
		commands[n] = read("GET", s.keys.parts[n].epoch())
	}
	var got []string
	if same {
		if got, err = s.engine.strings(ctx, "look at the epoch", commands...); err != nil {
			return nil, err
		}
	}
	for n := range s.keys.parts {
		if p := &s.keys.parts[n]; !same || !s.is(p, got[n]) {
			doubt = append(doubt, p)
		}
	}
	return doubt, nil
}

var ownerScript = newScript(`return {redis.call('GET', KEYS[1]), string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')}`)

var errNoOwner = errors.New("the engine tells no master_replid")

// An owner is what a server says of a partition that it has: its epoch, and the
// server's replication ID.
type owner struct{ epoch, server string }

func (s *epochs) owners(ctx context.Context, parts []*part) ([]owner, error) {
	commands := make([]command, len(parts))
	for i, p := range parts {
		commands[i] = ownerScript.on([]string{p.epoch()})
	}
	got, err := s.engine.do(ctx, "look at the epoch", commands...)
	if err != nil {
		return nil, err
	}
	list := make([]owner, len(got))
	for i := range got {
		pair := texts(got[i])
		if len(pair) != 2 {
			return nil, outage("look at the epoch", errNoOwner)
		}
		list[i] = owner{pair[0], pair[1]}
	}
	return list, nil
}

// settle notes the epochs of partitions. It begins one where there is none, or
// where the server is another, and returns the partitions where another process
// did meanwhile.
func (s *epochs) settle(ctx context.Context, parts []*part, id string) (again []*part, err error) {
	owners, err := s.owners(ctx, parts)
	if err != nil {
		return nil, err
	}
	var programs []*program
	var begin []*part
	var texts []string
	began := micros(s.now())
	for i, p := range parts {
		have, fields := owners[i].epoch, strings.Fields(owners[i].epoch)
		if len(fields) == 3 && fields[2] == owners[i].server {
			s.note(p, fields)
			continue
		}
		next := id + " " + began + " " + owners[i].server
		c := newProgram()
		c.still(p.epoch(), have, have != "")
		c.do(p.epoch(), "SET", next)
		programs, begin, texts = append(programs, c), append(begin, p), append(texts, next)
	}
	done, _, err := s.engine.commit(ctx, "begin an epoch", programs...)
	if err != nil {
		return nil, err
	}
	lost := 0
	for i, p := range begin {
		if !done[i] {
			again = append(again, p)
			continue
		}
		if s.of(p).ID != "" || owners[slices.Index(parts, p)].epoch != "" {
			lost++
		}
		s.note(p, strings.Fields(texts[i]))
	}
	if lost > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "redis: an epoch begins: sessions may have been lost, and game servers announce theirs",
			slog.String("epoch", id), slog.Int("partitions", lost))
	}
	return again, nil
}

func (s *epochs) note(p *part, fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[p.n] = roll.Epoch{ID: fields[0], BeganAt: time.UnixMicro(number(fields[1])).UTC()}
}

func (s *epochs) sum(masters []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.New()
	s.whole, s.masters = roll.Epoch{}, masters
	same := true
	for i := range s.parts {
		e := &s.parts[i]
		hash.Write([]byte(e.ID + " "))
		same = same && e.ID == s.parts[0].ID
		if e.BeganAt.After(s.whole.BeganAt) {
			s.whole.BeganAt = e.BeganAt
		}
	}
	if s.whole.ID = s.parts[0].ID; !same {
		s.whole.ID = hex.EncodeToString(hash.Sum(nil)[:8])
	}
}

// masterWait is how long a server may take to say whether it is a master: one
// that is down must not hold up the others.
const masterWait = time.Second

// masters returns the replication IDs of the servers that take writes, in order.
// One that does not answer is left out; a replica may well be down.
func (e *engine) masters(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, min(e.timeout, masterWait))
	defer cancel()
	type answer struct {
		info string
		err  error
	}
	nodes := e.client.Nodes()
	answers := make(chan answer, len(nodes))
	for _, node := range nodes {
		go func() {
			info, err := node.Do(ctx, node.B().Info().Section("replication").Build()).ToString()
			answers <- answer{info, err}
		}()
	}
	var ids []string
	var failed error
	for range nodes {
		var a answer
		select {
		case a = <-answers:
		case <-ctx.Done():
			a.err = ctx.Err()
		}
		if a.err != nil {
			failed = a.err
		} else if field(a.info, "role") == "master" {
			ids = append(ids, field(a.info, "master_replid"))
		}
	}
	if len(ids) == 0 {
		return nil, outage("ask for the role", failed)
	}
	slices.Sort(ids)
	return ids, nil
}

// looks has one of those look who ask at the same time, and the others wait for
// it: a look counts for all who asked before it began.
type looks struct {
	room        chan struct{}
	begun, good atomic.Int64
}

func newLooks() *looks { return &looks{room: make(chan struct{}, 1)} }

func (l *looks) once(ctx context.Context, doing string, look func(context.Context) error) error {
	asked := l.begun.Load()
	select {
	case l.room <- struct{}{}:
	case <-ctx.Done():
		return outage(doing, ctx.Err())
	}
	defer func() { <-l.room }()
	if l.good.Load() > asked {
		return nil
	}
	own := l.begun.Add(1)
	err := look(ctx)
	if err == nil {
		l.good.Store(own)
	}
	return err
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // the engine's own
	return n
}
