package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// The keys of kicks, all in one slot.
const (
	kickDocs       = "h" // hash: kicks as JSON, by ID
	kickIDs        = "z" // sorted set, by ID
	kickTimes      = "t" // sorted set, by At
	kickRunning    = "r" // sorted set of running ones, by ID
	kickFilters    = "f" // sorted set of those by a filter that sessions may still have to be held against, by At
	kickGeneration = "g" // of the last change of those, Unix µs or later
	kickServers    = "s" // and a kick's ID: set of the game servers that have events of it
)

// ofMember reports whether a kick is of one member, without another condition.
func ofMember(k *rollcall.Kick) bool {
	return k.Filter.Username != "" && k.Filter == rollcall.SessionFilter{AgentID: k.Filter.AgentID, Username: k.Filter.Username}
}

func (s *sessions) AddKick(ctx context.Context, k rollcall.Kick) error {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	key := s.keys.kick
	var generation string
	err := s.engine.swap(ctx, "add kick", func(ctx context.Context) (*program, error) {
		got, err := s.engine.do(ctx, "add kick", read("HEXISTS", key(kickDocs), k.ID), read("GET", key(kickGeneration)))
		if err != nil {
			return nil, err
		}
		before, _ := text(got[1])
		if there, _ := got[0].AsInt64(); there == 1 {
			if generation = ""; !ofMember(&k) {
				generation = before // who put it there may have come no further
			}
			return nil, nil
		}
		c := newProgram()
		c.stillField(key(kickDocs), k.ID, "", false)
		s.putKick(c, &k)
		if !ofMember(&k) {
			generation = s.nextGeneration(c, before, k.At)
			c.do(key(kickFilters), "ZADD", micros(k.At), k.ID)
		}
		return c, nil
	})
	if err != nil || generation == "" {
		return err
	}
	return s.raise(ctx, "add kick", (*part).kicks, generation, generation, "")
}

func (s *sessions) putKick(c *program, k *rollcall.Kick) {
	key := s.keys.kick
	c.do(key(kickDocs), "HSET", k.ID, encode(*k))
	c.do(key(kickIDs), "ZADD", "0", k.ID)
	c.do(key(kickTimes), "ZADD", micros(k.At), k.ID)
	if k.State == rollcall.KickRunning {
		c.do(key(kickRunning), "ZADD", "0", k.ID)
	} else {
		c.do(key(kickRunning), "ZREM", k.ID)
	}
}

// nextGeneration sets the generation to a later one, also than those that were
// lost.
func (s *sessions) nextGeneration(c *program, before string, now time.Time) string {
	next := strconv.FormatInt(max(number(before)+1, now.UnixMicro()), 10)
	c.still(s.keys.kick(kickGeneration), before, before != "")
	c.do(s.keys.kick(kickGeneration), "SET", next)
	return next
}

func (s *sessions) FinishKick(ctx context.Context, id string, state rollcall.KickState, now time.Time) (k rollcall.Kick, err error) {
	ctx, cancel := s.engine.within(ctx)
	defer cancel()
	key := s.keys.kick
	var generation string
	err = s.engine.swap(ctx, "finish kick", func(ctx context.Context) (*program, error) {
		got, err := s.engine.strings(ctx, "finish kick", read("HGET", key(kickDocs), id), read("GET", key(kickGeneration)))
		if err != nil {
			return nil, err
		}
		if k, err = decodeKick(got[0]); err != nil || k.State != rollcall.KickRunning {
			generation = got[1] // who finished it may have come no further
			return nil, err
		}
		k.State, k.FinishedAt = state, now
		c := newProgram()
		c.stillField(key(kickDocs), id, got[0], true)
		generation = s.nextGeneration(c, got[1], now)
		s.putKick(c, &k)
		return c, nil
	})
	if err != nil || generation == "" {
		return k, err
	}
	return k, s.raise(ctx, "finish kick", (*part).kicks, generation, generation, "")
}

// decodeKick reads a kick; "" is rollcall.ErrNotFound.
func decodeKick(doc string) (k rollcall.Kick, err error) {
	if doc == "" {
		return k, rollcall.ErrNotFound
	}
	if err := json.Unmarshal([]byte(doc), &k); err != nil {
		return k, fmt.Errorf("redis: a stored kick: %w", err)
	}
	return k, nil
}

func (s *sessions) bareKick(ctx context.Context, id string) (rollcall.Kick, error) {
	got, err := s.engine.strings(ctx, "get kick", read("HGET", s.keys.kick(kickDocs), id))
	if err != nil {
		return rollcall.Kick{}, err
	}
	return decodeKick(got[0])
}

func (s *sessions) KickState(ctx context.Context, id string) (rollcall.KickState, error) {
	k, err := s.bareKick(ctx, id)
	return k.State, err
}

func (s *sessions) Kick(ctx context.Context, id string) (rollcall.Kick, error) {
	k, err := s.bareKick(ctx, id)
	if err != nil {
		return rollcall.Kick{}, err
	}
	list := []rollcall.Kick{k}
	err = s.addProgress(ctx, list)
	return list[0], err
}

// readKicks returns the kicks of IDs that are there.
func readKicks(ctx context.Context, e *engine, k *keys, ids []string) ([]rollcall.Kick, error) {
	kicks := []rollcall.Kick{}
	if len(ids) == 0 {
		return kicks, nil
	}
	got, err := e.do(ctx, "list kicks", read("HMGET", k.kick(kickDocs), ids...))
	if err != nil {
		return nil, err
	}
	for _, doc := range texts(got[0]) {
		if doc == "" {
			continue
		}
		kick, err := decodeKick(doc)
		if err != nil {
			return nil, err
		}
		kicks = append(kicks, kick)
	}
	return kicks, nil
}

func (s *sessions) Kicks(ctx context.Context, before string, running bool, limit int) ([]rollcall.Kick, error) {
	of, top := kickIDs, "+"
	if running {
		of = kickRunning
	}
	if before != "" {
		top = "(" + before
	}
	got, err := s.engine.do(ctx, "list kicks", read("ZREVRANGEBYLEX", s.keys.kick(of), top, "-", "LIMIT", "0", strconv.Itoa(max(0, limit))))
	if err != nil {
		return nil, err
	}
	kicks, err := readKicks(ctx, s.engine, s.keys, texts(got[0]))
	if err != nil || running {
		return kicks, err
	}
	return kicks, s.addProgress(ctx, kicks)
}

// serversOf returns the game servers that have events of a kick.
func (s *sessions) serversOf(ctx context.Context, kicks []rollcall.Kick) ([][]string, error) {
	if len(kicks) == 0 {
		return nil, nil
	}
	commands := make([]command, len(kicks))
	for i := range kicks {
		commands[i] = read("SMEMBERS", s.keys.kick(kickServers+kicks[i].ID))
	}
	got, err := s.engine.do(ctx, "game servers of a kick", commands...)
	servers := make([][]string, len(got))
	for i := range got {
		servers[i] = texts(got[i])
	}
	return servers, err
}

// addProgress counts the receipts of kicks.
func (s *sessions) addProgress(ctx context.Context, kicks []rollcall.Kick) error {
	servers, err := s.serversOf(ctx, kicks)
	if err != nil {
		return err
	}
	var commands []command
	var of []*rollcall.KickProgress
	for i := range kicks {
		k := &kicks[i]
		for _, server := range servers[i] {
			for _, key := range s.keys.server(server).kick(k.ID) {
				commands = append(commands, read("ZCARD", key))
			}
			of = append(of, &k.Progress)
		}
	}
	if len(commands) == 0 {
		return nil
	}
	got, err := s.engine.do(ctx, "count receipts", commands...)
	if err != nil {
		return err
	}
	for i, p := range of {
		var n [4]int
		for j := range n {
			count, _ := got[4*i+j].AsInt64()
			n[j] = int(count)
		}
		p.Ended += n[0]
		p.Delivered += n[0] - n[1]
		p.Acknowledged += n[0] - n[2]
		p.Settled += n[0] - n[3]
	}
	return nil
}

func (s *sessions) Receipts(ctx context.Context, kickID string, after int64, limit int) ([]rollcall.Receipt, error) {
	servers, err := s.serversOf(ctx, []rollcall.Kick{{ID: kickID}})
	if err != nil || kickID == "" {
		return []rollcall.Receipt{}, err
	}
	all := []rollcall.Receipt{}
	for _, server := range servers[0] {
		some, err := s.numbered(ctx, server, s.keys.server(server).kick(kickID)[0], after, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, bySeq)
	return all[:min(max(0, limit), len(all))], nil
}

// pruneKicks removes at most limit kicks that began before before and run no
// more.
func (s *sessions) pruneKicks(ctx context.Context, before time.Time, limit int) (int, error) {
	key := s.keys.kick
	got, err := s.engine.do(ctx, "prune kicks", read("ZRANGE", key(kickTimes), "-inf", "("+micros(before), "BYSCORE", "LIMIT", "0", strconv.Itoa(limit)))
	if err != nil {
		return 0, err
	}
	kicks, err := readKicks(ctx, s.engine, s.keys, texts(got[0]))
	if err != nil {
		return 0, err
	}
	kicks = slices.DeleteFunc(kicks, func(k rollcall.Kick) bool { return k.State == rollcall.KickRunning })
	if len(kicks) == 0 {
		return 0, nil
	}
	c := newProgram()
	for i := range kicks {
		id := kicks[i].ID
		c.do(key(kickDocs), "HDEL", id)
		for _, of := range []string{kickIDs, kickTimes, kickFilters} {
			c.do(key(of), "ZREM", id)
		}
		c.do(key(kickServers+id), "DEL")
	}
	_, _, err = s.engine.commit(ctx, "prune kicks", c)
	return len(kicks), err
}

// forgetFilters drops kicks by filter that no session can be held against any
// more: none of before them lives.
func (s *sessions) forgetFilters(ctx context.Context, now time.Time) error {
	key := s.keys.kick
	got, err := s.engine.do(ctx, "forget kicks", read("ZRANGE", key(kickFilters), "-inf", "("+micros(now.Add(-roll.MaxLifetime)), "BYSCORE"))
	if err != nil {
		return err
	}
	kicks, err := readKicks(ctx, s.engine, s.keys, texts(got[0]))
	c := newProgram()
	for i := range kicks {
		if kicks[i].State != rollcall.KickRunning {
			c.do(key(kickFilters), "ZREM", kicks[i].ID)
		}
	}
	if err != nil || c.empty() {
		return err
	}
	_, _, err = s.engine.commit(ctx, "forget kicks", c)
	return err
}
