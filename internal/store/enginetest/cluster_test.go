package enginetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	var c *RedisCluster
	quick(t, "start", 20*time.Second, func() { c = Cluster(t) })
	if url := c.URL(); !strings.HasPrefix(url, "redis+cluster://127.0.0.1:") || strings.Count(url, ",") != 2 {
		t.Errorf("got %s", url)
	}
	for i := range 3 {
		want(t, "role", strings.Split(c.Node(i).CLI("ROLE"), "\n")[0], "master")
		want(t, "master of a replica", strings.Split(c.Node(i+3).CLI("ROLE"), "\n")[2], strings.Split(c.Node(i).Addr(), ":")[1])
	}
	master := c.MasterOf("name")
	master.CLI("SET", "name", "value")
	want(t, "replicas", master.CLI("WAIT", "1", "5000"), "1")
	quick(t, "failover", 20*time.Second, func() {
		master.Kill()
		c.WaitOK()
	})
	next := c.MasterOf("name")
	if next == master {
		t.Error("got the master that was killed")
	}
	want(t, "value", next.CLI("GET", "name"), "value")
	quick(t, "return", 20*time.Second, func() { master.Restart(); c.WaitOK() })
	want(t, "role", strings.Split(master.CLI("ROLE"), "\n")[0], "slave")
}

func TestClusterMove(t *testing.T) {
	c := Cluster(t)
	for i := range 10 {
		c.MasterOf("{a}").CLI("SET", fmt.Sprint("{a}", i), strconv.Itoa(i))
	}
	from := c.MasterOf("{a}")
	halves := ""
	to := c.Move("{a}", func() {
		_, err := ask(from.Addr(), "MGET", "{a}0", "{a}1", "{a}2", "{a}3", "{a}4", "{a}5", "{a}6", "{a}7", "{a}8", "{a}9")
		halves = fmt.Sprint(err)
	})
	if !strings.Contains(halves, "TRYAGAIN") {
		t.Errorf("in between: got %s, want TRYAGAIN", halves)
	}
	if to == from || c.MasterOf("{a}") != to {
		t.Errorf("got %s, then %s, want another than %s", to.Addr(), c.MasterOf("{a}").Addr(), from.Addr())
	}
	for i := range 10 {
		want(t, "value", to.CLI("GET", fmt.Sprint("{a}", i)), strconv.Itoa(i))
	}
	if _, err := ask(from.Addr(), "GET", "{a}1"); err == nil || !strings.Contains(err.Error(), "MOVED") {
		t.Errorf("got %v, want MOVED", err)
	}

	before := slotsOf(t, c.Node(0))
	quick(t, "reshard 20 slots", 20*time.Second, func() { c.Reshard(20) })
	if after := slotsOf(t, c.Node(0)); after != before-20 {
		t.Errorf("got %d slots after %d, want 20 less", after, before)
	}
}

func slotsOf(t *testing.T, node *RedisServer) (n int) {
	t.Helper()
	lines, err := linesOf(node)
	must(t, "list", err)
	for _, l := range lines {
		if l.is("myself") {
			n = l.count()
		}
	}
	return n
}

func TestSlotOf(t *testing.T) {
	s := Redis(t, "--cluster-enabled", "yes")
	for _, key := range []string{"", "a", "123456789", "{a}b", "x{a}b", "{}b", "{a", "a}", "{{a}}b", "x{a}{b}", "user:{42}:s", "\x00\xff{é}"} {
		want(t, strconv.Quote(key), strconv.Itoa(slotOf(key)), s.CLI("CLUSTER", "KEYSLOT", key))
	}
}
