package server

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rollcall-server/rollcall/internal/roll"
)

// Metrics are what /metrics tells. They are made before the stores, which report
// to them.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	drops    prometheus.Counter
	commits  prometheus.Histogram
	changes  prometheus.Counter
	games    *prometheus.CounterVec
	streams  prometheus.Gauge
	refusals *prometheus.CounterVec
	locally  prometheus.Counter
	others   *calls // of paths that are no endpoint
}

// NewMetrics makes Metrics with all counts at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_requests_total",
			Help: "v2 requests by endpoint and answered code.",
		}, []string{"endpoint", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "rollcall_request_duration_seconds",
			Help:    "Time from the headers read to the answer made, by endpoint.",
			Buckets: prometheus.ExponentialBuckets(25e-6, 2, 18),
		}, []string{"endpoint"}),
		drops: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_request_records_dropped_total",
			Help: "Request records that were not stored, because the queue was full or the store failed.",
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "rollcall_commit_duration_seconds",
			Help:    "Time of one group commit of the session store.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 16),
		}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_committed_changes_total",
			Help: "Changes that the session store's group commits held.",
		}),
	}
	m.games = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_game_calls_total",
		Help: "Calls of game servers by path and HTTP status.",
	}, []string{"call", "status"})
	m.streams = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_event_streams",
		Help: "Event streams of game servers that are open.",
	})
	m.refusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_refused_total",
		Help: "Calls that were refused for their number, by API and reason: address, rate, overload, streams.",
	}, []string{"api", "reason"})
	m.locally = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rollcall_rates_judged_locally_total",
		Help: "Calls whose rate was judged by this node alone, because the store of the limits did not answer.",
	})
	m.others = m.callsOf(otherEndpoint)
	m.registry.MustRegister(m.refusals, m.locally)
	m.registry.MustRegister(m.requests, m.latency, m.drops, m.commits, m.changes, m.games, m.streams,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Commit notes a group commit; it fits the stores' hook.
func (m *Metrics) Commit(took time.Duration, changes int) {
	m.commits.Observe(took.Seconds())
	m.changes.Add(float64(changes))
}

// calls count those of one endpoint of the v2 API. What counts them is looked up
// once, when the first comes.
type calls struct {
	requests *prometheus.CounterVec
	endpoint string
	latency  func() prometheus.Observer
	codes    [100]atomic.Pointer[prometheus.Counter]
}

func (m *Metrics) callsOf(endpoint string) *calls {
	return &calls{requests: m.requests, endpoint: endpoint, latency: sync.OnceValue(func() prometheus.Observer {
		return m.latency.WithLabelValues(endpoint)
	})}
}

// count notes a call that was answered with a code of wire's table.
func (c *calls) count(code int, took time.Duration) {
	counter := c.codes[code].Load()
	if counter == nil {
		made := c.requests.WithLabelValues(c.endpoint, strconv.Itoa(code))
		counter = &made
		c.codes[code].Store(counter)
	}
	(*counter).Inc()
	c.latency().Observe(took.Seconds())
}

func (m *Metrics) gameCall(call string, status int) {
	m.games.WithLabelValues(call, strconv.Itoa(status)).Inc()
}

func (m *Metrics) refused(api, reason string) { m.refusals.WithLabelValues(api, reason).Inc() }

// JudgedLocally notes a call whose rate was judged by this node alone; it fits
// roll.LimiterOptions.
func (m *Metrics) JudgedLocally() { m.locally.Inc() }

// watch adds how many calls are inside a gate, and how many wait at it.
func (m *Metrics) watch(api string, g *gate) {
	for name, help := range map[string]string{
		"rollcall_calls_in_work": "Calls that are worked on, by API.", "rollcall_calls_waiting": "Calls that wait to be worked on, by API.",
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"api": api},
		}, func() float64 {
			inside, waiting := g.counts()
			if name == "rollcall_calls_waiting" {
				return float64(waiting)
			}
			return float64(inside)
		}))
	}
}

// stream counts a stream until what it returns is called.
func (m *Metrics) stream() (end func()) {
	m.streams.Inc()
	return m.streams.Dec
}

func (m *Metrics) dropped(n int) { m.drops.Add(float64(n)) }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe adds what is read from the stores at each scrape.
func (m *Metrics) observe(stores roll.Stores, service *roll.Service) {
	m.registry.MustRegister(storeCollector{stores, service})
}

// storeCollector derives its numbers from the stores, so that they cannot drift.
type storeCollector struct {
	stores  roll.Stores
	service *roll.Service
}

var (
	liveSessions = prometheus.NewDesc("rollcall_live_sessions",
		"Live sessions by agent, game, mode, currency, device and game server.",
		[]string{"agent", "game", "mode", "currency", "device", "game_server"}, nil)
	partialSessions = prometheus.NewDesc("rollcall_sessions_partial",
		"1 while game servers announce again what the store has lost: there may be more sessions than it knows.", nil, nil)
	noncesHeld = prometheus.NewDesc("rollcall_nonces_held",
		"Used nonces that are remembered.", nil, nil)
)

func (storeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- liveSessions
	ch <- partialSessions
	ch <- noncesHeld
}

const collectTimeout = 5 * time.Second

func (c storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	counts, err := c.stores.Sessions.Counts(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(liveSessions, err)
	}
	for _, n := range counts {
		ch <- prometheus.MustNewConstMetric(liveSessions, prometheus.GaugeValue, float64(n.Count),
			n.AgentID, n.GameCode, string(n.Mode), n.Currency, n.Device.String(), n.GameServer)
	}
	partial, err := c.service.Partial(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(partialSessions, err)
	} else {
		ch <- prometheus.MustNewConstMetric(partialSessions, prometheus.GaugeValue, map[bool]float64{true: 1}[partial])
	}
	held, err := c.stores.Nonces.Held(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(noncesHeld, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(noncesHeld, prometheus.GaugeValue, float64(held))
}
