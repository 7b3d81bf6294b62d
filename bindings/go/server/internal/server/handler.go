package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"

	"github.com/unifyweaver/projection/server/internal/failure"
	"github.com/unifyweaver/projection/server/internal/gen/projection/v1/projectionv1connect"
	"github.com/unifyweaver/projection/server/internal/page"
	"github.com/unifyweaver/projection/server/internal/rest"
)

// handler puts together what the API's address serves.
func (s *Server) handler() http.Handler {
	limits := s.config.Limits
	observer := &observer{s.service.Metrics, s.log, s.config.Log.Requests}
	options := connect.WithHandlerOptions(
		connect.WithCodec(strictJSON{"json"}), connect.WithCodec(strictJSON{"json; charset=utf-8"}),
		connect.WithReadMaxBytes(int(limits.RequestBytes)),
		connect.WithCompressMinBytes(1024),
		connect.WithInterceptors(observer, s.tracing),
		connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, value any) error {
			s.log.ErrorContext(ctx, "panic", "procedure", spec.Procedure, "value", fmt.Sprint(value), "stack", string(debug.Stack()))
			return failure.New(connect.CodeInternal, failure.Internal, "internal error")
		}),
	)

	api := http.NewServeMux()
	api.Handle(projectionv1connect.NewProjectionServiceHandler(s.service, options))
	api.Handle(projectionv1connect.NewModelServiceHandler(s.service, options))
	services := []string{projectionv1connect.ProjectionServiceName, projectionv1connect.ModelServiceName}
	procedures := map[string]bool{projectionv1connect.ProjectionServiceProjectStreamProcedure: true}
	for _, route := range rest.Routes() {
		procedures[route.Procedure()] = true
	}
	timed := s.times(named(procedures, api))

	outer := http.NewServeMux()
	for _, service := range services {
		outer.Handle("/"+service+"/", timed)
	}
	reflector := grpcreflect.NewStaticReflector(services...)
	outer.Handle(grpcreflect.NewHandlerV1(reflector))
	outer.Handle(grpcreflect.NewHandlerV1Alpha(reflector))
	rest.Register(outer, timed)

	// Pages of other origins may not send requests with this user's access to the network.
	origins := http.NewCrossOriginProtection()
	open := false
	for _, origin := range s.config.CORSOrigins {
		if origin == "*" {
			open = true
		} else if err := origins.AddTrustedOrigin(origin); err != nil {
			s.log.Error("cors-origins", "origin", origin, "error", err)
		}
	}
	writer := connect.NewErrorWriter(options)
	guarded := s.guard.Middleware(func(w http.ResponseWriter, r *http.Request, err error) {
		_ = writer.Write(w, r, err)
	}, outer)
	if !open {
		guarded = origins.Handler(guarded)
	}

	// Outside of the guard: what is needed before anybody has a token, and what asks no questions.
	top := http.NewServeMux()
	top.Handle("/", guarded)
	top.Handle(grpchealth.NewHandler(s))
	if s.config.AdminListen == "" {
		s.operations(top)
	}
	if s.config.Page {
		page.Register(top)
	}
	var all http.Handler = top
	if len(s.config.CORSOrigins) > 0 {
		all = cors.New(cors.Options{
			AllowedOrigins: s.config.CORSOrigins,
			AllowedMethods: []string{http.MethodGet, http.MethodPost},
			AllowedHeaders: []string{"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms",
				"Grpc-Timeout", "X-Grpc-Web", "X-User-Agent", "X-Request-Id", "Traceparent"},
			ExposedHeaders: []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Retry-After", "X-Request-Id"},
			MaxAge:         7200,
		}).Handler(all)
	}
	return s.draining(observer.Middleware(all))
}

// times sets the deadline of each request; streams have one of their own.
func (s *Server) times(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == projectionv1connect.ProjectionServiceProjectStreamProcedure {
			controller := http.NewResponseController(w)
			until := deadline(s.config.Limits.StreamTime)
			_ = controller.SetReadDeadline(until)
			_ = controller.SetWriteDeadline(until)
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.RequestTime)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// draining asks clients to open no more requests on their connection once the server stops.
func (s *Server) draining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// operations adds what orchestrators and Prometheus ask for.
func (s *Server) operations(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Ready(r.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		detail := "ok\n"
		if s.service.Models.Refused() != "" {
			detail += "the latest reload was refused, an older model answers; the log says why\n"
		}
		_, _ = w.Write([]byte(detail))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.service.Metrics.Registry, promhttp.HandlerOpts{}))
}

// Check makes Server a grpchealth.Checker.
func (s *Server) Check(ctx context.Context, request *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	switch request.Service {
	case "", projectionv1connect.ProjectionServiceName, projectionv1connect.ModelServiceName:
	default:
		return nil, failure.New(connect.CodeNotFound, failure.InvalidArgument, "no service %s", request.Service)
	}
	status := grpchealth.StatusServing
	if s.Ready(ctx) != nil {
		status = grpchealth.StatusNotServing
	}
	return &grpchealth.CheckResponse{Status: status}, nil
}
