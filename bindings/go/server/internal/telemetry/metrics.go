// Package telemetry counts, times and traces what the server does.
package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
)

// Metrics are the server's, for Prometheus. All names begin with projection_.
type Metrics struct {
	Registry *prometheus.Registry

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	// Waiting and Computing are requests in the queue and past it.
	Waiting, Computing prometheus.Gauge
	rejected           *prometheus.CounterVec
	nearest            prometheus.Histogram
	examined, far      prometheus.Counter
	threshold          float64
	reloads            *prometheus.CounterVec
	refused            prometheus.Gauge
	model              *prometheus.GaugeVec
	generation, alive  prometheus.Gauge
}

// fine is from 10 microseconds to 10 seconds.
var fine = []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// NewMetrics makes metrics in a registry of their own. threshold is the cosine below which a
// question is far from every head.
func NewMetrics(threshold float64) *Metrics {
	m := &Metrics{
		Registry:  prometheus.NewRegistry(),
		threshold: threshold,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "projection_requests_total", Help: "Requests that were answered, by procedure and code."}, []string{"procedure", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "projection_request_seconds", Help: "Time from a request's first byte to the answer's last.", Buckets: fine}, []string{"procedure"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "projection_stage_seconds", Help: "Time of the parts of a request: queue, embed, project, search, explain, database.", Buckets: fine}, []string{"stage"}),
		Waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "projection_requests_waiting", Help: "Requests in the queue."}),
		Computing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "projection_requests_computing", Help: "Requests past the queue."}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "projection_requests_rejected_total", Help: "Requests that failed, by reason."}, []string{"reason"}),
		nearest: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "projection_nearest_head_cosine", Help: "Cosine of questions with the nearest head's centroid.",
			Buckets: []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}}),
		examined: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "projection_questions_examined_total", Help: "Questions whose distance from the heads was looked at."}),
		far: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "projection_questions_far_total", Help: "Those that were far from every head: the model was trained on nothing like them."}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "projection_reloads_total", Help: "Reloads, by result."}, []string{"result"}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "projection_reload_refused", Help: "1 while the latest reload was refused and an older model answers."}),
		model: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "projection_model_info", Help: "1 for the model that answers."}, []string{"id", "kind", "name"}),
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "projection_model_generation", Help: "Number of models that this process has loaded."}),
		alive: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "projection_models_in_memory", Help: "The current model, and replaced ones that requests still use."}),
	}
	build := ThisBuild()
	running := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "projection_build_info", Help: "1 for the program that runs.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go}})
	running.Set(1)
	m.Registry.MustRegister(running, m.requests, m.seconds, m.stages, m.Waiting, m.Computing, m.rejected, m.nearest, m.examined,
		m.far, m.reloads, m.refused, m.model, m.generation, m.alive,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, result := range []string{"loaded", "refused"} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

// Request counts a request that was answered. reason is empty where it succeeded.
func (m *Metrics) Request(procedure, code, reason string, took time.Duration) {
	m.requests.WithLabelValues(procedure, code).Inc()
	m.seconds.WithLabelValues(procedure).Observe(took.Seconds())
	if reason != "" {
		m.rejected.WithLabelValues(reason).Inc()
	}
}

// Stage times a part of a request.
func (m *Metrics) Stage(stage string, took time.Duration) {
	m.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// Nearest records the cosine of a question with the nearest head.
func (m *Metrics) Nearest(cosine float64) {
	m.nearest.Observe(cosine)
	m.examined.Inc()
	if cosine < m.threshold {
		m.far.Inc()
	}
}

// Reloaded makes Metrics an active.Observer.
func (m *Metrics) Reloaded(current *active.Snapshot, err error) {
	if err != nil {
		m.reloads.WithLabelValues("refused").Inc()
		m.refused.Set(1)
		return
	}
	m.reloads.WithLabelValues("loaded").Inc()
	m.refused.Set(0)
	m.alive.Inc()
	m.generation.Set(float64(current.Generation))
	m.model.Reset()
	m.model.WithLabelValues(strconv.FormatInt(current.Info.ID, 10), current.Info.Kind.String(), current.Info.Name).Set(1)
}

// Freed makes Metrics an active.Observer.
func (m *Metrics) Freed() { m.alive.Dec() }
