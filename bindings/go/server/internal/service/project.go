package service

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
)

// Embed embeds a text.
func (s *Service) Embed(ctx context.Context, request *connect.Request[pb.EmbedRequest]) (*connect.Response[pb.EmbedResponse], error) {
	if request.Msg.Text == "" {
		return nil, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "text is empty")
	}
	if err := s.checkText("text", request.Msg.Text); err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	vector, err := s.embed(ctx, request.Msg.Text)
	if err != nil {
		return nil, failure.From(err)
	}
	return connect.NewResponse(&pb.EmbedResponse{Vector: vector, EmbeddingModel: s.EmbedderName}), nil
}

// Project projects a question.
func (s *Service) Project(ctx context.Context, request *connect.Request[pb.ProjectRequest]) (*connect.Response[pb.ProjectResponse], error) {
	message := request.Msg
	if err := checkRouting(message.Routing); err != nil {
		return nil, err
	}
	if message.Text != "" && len(message.Vector) > 0 {
		return nil, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "expected text or vector, found both")
	}
	if err := s.checkQuestion(message.Text, message.Vector); err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	query, err := s.question(ctx, message.Text, message.Vector)
	if err != nil {
		return nil, failure.From(err)
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	projected, weights, err := s.project(ctx, snapshot, query, message.Routing > 0)
	if err != nil {
		return nil, failure.From(err)
	}
	s.examine(snapshot, query)
	return connect.NewResponse(&pb.ProjectResponse{
		Vector: projected, Routing: routing(snapshot, weights, message.Routing), Model: reference(snapshot),
	}), nil
}

// ProjectBatch projects many vectors.
func (s *Service) ProjectBatch(ctx context.Context, request *connect.Request[pb.ProjectBatchRequest]) (*connect.Response[pb.ProjectBatchResponse], error) {
	if len(request.Msg.Vectors) == 0 {
		return nil, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "vectors is empty, expected at least one")
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	vectors, err := s.projectBatch(ctx, snapshot, request.Msg.Vectors)
	if err != nil {
		return nil, failure.From(err)
	}
	return connect.NewResponse(&pb.ProjectBatchResponse{Vectors: vectors, Model: reference(snapshot)}), nil
}

// ProjectStream projects batches until the client has sent the last.
func (s *Service) ProjectStream(ctx context.Context, stream *connect.BidiStream[pb.ProjectStreamRequest, pb.ProjectStreamResponse]) error {
	ctx, cancel := context.WithTimeout(ctx, s.Config.Limits.StreamTime)
	defer cancel()
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	for {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && s.Stopping() {
			return failure.New(connect.CodeUnavailable, failure.ShuttingDown, "the server is shutting down; open the stream again")
		}
		if err != nil {
			return err
		}
		vectors, err := s.projectBatch(ctx, snapshot, request.Vectors)
		if err != nil {
			return failure.From(err)
		}
		if err := stream.Send(&pb.ProjectStreamResponse{Vectors: vectors, Model: reference(snapshot)}); err != nil {
			return err
		}
	}
}

func (s *Service) projectBatch(ctx context.Context, snapshot *active.Snapshot, batch []*pb.Vector) ([]*pb.Vector, error) {
	if err := s.checkBatch(batch, snapshot.Model.InputDim()); err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows := make([][]float32, len(batch))
	for i, vector := range batch {
		rows[i] = vector.Values
	}
	projected, err := s.projectRows(ctx, snapshot, rows)
	if err != nil {
		return nil, err
	}
	vectors := make([]*pb.Vector, len(batch))
	for i, row := range projected {
		vectors[i] = &pb.Vector{Values: row}
	}
	return vectors, nil
}

// projectRows projects vectors, each of the model's InputDim values.
func (s *Service) projectRows(ctx context.Context, snapshot *active.Snapshot, rows [][]float32) ([][]float32, error) {
	_, end := s.stage(ctx, "project")
	defer end()
	flat := make([]float32, 0, len(rows)*snapshot.Model.InputDim())
	for _, row := range rows {
		flat = append(flat, row...)
	}
	dim := snapshot.Model.OutputDim()
	values := make([]float32, len(rows)*dim)
	if err := snapshot.Model.ProjectBatchIntoContext(ctx, 1, flat, values, nil); err != nil {
		return nil, err
	}
	projected := make([][]float32, len(rows))
	for i, row := range rows {
		s.examine(snapshot, row)
		projected[i] = values[i*dim : (i+1)*dim : (i+1)*dim]
	}
	return projected, nil
}
