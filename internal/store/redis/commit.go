package redis

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// A program is what commit.lua takes: what has to be, and what is then to be
// done, of keys in one slot.
type program struct {
	keys    []string
	numbers map[string]string // of keys
	guards  []string
	actions []string
}

func newProgram() *program { return &program{numbers: make(map[string]string)} }

func (p *program) key(key string) string {
	if n, ok := p.numbers[key]; ok {
		return n
	}
	p.keys = append(p.keys, key)
	p.numbers[key] = strconv.Itoa(len(p.keys))
	return p.numbers[key]
}

// still asks that the string at key is value, or that there is nothing.
func (p *program) still(key, value string, there bool) {
	if there {
		p.guards = append(p.guards, "G", p.key(key), value)
	} else {
		p.guards = append(p.guards, "A", p.key(key))
	}
}

// stillField asks that a hash has value in a field, or has no such field.
func (p *program) stillField(key, field, value string, there bool) {
	if there {
		p.guards = append(p.guards, "H", p.key(key), field, value)
	} else {
		p.guards = append(p.guards, "N", p.key(key), field)
	}
}

func (p *program) do(key, command string, args ...string) {
	p.actions = append(p.actions, "C", p.key(key), command, strconv.Itoa(len(args)))
	p.actions = append(p.actions, args...)
}

// fix puts a combo in its place among the combos.
func (p *program) fix(combos, index, combo string) {
	p.actions = append(p.actions, "F", p.key(combos), p.key(index), combo)
}

func (p *program) empty() bool { return len(p.actions) == 0 }

func (p *program) command() command {
	return commitScript.on(p.keys, append(p.guards, p.actions...)...)
}

// commit runs programs, each as one step, and returns which were done, and what
// their XADDs returned.
func (e *engine) commit(ctx context.Context, doing string, programs ...*program) (done []bool, added [][]string, err error) {
	commands := make([]command, len(programs))
	for i, p := range programs {
		commands[i] = p.command()
	}
	got, err := e.do(ctx, doing, commands...)
	if err != nil {
		return nil, nil, err
	}
	done, added = make([]bool, len(got)), make([][]string, len(got))
	for i := range got {
		if done[i], added[i], err = outcome(got[i]); err != nil {
			return nil, nil, outage(doing, err)
		}
	}
	return done, added, nil
}

func outcome(m rueidis.RedisMessage) (done bool, added []string, err error) {
	list, err := m.ToArray()
	if err != nil || len(list) == 0 {
		return false, nil, err
	}
	n, err := list[0].AsInt64()
	for _, id := range list[1:] {
		text, _ := text(id)
		added = append(added, text)
	}
	return n == 1, added, err
}
