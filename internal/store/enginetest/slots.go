package enginetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A nodeLine is one line of CLUSTER NODES:
//
//	id host:port@bus flags master ping-sent pong-received epoch link slots...
type nodeLine struct {
	id, addr string
	flags    []string
	epoch    int
	slots    []string // 5 or 5-9; those that are moving, [5->-id], are left out
}

func (l nodeLine) is(flag string) bool { return slices.Contains(l.flags, flag) }

func (l nodeLine) holds(slot int) bool {
	return slices.ContainsFunc(l.slots, func(text string) bool {
		first, last := slotRange(text)
		return first <= slot && slot <= last
	})
}

func slotRange(text string) (first, last int) {
	low, high, ok := strings.Cut(text, "-")
	first, _ = strconv.Atoi(low)
	if !ok {
		return first, first
	}
	last, _ = strconv.Atoi(high)
	return first, last
}

// linesOf asks a node how it sees the cluster.
func linesOf(node *RedisServer) ([]nodeLine, error) {
	text, err := ask(node.Addr(), "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	var lines []nodeLine
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES of %s has the line %q", node.Addr(), line)
		}
		l := nodeLine{id: fields[0], flags: strings.Split(fields[2], ",")}
		l.addr, _, _ = strings.Cut(fields[1], "@")
		if l.epoch, err = strconv.Atoi(fields[6]); err != nil {
			return nil, err
		}
		l.slots = slices.DeleteFunc(fields[8:], func(slot string) bool { return slot[0] == '[' })
		lines = append(lines, l)
	}
	return lines, nil
}

// slotOf computes a key's slot: CRC-16 (XMODEM) of what stands in its first
// braces, or of the whole.
func slotOf(key string) int {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			if carry := crc&0x8000 != 0; carry {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}

// Move gives the slot of a key to another master, with all keys in it, and
// returns that master. In between during is called, if it is not nil: then the
// slot is on its way, half of its keys there, and the masters answer ASK and
// TRYAGAIN.
func (c *RedisCluster) Move(key string, during func()) *RedisServer {
	c.t.Helper()
	from := c.MasterOf(key)
	to := c.otherMaster(from)
	c.move(slotOf(key), from, to, during)
	c.WaitOK()
	return to
}

// otherMaster returns the master with the fewest slots, but from.
func (c *RedisCluster) otherMaster(from *RedisServer) (other *RedisServer) {
	c.t.Helper()
	lines, err := linesOf(from)
	must(c.t, "find another master", err)
	least := slots + 1
	for _, l := range lines {
		i := slices.IndexFunc(c.nodes, func(s *RedisServer) bool { return s.Addr() == l.addr })
		if n := l.count(); i >= 0 && l.is("master") && !l.is("myself") && !l.is("fail") && n > 0 && n < least {
			other, least = c.nodes[i], n
		}
	}
	if other == nil {
		c.t.Fatal("find another master: there is none")
	}
	return other
}

func (l nodeLine) count() (n int) {
	for _, text := range l.slots {
		first, last := slotRange(text)
		n += last - first + 1
	}
	return n
}

// move does what redis-cli --cluster reshard does, for one slot.
func (c *RedisCluster) move(slot int, from, to *RedisServer, during func()) {
	c.t.Helper()
	number := strconv.Itoa(slot)
	fromID, toID := from.CLI("CLUSTER", "MYID"), to.CLI("CLUSTER", "MYID")
	to.CLI("CLUSTER", "SETSLOT", number, "IMPORTING", fromID)
	from.CLI("CLUSTER", "SETSLOT", number, "MIGRATING", toID)
	keys := c.keysIn(from, number)
	c.migrate(keys[:(len(keys)+1)/2], from, to)
	if during != nil {
		during()
	}
	for keys = c.keysIn(from, number); len(keys) > 0 && !c.t.Failed(); keys = c.keysIn(from, number) {
		c.migrate(keys, from, to)
	}
	// The new master first: were it the old one, the slot would be nobody's for
	// a moment.
	to.CLI("CLUSTER", "SETSLOT", number, "NODE", toID)
	for _, node := range c.running() {
		if lines, err := linesOf(node); node != to && err == nil && isMaster(lines) {
			node.CLI("CLUSTER", "SETSLOT", number, "NODE", toID)
		}
	}
}

func isMaster(lines []nodeLine) bool {
	return slices.ContainsFunc(lines, func(l nodeLine) bool { return l.is("myself") && l.is("master") })
}

func (c *RedisCluster) keysIn(node *RedisServer, slot string) []string {
	c.t.Helper()
	keys, err := askList(node.Addr(), "CLUSTER", "GETKEYSINSLOT", slot, "1000")
	must(c.t, "list keys", err)
	return keys
}

func (c *RedisCluster) migrate(keys []string, from, to *RedisServer) {
	if len(keys) > 0 {
		from.CLI(append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.port.number), "", "0", "5000", "KEYS"}, keys...)...)
	}
}

// Reshard gives n slots of node 0's part of the cluster, or of whoever has taken
// it over, to another master: those with keys first. It may run while the
// cluster is in use.
func (c *RedisCluster) Reshard(n int) {
	c.t.Helper()
	from, err := c.holder(slots / 6)
	must(c.t, "reshard", err)
	to := c.otherMaster(from)
	for _, slot := range fullest(c, from)[:n] {
		c.move(slot, from, to, nil)
	}
	c.WaitOK()
}

// fullest lists a master's slots, those with most keys first.
func fullest(c *RedisCluster, master *RedisServer) []int {
	c.t.Helper()
	lines, err := linesOf(master)
	must(c.t, "list slots", err)
	var mine []int
	var counts [][]string
	for slot := range slots {
		if slices.ContainsFunc(lines, func(l nodeLine) bool { return l.is("myself") && l.holds(slot) }) {
			mine, counts = append(mine, slot), append(counts, []string{"CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot)})
		}
	}
	replies, err := askAll(master.Addr(), counts...)
	must(c.t, "count keys", err)
	keys := make(map[int]int, len(mine))
	for i, slot := range mine {
		keys[slot], _ = strconv.Atoi(replies[i])
	}
	slices.SortStableFunc(mine, func(a, b int) int { return keys[b] - keys[a] })
	return mine
}
