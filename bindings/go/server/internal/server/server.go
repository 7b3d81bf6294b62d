// Package server listens, serves and stops.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/auth"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/limit"
	"github.com/unifyweaver/projection/bindings/go/server/internal/postgres"
	"github.com/unifyweaver/projection/bindings/go/server/internal/service"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
	"github.com/unifyweaver/projection/bindings/go/server/internal/telemetry"
)

// Server owns all that a running instance needs. New makes it, Run ends it.
type Server struct {
	config   *config.Config
	log      *slog.Logger
	service  *service.Service
	tracing  *telemetry.Tracing
	guard    *auth.Guard
	database *postgres.Database
	stopping atomic.Bool
	// ending is closed when streams have to end.
	ending chan struct{}

	certificate certificate
	connections *limit.Connections
	// streams counts those that are open.
	streams atomic.Int64
	// unpacking limits how many compressed requests are decoded at a time.
	unpacking *limit.Limiter
	// reachable says whether the database was at the latest look.
	reachable atomic.Bool

	api, admin         *http.Server
	listener, adminNet net.Listener
}

func deadline(in time.Duration) time.Time { return time.Now().Add(in) }

// New loads everything and opens the addresses, so that what is wrong is known before anybody
// is served.
func New(ctx context.Context, c *config.Config, log *slog.Logger) (server *Server, err error) {
	s := &Server{config: c, log: log, guard: auth.New(c.Auth.Tokens, c.Auth.AdminTokens, c.Loopback()),
		ending: make(chan struct{}), connections: limit.NewConnections(c.Limits.Connections)}
	s.reachable.Store(true)
	defer func() {
		if err != nil {
			s.free(ctx)
		}
	}()
	metrics := telemetry.NewMetrics(c.Far.Threshold)
	concurrency := c.Limits.Concurrency
	if concurrency == 0 {
		concurrency = 4 * runtime.GOMAXPROCS(0)
	}
	s.unpacking = limit.New(runtime.GOMAXPROCS(0), c.Limits.Queue, c.Limits.QueueTimeout, metrics.Waiting, metrics.Computing)
	s.service = &service.Service{
		Config: c, Store: store.New(c.Store), Metrics: metrics, Log: log, Stopping: s.stopping.Load,
		Limiter: limit.New(concurrency, c.Limits.Queue, c.Limits.QueueTimeout, metrics.Waiting, metrics.Computing),
	}
	if s.tracing, err = telemetry.NewTracing(ctx, c.Tracing.Endpoint, c.Tracing.Sample); err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	s.service.Tracer = s.tracing.Tracer
	if c.EmbeddingModelDir != "" {
		if s.service.Embedder, err = projection.LoadEmbedder(c.EmbeddingModelDir); err != nil {
			return nil, fmt.Errorf("embedding-model-dir: %w", err)
		}
		folder, err := filepath.Abs(c.EmbeddingModelDir)
		if err != nil {
			return nil, fmt.Errorf("embedding-model-dir: %w", err)
		}
		s.service.EmbedderName = filepath.Base(folder)
	}
	source := active.Source{Store: s.service.Store, Projection: c.Model, EmbeddingModel: c.EmbeddingModel,
		Answers: c.Search.Backend == "memory", Embedder: s.service.Embedder, AnyEmbedder: c.EmbeddingModelForce}
	if c.Search.Backend == "postgres" || c.Search.Feedback == "postgres" {
		if s.database, err = postgres.Open(ctx, c); err != nil {
			return nil, err
		}
		s.service.Database = s.database
	}
	if c.Search.Backend == "postgres" {
		source.Accepts = s.fits
	}
	if s.service.Models, err = active.Open(source, log, metrics); err != nil {
		return nil, err
	}
	return s, s.listen()
}

// fits refuses a model that the database has no vectors for, and logs where it searches among
// vectors that were made for another model.
func (s *Server) fits(id int64, model *projection.Model) error {
	err := s.database.Check(context.Background(), model.OutputDim())
	if err == nil {
		wrong, failed := s.database.Suits(context.Background(), &postgres.Serving{ID: id, Model: model})
		if wrong != "" {
			s.log.Warn("the vectors in the database were not made for this model", "model", id, "found", wrong)
		}
		err = failed
	}
	if err != nil && !errors.Is(err, postgres.ErrUnfit) {
		// A database that is away comes back; one that does not fit is a mistake.
		s.log.Error("the database can't be reached", "error", err)
		return nil
	}
	return err
}

func (s *Server) listen() (err error) {
	c := s.config
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.api = &http.Server{
		Handler: s.handler(), Protocols: protocols,
		ReadHeaderTimeout: min(5*time.Second, c.Limits.RequestTime), ReadTimeout: c.Limits.RequestTime,
		// A little more, so that an error can still be written.
		WriteTimeout: c.Limits.RequestTime + 5*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: time.Minute, WriteByteTimeout: 30 * time.Second},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), ConnState: s.connections.State,
	}
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.listener = s.connections.Listener(s.listener)
	if c.TLS.Cert != "" {
		if err := s.certificate.load(c.TLS.Cert, c.TLS.Key); err != nil {
			return err
		}
		s.api.TLSConfig = s.certificate.config()
	}
	if c.AdminListen != "" {
		mux := http.NewServeMux()
		s.probes(mux)
		mux.Handle("GET /metrics", s.metrics())
		s.admin = &http.Server{Handler: hosted(c.Hosts(c.AdminListen), refusal{}, mux), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
			ErrorLog: s.api.ErrorLog}
		if s.adminNet, err = net.Listen("tcp", c.AdminListen); err != nil {
			return fmt.Errorf("admin-listen: %w", err)
		}
	}
	return nil
}

// Addr is the address of the API.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Reload loads the active model, as a signal does.
func (s *Server) Reload(reason string) error { return s.service.Models.Reload(reason) }

// Rotate replaces the certificate and the tokens by those of c, which is the configuration read
// anew. Where the certificate can't be used, the old one and the old tokens stay.
func (s *Server) Rotate(c *config.Config) error {
	if s.config.TLS.Cert != "" {
		if err := s.certificate.load(c.TLS.Cert, c.TLS.Key); err != nil {
			return err
		}
	}
	s.guard.Replace(c.Auth.Tokens, c.Auth.AdminTokens, s.config.Loopback())
	s.log.Info("certificate and tokens read anew", "tokens", len(c.Auth.Tokens), "admin_tokens", len(c.Auth.AdminTokens))
	return nil
}

// Ready says why the server should get no requests, nil where it should.
func (s *Server) Ready(ctx context.Context) error {
	if s.stopping.Load() {
		return errors.New("shutting down")
	}
	if s.config.Search.Backend == "postgres" {
		err := s.database.Reachable(ctx)
		if before := s.reachable.Swap(err == nil); before && err != nil {
			s.log.Error("the database can't be reached", "error", err)
		} else if !before && err == nil {
			s.log.Info("the database can be reached again")
		}
		if err != nil {
			return errors.New("the database can't be reached")
		}
	}
	return nil
}

// Run serves until ctx ends, then stops: first it says that it is not ready and goes on for a
// while, then it takes no more connections and finishes what is under way. Then it frees all.
func (s *Server) Run(ctx context.Context) error {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	if s.config.Reload.Watch > 0 {
		tasks.Go(func() { s.service.Models.Watch(background, s.config.Reload.Watch) })
	}
	failed := make(chan error, 2)
	encrypted := s.config.TLS.Cert != ""
	tasks.Go(func() {
		if encrypted {
			failed <- s.api.ServeTLS(s.listener, "", "")
		} else {
			failed <- s.api.Serve(s.listener)
		}
	})
	if s.admin != nil {
		tasks.Go(func() { failed <- s.admin.Serve(s.adminNet) })
	}
	if s.database != nil {
		tasks.Go(func() { s.watchDatabase(background) })
	}
	s.log.Info("serving", "address", s.Addr(), "backend", s.config.Search.Backend, "tls", encrypted)

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.log.Info("stopping", "delay", s.config.ShutdownDelay.String())
		s.stopping.Store(true)
		time.Sleep(s.config.ShutdownDelay)
	}
	close(s.ending)
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer stop()
	if late := s.api.Shutdown(end); late != nil {
		s.log.Error("requests were cut off", "error", late)
		_ = s.api.Close()
		err = errors.Join(err, fmt.Errorf("shutdown.timeout: %w", late))
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	cancel()
	tasks.Wait()
	s.free(end)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	s.log.Info("stopped")
	return err
}

// watchDatabase logs when the database goes away and comes back, also where nobody probes.
func (s *Server) watchDatabase(ctx context.Context) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = s.Ready(ctx)
		}
	}
}

// free releases what New acquired.
func (s *Server) free(ctx context.Context) {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.service != nil {
		if s.service.Models != nil {
			s.service.Models.Close()
		}
		s.service.Embedder.Close()
	}
	if s.database != nil {
		s.database.Close()
	}
	if s.tracing != nil {
		if err := s.tracing.Stop(ctx); err != nil {
			s.log.Warn("some traces were not sent", "error", err)
		}
	}
}
