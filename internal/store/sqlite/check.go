package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
)

// Check has SQLite look at its files, and returns what it finds wrong, at most
// some hundred lines. It changes nothing.
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
	return faults, nil
}
