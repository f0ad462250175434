package live

import (
	"testing"

	"pgregory.net/rapid"
)

// No two parts of a space overlap, whatever is taken and dropped, and a block of
// which nothing is taken goes.
func TestSpaceGivesEachPartOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type part struct {
			words []int64
			mark  int64
		}
		var s space
		var parts []part
		mark := int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(parts) == 0 || rapid.IntRange(0, 2).Draw(t, "step") > 0 {
				n := rapid.SampledFrom([]int{1, 1, 2, 7, blockChunks / 2, blockChunks, blockChunks + 1}).Draw(t, "chunks")
				mark++
				p := part{s.take(n), mark}
				if len(p.words) != n*chunkWords || cap(p.words) != len(p.words) {
					t.Fatalf("got %d words with room for %d, want %d chunks", len(p.words), cap(p.words), n)
				}
				for i := range p.words {
					p.words[i] = mark
				}
				parts = append(parts, p)
			} else {
				i := rapid.IntRange(0, len(parts)-1).Draw(t, "drop")
				s.drop(parts[i].words)
				parts[i] = parts[len(parts)-1]
				parts = parts[:len(parts)-1]
			}
			chunks := 0
			for _, p := range parts {
				if n := len(p.words) / chunkWords; n <= blockChunks { // others are of the heap
					chunks += n
				}
				for at := 0; at < len(p.words); at += chunkWords / 2 {
					if p.words[at] != p.mark {
						t.Fatalf("part %d has been given to another, %d", p.mark, p.words[at])
					}
				}
			}
			checkBlocks(t, &s, chunks)
		}
		for _, p := range parts {
			s.drop(p.words)
		}
		checkBlocks(t, &s, 0)
	})
}

// checkBlocks holds the blocks to have so many chunks taken, and none to be empty.
func checkBlocks(t interface{ Fatalf(string, ...any) }, s *space, want int) {
	all := 0
	for i, b := range s.blocks {
		used := 0
		for _, taken := range b.taken {
			if taken {
				used++
			}
		}
		if used != b.used || used == 0 {
			t.Fatalf("block %d: %d chunks are taken, used is %d", i, used, b.used)
		}
		all += used
	}
	if all != want {
		t.Fatalf("%d chunks are taken, want %d", all, want)
	}
}

// What no block has given, it does not take back.
func TestSpaceLeavesTheHeapAlone(t *testing.T) {
	var s space
	part := s.take(1)
	s.drop(make([]int64, chunkWords))
	s.drop(nil)
	(*space)(nil).drop((*space)(nil).take(1))
	checkBlocks(t, &s, 1)
	s.drop(part)
	checkBlocks(t, &s, 0)
}

// The memory of a table that was dropped may be another's, which begins empty.
func TestLinesBeginEmpty(t *testing.T) {
	var s space
	defer s.drop(s.take(1)) // the block stays
	old := s.lines(chunkWords / lineWords)
	for i := range old {
		for !old[i].full() {
			old[i].add(1, 2)
		}
	}
	s.dropLines(old)
	lines := s.lines(chunkWords / lineWords)
	if &lines[0] != &old[0] {
		t.Fatal("what was dropped is not taken again")
	}
	for i := range lines {
		if lines[i].used() > 0 {
			t.Fatalf("line %d is not empty", i)
		}
	}
	s.dropLines(lines)
}
