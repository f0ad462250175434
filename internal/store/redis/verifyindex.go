package redis

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// indexes looks whether the entries of a partition's indexes have their sessions.
func (v *verifier) indexes(p *part) error {
	got, err := v.s.engine.do(v.ctx, "list combos", read("ZRANGE", p.combos(), "0", "-1"))
	if err != nil {
		return err
	}
	names := texts(got[0])
	list := make([]index, len(names))
	for i, name := range names {
		list[i] = index{p, combo(name)}
	}
	if err := v.places(list); err != nil {
		return err
	}
	for _, name := range names {
		for from := 0; ; {
			entries, ghosts, err := v.entries(p, combo(name), from)
			if err != nil {
				return err
			}
			if entries < indexSome {
				break
			}
			from += entries
			if v.repair {
				from -= ghosts
			}
		}
	}
	return nil
}

// entries looks at some entries of an index, and returns how many there were and
// how many of them had no session.
func (v *verifier) entries(p *part, of combo, from int) (count, ghosts int, err error) {
	got, err := v.s.engine.do(v.ctx, "read an index",
		read("ZRANGE", p.index(string(of)), strconv.Itoa(from), strconv.Itoa(from+indexSome-1)))
	if err != nil {
		return 0, 0, err
	}
	list := texts(got[0])
	v.report.Entries += len(list)
	held, err := v.held(p, of, list)
	if err != nil {
		return 0, 0, err
	}
	for _, text := range list {
		if held[text] {
			continue
		}
		ghost, err := v.isGhost(p, of, text)
		if err != nil {
			return 0, 0, err
		}
		if !ghost {
			continue
		}
		ghosts++
		if err := v.found(faultGhost, fmt.Sprintf("partition %02x, %s", p.n, of), func() error { return v.mendEntry(p, of, text) }); err != nil {
			return 0, 0, err
		}
	}
	return len(list), ghosts, nil
}

// held returns which of the entries have their sessions.
func (v *verifier) held(p *part, of combo, list []string) (map[string]bool, error) {
	var homes []roll.Home
	for _, text := range list {
		if e, ok := entryOf(text); ok && v.s.keys.of(e.home) == p {
			homes = append(homes, e.home)
		}
	}
	slices.Sort(homes)
	homes = slices.Compact(homes)
	commands := make([]command, len(homes))
	for i, h := range homes {
		commands[i] = read("GET", p.sessions(h))
	}
	held := make(map[string]bool)
	if len(commands) == 0 {
		return held, nil
	}
	values, err := v.s.engine.strings(v.ctx, "look at homes", commands...)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		sessions, _ := unpackAll(value) // what cannot be read was found before
		for i := range sessions {
			if comboOf(&sessions[i]) == of {
				held[indexEntry(&sessions[i])] = true
			}
		}
	}
	return held, nil
}

var ghostScript = newScript(`return {redis.call('ZSCORE', KEYS[1], ARGV[1]), redis.call('GET', KEYS[2])}`)

// isGhost looks at an entry and its home as of one moment: the session may have
// ended after its entry was read.
func (v *verifier) isGhost(p *part, of combo, entry string) (bool, error) {
	e, ok := entryOf(entry)
	if !ok || v.s.keys.of(e.home) != p {
		return true, nil
	}
	got, err := v.s.engine.do(v.ctx, "look at an entry", ghostScript.on([]string{p.index(string(of)), p.sessions(e.home)}, entry))
	if err != nil {
		return false, err
	}
	pair, _ := got[0].ToArray()
	if len(pair) == 0 || pair[0].IsNil() {
		return false, nil // gone, with its session
	}
	value := ""
	if len(pair) > 1 {
		value, _ = text(pair[1])
	}
	sessions, _ := unpackAll(value)
	for i := range sessions {
		if indexEntry(&sessions[i]) == entry && comboOf(&sessions[i]) == of {
			return false, nil
		}
	}
	return true, nil
}

// mendEntry takes out an entry, if there is still no session that it stands for.
func (v *verifier) mendEntry(p *part, of combo, text string) error {
	remove := func(c *program) {
		c.do(p.index(string(of)), "ZREM", text)
		c.fix(p.combos(), p.index(string(of)), string(of))
	}
	e, ok := entryOf(text)
	if !ok || v.s.keys.of(e.home) != p {
		c := newProgram()
		remove(c)
		return v.commit("mend an index", c)
	}
	g := &page{part: p, homes: []roll.Home{e.home}}
	return v.s.change(v.ctx, "mend an index", v.s.clock.Now(), []*page{g}, func(g *page) error {
		g.extra = func(c *program) {
			if held := g.holds(e.id, e.home); held == nil || comboOf(held) != of || indexEntry(held) != text {
				remove(c)
			}
		}
		return nil
	})
}

var placeScript = newScript(`return {redis.call('ZSCORE', KEYS[1], ARGV[1]), redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')}`)

// places looks whether indexes have their places among the combos: by the end of
// their first lease, or earlier.
func (v *verifier) places(indexes []index) error {
	commands := make([]command, len(indexes))
	for i, x := range indexes {
		commands[i] = placeScript.on([]string{x.part.combos(), x.part.index(string(x.combo))}, string(x.combo))
	}
	got, err := v.look("look at combos", commands)
	if err != nil {
		return err
	}
	for i, x := range indexes {
		pair, err := got[i].ToArray()
		if err != nil || len(pair) != 2 {
			return outage("look at combos", errors.Join(err, errRecord))
		}
		place, placed := text(pair[0])
		first := texts(pair[1])
		if len(first) == 2 && placed && number(place) <= number(first[1]) || len(first) == 0 && !placed {
			continue
		}
		if err := v.found(faultCombo, fmt.Sprintf("partition %02x, %s", x.part.n, x.combo), func() error { return v.mendPlace(x) }); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) mendPlace(x index) error {
	c := newProgram()
	c.fix(x.part.combos(), x.part.index(string(x.combo)), string(x.combo))
	return v.commit("mend a combo", c)
}
