package main

import (
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/internal/store/enginetest"
)

// Each fault strikes a world of its own, with several nodes and under load. What
// clients were answered is held against what is there, all the while and at the
// end. A run is some seconds; for figures ROLLCALL_TEST_CHAOS=1m puts each world
// under load for that long.

func TestChaosRedis(t *testing.T) {
	r := enginetest.Redis(t)
	runChaos(t, &bed{sessions: r.URL(), redis: r, pg: enginetest.OwnPostgres(t)}, append(redisFaults(), nodeFaults()...))
}

func TestChaosPostgres(t *testing.T) {
	r := enginetest.Redis(t)
	runChaos(t, &bed{sessions: r.URL(), redis: r, pg: enginetest.OwnPostgres(t)}, postgresFaults())
}

func TestChaosSentinel(t *testing.T) {
	s := enginetest.Sentinel(t)
	runChaos(t, &bed{sessions: s.URL(), sentinel: s, pg: enginetest.OwnPostgres(t)}, sentinelFaults())
}

func TestChaosCluster(t *testing.T) {
	k := enginetest.Cluster(t)
	runChaos(t, &bed{sessions: k.URL(), cluster: k, pg: enginetest.OwnPostgres(t)}, clusterFaults())
}

func runChaos(t *testing.T, b *bed, faults []chaosFault) {
	t.Helper()
	if testing.Short() {
		faults = faults[:1]
	}
	for i := range faults {
		t.Run(faults[i].name, func(t *testing.T) { newChaos(t, b, &faults[i]).run() })
	}
}

// lasts is how long an outage lasts: shorter in a run of some seconds.
func (c *chaos) lasts(short, long time.Duration) {
	if chaosLoad(c.T) == 0 {
		long = short
	}
	pass(c.life, long)
}

func redisFaults() []chaosFault {
	return []chaosFault{
		{name: "redis-killed", forgets: true, strike: func(c *chaos) {
			c.redis.Kill()
			c.lasts(time.Second, 2*time.Second)
			c.redis.Restart()
		}},
		{name: "redis-paused", lease: 18 * time.Second, strike: func(c *chaos) {
			c.redis.Pause()
			c.lasts(4*time.Second, 10*time.Second)
			c.redis.Resume()
		}},
		{name: "redis-flushed", forgets: true, strike: func(c *chaos) { c.redis.CLI("FLUSHALL") }},
		{name: "redis-full", strike: func(c *chaos) {
			c.redis.CLI("CONFIG", "SET", "maxmemory", "100kb")
			c.lasts(2*time.Second, 3*time.Second)
			c.redis.CLI("CONFIG", "SET", "maxmemory", "0")
		}},
		{name: "redis-read-only", forgets: true, strike: func(c *chaos) {
			c.redis.CLI("REPLICAOF", "127.0.0.1", "1")
			c.lasts(2*time.Second, 3*time.Second)
			c.redis.CLI("REPLICAOF", "NO", "ONE")
		}},
	}
}

func nodeFaults() []chaosFault {
	offsets := [][]string{nil, {"--clock-offset", "7m"}, {"--clock-offset", "-7m"}}
	return []chaosFault{
		{name: "none", strike: func(*chaos) {}},
		{name: "nodes-killed", nodes: 3, strike: func(c *chaos) {
			for _, n := range c.fleet.nodes {
				n.kill()
				c.lasts(500*time.Millisecond, 3*time.Second)
				n.start(c.T)
				c.lasts(500*time.Millisecond, 3*time.Second)
			}
		}},
		{name: "rolling-restart", nodes: 3, strike: func(c *chaos) {
			for _, n := range c.fleet.nodes {
				n.stop(c.T)
				n.start(c.T)
				eventually(c.T, "the node is ready", n.ready.Load)
			}
		}},
		{name: "clocks-off", nodes: 3, of: func(i int) []string { return offsets[i] }, strike: func(*chaos) {}},
	}
}

func postgresFaults() []chaosFault {
	return []chaosFault{
		{name: "postgres-killed", strike: func(c *chaos) {
			c.pg.Kill()
			c.lasts(time.Second, 3*time.Second)
			c.pg.Restart()
		}},
		{name: "postgres-paused", lease: 12 * time.Second, strike: func(c *chaos) {
			c.pg.Pause()
			c.lasts(3*time.Second, 5*time.Second)
			c.pg.Resume()
		}},
		{name: "postgres-deaf", nodes: 3, strike: (*chaos).blockDeaf},
	}
}

func sentinelFaults() []chaosFault {
	return []chaosFault{
		{name: "sentinel-master-killed", forgets: true, strike: func(c *chaos) {
			was := c.sentinel.KillMaster()
			c.sentinel.WaitFailover(was)
			was.Restart()
			c.sentinel.WaitFollow()
		}},
		{name: "sentinel-master-paused", forgets: true, strike: func(c *chaos) {
			was := c.sentinel.Master()
			was.Pause()
			c.lasts(4*time.Second, 10*time.Second)
			was.Resume()
			c.sentinel.WaitFollow()
		}},
		{name: "sentinel-replicas-behind", forgets: true, strike: (*chaos).loseMaster},
		{name: "sentinel-replicas-awaited", strike: (*chaos).loseMaster, of: func(int) []string { return []string{"--redis-replicas", "1"} }},
	}
}

// loseMaster kills a master whose replicas lack its last moments.
func (c *chaos) loseMaster() {
	for _, s := range c.sentinel.Servers() {
		if s != c.sentinel.Master() {
			s.CLI("REPLICAOF", "127.0.0.1", "1")
		}
	}
	pass(c.life, 700*time.Millisecond)
	was := c.sentinel.KillMaster()
	c.sentinel.WaitFailover(was)
	was.Restart()
	c.sentinel.WaitFollow()
}

func clusterFaults() []chaosFault {
	return []chaosFault{
		{name: "cluster-master-killed", forgets: true, strike: func(c *chaos) {
			c.cluster.Kill(0)
			c.cluster.WaitOK()
			c.cluster.Node(0).Restart()
			c.cluster.WaitOK()
		}},
		{name: "cluster-resharded", strike: func(c *chaos) { c.cluster.Reshard(60) }},
	}
}
