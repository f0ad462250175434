package sqlite

import (
	"context"
	"database/sql"
	"maps"
	"slices"
)

func (t *table[T]) Restore(ctx context.Context, values map[string]T) (int, error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	docs := make(map[string]string, len(values))
	err := t.db.change(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO `+t.name+` (key, doc) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, key := range slices.Sorted(maps.Keys(values)) {
			value := values[key]
			doc, err := t.encode(&value)
			if err != nil {
				return err
			}
			added, err := removed(insert.ExecContext(ctx, key, doc))
			if err != nil {
				return err
			}
			if added > 0 {
				docs[key] = doc
			}
		}
		return nil
	})
	if err != nil {
		return 0, t.translate(err)
	}
	return len(docs), t.show(docs)
}

// show brings the cache up to date with documents that were stored.
func (t *table[T]) show(docs map[string]string) error {
	if t.cache == nil {
		return nil
	}
	for key, doc := range docs {
		value, err := t.decode(doc)
		if err != nil {
			return err
		}
		t.cache.Put(key, value)
	}
	return nil
}
