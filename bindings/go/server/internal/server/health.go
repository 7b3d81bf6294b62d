package server

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
)

// health adds gRPC's health checking. Its Watch is ours: grpchealth's answers unimplemented, and
// clients that watch then take the server for healthy for ever.
func (s *Server) health(mux *http.ServeMux, options ...connect.HandlerOption) {
	path, check := grpchealth.NewHandler(s, options...)
	mux.Handle(path, check)
	watch := connect.NewServerStreamHandler(path+"Watch", s.watchHealth, options...)
	mux.HandleFunc(path+"Watch", func(w http.ResponseWriter, r *http.Request) {
		// It lasts as long as the client wants.
		controller := http.NewResponseController(w)
		_ = controller.SetReadDeadline(time.Time{})
		_ = controller.SetWriteDeadline(time.Time{})
		watch.ServeHTTP(w, r)
	})
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

// watchHealth sends the health of a service, and again whenever it changes, until the client
// leaves or the server stops. Of a service that does not exist it sends SERVICE_UNKNOWN, as the
// protocol asks.
func (s *Server) watchHealth(ctx context.Context, request *connect.Request[healthpb.HealthCheckRequest], stream *connect.ServerStream[healthpb.HealthCheckResponse]) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	sent := healthpb.HealthCheckResponse_ServingStatus(-1)
	for {
		status := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if checked, err := s.Check(ctx, &grpchealth.CheckRequest{Service: request.Msg.Service}); err == nil {
			status = healthpb.HealthCheckResponse_ServingStatus(checked.Status)
		}
		if status != sent {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: status}); err != nil {
				return err
			}
			sent = status
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.ending:
			return nil
		case <-ticker.C:
		}
	}
}
