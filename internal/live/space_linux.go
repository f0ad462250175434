//go:build linux && !race

package live

import (
	"syscall"
	"unsafe"
)

// mapBlock maps a block of memory, on one large page where the system has one;
// words is nil where it gives none.
func mapBlock() (words []int64, unmap func()) {
	// A large page begins at a multiple of its size. What is asked for beyond is never
	// touched, and takes nothing but addresses.
	mapped, err := syscall.Mmap(-1, 0, 2*blockBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil
	}
	from := -uintptr(unsafe.Pointer(&mapped[0])) % blockBytes //nolint:gosec // G103: only the address is of interest
	block := mapped[from : from+blockBytes]
	_ = syscall.Madvise(block, syscall.MADV_HUGEPAGE)                       // small pages do as well
	words = unsafe.Slice((*int64)(unsafe.Pointer(&block[0])), blockBytes/8) //nolint:gosec // G103: the block's very bytes, at a multiple of its size
	return words, func() { _ = syscall.Munmap(mapped) }
}
