package live

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is added and cut, each number is found under its hash as long as it is
// there, and no search goes on for ever.
func TestSlotsKeepNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table slots
		hashes, want := []uint64{}, make(map[uint32]uint64)
		hashOf := func(n uint32) uint64 { return hashes[n] }
		homes := rapid.SampledFrom([]uint64{1, 3, 1 << 32}).Draw(t, "homes")
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") > 0 || len(want) == 0 {
				n := uint32(len(hashes))
				home := rapid.Uint64Range(0, homes-1).Draw(t, "home") * (1<<32/homes - 1)
				hashes = append(hashes, home|rapid.Uint64Range(0, 3).Draw(t, "tag")<<32)
				want[n] = hashes[n]
				table.add(hashes[n], n, hashOf)
			} else {
				held := make([]uint32, 0, len(want))
				for n := range want {
					held = append(held, n)
				}
				slices.Sort(held)
				n := rapid.SampledFrom(held).Draw(t, "cut")
				at, ok := placeOf(&table, want[n], n)
				if !ok {
					t.Fatalf("%d is not found", n)
				}
				table.cut(at, hashOf)
				delete(want, n)
			}
			checkSlots(t, &table, want)
		}
	})
}

func placeOf(table *slots, hash uint64, want uint32) (at spot, ok bool) {
	for s := table.search(hash); ; {
		n, ok := table.find(&s)
		if !ok || n == want {
			return s.at, ok
		}
	}
}

func checkSlots(t *rapid.T, table *slots, want map[uint32]uint64) {
	used := 0
	for _, l := range table.lines {
		for _, tag := range l.tags {
			if tag != 0 {
				used++
			}
		}
	}
	if used != len(want) || table.n != len(want) || used == len(table.lines)*perLine && used > 0 {
		t.Fatalf("%d of %d places are used, n is %d, want %d", used, len(table.lines)*perLine, table.n, len(want))
	}
	for n, hash := range want {
		if _, ok := placeOf(table, hash, n); !ok {
			t.Fatalf("%d is not found", n)
		}
	}
}
