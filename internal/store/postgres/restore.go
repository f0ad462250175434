package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// restoreText stores documents under keys that are free, and returns those keys.
func (t *table[T]) restoreText() string {
	return `INSERT INTO ` + t.name + ` (key, doc) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING RETURNING key`
}

func (t *table[T]) Restore(ctx context.Context, values map[string]T) (added int, err error) {
	keys := slices.Sorted(maps.Keys(values))
	docs := make([]string, len(keys))
	for i, key := range keys {
		value := values[key]
		if docs[i], err = t.encode(&value); err != nil {
			return 0, t.translate("change ", err)
		}
	}
	err = t.db.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, t.restoreText(), keys, docs)
		if err != nil {
			return err
		}
		stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if added = len(stored); err != nil || t.cache == nil {
			return err
		}
		for _, key := range stored {
			if err := t.cache.mark(ctx, tx, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, t.translate("change ", err)
	}
	if t.cache != nil {
		t.cache.follow(ctx, t.db)
	}
	return added, nil
}
