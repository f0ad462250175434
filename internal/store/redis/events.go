package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A game server's events have numbers of their own, 1, 2, 3. Their Seq outside is
// the number and the lower 20 bits of a hash of the game server, so that those of
// several, in the list of a kick's receipts, are not the same.
const serverBits = 20

func serverHash(gameServer string) int64 {
	h := fnv.New32a()
	h.Write([]byte(gameServer))
	return int64(h.Sum32() & (1<<serverBits - 1))
}

func seqOf(gameServer string, number int64) int64 {
	return number<<serverBits | serverHash(gameServer)
}

// numberOf returns the number of a Seq; of none, that of the one before it.
func numberOf(gameServer string, seq int64) int64 {
	return (seq - serverHash(gameServer)) >> serverBits
}

func bySeq(a, b rollcall.Receipt) int { return cmp.Compare(a.Seq, b.Seq) }

// queue sends events to a game server's queue; each of a session once.
func (s *sessions) queue(gameServer string, receipts []rollcall.Receipt) command {
	server := s.keys.server(gameServer)
	keys := []string{server.last(), server.receipts(), server.pending(), server.ofSession(), server.byTime()}
	args := []string{s.keys.wake(), gameServer}
	kicks := make(map[string]int)
	for i := range receipts {
		r := &receipts[i]
		if r.KickID != "" && kicks[r.KickID] == 0 {
			kicks[r.KickID] = len(keys) + 1
			of := server.kick(r.KickID)
			keys = append(keys, of[:]...)
		}
		args = append(args, encode(*r), r.SessionID, micros(r.QueuedAt), strconv.Itoa(kicks[r.KickID]), become(r))
	}
	return queueScript.on(keys, args...)
}

// become says what has become of an event, for queue.lua.
func become(r *rollcall.Receipt) (letters string) {
	for i, at := range []time.Time{r.DeliveredAt, r.AcknowledgedAt, r.EndedAt} {
		if !at.IsZero() {
			letters += string("das"[i])
		}
	}
	return letters
}

func (s *sessions) Tell(ctx context.Context, receipts ...rollcall.Receipt) error {
	return s.deliver(ctx, live.NewReceipts(receipts).Receipts)
}

// deliver puts receipts into the queues of their game servers, in their order.
func (s *sessions) deliver(ctx context.Context, receipts []rollcall.Receipt) error {
	var commands []command
	of := make(map[string][]rollcall.Receipt)
	var servers []string
	known := make(map[[2]string]bool)
	for _, r := range receipts {
		if of[r.GameServer] == nil {
			servers = append(servers, r.GameServer)
		}
		of[r.GameServer] = append(of[r.GameServer], r)
		if pair := [2]string{r.KickID, r.GameServer}; r.KickID != "" && !known[pair] {
			known[pair] = true
			commands = append(commands, write("SADD", s.keys.kick(kickServers+r.KickID), r.GameServer))
		}
		if pair := [2]string{"", r.GameServer}; !known[pair] {
			known[pair] = true
			commands = append(commands, write("SADD", s.keys.kick(allServers), r.GameServer))
		}
	}
	for _, server := range servers {
		for some := range slices.Chunk(of[server], eventsSome) {
			commands = append(commands, s.queue(server, some))
		}
	}
	if len(commands) == 0 {
		return nil
	}
	_, err := s.engine.do(ctx, "queue events", commands...)
	for _, server := range servers {
		s.wakes.wake(server) // those of this process at once
	}
	return err
}

// allServers, beside the kicks, is the set of game servers that have events.
const allServers = "@"

// numbered returns receipts whose numbers are in a sorted set, behind the Seq
// after, by Seq.
func (s *sessions) numbered(ctx context.Context, gameServer, set string, after int64, limit int) ([]rollcall.Receipt, error) {
	from := strconv.FormatInt(numberOf(gameServer, after)+1, 10)
	got, err := s.engine.do(ctx, "list events", read("ZRANGE", set, from, "+inf", "BYSCORE", "LIMIT", "0", strconv.Itoa(max(0, limit))))
	if err != nil {
		return nil, err
	}
	return s.receipts(ctx, gameServer, texts(got[0]))
}

// receipts returns those of numbers that are there.
func (s *sessions) receipts(ctx context.Context, gameServer string, numbers []string) ([]rollcall.Receipt, error) {
	list := []rollcall.Receipt{}
	if len(numbers) == 0 {
		return list, nil
	}
	got, err := s.engine.do(ctx, "list events", read("HMGET", s.keys.server(gameServer).receipts(), numbers...))
	if err != nil {
		return nil, err
	}
	for i, doc := range texts(got[0]) {
		if doc == "" {
			continue
		}
		r, err := decodeReceipt(doc)
		if err != nil {
			return nil, err
		}
		r.Seq = seqOf(gameServer, number(numbers[i]))
		list = append(list, r)
	}
	return list, nil
}

func decodeReceipt(doc string) (r rollcall.Receipt, err error) {
	if err := json.Unmarshal([]byte(doc), &r); err != nil {
		return r, fmt.Errorf("redis: a stored receipt: %w", err)
	}
	return r, nil
}

func (s *sessions) Pending(ctx context.Context, gameServer string, after int64, limit int) ([]rollcall.Receipt, error) {
	return s.numbered(ctx, gameServer, s.keys.server(gameServer).pending(), after, limit)
}

// ofSessions returns the receipts of sessions, settled ones too.
func (s *sessions) ofSessions(ctx context.Context, gameServer string, ids []string) ([]rollcall.Receipt, error) {
	if len(ids) == 0 {
		return []rollcall.Receipt{}, nil
	}
	got, err := s.engine.do(ctx, "events of sessions", read("HMGET", s.keys.server(gameServer).ofSession(), ids...))
	if err != nil {
		return nil, err
	}
	numbers := slices.DeleteFunc(texts(got[0]), func(n string) bool { return n == "" })
	return s.receipts(ctx, gameServer, numbers)
}

func (s *sessions) PendingOf(ctx context.Context, gameServer string, ids []string) ([]rollcall.Receipt, error) {
	list, err := s.ofSessions(ctx, gameServer, ids)
	return slices.DeleteFunc(list, func(r rollcall.Receipt) bool { return !r.EndedAt.IsZero() }), err
}

func (s *sessions) Await(gameServer string) <-chan struct{} { return s.wakes.await(gameServer) }

func (s *sessions) Cursor(ctx context.Context, gameServer string) (int64, error) {
	server := s.keys.server(gameServer)
	got, err := s.engine.do(ctx, "cursor", read("GET", server.last()), read("ZRANGE", server.pending(), "0", "0"))
	if err != nil {
		return 0, err
	}
	if first := texts(got[1]); len(first) > 0 {
		return seqOf(gameServer, number(first[0])) - 1, nil
	}
	last, there := text(got[0])
	if !there {
		return 0, nil
	}
	return seqOf(gameServer, number(last)), nil
}

func (s *sessions) Mark(ctx context.Context, gameServer string, m roll.Marks) (int, error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	if err := s.settle(ctx, gameServer, &m); err != nil {
		return 0, err
	}
	var numbers []string
	for _, seqs := range [][]int64{m.Delivered, m.Acknowledged} {
		for _, seq := range seqs {
			if n := numberOf(gameServer, seq); seqOf(gameServer, n) == seq {
				numbers = append(numbers, strconv.FormatInt(n, 10))
			}
		}
	}
	slices.Sort(numbers)
	receipts, err := s.receipts(ctx, gameServer, slices.Compact(numbers))
	if err != nil {
		return 0, err
	}
	ids := make([]string, len(m.Ended))
	for i := range m.Ended {
		ids[i] = m.Ended[i].SessionID
	}
	of, err := s.PendingOf(ctx, gameServer, ids)
	if err != nil {
		return 0, err
	}
	return s.mark(ctx, gameServer, append(receipts, of...), func(b *live.Book) (live.Step, int) { return b.PlanMark(gameServer, &m) })
}

// settle puts what a game server says of the end of sessions into the outbox, in
// the sessions' own lanes, before it is noted: who says it again after half of
// this has it there twice, which is the same.
func (s *sessions) settle(ctx context.Context, gameServer string, m *roll.Marks) error {
	step, _ := live.NewPage(roll.Epoch{}).PlanMark(gameServer, m)
	var commands []command
	for i := range step.Changes {
		if home, ok := roll.HomeOfSession(step.Changes[i].ID); ok {
			commands = append(commands, write("XADD", s.keys.of(home).outbox(), "*", "c", encode(step.Changes[i])))
		}
	}
	if len(commands) == 0 {
		return nil
	}
	_, err := s.engine.do(ctx, "settle", commands...)
	for i := range step.Changes {
		if home, ok := roll.HomeOfSession(step.Changes[i].ID); ok && err == nil {
			p := s.keys.of(home)
			s.again.settled(p, s.epochs.of(p).ID, step.Changes[i])
		}
	}
	return err
}

// mark changes receipts as plan says, which sees them in a Book.
func (s *sessions) mark(ctx context.Context, gameServer string, receipts []rollcall.Receipt, plan func(*live.Book) (live.Step, int)) (acknowledged int, err error) {
	numbers := make([]string, len(receipts))
	for i := range receipts {
		numbers[i] = strconv.FormatInt(numberOf(gameServer, receipts[i].Seq), 10)
	}
	slices.Sort(numbers)
	for some := range slices.Chunk(slices.Compact(numbers), eventsSome) {
		n, err := s.markSome(ctx, gameServer, some, plan)
		if acknowledged += n; err != nil {
			return acknowledged, err
		}
	}
	return acknowledged, nil
}

// eventsSome is how many events are changed in one step: the engine does nothing
// else meanwhile.
const eventsSome = 500

func (s *sessions) markSome(ctx context.Context, gameServer string, numbers []string, plan func(*live.Book) (live.Step, int)) (acknowledged int, err error) {
	server := s.keys.server(gameServer)
	err = s.engine.swap(ctx, "mark events", func(ctx context.Context) (*program, error) {
		got, err := s.engine.do(ctx, "mark events", read("HMGET", server.receipts(), numbers...))
		if err != nil {
			return nil, err
		}
		c, book := newProgram(), live.NewPage(roll.Epoch{})
		docs, before := texts(got[0]), make(map[int64]rollcall.Receipt)
		for i, doc := range docs {
			if doc == "" {
				continue
			}
			r, err := decodeReceipt(doc)
			if err != nil {
				return nil, err
			}
			r.Seq = seqOf(gameServer, number(numbers[i]))
			c.stillField(server.receipts(), numbers[i], doc, true)
			book.Apply(&live.Step{Receipts: []rollcall.Receipt{r}})
			before[r.Seq] = r
		}
		var step live.Step
		step, acknowledged = plan(book)
		for i := range step.Receipts {
			was := before[step.Receipts[i].Seq]
			server.put(c, gameServer, &was, &step.Receipts[i])
		}
		return c, nil
	})
	return acknowledged, err
}

// put writes a receipt that has changed.
func (s serverKeys) put(c *program, gameServer string, was, is *rollcall.Receipt) {
	n := strconv.FormatInt(numberOf(gameServer, is.Seq), 10)
	own := *is
	own.Seq = 0
	c.do(s.receipts(), "HSET", n, encode(own))
	kick := s.kick(is.KickID)
	for i, at := range [][2]time.Time{{was.DeliveredAt, is.DeliveredAt}, {was.AcknowledgedAt, is.AcknowledgedAt}, {was.EndedAt, is.EndedAt}} {
		if at[0].IsZero() && !at[1].IsZero() && is.KickID != "" {
			c.do(kick[i+1], "ZREM", n)
		}
	}
	if was.AcknowledgedAt.IsZero() && !is.AcknowledgedAt.IsZero() {
		c.do(s.pending(), "ZREM", n)
	}
}

func (s *sessions) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	got, err := s.engine.do(ctx, "prune events", read("SMEMBERS", s.keys.kick(allServers)))
	if err != nil {
		return 0, err
	}
	pruned := 0
	for _, server := range texts(got[0]) {
		n, err := s.pruneServer(ctx, server, before, limit-pruned)
		if err != nil {
			return pruned, err
		}
		if pruned += n; pruned >= limit {
			return pruned, nil
		}
	}
	n, err := s.pruneKicks(ctx, before, limit-pruned)
	return pruned + n, err
}

// pruneServer removes at most limit events of a game server from before before.
func (s *sessions) pruneServer(ctx context.Context, gameServer string, before time.Time, limit int) (int, error) {
	server := s.keys.server(gameServer)
	pruned := 0
	for pruned < limit {
		some := min(limit-pruned, eventsSome)
		got, err := s.engine.do(ctx, "prune events", read("ZRANGE", server.byTime(), "-inf", "("+micros(before), "BYSCORE", "LIMIT", "0", strconv.Itoa(some)))
		if err != nil {
			return pruned, err
		}
		numbers := texts(got[0])
		receipts, err := s.receipts(ctx, gameServer, numbers)
		if err != nil || len(numbers) == 0 {
			return pruned, err
		}
		c := newProgram()
		for i := range receipts {
			server.drop(c, gameServer, &receipts[i])
		}
		c.do(server.byTime(), "ZREM", numbers...)
		if _, _, err := s.engine.commit(ctx, "prune events", c); err != nil {
			return pruned, err
		}
		if pruned += len(numbers); len(numbers) < some {
			return pruned, nil
		}
	}
	return pruned, nil
}

// drop removes a receipt and all that knows of it.
func (s serverKeys) drop(c *program, gameServer string, r *rollcall.Receipt) {
	n := strconv.FormatInt(numberOf(gameServer, r.Seq), 10)
	c.do(s.receipts(), "HDEL", n)
	c.do(s.pending(), "ZREM", n)
	if r.SessionID != "" {
		c.do(s.ofSession(), "HDEL", r.SessionID)
	}
	if r.KickID != "" {
		for _, key := range s.kick(r.KickID) {
			c.do(key, "ZREM", n)
		}
	}
}
