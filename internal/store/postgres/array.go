package postgres

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// An array is one as PostgreSQL takes it over the wire, of one element at least,
// numbers big-endian. pgx writes the same, but makes room for it anew each time, and
// in many steps: for request records that was half of all that a check allocates.
//
//	bytes  what
//	4      dimensions: 1
//	4      whether there are nulls: 0
//	4      OID of an element's type
//	4      how many elements
//	4      number of the first: 1
//	4+n    each element's length and itself
type array struct {
	bytes []byte
	oid   uint32 // of the array's own type
	begun int    // where the last element begins
}

const arrayHead = 5 * 4

// reset empties an array of an element type, and keeps its room.
func (a *array) reset(oid, element uint32) {
	a.oid = oid
	a.bytes = append(a.bytes[:0], make([]byte, arrayHead)...)
	binary.BigEndian.PutUint32(a.bytes[0:], 1)
	binary.BigEndian.PutUint32(a.bytes[8:], element)
	binary.BigEndian.PutUint32(a.bytes[16:], 1)
}

func (a *array) texts()   { a.reset(pgtype.TextArrayOID, pgtype.TextOID) }
func (a *array) bigints() { a.reset(pgtype.Int8ArrayOID, pgtype.Int8OID) }

// begin begins an element, which is then appended to bytes until end.
func (a *array) begin() {
	a.begun = len(a.bytes)
	a.bytes = append(a.bytes, 0, 0, 0, 0)
}

func (a *array) end() {
	binary.BigEndian.PutUint32(a.bytes[a.begun:], uint32(len(a.bytes)-a.begun-4))
	binary.BigEndian.PutUint32(a.bytes[12:], binary.BigEndian.Uint32(a.bytes[12:])+1)
}

func (a *array) addText(text string) {
	a.begin()
	a.bytes = append(a.bytes, text...)
	a.end()
}

func (a *array) addBigint(n int64) {
	a.begin()
	a.bytes = binary.BigEndian.AppendUint64(a.bytes, uint64(n))
	a.end()
}

const binaryFormat = 1

// execArrays runs one statement on arrays. It prepares none, since a pooler may not
// know it the next time.
func (db *database) execArrays(ctx context.Context, text string, arrays ...*array) error {
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	values, oids := make([][]byte, len(arrays)), make([]uint32, len(arrays))
	for i, a := range arrays {
		values[i], oids[i] = a.bytes, a.oid
	}
	return db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().ExecParams(ctx, text, values, oids, []int16{binaryFormat}, nil).Close()
		return err
	})
}
