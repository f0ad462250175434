//go:build !linux || race

package live

// Mapped returns how much memory an Index has beside the heap, in bytes.
func (x *Index) Mapped() int { return 0 }
