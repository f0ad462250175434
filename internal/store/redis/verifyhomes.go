package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/roll"
)

var lookScript = loadScript("look.lua")

// homes looks whether the sessions of homes can be read, belong there, and are in
// the indexes.
func (v *verifier) homes(of map[*part][]roll.Home) error {
	parts := slices.Collect(maps.Keys(of))
	commands := make([]command, len(parts))
	for i, p := range parts {
		keys := []string{p.combos()}
		for _, h := range of[p] {
			keys = append(keys, p.sessions(h))
		}
		commands[i] = lookScript.on(keys, p.index(""))
	}
	got, err := v.look("look at homes", commands)
	if err != nil {
		return err
	}
	for i, p := range parts {
		list, err := got[i].ToArray()
		if err != nil || len(list) != 2*len(of[p]) {
			return outage("look at homes", errors.Join(err, errRecord))
		}
		for n, h := range of[p] {
			if err := v.home(p, h, list[2*n], texts(list[2*n+1])); err != nil {
				return err
			}
		}
	}
	return nil
}

// look makes some commands, which may be none.
func (v *verifier) look(doing string, commands []command) ([]rueidis.RedisMessage, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	return v.s.engine.do(v.ctx, doing, commands...)
}

func (v *verifier) home(p *part, h roll.Home, m rueidis.RedisMessage, places []string) error {
	value, _ := text(m)
	where := fmt.Sprintf("home %08x", uint32(h))
	list, err := unpackAll(value)
	if err != nil {
		return v.found(faultDamaged, where, func() error { return v.salvage(p, h, value) })
	}
	v.report.Sessions += len(list)
	for i := range list {
		s := &list[i]
		switch {
		case !isHomeOf(h, s):
			err = v.found(faultHome, where+", session "+s.ID, func() error { return v.mendHome(p, h) })
		case len(places) < 2*i+2 || places[2*i] != micros(s.ExpiresAt):
			err = v.found(faultUnlisted, "session "+s.ID, func() error { return v.mendHome(p, h) })
		case places[2*i+1] == "" || number(places[2*i+1]) > s.ExpiresAt.UnixMicro():
			err = v.found(faultCombo, fmt.Sprintf("partition %02x, %s", p.n, comboOf(s)), func() error { return v.mendHome(p, h) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isHomeOf reports whether a session belongs to a home. A session of no member has
// the one that its ID names.
func isHomeOf(h roll.Home, s *rollcall.Session) bool {
	own, ok := roll.HomeOfSession(s.ID)
	return ok && own == h && (s.Username == "" || roll.HomeOf(s.AgentID, s.Username) == h)
}

// mendHome puts the sessions of a home into the indexes, and those that are of
// another one out of it: nobody finds them there.
func (v *verifier) mendHome(p *part, h roll.Home) error {
	g := &page{part: p, homes: []roll.Home{h}}
	return v.s.change(v.ctx, "mend a home", v.s.clock.Now(), []*page{g}, func(g *page) error {
		g.extra = func(c *program) {
			list := g.read[h].sessions
			kept := slices.DeleteFunc(slices.Clone(list), func(s rollcall.Session) bool { return !isHomeOf(h, &s) })
			for i := range list {
				s := &list[i]
				index := p.index(string(comboOf(s)))
				if isHomeOf(h, s) {
					c.do(index, "ZADD", micros(s.ExpiresAt), indexEntry(s))
				} else {
					c.do(index, "ZREM", indexEntry(s))
				}
				c.fix(p.combos(), index, string(comboOf(s)))
			}
			if len(kept) < len(list) {
				c.put(p.sessions(h), packAll(kept))
			}
		}
		return nil
	})
}

// put sets a string, or removes one that would be empty.
func (p *program) put(key, value string) {
	if value == "" {
		p.do(key, "DEL")
	} else {
		p.do(key, "SET", value)
	}
}

// salvage keeps of a home what can be read up to the damage.
func (v *verifier) salvage(p *part, h roll.Home, value string) error {
	var kept []rollcall.Session
	for rest := value; len(rest) >= recordHead; {
		n := int(rest[0])<<8 | int(rest[1])
		if n < recordHead || n > len(rest) {
			break
		}
		if s, err := unpack(rest[:n]); err == nil && isHomeOf(h, &s) {
			kept = append(kept, s)
		}
		rest = rest[n:]
	}
	c := newProgram()
	c.still(p.sessions(h), value, true)
	c.put(p.sessions(h), packAll(kept))
	if err := v.commit("mend a home", c); err != nil {
		return err
	}
	return v.mendHome(p, h)
}

// launches looks whether launches can be read and will be forgotten.
func (v *verifier) launches(homes []roll.Home) error {
	commands := make([]command, 0, 2*len(homes))
	for _, h := range homes {
		key := v.s.keys.of(h).launches(h)
		commands = append(commands, read("GET", key), read("PTTL", key))
	}
	got, err := v.look("look at launches", commands)
	if err != nil {
		return err
	}
	for i, h := range homes {
		value, there := text(got[2*i])
		left, _ := got[2*i+1].AsInt64()
		if !there {
			continue
		}
		list, err := unpackLaunches(h, value)
		v.report.Launches += len(list)
		if err == nil && left >= 0 || left == -2 { // -2: it went in between
			continue
		}
		err = v.found(faultLaunches, fmt.Sprintf("home %08x", uint32(h)), func() error {
			return v.mendLaunches(v.s.keys.of(h).launches(h), value, err == nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func unpackLaunches(h roll.Home, value string) (list []roll.Launch, err error) {
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return nil, errRecord
	}
	for i := range list {
		if own, ok := roll.HomeOfLaunch(list[i].Key); !ok || own != h {
			return list, errRecord
		}
	}
	return list, nil
}

// mendLaunches has launches forgotten in time. Those that cannot be read hold up
// every change of their member, and go: members launch again.
func (v *verifier) mendLaunches(key, value string, readable bool) error {
	c := newProgram()
	c.still(key, value, true)
	if readable {
		c.do(key, "PEXPIRE", strconv.FormatInt((roll.LaunchMemory+5*time.Minute).Milliseconds(), 10))
	} else {
		c.do(key, "DEL")
	}
	return v.commit("mend launches", c)
}
