package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// slots is how many a Redis Cluster has.
const slots = 16384

// RedisCluster is a Redis Cluster of three masters and three replicas. They take a node
// that is silent for a second to be down.
type RedisCluster struct {
	t     testing.TB
	nodes []*RedisServer
}

// clustered goes beyond settings. A replica takes over however long it was apart,
// so that a slow machine changes nothing.
const clustered = settings + `cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 1000
cluster-replica-validity-factor 0
`

// Cluster starts three masters, nodes 0 to 2, with a third of the slots each,
// and three replicas, nodes 3 to 5, in the same order. args are settings of all.
func Cluster(t testing.TB, args ...string) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	for i := range 6 {
		node := newRedis(t, fmt.Sprint("node", i), args)
		node.configure(clustered)
		node.start()
		c.nodes = append(c.nodes, node)
	}
	c.form()
	c.WaitOK()
	return c
}

// form makes one cluster of the nodes.
func (c *RedisCluster) form() {
	c.t.Helper()
	for i, node := range c.nodes {
		node.CLI("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i < 3 {
			node.CLI("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(slots*i/3), strconv.Itoa(slots*(i+1)/3-1))
		}
		for _, other := range c.nodes[:i] { // each two, so that none has to be heard of
			node.CLI("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.port.number))
		}
	}
	must(c.t, "meet", until(nil, c.met))
	for i, replica := range c.nodes[3:] {
		replica.CLI("CLUSTER", "REPLICATE", c.nodes[i].CLI("CLUSTER", "MYID"))
	}
	must(c.t, "replicate", until(nil, c.replicated))
}

// met says which node does not know all others.
func (c *RedisCluster) met() error {
	for _, node := range c.nodes {
		lines, err := linesOf(node)
		if err != nil {
			return err
		}
		known := slices.DeleteFunc(lines, func(l nodeLine) bool { return l.is("handshake") })
		if len(known) != len(c.nodes) {
			return fmt.Errorf("%s knows %d nodes", node.Addr(), len(known))
		}
	}
	return nil
}

// replicated says which node does not know of three replicas.
func (c *RedisCluster) replicated() error {
	for _, node := range c.nodes {
		lines, err := linesOf(node)
		if err != nil {
			return err
		}
		replicas := slices.DeleteFunc(lines, func(l nodeLine) bool { return !l.is("slave") })
		if len(replicas) != 3 {
			return fmt.Errorf("%s knows %d replicas", node.Addr(), len(replicas))
		}
	}
	return nil
}

// URL returns redis+cluster://H:P,H:P,H:P, of the first three nodes.
func (c *RedisCluster) URL() string { return "redis+cluster://" + addrs(c.nodes[:3]) }

// Node returns node i, of 0 to 5.
func (c *RedisCluster) Node(i int) *RedisServer { return c.nodes[i] }

// Kill ends node i by SIGKILL.
func (c *RedisCluster) Kill(i int) { c.t.Helper(); c.nodes[i].Kill() }

// MasterOf returns the master that holds a key's slot now, as that master itself
// says.
func (c *RedisCluster) MasterOf(key string) *RedisServer {
	c.t.Helper()
	var master *RedisServer
	must(c.t, "find the master of "+key, until(nil, func() (err error) {
		master, err = c.holder(slotOf(key))
		return err
	}))
	return master
}

// holder finds the master of a slot. Of several that think to be it, the one
// with the latest epoch is.
func (c *RedisCluster) holder(slot int) (holder *RedisServer, err error) {
	epoch := -1
	for _, node := range c.running() {
		lines, err := linesOf(node)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if l.is("myself") && l.is("master") && l.epoch > epoch && l.holds(slot) {
				holder, epoch = node, l.epoch
			}
		}
	}
	if holder == nil {
		return nil, fmt.Errorf("nobody holds slot %d", slot)
	}
	return holder, nil
}

// running returns the nodes that can be asked: neither ended nor paused.
func (c *RedisCluster) running() []*RedisServer {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(node *RedisServer) bool { return !node.p.answering() })
}

// WaitOK returns when all nodes that run, and are not paused, see the same
// masters, all of them running, every slot is served and every replica is in
// step: after a start, a failover or a return.
func (c *RedisCluster) WaitOK() {
	c.t.Helper()
	must(c.t, "wait for the cluster", until(nil, c.wrong))
}

func (c *RedisCluster) wrong() error {
	running := c.running()
	if len(running) == 0 {
		return errors.New("no node runs")
	}
	var same string
	for i, node := range running {
		info, err := askAll(node.Addr(), []string{"CLUSTER", "INFO"}, []string{"INFO", "replication"})
		switch {
		case err != nil:
			return err
		case !strings.Contains(info[0], "cluster_state:ok\r"), !strings.Contains(info[0], fmt.Sprintf("cluster_slots_ok:%d\r", slots)):
			return fmt.Errorf("%s: %s", node.Addr(), strings.Join(strings.Fields(info[0])[:4], " "))
		case strings.Contains(info[1], "master_link_status:down\r"):
			return fmt.Errorf("%s is not in step with its master", node.Addr())
		}
		masters, err := c.masters(node, running)
		switch {
		case err != nil:
			return err
		case i > 0 && masters != same:
			return fmt.Errorf("%s and %s see other masters:\n%s\n%s", running[0].Addr(), node.Addr(), same, masters)
		}
		same = masters
	}
	return nil
}

// masters returns the masters and their slots as a node sees them, and an error
// where it counts on one that does not run.
func (c *RedisCluster) masters(node *RedisServer, running []*RedisServer) (string, error) {
	lines, err := linesOf(node)
	if err != nil {
		return "", err
	}
	var masters []string
	for _, l := range lines {
		if !l.is("master") || len(l.slots) == 0 {
			continue
		}
		if !slices.ContainsFunc(running, func(s *RedisServer) bool { return s.Addr() == l.addr }) {
			return "", fmt.Errorf("%s counts on %s, which does not run", node.Addr(), l.addr)
		}
		masters = append(masters, fmt.Sprint(l.addr, l.slots))
	}
	slices.Sort(masters)
	return strings.Join(masters, " "), nil
}
