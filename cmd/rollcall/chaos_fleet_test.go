package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A chaosNode is a rollcall that is killed and started again; its addresses are
// others each time.
type chaosNode struct {
	args []string
	at   atomic.Pointer[serving] // nil while it is down
	// ready is what its /readyz said last.
	ready atomic.Bool
}

func (n *chaosNode) start(t *testing.T) {
	t.Helper()
	path, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	n.at.Store(startServeBinary(t, path, n.args...))
}

// kill is kill -9.
func (n *chaosNode) kill() {
	n.at.Load().kill()
	n.at.Store(nil)
}

// stop is SIGTERM: who is asked by the balancer hears at once that it is not
// ready any more, and it takes calls until it has ended.
func (n *chaosNode) stop(t *testing.T) {
	t.Helper()
	n.at.Load().stop(t)
	n.at.Store(nil)
}

// A fleet is the nodes and a balancer in front of them: it gives each call to the
// next node that is ready, and repeats none. Where no node says that it is ready
// it tries all, as load balancers do.
type fleet struct {
	nodes []*chaosNode
	next  atomic.Uint64
	to    *http.Transport
}

const (
	fleetV2    = "http://rollcall.test"
	fleetAdmin = "http://admin.test"
	// fleetPatience is how long a node may take to say that it is ready.
	fleetPatience = time.Second
	fleetEvery    = 100 * time.Millisecond
)

var errNoNode = errors.New("no node runs")

// newFleet starts nodes, each with args and those that of adds.
func newFleet(t *testing.T, n int, args []string, of func(i int) []string) *fleet {
	t.Helper()
	f := &fleet{to: &http.Transport{MaxIdleConnsPerHost: 64}}
	for i := range n {
		node := &chaosNode{args: append(append([]string{}, args...), of(i)...)}
		node.start(t)
		f.nodes = append(f.nodes, node)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	t.Cleanup(func() {
		stop()
		watching.Wait()
		f.to.CloseIdleConnections()
	})
	for _, node := range f.nodes {
		watching.Go(func() { node.watch(ctx) })
	}
	eventually(t, "all nodes are ready", func() bool {
		for _, node := range f.nodes {
			if !node.ready.Load() {
				return false
			}
		}
		return true
	})
	return f
}

// watch asks a node again and again whether it is ready.
func (n *chaosNode) watch(ctx context.Context) {
	client := &http.Client{Timeout: fleetPatience}
	defer client.CloseIdleConnections()
	for pass(ctx, fleetEvery) {
		at := n.at.Load()
		if at == nil {
			n.ready.Store(false)
			continue
		}
		var said struct{ Status string }
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.admin+"/readyz", http.NoBody)
		if err != nil {
			continue
		}
		res, err := client.Do(req)
		if err != nil {
			n.ready.Store(false)
			continue
		}
		_ = json.NewDecoder(res.Body).Decode(&said)
		res.Body.Close()
		n.ready.Store(res.StatusCode == http.StatusOK && said.Status == "ready" && n.at.Load() == at)
	}
}

// pass lets time go by, and reports whether ctx has not ended meanwhile.
func pass(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// RoundTrip gives a call to a node.
func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	// Operators keep to one node: what they make there, the others know a moment
	// later.
	operator := r.URL.Host == "admin.test"
	node, at := f.pick(operator)
	if node == nil {
		return nil, errNoNode
	}
	base := at.v2
	if operator {
		base = at.admin
	}
	to, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = to.Scheme, to.Host, ""
	res, err := f.to.RoundTrip(r)
	if err != nil && r.Context().Err() == nil && node.at.Load() != at {
		node.ready.Store(false)
	}
	return res, err
}

func (f *fleet) pick(theFirst bool) (*chaosNode, *serving) {
	first := 0
	if !theFirst {
		first = int(f.next.Add(1))
	}
	for _, mustBeReady := range []bool{true, false} {
		for i := range f.nodes {
			n := f.nodes[(first+i)%len(f.nodes)]
			if at := n.at.Load(); at != nil && (!mustBeReady || n.ready.Load()) {
				return n, at
			}
		}
	}
	return nil, nil
}

// client is one of the balancer's.
func (f *fleet) client() *http.Client { return &http.Client{Transport: f, Timeout: 10 * time.Second} }
