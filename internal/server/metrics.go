package server

import (
	"context"
	"net/http"
	"strconv"
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
	m.registry.MustRegister(m.requests, m.latency, m.drops, m.commits, m.changes, m.games, m.streams,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Commit notes a group commit; it fits the stores' hook.
func (m *Metrics) Commit(took time.Duration, changes int) {
	m.commits.Observe(took.Seconds())
	m.changes.Add(float64(changes))
}

func (m *Metrics) request(endpoint string, code int, took time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(code)).Inc()
	m.latency.WithLabelValues(endpoint).Observe(took.Seconds())
}

func (m *Metrics) gameCall(call string, status int) {
	m.games.WithLabelValues(call, strconv.Itoa(status)).Inc()
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
func (m *Metrics) observe(stores roll.Stores) { m.registry.MustRegister(storeCollector{stores}) }

// storeCollector derives its numbers from the stores, so that they cannot drift.
type storeCollector struct{ stores roll.Stores }

var (
	liveSessions = prometheus.NewDesc("rollcall_live_sessions",
		"Live sessions by agent, game, mode, currency, device and game server.",
		[]string{"agent", "game", "mode", "currency", "device", "game_server"}, nil)
	noncesHeld = prometheus.NewDesc("rollcall_nonces_held",
		"Used nonces that are remembered.", nil, nil)
)

func (storeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- liveSessions
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
	held, err := c.stores.Nonces.Held(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(noncesHeld, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(noncesHeld, prometheus.GaugeValue, float64(held))
}
