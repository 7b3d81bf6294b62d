// Package limit keeps the number of requests that are computed at the same time, and of those
// that wait, below what the machine can bear.
package limit

import (
	"context"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

// Limiter lets requests in. It is safe for concurrent use.
type Limiter struct {
	slots   chan struct{}
	queue   int64
	timeout time.Duration
	waiting atomic.Int64

	waitingGauge, computingGauge prometheus.Gauge
}

// New lets concurrency requests in at a time, and up to queue others wait for at most timeout.
func New(concurrency, queue int, timeout time.Duration, waiting, computing prometheus.Gauge) *Limiter {
	return &Limiter{slots: make(chan struct{}, concurrency), queue: int64(queue), timeout: timeout,
		waitingGauge: waiting, computingGauge: computing}
}

// Enter waits for its turn, and then for leave to be called. It fails at once where too many
// wait already.
func (l *Limiter) Enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.slots <- struct{}{}:
		return l.entered(), nil
	default:
	}
	if l.waiting.Add(1) > l.queue {
		l.waiting.Add(-1)
		return nil, overloaded("%d requests are waiting already", l.queue)
	}
	l.waitingGauge.Inc()
	defer func() {
		l.waiting.Add(-1)
		l.waitingGauge.Dec()
	}()
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return l.entered(), nil
	case <-timer.C:
		return nil, overloaded("no turn within %s", l.timeout)
	case <-ctx.Done():
		return nil, failure.From(ctx.Err())
	}
}

func (l *Limiter) entered() func() {
	l.computingGauge.Inc()
	return func() {
		l.computingGauge.Dec()
		<-l.slots
	}
}

func overloaded(format string, value any) error {
	return failure.Retry(time.Second, connect.CodeUnavailable, failure.Overloaded, "overloaded: "+format, value)
}
