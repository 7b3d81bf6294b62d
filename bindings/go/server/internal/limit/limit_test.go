package limit

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

func gauge() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}) }

func TestLimiter(t *testing.T) {
	l := New(1, 1, time.Hour, gauge(), gauge())
	leave, err := l.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// One waits, and the next is turned away at once.
	entered := make(chan func())
	go func() {
		leave, err := l.Enter(t.Context())
		if err != nil {
			t.Error(err)
		}
		entered <- leave
	}()
	for l.waiting.Load() != 1 {
		time.Sleep(time.Millisecond)
	}
	if _, err := l.Enter(t.Context()); connect.CodeOf(err) != connect.CodeUnavailable || failure.Reason(err) != failure.Overloaded {
		t.Errorf("a full queue gave %v", err)
	}
	leave()
	second := <-entered
	// Who goes away while waiting leaves its place to others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Enter(ctx); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("a client that has gone gave %v", err)
	}
	if l.waiting.Load() != 0 {
		t.Errorf("%d are waiting, expected none", l.waiting.Load())
	}
	second()
	leave, err = l.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestTimeout(t *testing.T) {
	l := New(1, 1, time.Millisecond, gauge(), gauge())
	leave, err := l.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if _, err := l.Enter(t.Context()); failure.Reason(err) != failure.Overloaded {
		t.Errorf("waiting too long gave %v", err)
	}
}
