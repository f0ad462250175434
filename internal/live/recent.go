package live

import "sync"

// A Recent holds some of the values that were asked for last, of a table that is too
// large for memory. It is safe for concurrent use. The values are shared: a change
// makes a new one.
//
// Whoever reads a value that is not there keeps it by the count of changes that he
// had before he read, so that what was read before a change is not kept behind it.
type Recent[T any] struct {
	mu         sync.RWMutex
	changes    uint64
	most       int
	young, old map[string]*T // old is what was young before, and goes when young is full
}

// NewRecent returns a Recent of at most so many values.
func NewRecent[T any](most int) *Recent[T] {
	return &Recent[T]{most: most, young: make(map[string]*T)}
}

// Get returns the value of key, or nil and what Keep wants.
func (r *Recent[T]) Get(key string) (value *T, changes uint64) {
	r.mu.RLock()
	value, changes = r.young[key], r.changes
	old := r.old[key]
	r.mu.RUnlock()
	if value == nil && old != nil {
		r.Keep(key, old, changes)
		value = old
	}
	return value, changes
}

// Keep holds the value of key, unless something has changed since Get.
func (r *Recent[T]) Keep(key string, value *T, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if changes != r.changes {
		return
	}
	if len(r.young) >= r.most/2 {
		r.old, r.young = r.young, make(map[string]*T)
	}
	r.young[key] = value
}

// Change forgets the value of key, which is another now.
func (r *Recent[T]) Change(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	delete(r.young, key)
	delete(r.old, key)
}
