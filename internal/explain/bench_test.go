package explain

import (
	"strings"
	"testing"
)

// What a server spends on a refused request that no hypothesis fits: of the usual
// size, and of the greatest that it searches.
func BenchmarkBrief(b *testing.B) {
	for name, size := range map[string]int{"usual": 10, "greatest": 11 << 10} {
		b.Run(name, func(b *testing.B) {
			s := newSender()
			s.plaintext = `{"username":"` + strings.Repeat("x", size) + `"}`
			s.key = random(32)
			s.sign = func(*sender, string) string { return sha("something else") }
			m := s.send()
			know := knowledge()
			know.Brief, know.Agents = true, know.Agents[:1]
			for b.Loop() {
				Explain(&Request{Method: m.method, Path: m.path, Header: m.header, Body: []byte(m.body), HasBody: true}, know)
			}
		})
	}
}
