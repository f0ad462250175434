package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	"github.com/google/uuid"
)

// maxFaults bounds how many faults of a kind are told.
const maxFaults = 100

// Check has SQLite look at its files, looks at the log and at the request records
// itself, and returns what is wrong, at most some hundred lines. It changes nothing.
func (s *Store) Check(ctx context.Context) (faults []string, err error) {
	for name, db := range map[string]*database{"rollcall.db": s.main, "history.db": s.past} {
		err := query(ctx, db.read, "check "+filepath.Base(name), func(rows *sql.Rows) error {
			var line string
			err := rows.Scan(&line)
			if line != "ok" {
				faults = append(faults, name+": "+line)
			}
			return err
		}, `PRAGMA quick_check(100)`)
		if err != nil {
			return faults, err
		}
	}
	for _, check := range []func(context.Context) ([]string, error){s.sessions.check, s.history.check} {
		damaged, err := check(ctx)
		if faults = append(faults, damaged...); err != nil {
			return faults, err
		}
	}
	return faults, nil
}

// check reads all sheets of the log.
func (s *sessions) check(ctx context.Context) (faults []string, err error) {
	err = faultySheets(ctx, s.db, "check the log", func(id int64, fault error) error {
		if len(faults) < maxFaults {
			faults = append(faults, fmt.Sprintf("rollcall.db: row %d of log: %v", id, fault))
		}
		return nil
	})
	return faults, err
}

// faultySheets calls do with each sheet that cannot be read, and why; it is do's until
// it returns.
func faultySheets(ctx context.Context, db *database, doing string, do func(id int64, fault error) error) error {
	return docs(ctx, db, doing, func(id int64, sheet []byte) error {
		if _, fault := readSheet(sheet, func(*entry) error { return nil }); fault != nil {
			return do(id, fault)
		}
		return nil
	}, sheetsText)
}

// check reads all batches of request records.
func (h *history) check(ctx context.Context) (faults []string, err error) {
	err = query(ctx, h.db.read, "check request records", func(rows *sql.Rows) error {
		var id int64
		var first, last, packed sql.RawBytes
		var count int
		if err := rows.Scan(&id, &first, &last, &count, &packed); err != nil || len(faults) == maxFaults {
			return err
		}
		if err := checkBatch(first, last, count, packed); err != nil {
			faults = append(faults, fmt.Sprintf("history.db: row %d of request_batches: %v", id, err))
		}
		return nil
	}, `SELECT id, first, last, count, records FROM request_batches`)
	return faults, err
}

// checkBatch says what is wrong with a row.
func checkBatch(first, last []byte, count int, packed []byte) error {
	list, err := unpack(packed)
	if err != nil {
		return err
	}
	if len(list) == 0 || len(list) != count || list[0].LogUUID != keyText(first) || list[len(list)-1].LogUUID != keyText(last) {
		return errPack
	}
	return nil
}

// keyText returns the text of a UUID's bytes, or "" where they are none.
func keyText(b []byte) string {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return ""
	}
	return id.String()
}
