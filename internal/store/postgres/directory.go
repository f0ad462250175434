package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// A directory keeps its tables in the database, and all but the members in
// memory as well.
type directory struct {
	db          *database
	agents      *table[roll.Agent]
	branches    *table[rollcall.Branch]
	games       *table[rollcall.Game]
	members     *table[rollcall.Member]
	gameServers *table[roll.GameServer]
	adminTokens *table[roll.AdminToken]
	tokenKeys   *table[roll.TokenKey]
}

func newDirectory(db *database, w *watch) *directory {
	return &directory{
		db:          db,
		agents:      newTable[roll.Agent](db, "agents", w),
		branches:    newTable[rollcall.Branch](db, "branches", w),
		games:       newTable[rollcall.Game](db, "games", w),
		members:     newTable[rollcall.Member](db, "members", nil),
		gameServers: newTable[roll.GameServer](db, "game_servers", w),
		adminTokens: newTable[roll.AdminToken](db, "admin_tokens", w),
		tokenKeys:   newTable[roll.TokenKey](db, "token_keys", w),
	}
}

func (d *directory) Agents() roll.Table[roll.Agent]           { return d.agents }
func (d *directory) Branches() roll.Table[rollcall.Branch]    { return d.branches }
func (d *directory) Games() roll.Table[rollcall.Game]         { return d.games }
func (d *directory) Members() roll.Table[rollcall.Member]     { return d.members }
func (d *directory) GameServers() roll.Table[roll.GameServer] { return d.gameServers }
func (d *directory) AdminTokens() roll.Table[roll.AdminToken] { return d.adminTokens }
func (d *directory) TokenKeys() roll.Table[roll.TokenKey]     { return d.tokenKeys }
func (d *directory) Ping(ctx context.Context) error           { return d.db.ping(ctx) }

const (
	addAuditText = `INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)`
	// addAuditsText adds several, in their order.
	addAuditsText = `INSERT INTO audit (at, actor, action, subject, detail)
		SELECT at, actor, action, subject, detail
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS t(at, actor, action, subject, detail, n) ORDER BY n`
	auditText = `SELECT seq, at, actor, action, subject, detail FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2`
)

func (d *directory) Note(ctx context.Context, entries ...rollcall.AuditEntry) error {
	times := make([]int64, len(entries))
	var texts [4][]string
	for i := range entries {
		args := auditArgs(&entries[i])
		times[i], _ = args[0].(int64)
		for n := range texts {
			text, _ := args[n+1].(string)
			texts[n] = append(texts[n], text)
		}
	}
	_, err := d.db.exec(ctx, addAuditsText, times, texts[0], texts[1], texts[2], texts[3])
	return outage("note", err)
}

func auditArgs(e *rollcall.AuditEntry) []any {
	return []any{micros(e.At), plain(e.Actor), plain(e.Action), plain(e.Subject), plain(e.Detail)}
}

func (d *directory) Audit(ctx context.Context, before int64, limit int) ([]rollcall.AuditEntry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	entries := []rollcall.AuditEntry{}
	err := d.db.each(ctx, func(rows pgx.Rows) error {
		var e rollcall.AuditEntry
		var at int64
		err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &e.Detail)
		e.At = timeOf(at)
		entries = append(entries, e)
		return err
	}, auditText, before, max(0, limit))
	if err != nil {
		return nil, outage("list audit", err)
	}
	return entries, nil
}
