package sqlite

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reserve maps a part of a file that begins within the file's length or at its
// end. It sets blocks aside first, so that a full disk is an error here and no
// SIGBUS later. errUnmapped says that the file is to be written instead, in which
// the part may be there as zeros by then.
func reserve(f *os.File, start, size int64) (*window, error) {
	if err := allocate(f, start, size); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), start, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnmapped, err)
	}
	// A page of the file that is read ahead becomes part of a large one, which a
	// sync of any part writes, and makes read-only, as a whole.
	_ = unix.Madvise(mem, unix.MADV_RANDOM)
	populate(mem)
	return &window{start, mem}, nil
}

func allocate(f *os.File, start, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, start, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return writeZeros(f, start+size)
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// populate makes pages present and writable, so that no store faults. An older
// kernel than 5.14 cannot: there stores fault.
func populate(mem []byte) { _ = unix.Madvise(mem, unix.MADV_POPULATE_WRITE) }

// writeZeros makes a file that long where the file system sets no blocks aside. It
// leaves alone what is there.
func writeZeros(f *os.File, end int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for at := info.Size(); at < end && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), end-at)], at)
	}
	return err
}
