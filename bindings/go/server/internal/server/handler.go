package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"

	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
	"github.com/unifyweaver/projection/bindings/go/server/internal/openai"
	"github.com/unifyweaver/projection/bindings/go/server/internal/page"
	"github.com/unifyweaver/projection/bindings/go/server/internal/rest"
)

// handler puts together what the API's address serves.
func (s *Server) handler() http.Handler {
	limits := s.config.Limits
	// A batch has one message for each vector; nothing else repeats messages.
	messages := limits.Batch + 16
	observer := &observer{s.service.Metrics, s.log, s.config.Log.Requests}
	options := connect.WithHandlerOptions(
		connect.WithCodec(codec{"json", messages}), connect.WithCodec(codec{"json; charset=utf-8", messages}),
		connect.WithCodec(codec{"proto", messages}),
		readAtMost(limits.RequestBytes),
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
	openAI := connect.WithHandlerOptions(options, connect.WithCodec(openai.Codec{}))
	api.Handle(openai.CreateEmbeddings, connect.NewUnaryHandler(openai.CreateEmbeddings, s.service.CreateEmbeddings, openAI))
	api.Handle(openai.ListModels, connect.NewUnaryHandler(openai.ListModels, s.service.ListOpenAIModels, openAI))
	api.Handle(openai.RetrieveModel, connect.NewUnaryHandler(openai.RetrieveModel, s.service.RetrieveOpenAIModel, openAI))
	services := []string{projectionv1connect.ProjectionServiceName, projectionv1connect.ModelServiceName}

	outer := http.NewServeMux()
	const stream = projectionv1connect.ProjectionServiceProjectStreamProcedure
	procedures := map[string]string{stream: stream}
	for _, route := range rest.Routes() {
		procedures[route.Procedure] = route.Procedure
		procedures[route.Verb+" "+route.Path] = route.Procedure
	}
	refuse := refusal{connect.NewErrorWriter(options), outer, procedures}
	timed := named(procedures, s.times(refuse, s.unpacked(refuse, api)))
	for _, service := range services {
		outer.Handle("/"+service+"/", timed)
	}
	reflector := grpcreflect.NewStaticReflector(services...)
	small := readAtMost(64 << 10)
	outer.Handle(grpcreflect.NewHandlerV1(reflector, small))
	outer.Handle(grpcreflect.NewHandlerV1Alpha(reflector, small))
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
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse.write(w, r, http.StatusForbidden, failure.New(connect.CodePermissionDenied, failure.CrossOrigin,
			"a page of %s may not send this request (cors-origins)", r.Header.Get("Origin")))
	}))
	guard := func(next http.Handler) http.Handler {
		guarded := s.guard.Middleware(func(w http.ResponseWriter, r *http.Request, err *connect.Error) {
			refuse.write(w, r, http.StatusUnauthorized, err)
		}, next)
		if !open {
			guarded = origins.Handler(guarded)
		}
		return guarded
	}

	// Outside of the guard: what is needed before anybody has a token, and what asks no questions.
	top := http.NewServeMux()
	top.Handle("/", guard(routed(outer, refuse)))
	s.health(top, small)
	rest.RegisterDocument(top)
	if s.config.AdminListen == "" {
		s.probes(top)
		// Without an address of their own, the metrics are as private as the API.
		top.Handle("GET /metrics", guard(s.metrics()))
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
	return s.draining(observer.Middleware(hosted(s.config.Hosts(s.config.Listen), refuse, all)))
}

// refusal answers requests that never reach the service, and notes them for the log and the
// metrics. The zero refusal is for addresses that serve no API.
type refusal struct {
	writer *connect.ErrorWriter
	outer  *http.ServeMux
	// procedures are known by their own path, and by the pattern of outer for REST.
	procedures map[string]string
}

// write answers in the protocol of the request. status is that of REST and plain HTTP.
func (f refusal) write(w http.ResponseWriter, r *http.Request, status int, err *connect.Error) {
	if known := recordOf(r.Context()); known != nil {
		// Clients must not choose the names of metrics: other paths have none.
		_, pattern := f.outer.Handler(r)
		procedure := cmp.Or(f.procedures[r.URL.Path], f.procedures[pattern], "unknown")
		known.procedure = strings.TrimPrefix(procedure, "/")
		known.code, known.reason = err.Code().String(), failure.Reason(err)
	}
	kind := r.Header.Get("Content-Type")
	if f.writer != nil && (strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+")) {
		_ = f.writer.Write(w, r, err)
		return
	}
	rest.WriteError(w, r, status, err)
}

// hosted refuses requests for a host that is not allowed; an empty list allows all. A web page
// whose name resolves to this machine (DNS rebinding) counts as the same origin: only the host
// that its requests name tells. Programs that name no host are no browsers.
func hosted(allowed []string, refuse refusal, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(allowed) == 0 || r.Host == "" || slices.Contains(allowed, config.Hostname(r.Host)) {
			next.ServeHTTP(w, r)
			return
		}
		refuse.write(w, r, http.StatusMisdirectedRequest, failure.New(connect.CodePermissionDenied, failure.HostNotAllowed,
			"host %q is not served here, expected one of %s (allowed-hosts)", r.Host, strings.Join(allowed, ", ")))
	})
}

// routed serves what outer has a pattern for, and says of other requests what is wrong: the path,
// or only the method.
func routed(outer *http.ServeMux, refuse refusal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := outer.Handler(r); pattern != "" {
			outer.ServeHTTP(w, r)
			return
		}
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := outer.Handler(other); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			refuse.write(w, r, http.StatusNotFound, failure.New(connect.CodeNotFound, failure.NotFound,
				"nothing at %s %s; /openapi.json lists the paths", r.Method, r.URL.Path))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse.write(w, r, http.StatusMethodNotAllowed, failure.New(connect.CodeUnimplemented, failure.MethodNotAllowed,
			"%s %s, expected %s", r.Method, r.URL.Path, strings.Join(allowed, " or ")))
	})
}

// times sets the deadline of each request; streams have one of their own.
func (s *Server) times(refuse refusal, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == projectionv1connect.ProjectionServiceProjectStreamProcedure {
			defer s.streams.Add(-1)
			if most := s.config.Limits.Streams; s.streams.Add(1) > int64(most) {
				refuse.write(w, r, http.StatusServiceUnavailable, failure.Retry(time.Second, connect.CodeUnavailable, failure.Overloaded,
					"overloaded: %d streams are open already", most))
				return
			}
			controller := http.NewResponseController(w)
			until := deadline(s.config.Limits.StreamTime)
			_ = controller.SetReadDeadline(until)
			_ = controller.SetWriteDeadline(until)
			done := make(chan struct{})
			var watching sync.WaitGroup
			watching.Go(func() {
				select {
				case <-s.ending:
					// The batch under way is answered; then reading fails, which ends the stream.
					_ = controller.SetReadDeadline(time.Now())
				case <-done:
				}
			})
			next.ServeHTTP(w, r)
			close(done)
			watching.Wait()
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

// probes adds what orchestrators ask for.
func (s *Server) probes(mux *http.ServeMux) {
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
}

// metrics serves Prometheus.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.service.Metrics.Registry, promhttp.HandlerOpts{})
}
