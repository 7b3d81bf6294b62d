package service

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
)

// SearchBatch finds the answers to many questions.
func (s *Service) SearchBatch(ctx context.Context, request *connect.Request[pb.SearchBatchRequest]) (*connect.Response[pb.SearchBatchResponse], error) {
	message := request.Msg
	k, err := s.checkSearchBatch(message)
	if err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	vectors, err := s.questions(ctx, message.Questions)
	if err != nil {
		return nil, failure.From(err)
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	search := s.searchBatchMemory
	if snapshot.Searcher == nil {
		search = s.searchBatchDatabase
	}
	found, err := search(ctx, snapshot, message, vectors, k)
	if err != nil {
		return nil, failure.From(err)
	}
	response := &pb.SearchBatchResponse{Model: reference(snapshot)}
	for _, hits := range found {
		response.Results = append(response.Results, &pb.SearchResult{Hits: messages(snapshot, hits)})
	}
	return connect.NewResponse(response), nil
}

// checkSearchBatch refuses a batch before it waits for its turn, and returns the number of answers to
// each question.
func (s *Service) checkSearchBatch(message *pb.SearchBatchRequest) (k int, err error) {
	n := len(message.Questions)
	if n == 0 {
		return 0, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "questions is empty, expected at least one")
	}
	if n > s.Config.Limits.Batch {
		return 0, failure.New(connect.CodeInvalidArgument, failure.TooLarge, "%d questions, expected at most %d (limits.batch)", n, s.Config.Limits.Batch)
	}
	if k, err = s.k(message.K); err != nil {
		return 0, err
	}
	if most := s.Config.Search.MaxHits; n*k > most {
		return 0, failure.New(connect.CodeInvalidArgument, failure.TooLarge,
			"%d answers to each of %d questions, expected at most %d together (search.max-hits)", k, n, most)
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	dim := snapshot.Model.InputDim()
	if !projects(message.Project) {
		dim = snapshot.Model.OutputDim()
	}
	for i, question := range message.Questions {
		field := fmt.Sprintf("questions[%d]", i)
		found := len(question.GetVector())
		switch {
		case found > 0 && found != dim:
			return 0, failure.From(&projection.Error{Code: projection.ErrDimensionMismatch,
				Message: fmt.Sprintf("%s of dimension %d, expected %d", field, found, dim)})
		case found == 0 && question.GetText() == "":
			return 0, failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "%s: expected text or vector", field)
		case found == 0 && s.Embedder == nil:
			return 0, noEmbedder()
		}
		if err := s.checkText(field, question.GetText()); err != nil {
			return 0, err
		}
		if err := s.checkHybrid(message.Hybrid, question.GetText()); err != nil {
			return 0, err
		}
	}
	return k, nil
}

// questions returns the vectors of questions: their own, or those of their texts.
func (s *Service) questions(ctx context.Context, questions []*pb.Question) ([][]float32, error) {
	vectors := make([][]float32, len(questions))
	var texts []string
	for i, question := range questions {
		if vectors[i] = question.Vector; len(question.Vector) == 0 {
			texts = append(texts, question.Text)
		}
	}
	if texts == nil {
		return vectors, nil
	}
	_, end := s.stage(ctx, "embed")
	defer end()
	embedded, err := s.Embedder.EmbedBatchContext(ctx, texts)
	if err != nil {
		return nil, err
	}
	for i := range vectors {
		if len(vectors[i]) == 0 {
			vectors[i], embedded = embedded[0], embedded[1:]
		}
	}
	return vectors, nil
}

func (s *Service) searchBatchMemory(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchBatchRequest, vectors [][]float32, k int) ([][]projection.Hit, error) {
	options := projection.SearchOptions{K: k, Hybrid: message.Hybrid != nil, HybridWeight: message.Hybrid.GetWeight(),
		Allowed: allowed(message.Allowed)}
	if projects(message.Project) {
		options.Model = snapshot.Model
	}
	queries := make([]projection.Query, len(vectors))
	for i, vector := range vectors {
		s.examine(snapshot, vector)
		queries[i] = projection.Query{Vector: vector, Text: message.Questions[i].Text}
	}
	_, end := s.stage(ctx, "search")
	defer end()
	return snapshot.Searcher.SearchBatchContext(ctx, queries, options)
}

// searchBatchDatabase asks the database one question after the other.
func (s *Service) searchBatchDatabase(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchBatchRequest, vectors [][]float32, k int) ([][]projection.Hit, error) {
	if projects(message.Project) {
		var err error
		if vectors, err = s.projectRows(ctx, snapshot, vectors); err != nil {
			return nil, err
		}
	}
	staged, end := s.stage(ctx, "database")
	defer end()
	found := make([][]projection.Hit, len(vectors))
	for i, vector := range vectors {
		var err error
		if found[i], err = s.Database.Search(staged, vector, k, allowed(message.Allowed)); err != nil {
			return nil, err
		}
	}
	return found, nil
}
