package store

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

// ExportOptions configure an Export. The zero value works.
type ExportOptions struct {
	// Version and Source are for the header.
	Version, Source string
	// Progress, if set, is called every so often.
	Progress func(Progress)
}

// Export writes a dump of everything in the stores but nonces and launches, which
// live for minutes: members launch again. Nothing else may use the stores
// meanwhile (see Quiet), and what has ended has to be handed on to the history
// before. It takes a bounded amount of memory.
func Export(ctx context.Context, from *Stores, w io.Writer, o ExportOptions) (Summary, error) {
	now := from.Clock()
	e := &exporter{
		ctx: ctx, from: from, to: newDumpWriter(w), o: o, now: now,
		header: Header{Format: dumpFormat, ID: uuid.NewString(), At: now().UTC(), Rollcall: o.Version, Source: o.Source},
	}
	if err := from.carryOn(ctx); err != nil {
		return Summary{}, fmt.Errorf("export: %w", err)
	}
	for _, step := range []func() error{e.begin, e.directory, e.audit, e.requests, e.ended, e.deliveries, e.live} {
		if err := step(); err != nil {
			return Summary{}, fmt.Errorf("export: %w", err)
		}
	}
	sum, err := e.to.end(&e.header)
	if err != nil {
		return sum, fmt.Errorf("export: %w", err)
	}
	return sum, nil
}

// pageSize is how many records are read at once.
const pageSize = 1000

type exporter struct {
	ctx    context.Context
	from   *Stores
	to     *dumpWriter
	o      ExportOptions
	header Header
	now    func() time.Time
}

func (e *exporter) put(kind string, value any) error { return e.to.put(kind, value) }

// tell reports progress; done below 0 is not known.
func (e *exporter) tell(kind string, done float64) {
	if e.o.Progress != nil {
		e.o.Progress(Progress{Kind: kind, Records: e.to.sums.count[kind], Done: done})
	}
}

func (e *exporter) begin() error { return e.put(kindHeader, e.header) }

func (e *exporter) directory() error {
	d := e.from.Directory
	for _, table := range []func() error{
		func() error { return exportTable(e, kindBranch, d.Branches(), branchKey) },
		func() error { return exportTable(e, kindGame, d.Games(), gameKey) },
		func() error { return exportTable(e, kindAgent, d.Agents(), agentKey) },
		func() error { return exportTable(e, kindMember, d.Members(), memberKey) },
		func() error { return exportTable(e, kindGameServer, d.GameServers(), gameServerKey) },
		func() error { return exportTable(e, kindAdminToken, d.AdminTokens(), adminTokenKey) },
		func() error { return exportTable(e, kindTokenKey, d.TokenKeys(), tokenKeyKey) },
	} {
		if err := table(); err != nil {
			return err
		}
	}
	return nil
}

// The keys of the tables' values.
func branchKey(b *rollcall.Branch) string     { return b.ID }
func gameKey(g *rollcall.Game) string         { return g.Code }
func agentKey(a *roll.Agent) string           { return a.ID }
func memberKey(m *rollcall.Member) string     { return roll.MemberKey(m.AgentID, m.Username) }
func gameServerKey(g *roll.GameServer) string { return g.ID }
func adminTokenKey(a *roll.AdminToken) string { return a.Name }
func tokenKeyKey(k *roll.TokenKey) string     { return k.ID }

func exportTable[T any](e *exporter, kind string, table roll.Table[T], key func(*T) string) error {
	return pages(e, kind, func(after string) ([]*T, error) { return table.List(e.ctx, "", after, pageSize) }, key, nil)
}

// pages writes what page returns, until it returns less than a page. age, where
// there is one, says how far in the time that all of it spans a key is.
func pages[T any](e *exporter, kind string, page func(after string) ([]T, error), key func(T) string, age func(key string) float64) error {
	for after := ""; ; {
		list, err := page(after)
		if err != nil {
			return err
		}
		for i := range list {
			if err := e.put(kind, list[i]); err != nil {
				return err
			}
		}
		if len(list) < pageSize {
			return nil
		}
		after = key(list[len(list)-1])
		done := -1.0
		if age != nil {
			done = age(after)
		}
		e.tell(kind, done)
	}
}

// audit writes the entries oldest first. The store lists them newest first, so
// they are read in windows of as many as a page holds.
func (e *exporter) audit() error {
	newest, err := e.from.Directory.Audit(e.ctx, 0, 1)
	if err != nil || len(newest) == 0 {
		return err
	}
	for last := int64(0); last < newest[0].Seq; last += pageSize {
		list, err := e.from.Directory.Audit(e.ctx, last+pageSize+1, pageSize)
		if err != nil {
			return err
		}
		for _, entry := range slices.Backward(list) {
			if entry.Seq <= last {
				continue
			}
			if err := e.put(kindAudit, entry); err != nil {
				return err
			}
		}
		e.tell(kindAudit, float64(last)/float64(newest[0].Seq))
	}
	return nil
}

func (e *exporter) requests() error {
	return pages(e, kindRequest, func(after string) ([]rollcall.RequestRecord, error) {
		return e.from.History.RequestsAfter(e.ctx, after, pageSize)
	}, func(r rollcall.RequestRecord) string { return r.LogUUID }, e.byAge())
}

func (e *exporter) ended() error {
	return pages(e, kindEnded, func(after string) ([]rollcall.EndedSession, error) {
		return e.from.History.EndedAfter(e.ctx, after, pageSize)
	}, func(s rollcall.EndedSession) string { return s.ID }, e.byAge())
}

// byAge tells by the time in an ID how much of what is listed by ID is done: from
// the first one that it is asked of until now.
func (e *exporter) byAge() func(id string) float64 {
	var first time.Time
	return func(id string) float64 {
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 {
			return -1
		}
		at := time.Unix(u.Time().UnixTime())
		if first.IsZero() {
			first = at
		}
		whole := e.header.At.Sub(first)
		if whole <= 0 {
			return -1
		}
		return min(1, float64(at.Sub(first))/float64(whole))
	}
}

func (e *exporter) deliveries() error {
	for _, dead := range []bool{false, true} {
		err := pages(e, kindDelivery, func(after string) ([]rollcall.WebhookDelivery, error) {
			return e.from.History.DeliveriesOf(e.ctx, "", dead, after, pageSize)
		}, func(d rollcall.WebhookDelivery) string { return d.ID }, nil)
		if err != nil {
			return err
		}
	}
	return nil
}
