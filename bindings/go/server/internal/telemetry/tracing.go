package telemetry

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const tracerName = "github.com/unifyweaver/projection/bindings/go/server"

// Tracing makes spans for requests and their stages, and sends them to a collector.
type Tracing struct {
	Tracer trace.Tracer
	stop   func(context.Context) error
}

// NewTracing sends to the OTLP/HTTP endpoint, or nowhere where that is empty. sample is the
// share of traces that begin here; for those that began elsewhere, their beginner decides.
func NewTracing(ctx context.Context, endpoint string, sample float64) (*Tracing, error) {
	if endpoint == "" {
		return &Tracing{noop.NewTracerProvider().Tracer(tracerName), func(context.Context) error { return nil }}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, err
	}
	return newTracing(sdk.WithBatcher(exporter), sample), nil
}

func newTracing(output sdk.TracerProviderOption, sample float64) *Tracing {
	provider := sdk.NewTracerProvider(output,
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sample))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "projection-server"))))
	return &Tracing{provider.Tracer(tracerName), provider.Shutdown}
}

// Stop sends what was not sent yet.
func (t *Tracing) Stop(ctx context.Context) error { return t.stop(ctx) }

// start begins the span of a request, under the caller's where its headers have one.
func (t *Tracing) start(ctx context.Context, spec connect.Spec, header http.Header) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	return t.Tracer.Start(ctx, spec.Procedure[1:], trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("rpc.system", "connect_rpc"), attribute.String("rpc.method", spec.Procedure[1:])))
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, connect.CodeOf(err).String())
		span.SetAttributes(attribute.String("rpc.connect_rpc.error_code", connect.CodeOf(err).String()))
	}
	span.End()
}

// WrapUnary makes Tracing a connect.Interceptor.
func (t *Tracing) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, span := t.start(ctx, request.Spec(), request.Header())
		response, err := next(ctx, request)
		end(span, err)
		return response, err
	}
}

// WrapStreamingClient makes Tracing a connect.Interceptor. The server has no clients.
func (t *Tracing) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler makes Tracing a connect.Interceptor.
func (t *Tracing) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		ctx, span := t.start(ctx, stream.Spec(), stream.RequestHeader())
		err := next(ctx, stream)
		end(span, err)
		return err
	}
}
