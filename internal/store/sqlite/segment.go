package sqlite

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-server/rollcall/internal/live"
)

// A segment is one file of the nonce journal, nonces-N.log: a header of 64 bytes
// and records of 28, all with a CRC-32C in their last 4 bytes; numbers are
// big-endian:
//
//	header   "rollcall nonces1" | id of the boot, 44 bytes, padded with 0 | crc
//	record   key, 16 bytes | timestamp, Unix ms, 8 bytes | crc
//
// The keys of 16 times 0x00 and 0xff are no nonces but the mark and the sign
// that the journal was closed.
const (
	segmentMagic = "rollcall nonces1"
	headerSize   = 64
	recordSize   = 28
)

var (
	markKey   = live.NonceKey{}
	closedKey = live.NonceKey(bytes.Repeat([]byte{0xff}, 16))

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// A record is a claim, or what its key says else.
type record struct {
	key live.NonceKey
	at  int64 // Unix ms
}

// encode writes the record to b, which has its size.
func (r record) encode(b []byte) {
	b = append(b[:0], r.key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.at))
	summed(b)
}

func (r record) bytes() []byte {
	b := make([]byte, recordSize)
	r.encode(b)
	return b
}

func parseRecord(b []byte) (r record, ok bool) {
	return record{live.NonceKey(b[:16]), int64(binary.BigEndian.Uint64(b[16:]))}, sumFits(b)
}

func summed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func sumFits(b []byte) bool {
	body := b[:len(b)-4]
	return binary.BigEndian.Uint32(b[len(body):]) == crc32.Checksum(body, castagnoli)
}

func header(bootID string) []byte {
	b := make([]byte, headerSize-4, headerSize)
	copy(b, segmentMagic)
	copy(b[len(segmentMagic):], bootID)
	return summed(b)
}

func parseHeader(b []byte) (bootID string, ok bool) {
	ok = bytes.HasPrefix(b, []byte(segmentMagic)) && sumFits(b)
	return string(bytes.TrimRight(b[len(segmentMagic):headerSize-4], "\x00")), ok
}

func segmentPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("nonces-%010d.log", number))
}

// createSegment makes a segment and its name durable. A file of this number can
// only be what a failed attempt has left.
func createSegment(dir string, number int, bootID string, mark int64) (*os.File, error) {
	f, err := os.OpenFile(segmentPath(dir, number), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(append(header(bootID), record{markKey, mark}.bytes()...)); err == nil {
		err = errors.Join(f.Sync(), syncPath(dir))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncPath makes a file durable, whoever has written it, or the names in a
// directory.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// segments returns the paths of the segments, oldest first.
func segments(dir string) ([]string, error) {
	escaped := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
	paths, err := filepath.Glob(filepath.Join(escaped, "nonces-*.log"))
	slices.Sort(paths)
	return paths, err
}

// found is what the segments of earlier runs say.
type found struct {
	paths []string // oldest first
	ends  []int64  // of the records in each
	next  int      // number for a new segment
	// lost is the latest timestamp, in Unix ms, whose claim may be missing.
	lost    int64
	damaged []string // paths of those that lack what was written
}

// readJournal calls claimed for each claim that is in the segments, and returns
// what else they say to a process of boot bootID.
func readJournal(dir, bootID string, claimed func(record)) (f found, err error) {
	f.next = 1
	if f.paths, err = segments(dir); err != nil {
		return f, err
	}
	var boot string
	var lost int64 // of that boot
	for _, path := range f.paths {
		s, err := readSegment(path, claimed)
		if err != nil {
			return f, err
		}
		if s.boot != boot {
			f.lost, boot, lost = max(f.lost, lost), s.boot, 0
		}
		f.ends = append(f.ends, s.end)
		lost = max(lost, s.mark)
		whole := s.closed || s.boot == bootID && bootID != "" // all that was written should be there
		if whole && s.holed {
			f.damaged = append(f.damaged, path)
			f.lost = max(f.lost, s.mark, s.latest)
		}
		if whole {
			lost = 0
		}
		var number int
		if _, err := fmt.Sscanf(filepath.Base(path), "nonces-%d.log", &number); err == nil {
			f.next = max(f.next, number+1)
		}
	}
	f.lost = max(f.lost, lost)
	return f, nil
}

// moved notes that all claims until at may be missing, in a segment of a boot of
// no machine, which for every later run is one that died.
func (f *found) moved(dir string, at time.Time) error {
	file, err := createSegment(dir, f.next, "", at.UnixMilli())
	if err != nil {
		return fmt.Errorf("nonce journal: %w", err)
	}
	f.paths, f.ends = append(f.paths, file.Name()), append(f.ends, headerSize+recordSize)
	f.next, f.lost = f.next+1, max(f.lost, at.UnixMilli())
	return file.Close()
}

// A segment is what one file says.
type segment struct {
	boot   string
	mark   int64 // Unix ms
	latest int64 // of the claims, Unix ms
	closed bool
	holed  bool  // a record is lost before others
	end    int64 // of the records, in bytes
}

func readSegment(path string, claimed func(record)) (segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return segment{}, err
	}
	s, err := parseSegment(bufio.NewReaderSize(f, 1<<16), claimed)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return s, errors.Join(err, f.Close())
}

// parseSegment reads all records that are whole. What is behind the last of them is
// room for more, which is zeros. A record that is not whole before others is lost:
// the machine died before its page was on the disk, and then it was before the mark
// or not answered; or the file is damaged.
func parseSegment(from io.Reader, claimed func(record)) (s segment, err error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(from, head); err != nil || len(bytes.Trim(head, "\x00")) == 0 {
		return s, unlessEnd(err) // the machine died while it was made: it held nothing yet
	}
	var ok bool
	if s.boot, ok = parseHeader(head); !ok {
		return s, errors.New("damaged, or no nonce journal")
	}
	s.end = headerSize
	at := s.end
	for text := make([]byte, recordSize); ; {
		if _, err := io.ReadFull(from, text); err != nil {
			return s, unlessEnd(err)
		}
		at += recordSize
		r, ok := parseRecord(text)
		if !ok {
			continue
		}
		s.holed = s.holed || at > s.end+recordSize
		s.note(r, claimed)
		s.end = at
	}
}

func (s *segment) note(r record, claimed func(record)) {
	s.closed = r.key == closedKey
	switch r.key {
	case markKey:
		s.mark = max(s.mark, r.at)
	case closedKey:
	default:
		s.latest = max(s.latest, r.at)
		claimed(r)
	}
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// cut makes the segments of earlier runs durable, without the room that is left
// in them. A run that was killed may have left them in the kernel only, and the
// sign that this run was closed says that all of this boot is on the disk.
func (f found) cut() error {
	for i, path := range f.paths {
		if err := os.Truncate(path, f.ends[i]); err != nil {
			return err
		}
		if err := syncPath(path); err != nil {
			return err
		}
	}
	return nil
}
