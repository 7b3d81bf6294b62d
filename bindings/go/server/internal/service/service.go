// Package service answers the requests of the API.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/trace"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/limit"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
	"github.com/unifyweaver/projection/bindings/go/server/internal/telemetry"
)

// Database searches for vectors and keeps feedback, for many instances of this server.
type Database interface {
	// Search returns the k answers nearest to vector, of those that are allowed; nil allows all.
	Search(ctx context.Context, vector []float32, k int, allowed []int64) ([]projection.Hit, error)
	// Record keeps what a user said and returns the entry's id.
	Record(ctx context.Context, feedback projection.Feedback) (int64, error)
}

// Service implements both services of the API. It is safe for concurrent use.
type Service struct {
	Config *config.Config
	Models *active.Holder
	Store  *store.Store
	// Embedder is nil where the server takes vectors only.
	Embedder *projection.Embedder
	// EmbedderName is the name of its embedding model.
	EmbedderName string
	// Database is nil where answers are in memory and feedback is not in a database.
	Database Database
	Limiter  *limit.Limiter
	Metrics  *telemetry.Metrics
	Tracer   trace.Tracer
	Log      *slog.Logger
	// Stopping says whether the server is shutting down.
	Stopping func() bool
}

// stage times a part of a request until end is called.
func (s *Service) stage(ctx context.Context, name string) (staged context.Context, end func()) {
	began := time.Now()
	ctx, span := s.Tracer.Start(ctx, name)
	return ctx, func() {
		s.Metrics.Stage(name, time.Since(began))
		span.End()
	}
}

// enter waits for the request's turn to be computed.
func (s *Service) enter(ctx context.Context) (leave func(), err error) {
	_, end := s.stage(ctx, "queue")
	defer end()
	return s.Limiter.Enter(ctx)
}

// question returns the vector of a request: its own, or that of its text.
func (s *Service) question(ctx context.Context, words string, vector []float32) ([]float32, error) {
	switch {
	case len(vector) > 0:
		return vector, nil
	case words == "":
		return nil, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "expected text or vector")
	}
	return s.embed(ctx, words)
}

func (s *Service) embed(ctx context.Context, words string) ([]float32, error) {
	if s.Embedder == nil {
		return nil, noEmbedder()
	}
	_, end := s.stage(ctx, "embed")
	defer end()
	return s.Embedder.Embed(words)
}

func noEmbedder() error {
	return failure.New(connect.CodeFailedPrecondition, failure.NoEmbeddingModel,
		"this server has no embedding model (embedding-model-dir), expected a vector")
}

// checkQuestion refuses what is too large before it waits for its turn.
func (s *Service) checkQuestion(words string, vector []float32) error {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	if most := max(snapshot.Model.InputDim(), snapshot.Model.OutputDim()); len(vector) > most {
		return failure.From(&projection.Error{Code: projection.ErrDimensionMismatch,
			Message: fmt.Sprintf("vector of dimension %d, expected %d", len(vector), snapshot.Model.InputDim())})
	}
	return s.checkText("text", words)
}

// checkText refuses a text that is too long or that the engine does not take. field may have an index.
func (s *Service) checkText(field, words string) error {
	param, _, _ := strings.Cut(field, "[")
	if len(words) > s.Config.Limits.TextBytes {
		return failure.About(param, connect.CodeInvalidArgument, failure.TooLarge,
			"%s has %d bytes, expected at most %d", field, len(words), s.Config.Limits.TextBytes)
	}
	if at := strings.IndexByte(words, 0); at >= 0 {
		return failure.About(param, connect.CodeInvalidArgument, failure.InvalidArgument,
			"%s has a NUL character at byte %d, expected text without", field, at)
	}
	return nil
}

// project returns the projected vector, and the weights of the model's heads where wanted.
func (s *Service) project(ctx context.Context, snapshot *active.Snapshot, query []float32, routing bool) (projected, weights []float32, err error) {
	_, end := s.stage(ctx, "project")
	defer end()
	projected = make([]float32, snapshot.Model.OutputDim())
	if routing {
		weights = make([]float32, snapshot.Info.Heads)
		if heads := len(snapshot.Model.HeadIDs()); heads != len(weights) {
			weights = make([]float32, heads)
		}
	}
	if err := snapshot.Model.ProjectInto(query, projected, weights); err != nil {
		return nil, nil, err
	}
	return projected, weights, nil
}

// examine records how far a question is from every head, for a share of the questions.
func (s *Service) examine(snapshot *active.Snapshot, query []float32) {
	sample := s.Config.Far.Sample
	if snapshot.Heads == nil || sample == 0 || sample < 1 && rand.Float64() >= sample {
		return
	}
	if hits, err := snapshot.Heads.Search(query, 1); err == nil && len(hits) == 1 {
		s.Metrics.Nearest(float64(hits[0].Score))
	}
}

// routing returns the largest weights as messages.
func routing(snapshot *active.Snapshot, weights []float32, limit int32) []*pb.RoutingWeight {
	if limit == 0 || len(weights) == 0 {
		return nil
	}
	heads := snapshot.Model.HeadIDs()
	order := largest(weights, int(limit))
	messages := make([]*pb.RoutingWeight, len(order))
	for i, head := range order {
		messages[i] = &pb.RoutingWeight{ClusterId: heads[head], Cluster: snapshot.Clusters[heads[head]], Weight: weights[head]}
	}
	return messages
}

func reference(snapshot *active.Snapshot) *pb.ModelReference {
	return &pb.ModelReference{Id: snapshot.Info.ID, Generation: snapshot.Generation}
}

func checkRouting(routing int32) error {
	if routing < 0 {
		return failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "routing is %d, expected at least 0", routing)
	}
	return nil
}

// k returns the number of answers to search for.
func (s *Service) k(asked *int32) (int, error) {
	if asked == nil {
		return min(10, s.Config.Search.MaxK), nil
	}
	if *asked < 1 || int(*asked) > s.Config.Search.MaxK {
		return 0, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument,
			"k is %d, expected 1 to %d", *asked, s.Config.Search.MaxK)
	}
	return int(*asked), nil
}

// checkBatch refuses a batch before it waits for its turn.
func (s *Service) checkBatch(vectors []*pb.Vector, dim int) error {
	if len(vectors) > s.Config.Limits.Batch {
		return failure.New(connect.CodeInvalidArgument, failure.TooLarge,
			"%d vectors, expected at most %d in a message", len(vectors), s.Config.Limits.Batch)
	}
	for i, vector := range vectors {
		if found := len(vector.GetValues()); found != dim {
			return &projection.Error{Code: projection.ErrDimensionMismatch,
				Message: fmt.Sprintf("vectors[%d] of dimension %d, expected %d", i, found, dim)}
		}
	}
	return nil
}
