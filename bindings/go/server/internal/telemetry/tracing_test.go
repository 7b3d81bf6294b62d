package telemetry

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestSpansContinueTheCallersTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracing := newTracing(sdk.WithSyncer(spans), 0)
	call := tracing.WrapUnary(func(ctx context.Context, _ connect.AnyRequest) (connect.AnyResponse, error) {
		_, span := tracing.Tracer.Start(ctx, "project")
		span.End()
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("no"))
	})
	request := connect.NewRequest(&emptypb.Empty{})
	// The spec of a request outside of a handler is empty, but for this.
	header := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	for key, values := range header {
		request.Header()[key] = values
	}
	_, _ = call(t.Context(), &named{request})
	found := spans.GetSpans()
	if len(found) != 2 || found[0].Name != "project" || found[1].Name != "x.Y/Z" {
		t.Fatalf("the spans are %v", found)
	}
	for _, span := range found {
		if span.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("span %s is in trace %s", span.Name, span.SpanContext.TraceID())
		}
	}
	if found[0].Parent.SpanID() != found[1].SpanContext.SpanID() || found[1].Status.Description != "invalid_argument" {
		t.Errorf("the spans are %v", found)
	}
	if err := tracing.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// named is a request to a procedure.
type named struct{ connect.AnyRequest }

func (n *named) Spec() connect.Spec { return connect.Spec{Procedure: "/x.Y/Z"} }

func TestWithoutEndpointNothingIsTraced(t *testing.T) {
	tracing, err := NewTracing(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracing.Tracer.Start(t.Context(), "x")
	if span.IsRecording() {
		t.Error("a span records")
	}
	if err := tracing.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
