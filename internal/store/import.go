package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// ImportOptions configure an Import. The zero value works.
type ImportOptions struct {
	// Merge allows stores that hold something else already. What is there under
	// the same name stays.
	Merge bool
	// Check, if set, is called with each token key before anything is imported:
	// its error says that the dump is of another master key.
	Check func(roll.TokenKey) error
	// Progress, if set, is called every so often.
	Progress func(Progress)
}

// An Imported says what an Import did.
type Imported struct {
	Summary

	// Before is when this dump was imported before, whole; then nothing was done.
	Before time.Time `json:"before,omitzero"`
	// Resumed says that an Import that had not come to its end went on.
	Resumed bool `json:"resumed"`
	// There are how many records were there already, where that is known.
	There int64 `json:"there"`
	// Expired are sessions whose lifetime has passed meanwhile: they are in the
	// history.
	Expired int64 `json:"expired"`
	// Refused are sessions that are not held now, by ID, and why.
	Refused map[string]string `json:"refused"`
}

// Errors of an Import.
var (
	// ErrNotEmpty says that the stores hold something that is not of this dump.
	ErrNotEmpty = errors.New("the stores are not empty")
)

// Import reads a dump from its beginning, twice: first it looks whether all of it
// is as it was exported, and only then it stores anything. An Import that was
// broken off goes on when it is made again with the same dump. Nothing else may
// use the stores meanwhile (see Quiet), which are closed and opened anew.
func Import(ctx context.Context, to *Stores, from io.ReadSeeker, o ImportOptions) (Imported, error) {
	i := &importer{ctx: ctx, to: to, o: o, now: to.Clock()}
	i.done.Refused = make(map[string]string)
	for _, step := range []func(io.ReadSeeker) error{i.verify, i.begin, i.store} {
		if err := step(from); err != nil {
			return i.done, fmt.Errorf("import: %w", err)
		}
		if !i.done.Before.IsZero() {
			return i.done, nil
		}
	}
	return i.done, nil
}

type importer struct {
	ctx  context.Context
	to   *Stores
	o    ImportOptions
	now  func() time.Time
	done Imported

	noted  int64             // audit entries that an earlier run has imported
	boots  map[string]string // that are current
	kick   string            // whose receipts come
	skip   int               // of them, that are there
	kind   string            // of the batch
	values [][]byte
}

// verify reads all of the dump.
func (i *importer) verify(from io.ReadSeeker) error {
	size, err := from.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return i.read(from, func(d *dumpReader, kind string, value []byte) (err error) {
		switch {
		case kind == kindEnd:
			i.done.Summary = d.sums.summary(&i.done.Header)
			i.done.Bytes = size
		case kind == kindHeader:
			i.done.Header, err = headerOf(value)
		case i.done.Format == 0:
			return errors.New("it is no export of rollcall: it has no header")
		case kind == kindTokenKey && i.o.Check != nil:
			key, err := decodeRecord[roll.TokenKey](value)
			if err != nil {
				return err
			}
			return i.o.Check(key)
		}
		i.tell("checking", d, size)
		return err
	})
}

func headerOf(value []byte) (Header, error) {
	h, err := decodeRecord[Header](value)
	if err == nil && h.Format != dumpFormat {
		err = fmt.Errorf("it is of format %d, and this program knows %d: import it with rollcall %s", h.Format, dumpFormat, h.Rollcall)
	}
	return h, err
}

// read calls do with each record from the beginning to the end.
func (i *importer) read(from io.ReadSeeker, do func(d *dumpReader, kind string, value []byte) error) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d := newDumpReader(from)
	for {
		kind, value, err := d.next()
		if err == nil {
			err = i.ctx.Err()
		}
		if err == nil {
			err = do(d, kind, value)
		}
		if err != nil || kind == kindEnd {
			return err
		}
	}
}

func (i *importer) tell(kind string, d *dumpReader, size int64) {
	records := int64(0)
	for _, n := range d.sums.count {
		records += n
	}
	if i.o.Progress != nil && records%pageSize == 0 {
		i.o.Progress(Progress{Kind: kind, Records: records, Done: float64(d.sums.bytes) / float64(max(1, size))})
	}
}

// An import is noted in the audit when it begins, before anything that it brings,
// and when it has ended. That is how it is known again.
const (
	actionBegin = "import.begin"
	actionEnd   = "import.end"
	importActor = "rollcall import"
)

// begin finds out whether this dump may be imported here, and notes that it is.
func (i *importer) begin(io.ReadSeeker) error {
	what, err := i.to.holds(i.ctx)
	if err != nil {
		return err
	}
	if what != "" {
		found, err := i.former()
		if err != nil || !i.done.Before.IsZero() {
			return err
		}
		if found {
			return i.to.beginMove(i.ctx)
		}
		if !i.o.Merge {
			return fmt.Errorf("%w: they have %s that are not of this file; --merge keeps both", ErrNotEmpty, what)
		}
	}
	if err := i.to.beginMove(i.ctx); err != nil {
		return err
	}
	return i.note(actionBegin, fmt.Sprintf("exported %s from %s", i.done.At.UTC().Format(time.RFC3339), i.done.Source))
}

func (i *importer) note(action, detail string) error {
	return i.to.Directory.Note(i.ctx, rollcall.AuditEntry{At: i.now().UTC(), Actor: importActor, Action: action, Subject: i.done.ID, Detail: detail})
}

// former looks for an earlier import of the same dump. All audit entries behind
// its beginning are those that it has brought.
func (i *importer) former() (found bool, err error) {
	for before := int64(0); ; {
		list, err := i.to.Directory.Audit(i.ctx, before, pageSize)
		if err != nil {
			return false, err
		}
		for _, e := range list {
			before = e.Seq
			if e.Actor != importActor || e.Subject != i.done.ID {
				i.noted++
				continue
			}
			if e.Action == actionEnd {
				i.done.Before = e.At
			}
			i.done.Resumed = i.done.Before.IsZero()
			return true, nil
		}
		if len(list) < pageSize {
			i.noted = 0
			return false, nil
		}
	}
}

// batchSize is how many records are stored at once.
const batchSize = 500

// store stores the records.
func (i *importer) store(from io.ReadSeeker) error {
	i.boots = make(map[string]string)
	err := i.read(from, func(d *dumpReader, kind string, value []byte) error {
		if kind != i.kind || len(i.values) == batchSize {
			if err := i.flush(); err != nil {
				return fmt.Errorf("%s: %w", i.kind, err)
			}
			i.kind = kind
		}
		if kind == kindHeader || kind == kindEnd {
			return nil
		}
		i.values = append(i.values, value)
		i.tell(kind, d, i.done.Bytes)
		return nil
	})
	if err != nil {
		return err
	}
	if n := len(i.done.Refused); n > 0 {
		return fmt.Errorf("%d sessions could not be taken over", n)
	}
	return i.note(actionEnd, fmt.Sprintf("%d records", i.done.Records()))
}

func (i *importer) flush() error {
	values := i.values
	i.values = i.values[:0]
	if len(values) == 0 {
		return nil
	}
	d := i.to.Directory
	switch i.kind {
	case kindBranch:
		return restoreTable(i, d.Branches(), values, branchKey)
	case kindGame:
		return restoreTable(i, d.Games(), values, gameKey)
	case kindAgent:
		return restoreTable(i, d.Agents(), values, agentKey)
	case kindMember:
		return restoreTable(i, d.Members(), values, memberKey)
	case kindGameServer:
		return restoreTable(i, d.GameServers(), values, gameServerKey)
	case kindAdminToken:
		return restoreTable(i, d.AdminTokens(), values, adminTokenKey)
	case kindTokenKey:
		return restoreTable(i, d.TokenKeys(), values, tokenKeyKey)
	case kindAudit:
		return batch(i, values, i.audit)
	case kindRequest:
		return batch(i, values, i.to.History.AddRequests)
	case kindEnded:
		return batch(i, values, i.to.History.AddEnded)
	case kindDelivery:
		return batch(i, values, i.to.History.AddDeliveries)
	}
	return i.flushLive(values)
}

// batch decodes records and stores them.
func batch[T any](i *importer, values [][]byte, store func(context.Context, []T) error) error {
	records := make([]T, len(values))
	for n, value := range values {
		var err error
		if records[n], err = decodeRecord[T](value); err != nil {
			return err
		}
	}
	return store(i.ctx, records)
}

func restoreTable[T any](i *importer, table roll.Table[T], values [][]byte, key func(*T) string) error {
	return batch(i, values, func(ctx context.Context, records []T) error {
		byKey := make(map[string]T, len(records))
		for n := range records {
			byKey[key(&records[n])] = records[n]
		}
		added, err := table.Restore(ctx, byKey)
		i.done.There += int64(len(byKey) - added)
		return err
	})
}

// audit adds the entries that an earlier run has not: it had the same ones, in the
// same order.
func (i *importer) audit(ctx context.Context, entries []rollcall.AuditEntry) error {
	skip := min(i.noted, int64(len(entries)))
	i.noted -= skip
	i.done.There += skip
	entries = slices.Clone(entries[skip:])
	if len(entries) == 0 {
		return nil
	}
	return i.to.Directory.Note(ctx, entries...)
}
