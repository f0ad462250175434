package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// A dump is everything that stores hold, as JSON Lines: one record a line with
// its kind, a header first, and last the counts and hashes of all lines before.
//
//	{"kind":"header","value":{"format":1,"id":"…","at":"…",…}}
//	{"kind":"branch","value":{"id":"THB",…}}
//	…
//	{"kind":"end","value":{"all":"…","counts":{"branch":1,…},"sha256":{"branch":"…",…}}}
//
// Secrets are in it as the stores have them: sealed, or hashed, under the master
// key. The kinds come in the order below. What is live is last, so that it is
// imported last: its leases run from then on.
const (
	kindHeader     = "header"
	kindBranch     = "branch"
	kindGame       = "game"
	kindAgent      = "agent"
	kindMember     = "member"
	kindGameServer = "game-server"
	kindAdminToken = "admin-token"
	kindTokenKey   = "token-key"
	kindAudit      = "audit"
	kindRequest    = "request"
	kindEnded      = "ended"
	kindDelivery   = "delivery"
	kindLive       = "live"
	kindBoot       = "boot"
	kindSession    = "session"
	kindKick       = "kick"
	kindReceipt    = "receipt"
	kindEnd        = "end"
)

// dumpFormat changes where an older program could not import what is written.
const dumpFormat = 1

// A Header is the first record of a dump.
type Header struct {
	Format int `json:"format"`
	// ID tells one dump from all others.
	ID string `json:"id"`
	// At is when it was begun, Rollcall by which version, Source from where.
	At       time.Time `json:"at"`
	Rollcall string    `json:"rollcall"`
	Source   string    `json:"source"`
}

// moment is the record in front of what is live.
type moment struct {
	At time.Time `json:"at"`
}

// currentBoot is a game server and the boot that is current.
type currentBoot struct {
	GameServer string `json:"gameServer"`
	BootID     string `json:"bootId"`
}

// A Summary says what a dump holds.
type Summary struct {
	Header

	// Counts are how many records there are of each kind, SHA256 the hashes of
	// their lines, All that of all lines but the last.
	Counts map[string]int64  `json:"counts"`
	SHA256 map[string]string `json:"sha256"`
	All    string            `json:"all"`
	Bytes  int64             `json:"bytes"`
}

// Records returns how many records there are of all kinds.
func (s *Summary) Records() (n int64) {
	for _, count := range s.Counts {
		n += count
	}
	return n
}

// sums counts and hashes lines.
type sums struct {
	all   hash.Hash
	kinds map[string]hash.Hash
	count map[string]int64
	bytes int64
}

func newSums() *sums {
	return &sums{all: sha256.New(), kinds: make(map[string]hash.Hash), count: make(map[string]int64)}
}

func (s *sums) add(kind string, line []byte) {
	if s.kinds[kind] == nil {
		s.kinds[kind] = sha256.New()
	}
	s.all.Write(line)
	s.kinds[kind].Write(line)
	s.count[kind]++
	s.bytes += int64(len(line))
}

func (s *sums) summary(h *Header) Summary {
	sum := Summary{Header: *h, Counts: s.count, SHA256: make(map[string]string, len(s.kinds)), All: hex.EncodeToString(s.all.Sum(nil)), Bytes: s.bytes}
	for kind, of := range s.kinds {
		sum.SHA256[kind] = hex.EncodeToString(of.Sum(nil))
	}
	return sum
}

// endLine is the one text that the last line can have.
func endLine(s *Summary) ([]byte, error) {
	return lineOf(kindEnd, map[string]any{"counts": s.Counts, "sha256": s.SHA256, "all": s.All})
}

// kindPrefix begins every line.
const kindPrefix = `{"kind":"`

func lineOf(kind string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("a record of kind %s: %w", kind, err)
	}
	line := make([]byte, 0, len(kindPrefix)+len(kind)+len(text)+14)
	line = append(append(line, kindPrefix...), kind...)
	line = append(append(line, `","value":`...), text...)
	return append(line, "}\n"...), nil
}

// splitLine is the inverse of lineOf.
func splitLine(line []byte) (kind string, value []byte, err error) {
	rest, ok := bytes.CutPrefix(line, []byte(kindPrefix))
	name, rest, found := bytes.Cut(rest, []byte(`","value":`))
	value, whole := bytes.CutSuffix(rest, []byte("}\n"))
	if !ok || !found || !whole {
		return "", nil, errDamaged
	}
	return string(name), value, nil
}

var (
	errDamaged = errors.New("the file is damaged: its lines are not those that were exported")
	errCut     = errors.New("the file is cut off: its last line is missing")
)

// A dumpWriter writes a dump.
type dumpWriter struct {
	to   *bufio.Writer
	sums *sums
}

func newDumpWriter(w io.Writer) *dumpWriter {
	return &dumpWriter{to: bufio.NewWriterSize(w, 1<<20), sums: newSums()}
}

func (d *dumpWriter) put(kind string, value any) error {
	line, err := lineOf(kind, value)
	if err != nil {
		return err
	}
	d.sums.add(kind, line)
	_, err = d.to.Write(line)
	return err
}

// end writes the last line.
func (d *dumpWriter) end(h *Header) (Summary, error) {
	sum := d.sums.summary(h)
	line, err := endLine(&sum)
	if err != nil {
		return sum, err
	}
	if _, err := d.to.Write(line); err != nil {
		return sum, err
	}
	sum.Bytes += int64(len(line))
	return sum, d.to.Flush()
}

// maxLine is far above the longest record.
const maxLine = 16 << 20

// A dumpReader reads a dump from its beginning.
type dumpReader struct {
	from *bufio.Reader
	sums *sums
}

func newDumpReader(r io.Reader) *dumpReader {
	return &dumpReader{from: bufio.NewReaderSize(r, 1<<20), sums: newSums()}
}

// next returns a record, whose value is the caller's. Of the last line the value
// is nil: it was as it has to be, and nothing is behind it.
func (d *dumpReader) next() (kind string, value []byte, err error) {
	line, err := d.line()
	if err != nil {
		return "", nil, err
	}
	if kind, value, err = splitLine(line); err != nil {
		return "", nil, err
	}
	if kind != kindEnd {
		d.sums.add(kind, line)
		return kind, value, nil
	}
	sum := d.sums.summary(&Header{})
	want, err := endLine(&sum)
	if err != nil {
		return "", nil, err
	}
	if _, more := d.from.Peek(1); !bytes.Equal(line, want) || !errors.Is(more, io.EOF) {
		return "", nil, errDamaged
	}
	return kindEnd, nil, nil
}

func (d *dumpReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := d.from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, errCut
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, errDamaged
		}
	}
}

// decodeRecord reads a value strictly: a field that is not known here would be
// lost without a word.
func decodeRecord[T any](value []byte) (record T, err error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&record); err != nil {
		return record, fmt.Errorf("a record that this program cannot read: %w", err)
	}
	return record, nil
}

// A Progress says how far a move is.
type Progress struct {
	// Kind is what is at it.
	Kind    string
	Records int64
	// Done is the part of the whole, or of the kind, from 0 to 1; below 0: not
	// known.
	Done float64
}
