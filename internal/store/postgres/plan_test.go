package postgres

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// A plan is a query and what it is asked with.
type plan struct {
	name, text string
	args       []any
}

// plansOf are the queries of what grows.
func plansOf(s *Store, now time.Time) []plan {
	members := s.directory.members
	page, from := members.selectPage("agent001/", "agent001/player1")
	firstPage, first := members.selectPage("agent001/", "")
	around := func(f rollcall.SessionFilter) plan {
		text, args, _ := aroundQuery(now.Add(-time.Hour), &f, "", 100)
		return plan{"around " + f.String(), text, args}
	}
	id, late := newID(now.Add(-time.Hour)), micros(now)
	return []plan{
		{"member", members.selectByKey(), []any{"agent001/player1"}},
		{"members", page, []any{from, "agent001/\x7f", 100}},
		{"members, first page", firstPage, []any{first, "agent001/\x7f", 100}},
		{"audit", auditText, []any{int64(1000), 100}},
		{"request", requestText, []any{id}},
		{"requests after", requestsAfterText, []any{id, 1000}},
		{"old requests", s.history.requestDays.oldText(), []any{late - day.Microseconds(), 5000}},
		{"ended", endedText, []any{[]string{id, newID(now)}}},
		{"ended of", endedOfText, []any{"agent001", "player1", aboveAll, 100}},
		{"ended after", endedAfter, []any{id, 1000}},
		{"settle", settleText, []any{"paid", late, id, "server1"}},
		{"old ended", s.history.endedDays.oldText(), []any{late - day.Microseconds(), 5000}},
		around(rollcall.SessionFilter{}),
		around(rollcall.SessionFilter{AgentID: "agent001"}),
		around(rollcall.SessionFilter{AgentID: "agent001", Username: "player1"}),
		around(rollcall.SessionFilter{SessionID: id}),
		{"claim", claimText, []any{late, 10, []string{"agent002"}, 100, late}},
		{"delivery", `SELECT next, doc FROM deliveries WHERE id = $1`, []any{id}},
		{"live deliveries", deliveriesText(false, false), []any{id, 100}},
		{"dead deliveries", deliveriesText(true, false), []any{id, 100}},
		{"live deliveries of", deliveriesText(false, true), []any{id, 100, "agent001"}},
		{"dead deliveries of", deliveriesText(true, true), []any{id, 100, "agent001"}},
		{"put delivery", putDeliveryText, []any{"agent001", late, 0, late, "{}", id}},
		{"prune deliveries", pruneDeliveriesText, []any{late, 5000}},
	}
}

// explain returns PostgreSQL's plan of a prepared query: mode says whether it is
// made for these arguments or for any, of which PostgreSQL chooses one.
func explain(t *testing.T, on *pgx.Conn, p plan, mode, options string) string {
	t.Helper()
	var literals []string
	for _, arg := range p.args {
		literals = append(literals, literal(arg))
	}
	for _, text := range []string{`SET plan_cache_mode = ` + mode, `DEALLOCATE ALL`, `PREPARE q AS ` + p.text} {
		_, err := on.Exec(t.Context(), text)
		must(t, err)
	}
	var lines []string
	must(t, each(t.Context(), on, func(rows pgx.Rows) error {
		var line string
		err := rows.Scan(&line)
		lines = append(lines, line)
		return err
	}, `EXPLAIN `+options+` EXECUTE q (`+strings.Join(literals, ", ")+`)`, pgx.QueryExecModeSimpleProtocol))
	return strings.Join(lines, "\n")
}

func literal(arg any) string {
	switch arg := arg.(type) {
	case string:
		return "'" + arg + "'"
	case []string:
		return "ARRAY['" + strings.Join(arg, "', '") + "']"
	case []int16, []int64:
		return "'{" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(arg), "[]")), ",") + "}'"
	}
	return fmt.Sprint(arg)
}

var modes = []string{"force_custom_plan", "force_generic_plan"}

// wholeTable finds that a table is read from end to end; an empty _rest and the
// days that nothing is in yet may be.
var wholeTable = regexp.MustCompile(`Seq Scan on (members|audit|deliveries|(requests|ended)_(2\d+))\b`)

// What grows is read by ranges of its indexes, whether PostgreSQL plans for the
// arguments or for any.
func TestNoQueryReadsATable(t *testing.T) {
	server := enginetest.Postgres(t)
	s := open(t, server.Database(t), Options{})
	defer func() { must(t, s.Close()) }()
	now := time.Now()
	fill(t, s, now)
	conn, err := pgx.ConnectConfig(t.Context(), s.watch.config)
	must(t, err)
	defer func() { must(t, conn.Close(t.Context())) }()
	for _, p := range plansOf(s, now) {
		for _, mode := range modes {
			got := explain(t, conn, p, mode, "")
			for _, found := range wholeTable.FindAllStringSubmatch(got, -1) {
				if strings.HasPrefix(found[1], "requests_") || strings.HasPrefix(found[1], "ended_") {
					if server.SQL(s.db.pool.Config().ConnString(), `SELECT NOT EXISTS (SELECT FROM `+found[1]+`)`) == "t" {
						continue
					}
				}
				t.Errorf("%s, %s: reads the whole of %s:\n%s\n%s", p.name, mode, found[1], p.text, got)
				break
			}
		}
	}
}

// fill puts so much into each table that PostgreSQL has reason not to read it
// from end to end.
func fill(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	var records []rollcall.RequestRecord
	var sessions []rollcall.EndedSession
	var deliveries []rollcall.WebhookDelivery
	for i := range 8000 {
		at := now.Add(-time.Duration(i) * 48 * time.Hour / 8000)
		records = append(records, record(at))
		e := ended(fmt.Sprint("player", i%2000), at, time.Duration(i%100)*time.Minute)
		e.AgentID = fmt.Sprintf("agent%03d", i%50)
		sessions = append(sessions, e)
		d := rollcall.WebhookDelivery{ID: newID(at) + "-ended", AgentID: fmt.Sprintf("agent%03d", i%50), Body: []byte(`{}`), CreatedAt: at, NextAt: at}
		if i%40 == 0 {
			d.DeadAt = at
		}
		deliveries = append(deliveries, d)
	}
	must(t, s.history.AddRequests(t.Context(), records))
	must(t, s.history.AddEnded(t.Context(), sessions))
	must(t, s.history.AddDeliveries(t.Context(), deliveries))
	for _, text := range []string{
		`INSERT INTO members SELECT 'agent' || lpad((n % 50)::text, 3, '0') || '/player' || n / 50, '{}' FROM generate_series(1, 20000) n`,
		`INSERT INTO audit (at, actor, action, subject, detail) SELECT n, 'test', 'change', 'a1', '' FROM generate_series(1, 20000) n`,
		`ANALYZE members, audit, requests, ended, deliveries`,
	} {
		_, err := s.db.pool.Exec(t.Context(), text)
		must(t, err)
	}
}
