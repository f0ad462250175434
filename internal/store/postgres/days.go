package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const day = 24 * time.Hour

const (
	// madeAhead is for how many days after today partitions are made, madePast
	// how far back one is made for what comes late or from another store.
	madeAhead = 3
	madePast  = 400
	// lookEvery is how often is looked whether the next day has its partition.
	lookEvery = time.Hour
	// retryAfter is when a partition that could not be made is tried again; what
	// belongs into it goes to _rest meanwhile.
	retryAfter = time.Minute
	// lockWait bounds how long making and dropping may hold up others: they wait
	// behind who waits for a lock.
	lockWait = `SET LOCAL lock_timeout = '500ms'`
)

// days makes and drops the partitions of a table.
type days struct {
	db     *database
	slow   *database // for dropping and deleting
	table  string
	column string // by which rows are old
	now    func() time.Time
	log    *slog.Logger

	mu sync.Mutex
	// made are days whose partition is there, or (with a time) could not be made
	// and is not tried before then.
	made map[int]time.Time
}

func newDays(db *database, table, column string, o *Options) *days {
	return &days{db: db, slow: db.slow(10), table: table, column: column, now: o.Now, log: o.Log, made: make(map[int]time.Time)}
}

// today is the number of days since 1970.
func (d *days) today() int { return dayOf(d.now()) }

func dayOf(at time.Time) int { return int(at.Unix() / int64(day/time.Second)) }

func startOf(n int) time.Time { return time.Unix(0, 0).UTC().Add(time.Duration(n) * day) }

// name is the partition of a day, such as requests_20261125.
func (d *days) name(n int) string { return d.table + "_" + startOf(n).Format("20060102") }

// prefix is the beginning of all version 7 UUIDs of a moment, in ms.
func prefix(at time.Time) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}

// dayOfID returns the day of a version 7 UUID.
func dayOfID(id string) (n int, ok bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[14] != '7' {
		return 0, false
	}
	ms, err := strconv.ParseUint(id[:8]+id[9:13], 16, 48)
	return int(ms / uint64(day/time.Millisecond)), err == nil
}

// run makes partitions ahead, until ctx ends.
func (d *days) run(ctx context.Context) {
	for {
		for n := d.today(); n <= d.today()+madeAhead; n++ {
			d.readyDay(ctx, n)
		}
		if !pause(ctx, lookEvery) {
			return
		}
	}
}

// ready makes the partitions for rows of these ids, where they are missing.
func (d *days) ready(ctx context.Context, ids []string) {
	last, today := -1, d.today()
	for _, id := range ids { // which are sorted, so that there are few days
		n, ok := dayOfID(id)
		if !ok || n == last || n < today-madePast || n > today+madeAhead {
			continue
		}
		last = n
		d.readyDay(ctx, n)
	}
}

// readyDay makes the partition of a day, if it is not there. That it cannot is no
// reason to keep anything out.
func (d *days) readyDay(ctx context.Context, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if until, known := d.made[n]; known && (until.IsZero() || d.now().Before(until)) {
		return
	}
	err := d.db.change(ctx, func(ctx context.Context, tx pgx.Tx) error { return d.make(ctx, tx, n) })
	switch {
	case err == nil:
		d.made[n] = time.Time{}
	case ctx.Err() == nil:
		d.made[n] = d.now().Add(retryAfter)
		d.log.LogAttrs(ctx, slog.LevelWarn, "a partition could not be made",
			slog.String("partition", d.name(n)), slog.Any("error", err), slog.Duration("again", retryAfter))
	}
}

// make makes the table apart and then attaches it, which holds up neither reading
// nor writing of the other days. Rows of the day that are in _rest move into it.
func (d *days) make(ctx context.Context, tx pgx.Tx, n int) error {
	name, rest := d.name(n), d.table+"_rest"
	from, to := prefix(startOf(n)), prefix(startOf(n+1))
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(daysLock)); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return err
	}
	for _, text := range []string{
		lockWait,
		`CREATE TABLE ` + name + ` (LIKE ` + d.table + ` INCLUDING ALL)`,
		`LOCK TABLE ` + rest + ` IN SHARE ROW EXCLUSIVE MODE`,
		`WITH gone AS (DELETE FROM ` + rest + ` WHERE id >= '` + from + `' AND id < '` + to + `' RETURNING *) INSERT INTO ` + name + ` SELECT * FROM gone`,
		`ALTER TABLE ` + d.table + ` ATTACH PARTITION ` + name + ` FOR VALUES FROM ('` + from + `') TO ('` + to + `')`,
	} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// prune removes rows older than before: days at once where all of one is old or
// nearly so, else at most limit.
func (d *days) prune(ctx context.Context, before time.Time, limit int) (gone int, err error) {
	for dropped := true; dropped && gone < limit; {
		var n int
		if n, dropped, err = d.drop(ctx, before); err != nil {
			return gone, err
		}
		gone += n
	}
	if gone >= limit {
		return gone, nil
	}
	n, err := d.delete(ctx, micros(before), limit-gone)
	return gone + n, err
}

// drop drops the partition of the oldest day, if it is over and may go.
func (d *days) drop(ctx context.Context, before time.Time) (gone int, dropped bool, err error) {
	name, found, err := d.oldest(ctx)
	if err != nil || !found {
		return 0, false, err
	}
	at, err := time.Parse("20060102", name[len(d.table)+1:])
	if err != nil {
		return 0, false, fmt.Errorf("partition %s: %w", name, err)
	}
	if n := dayOf(at); startOf(n+1).After(before) || n >= d.today() {
		return 0, false, nil
	}
	err = d.slow.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		gone, err = d.dropOld(ctx, tx, name, micros(before))
		return err
	})
	if errors.Is(err, errKept) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.made, dayOf(at))
	return gone, true, nil
}

// oldest returns the oldest partition of a day.
func (d *days) oldest(ctx context.Context) (name string, found bool, err error) {
	err = d.db.each(ctx, func(rows pgx.Rows) error {
		found = true
		return rows.Scan(&name)
	}, `SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
		WHERE inhparent = $1::regclass AND relname <> $2 ORDER BY relname LIMIT 1`, d.table, d.table+"_rest")
	return name, found, err
}

// errKept is why a partition was not dropped: its rows are young, or another node
// is at it, or it is in use.
var errKept = errors.New("kept")

// dropOld drops a partition of which at most one row in ten is young; those move
// to _rest. It returns how many were old.
func (d *days) dropOld(ctx context.Context, tx pgx.Tx, name string, before int64) (gone int, err error) {
	var mine bool
	if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(daysLock)).Scan(&mine); err != nil || !mine {
		return 0, errors.Join(err, errKept)
	}
	for _, text := range []string{lockWait, `LOCK TABLE ` + name + ` IN SHARE ROW EXCLUSIVE MODE`} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return 0, keptIfBusy(err)
		}
	}
	var young, bound int
	err = tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM (SELECT FROM `+name+` WHERE `+d.column+` >= $1 LIMIT b.bound + 1) y), b.bound
		FROM (SELECT greatest(0, reltuples::bigint / 10) AS bound FROM pg_class WHERE oid = $2::regclass) b`, before, name).Scan(&young, &bound)
	if err != nil || young > bound {
		return 0, errors.Join(err, errKept)
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+name).Scan(&gone); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `ALTER TABLE `+d.table+` DETACH PARTITION `+name); err != nil {
		return 0, keptIfBusy(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+d.table+`_rest SELECT * FROM `+name+` WHERE `+d.column+` >= $1`, before); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `DROP TABLE `+name)
	return gone - young, err
}

// keptIfBusy makes errKept of a lock that was not to be had.
func keptIfBusy(err error) error {
	if isBusy(err) {
		return errKept
	}
	return err
}

// delete removes at most limit old rows, each from its partition by its place.
func (d *days) delete(ctx context.Context, before int64, limit int) (gone int, err error) {
	type part struct {
		name string
		rows int
	}
	var parts []part
	err = d.slow.each(ctx, func(rows pgx.Rows) error {
		var p part
		err := rows.Scan(&p.name, &p.rows)
		parts = append(parts, p)
		return err
	}, d.oldText(), before, max(0, limit))
	if err != nil {
		return 0, err
	}
	for _, p := range parts {
		n, err := d.slow.exec(ctx, d.deleteText(p.name), before, p.rows)
		if err != nil {
			return gone, err
		}
		gone += n
	}
	return gone, nil
}

// oldText says how many of the oldest rows are in which partition.
func (d *days) oldText() string {
	return `SELECT part::text, count(*) FROM (SELECT tableoid::regclass AS part FROM ` + d.table +
		` WHERE ` + d.column + ` < $1 ORDER BY ` + d.column + ` LIMIT $2) old GROUP BY part ORDER BY part`
}

func (d *days) deleteText(part string) string {
	return `DELETE FROM ` + part + ` WHERE ctid = ANY (ARRAY(SELECT ctid FROM ` + part +
		` WHERE ` + d.column + ` < $1 ORDER BY ` + d.column + ` LIMIT $2 FOR UPDATE SKIP LOCKED))`
}
