package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// salvage takes the rows of the log out that are damaged, and returns their ids.
// What they held is lost: sessions, for which a new epoch has to begin, so that game
// servers announce them; launches, which are made again; and ends that have not come
// into the history.
func salvage(ctx context.Context, db *database) (lost []int64, err error) {
	err = faultySheets(ctx, db, "salvage the log", func(id int64, fault error) error {
		if !errors.Is(fault, errSheet) {
			return fault
		}
		lost = append(lost, id)
		return nil
	})
	if err != nil || len(lost) == 0 {
		return nil, err
	}
	err = db.change(ctx, func(tx *sql.Tx) error {
		for _, id := range lost {
			if _, err := tx.ExecContext(ctx, `DELETE FROM log WHERE id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	return lost, outage("salvage the log", err)
}

// Salvaged says what was taken out when the Store was opened with Options.Salvage.
func (s *Store) Salvaged() []string {
	told := []string{}
	for _, id := range s.sessions.salvaged {
		told = append(told, fmt.Sprintf("rollcall.db: row %d of log was damaged and is taken out; game servers announce the sessions that it held", id))
	}
	return told
}
