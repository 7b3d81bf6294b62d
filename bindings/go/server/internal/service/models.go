package service

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/auth"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
)

func model(snapshot *active.Snapshot, of projection.StoredModel) *pb.Model {
	recallAt1, mrr := store.Measured(of)
	return &pb.Model{
		Id: of.ID, Kind: of.Kind.String(), Name: of.Name, EmbeddingModel: of.EmbeddingModel, Temperature: of.Temperature,
		Heads: of.Heads, CreatedAt: rfc3339(of.CreatedAt), RecallAt_1: recallAt1, Mrr: mrr,
		Active: of.ID == snapshot.Info.ID,
	}
}

// rfc3339 writes a time of SQLite, which is in UTC, as loadedAt is written.
func rfc3339(text string) string {
	if parsed, err := time.Parse(time.DateTime, text); err == nil {
		return parsed.Format(time.RFC3339)
	}
	return text
}

// ListModels lists the models that the store had at the latest reload.
func (s *Service) ListModels(context.Context, *connect.Request[pb.ListModelsRequest]) (*connect.Response[pb.ListModelsResponse], error) {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	response := &pb.ListModelsResponse{}
	for _, of := range snapshot.Models {
		response.Models = append(response.Models, model(snapshot, of))
	}
	return connect.NewResponse(response), nil
}

// GetModel describes one of them.
func (s *Service) GetModel(_ context.Context, request *connect.Request[pb.GetModelRequest]) (*connect.Response[pb.GetModelResponse], error) {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	for _, of := range snapshot.Models {
		if of.ID == request.Msg.Id {
			return connect.NewResponse(&pb.GetModelResponse{Model: model(snapshot, of)}), nil
		}
	}
	return nil, failure.New(connect.CodeNotFound, failure.NoSuchModel, "no model %d", request.Msg.Id)
}

// GetActiveModel describes the one that answers.
func (s *Service) GetActiveModel(context.Context, *connect.Request[pb.GetActiveModelRequest]) (*connect.Response[pb.GetActiveModelResponse], error) {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	response := &pb.GetActiveModelResponse{
		Model: model(snapshot, snapshot.Info), Generation: snapshot.Generation,
		LoadedAt: snapshot.LoadedAt.UTC().Format(time.RFC3339),
		InputDim: int64(snapshot.Model.InputDim()), OutputDim: int64(snapshot.Model.OutputDim()),
		Backend: s.Config.Search.Backend, Embeds: s.Embedder != nil,
	}
	// Why in detail is in the log: it names files, which are not for everybody.
	if s.Models.Refused() != "" {
		response.ReloadError = "the latest reload was refused; the log says why"
	}
	if snapshot.Searcher != nil {
		answers := int64(snapshot.Searcher.Len())
		response.Answers = &answers
	}
	return connect.NewResponse(response), nil
}

// Reload reads the store anew.
func (s *Service) Reload(ctx context.Context, _ *connect.Request[pb.ReloadRequest]) (*connect.Response[pb.ReloadResponse], error) {
	if err := auth.Admin(ctx); err != nil {
		return nil, err
	}
	if err := s.Models.Reload("request"); err != nil {
		return nil, failure.New(connect.CodeFailedPrecondition, failure.ReloadRefused, "reload refused: %w", err)
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	return connect.NewResponse(&pb.ReloadResponse{Model: reference(snapshot)}), nil
}

// Feedback records what a user said.
func (s *Service) Feedback(ctx context.Context, request *connect.Request[pb.FeedbackRequest]) (*connect.Response[pb.FeedbackResponse], error) {
	message := request.Msg
	invalid := func(text string) error {
		return failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "%s", text)
	}
	switch {
	case s.Config.Search.Feedback == "off":
		return nil, failure.New(connect.CodeFailedPrecondition, failure.FeedbackOff, "this server records no feedback (search.feedback)")
	case message.Question == "":
		return nil, invalid("question is empty")
	case message.AnswerId != nil && !message.Helpful:
		return nil, invalid("answer_id without helpful")
	case message.Helpful && message.AnswerId == nil && len(message.ShownAnswerIds) == 0:
		return nil, invalid("helpful feedback without answer_id or shown_answer_ids, expected the right answer")
	case len(message.ShownAnswerIds) > s.Config.Search.MaxK:
		return nil, invalid("too many shown_answer_ids")
	}
	if err := s.checkText("question", message.Question); err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	entry := projection.Feedback{
		Query: message.Question, Helpful: message.Helpful, Selected: message.AnswerId,
		Shown: message.ShownAnswerIds, Projection: snapshot.Info.ID, EmbeddingModel: snapshot.EmbeddingModel,
	}
	if entry.Helpful && entry.Selected == nil {
		entry.Selected = &message.ShownAnswerIds[0]
	}
	_, end := s.stage(ctx, "feedback")
	defer end()
	var id int64
	if s.Config.Search.Feedback == "store" {
		id, err = s.Store.Record(entry)
	} else {
		id, err = s.Database.Record(ctx, entry)
	}
	switch {
	case errors.Is(err, projection.ErrNotFound):
		return nil, failure.New(connect.CodeNotFound, failure.NoSuchAnswer, "no answer %d", *entry.Selected)
	case err != nil:
		return nil, failure.From(err)
	}
	return connect.NewResponse(&pb.FeedbackResponse{LogId: id}), nil
}
