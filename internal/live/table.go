package live

import (
	"slices"
	"strings"
	"sync"
)

// A Table holds values by key, sorted by the keys' bytes. It is safe for
// concurrent use. The values are shared: a change puts a new one.
type Table[T any] struct {
	mu   sync.RWMutex
	keys []string
	of   map[string]*T
}

// NewTable returns an empty Table.
func NewTable[T any]() *Table[T] { return &Table[T]{of: make(map[string]*T)} }

// Get returns the value of key, or nil.
func (t *Table[T]) Get(key string) *T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.of[key]
}

// Put sets the value of key.
func (t *Table[T]) Put(key string, value *T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, found := slices.BinarySearch(t.keys, key); !found {
		t.keys = slices.Insert(t.keys, at, key)
	}
	t.of[key] = value
}

// Delete removes key, if it is there.
func (t *Table[T]) Delete(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, found := slices.BinarySearch(t.keys, key); found {
		t.keys = slices.Delete(t.keys, at, at+1)
	}
	delete(t.of, key)
}

// List returns, in order of keys, at most limit values whose keys begin with
// prefix and are greater than after.
func (t *Table[T]) List(prefix, after string, limit int) []*T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at, found := slices.BinarySearch(t.keys, max(prefix, after))
	if found && after >= prefix {
		at++
	}
	list := []*T{}
	for ; at < len(t.keys) && len(list) < limit && strings.HasPrefix(t.keys[at], prefix); at++ {
		list = append(list, t.of[t.keys[at]])
	}
	return list
}
