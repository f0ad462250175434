package rollcall

// A RateLimit is a token bucket: Burst calls at once, and PerSecond of them in
// the long run.
type RateLimit struct {
	// PerSecond is how many calls in a second; 0: none is set.
	PerSecond int `json:"perSecond,omitempty"`
	// Burst is how many at once, after a pause; 0: twice PerSecond.
	Burst int `json:"burst,omitempty"`
}

// The most that a RateLimit can say.
const (
	MaxRate  = 1_000_000
	MaxBurst = 10 * MaxRate
)

// Valid reports whether both are in their bounds, and there is no Burst without
// a PerSecond.
func (l RateLimit) Valid() bool {
	return l.PerSecond >= 0 && l.PerSecond <= MaxRate && l.Burst >= 0 && l.Burst <= MaxBurst && (l.PerSecond > 0 || l.Burst == 0)
}

// Or returns l with its Burst, or other with its own where l is not set.
func (l RateLimit) Or(other RateLimit) RateLimit {
	if l.PerSecond == 0 {
		l = other
	}
	if l.Burst == 0 {
		l.Burst = 2 * l.PerSecond
	}
	return l
}
