// Package memory keeps everything in memory, until the process ends. It is for
// tests, and the yardstick that the other backends are compared with.
package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/live"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// Options configure a Store. The zero value works.
type Options struct {
	// MaxClockSkew sets how long nonces are remembered: twice as long at least;
	// 0: 5 min (spec 2).
	MaxClockSkew time.Duration
	// Now is the clock by which nonces are forgotten; nil: time.Now.
	Now func() time.Time
}

// A Store holds the contracts of roll.Stores. It is safe for concurrent
// use.
type Store struct {
	directory directory
	sessions  *sessions
	nonces    nonces
	history   history
	limits    *live.Buckets
}

// New returns an empty Store.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		limits:   live.NewBuckets(o.Now),
		sessions: newSessions(o.Now),
		nonces:   nonces{set: live.NewNonces(2 * cmp.Or(o.MaxClockSkew, 5*time.Minute)), now: o.Now},
		history: history{
			of:    make(map[string]rollcall.RequestRecord),
			ended: make(map[string]rollcall.EndedSession),
			sends: make(map[string]rollcall.WebhookDelivery),
		},
	}
	d := &s.directory
	d.agents = newTable[roll.Agent](&d.audit)
	d.branches = newTable[rollcall.Branch](&d.audit)
	d.games = newTable[rollcall.Game](&d.audit)
	d.members = newTable[rollcall.Member](&d.audit)
	d.gameServers = newTable[roll.GameServer](&d.audit)
	d.adminTokens = newTable[roll.AdminToken](&d.audit)
	d.tokenKeys = newTable[roll.TokenKey](&d.audit)
	return s
}

// Stores returns the Store as its contracts.
func (s *Store) Stores() roll.Stores {
	return roll.Stores{Directory: &s.directory, Sessions: s.sessions, Nonces: &s.nonces, History: &s.history, Limits: s.limits}
}

type directory struct {
	agents      *table[roll.Agent]
	branches    *table[rollcall.Branch]
	games       *table[rollcall.Game]
	members     *table[rollcall.Member]
	gameServers *table[roll.GameServer]
	adminTokens *table[roll.AdminToken]
	tokenKeys   *table[roll.TokenKey]
	audit       audit
}

func (d *directory) Agents() roll.Table[roll.Agent]           { return d.agents }
func (d *directory) Branches() roll.Table[rollcall.Branch]    { return d.branches }
func (d *directory) Games() roll.Table[rollcall.Game]         { return d.games }
func (d *directory) Members() roll.Table[rollcall.Member]     { return d.members }
func (d *directory) GameServers() roll.Table[roll.GameServer] { return d.gameServers }
func (d *directory) AdminTokens() roll.Table[roll.AdminToken] { return d.adminTokens }
func (d *directory) TokenKeys() roll.Table[roll.TokenKey]     { return d.tokenKeys }
func (d *directory) Ping(ctx context.Context) error           { return ctx.Err() }

func (d *directory) Note(_ context.Context, entries ...rollcall.AuditEntry) error {
	d.audit.add(entries...)
	return nil
}

func (d *directory) Audit(_ context.Context, before int64, limit int) ([]rollcall.AuditEntry, error) {
	return d.audit.list(before, limit), nil
}

// An audit holds the entries; an entry's Seq is its place, from 1.
type audit struct {
	mu      sync.Mutex
	entries []rollcall.AuditEntry
}

func (a *audit) add(entries ...rollcall.AuditEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range entries {
		e.Seq = int64(len(a.entries) + 1)
		a.entries = append(a.entries, e)
	}
}

func (a *audit) list(before int64, limit int) []rollcall.AuditEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := int64(len(a.entries))
	if before > 0 {
		end = min(end, before-1)
	}
	list := slices.Clone(a.entries[max(0, end-int64(limit)):end])
	slices.Reverse(list)
	return list
}

// A table is one roll.Table; changing serialises the changes.
type table[T any] struct {
	rows     *live.Table[T]
	audit    *audit
	changing sync.Mutex
}

func newTable[T any](a *audit) *table[T] { return &table[T]{rows: live.NewTable[T](), audit: a} }

func (t *table[T]) Get(_ context.Context, key string) (*T, error) {
	if value := t.rows.Get(key); value != nil {
		return value, nil
	}
	return nil, rollcall.ErrNotFound
}

func (t *table[T]) List(_ context.Context, prefix, after string, limit int) ([]*T, error) {
	return t.rows.List(prefix, after, limit), nil
}

func (t *table[T]) Create(_ context.Context, entry rollcall.AuditEntry, key string, value T) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.rows.Get(key) != nil {
		return rollcall.ErrExists
	}
	_, err := t.put(entry, key, &value)
	return err
}

func (t *table[T]) Update(_ context.Context, entry rollcall.AuditEntry, key string, change func(*T) error) (*T, error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	have := t.rows.Get(key)
	if have == nil {
		return nil, rollcall.ErrNotFound
	}
	value, err := clone(have)
	if err != nil {
		return nil, err
	}
	if err := change(value); err != nil {
		return nil, err
	}
	return t.put(entry, key, value)
}

func (t *table[T]) Delete(_ context.Context, entry rollcall.AuditEntry, key string) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.rows.Get(key) == nil {
		return rollcall.ErrNotFound
	}
	t.rows.Delete(key)
	t.audit.add(entry)
	return nil
}

func (t *table[T]) Restore(_ context.Context, values map[string]T) (added int, err error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	for key, value := range values {
		if t.rows.Get(key) != nil {
			continue
		}
		own, err := clone(&value)
		if err != nil {
			return added, err
		}
		t.rows.Put(key, own)
		added++
	}
	return added, nil
}

// put stores a copy, so that the caller's value stays the caller's, and returns
// it.
func (t *table[T]) put(entry rollcall.AuditEntry, key string, value *T) (*T, error) {
	own, err := clone(value)
	if err != nil {
		return nil, err
	}
	t.rows.Put(key, own)
	t.audit.add(entry)
	return own, nil
}

// clone copies a value deeply, by the way that other backends store it.
func clone[T any](value *T) (*T, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("memory: %T: %w", value, err)
	}
	own := new(T)
	return own, json.Unmarshal(text, own)
}

type nonces struct {
	set *live.Nonces
	now func() time.Time
}

func (n *nonces) Claim(_ context.Context, agentID, nonce string, _ time.Time) (bool, error) {
	return n.set.Claim(live.KeyOfNonce(agentID, nonce), n.now()), nil
}

func (n *nonces) Held(context.Context) (int, error) { return n.set.Held(), nil }

func (n *nonces) Ping(ctx context.Context) error { return ctx.Err() }
