package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// runFile names the run that wrote rollcall.db last.
const runFile = "RUN"

// An epoch ends where data are lost, so that game servers announce what they
// hold. A file cannot tell that it was put back from a backup; what lies beside
// it can. So each Open, and each Close in good order, writes the ID of a new run
// into rollcall.db and then into the file RUN. Where the two differ at an Open,
// rollcall.db is older than the last run, or RUN does not belong to it, and a new
// epoch begins; so it does in a new file. A process that dies between the two
// writes begins one too, which loses nothing: what was ended is still known.
//
// A backup of the run itself that is put back without a Close in between looks
// like the death of the process. Who puts a backup back removes RUN.
type run struct {
	db   *database
	file string
}

// begin returns the epoch that the data are of.
func (r run) begin(ctx context.Context, now time.Time) (roll.Epoch, error) {
	var e roll.Epoch
	var began int64
	var last string
	if err := r.db.write.QueryRowContext(ctx, `SELECT epoch, began, run FROM meta`).Scan(&e.ID, &began, &last); err != nil {
		return e, outage("read epoch", err)
	}
	beside, err := os.ReadFile(r.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	e.BeganAt = time.Unix(0, began)
	if e.ID == "" || string(beside) != last {
		e = roll.Epoch{ID: uuid.NewString(), BeganAt: now}
		if err := r.beginEpoch(ctx, e); err != nil {
			return e, outage("begin epoch", err)
		}
	}
	return e, r.mark(ctx)
}

// beginEpoch forgets the boots too, which may be older than those that run: the
// first that a game server names from now on is taken.
func (r run) beginEpoch(ctx context.Context, e roll.Epoch) error {
	return r.db.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE meta SET epoch = $1, began = $2`, e.ID, e.BeganAt.UnixNano())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM boots`)
		return err
	})
}

// mark writes the ID of a new run: into the database, then beside it.
func (r run) mark(ctx context.Context) error {
	id := uuid.NewString()
	if _, err := r.db.write.ExecContext(ctx, `UPDATE meta SET run = $1`, id); err != nil {
		return outage("mark run", err)
	}
	return writeFile(r.file, id)
}

// writeFile replaces a file as a whole, and has it on the disk when it returns.
func writeFile(path, text string) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}
