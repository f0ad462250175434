package postgres

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// An array is what pgx makes of the same, the second time too, in the same room.
func TestArray(t *testing.T) {
	var texts, numbers array
	for _, want := range []struct {
		texts   []string
		numbers []int64
	}{
		{[]string{"a", "", `{"b":"ü"}`}, []int64{1, -1, 1 << 62}},
		{[]string{"c"}, []int64{0}},
	} {
		texts.texts()
		numbers.bigints()
		for _, text := range want.texts {
			texts.addText(text)
		}
		for _, n := range want.numbers {
			numbers.addBigint(n)
		}
		for _, one := range []struct {
			got array
			as  any
		}{{texts, want.texts}, {numbers, want.numbers}} {
			bytesOf, err := pgtype.NewMap().Encode(one.got.oid, pgtype.BinaryFormatCode, one.as, nil)
			if err != nil || !bytes.Equal(one.got.bytes, bytesOf) {
				t.Errorf("got %x, want %x, %v", one.got.bytes, bytesOf, err)
			}
		}
	}
}
