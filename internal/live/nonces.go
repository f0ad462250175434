package live

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A NonceKey stands for an agent's nonce: a truncated SHA-256, since nobody can
// make two nonces meet in 128 bits, and a fixed size costs no garbage.
type NonceKey [16]byte

// KeyOfNonce returns the key of an agent's nonce.
func KeyOfNonce(agentID, nonce string) NonceKey {
	text := make([]byte, 0, 128)
	text = append(text, agentID...)
	text = append(text, 0)
	text = append(text, nonce...)
	sum := sha256.Sum256(text)
	return NonceKey(sum[:16])
}

const nonceShards = 64

// Nonces is a set of keys that forgets each one no sooner than keep after it was
// claimed, and no later than 3 × keep while others come. It is safe for
// concurrent use.
type Nonces struct {
	keep   time.Duration
	shards [nonceShards]nonceShard
}

// A nonceShard holds some keys in two generations; the older is dropped whole.
type nonceShard struct {
	mu            sync.Mutex
	turned        time.Time
	young, former map[NonceKey]struct{}
}

// NewNonces returns an empty set.
func NewNonces(keep time.Duration) *Nonces { return &Nonces{keep: keep} }

// Claim adds key and reports whether it was not there: of simultaneous Claims of
// one key one is told true.
func (n *Nonces) Claim(key NonceKey, now time.Time) bool {
	s := &n.shards[key[0]%nonceShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now, n.keep)
	if _, used := s.former[key]; used {
		return false
	}
	size := len(s.young)
	s.young[key] = struct{}{}
	return len(s.young) > size
}

// turn drops what is old enough.
func (s *nonceShard) turn(now time.Time, keep time.Duration) {
	age := now.Sub(s.turned)
	if s.young != nil && age < keep {
		return
	}
	s.former = s.young
	if age >= 2*keep {
		s.former = nil
	}
	s.young, s.turned = make(map[NonceKey]struct{}), now
}

// Held returns how many keys are in the set.
func (n *Nonces) Held() int {
	held := 0
	for i := range n.shards {
		held += n.shards[i].held()
	}
	return held
}

func (s *nonceShard) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.young) + len(s.former)
}
