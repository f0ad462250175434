//go:build !linux || race

package live

// mapBlock returns a block of the heap. The race detector watches nothing else.
func mapBlock() (words []int64, unmap func()) { return make([]int64, blockBytes/8), func() {} }
