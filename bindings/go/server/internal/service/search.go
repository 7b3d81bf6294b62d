package service

import (
	"context"
	"fmt"
	"math"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
)

// Search finds the answers to a question.
func (s *Service) Search(ctx context.Context, request *connect.Request[pb.SearchRequest]) (*connect.Response[pb.SearchResponse], error) {
	message := request.Msg
	if err := s.checkSearch(message); err != nil {
		return nil, err
	}
	k, err := s.k(message.K)
	if err != nil {
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
	s.examine(snapshot, query)
	response := &pb.SearchResponse{Model: reference(snapshot)}
	switch {
	case snapshot.Searcher == nil:
		err = s.searchDatabase(ctx, snapshot, message, query, k, response)
	case message.Explain || message.Hybrid != nil:
		err = s.searchWithOptions(ctx, snapshot, message, query, k, response)
	default:
		err = s.searchMemory(ctx, snapshot, message, query, k, response)
	}
	if err != nil {
		return nil, failure.From(err)
	}
	return connect.NewResponse(response), nil
}

func (s *Service) checkSearch(message *pb.SearchRequest) error {
	if err := checkRouting(message.Routing); err != nil {
		return err
	}
	if err := s.checkQuestion(message.Text, message.Vector); err != nil {
		return err
	}
	return s.checkHybrid(message.Hybrid, message.Text)
}

func (s *Service) checkHybrid(hybrid *pb.Hybrid, text string) error {
	switch weight := hybrid.GetWeight(); {
	case hybrid == nil:
		return nil
	case s.Config.Search.Backend != "memory":
		return failure.New(connect.CodeUnimplemented, failure.Unsupported, "hybrid search needs answers in memory (search.backend)")
	case text == "":
		return failure.New(connect.CodeInvalidArgument, failure.InvalidArgument, "hybrid search needs text")
	case hybrid.Weight != nil && !(weight > 0 && weight <= 1):
		return failure.New(connect.CodeInvalidArgument, failure.InvalidArgument,
			"hybrid.weight is %g, expected a number above 0 and up to 1", weight)
	}
	return nil
}

// projects tells whether a request wants its question projected, which is the default.
func projects(wanted *bool) bool { return wanted == nil || *wanted }

// prepare projects the query where the request wants that, and adds the routing.
func (s *Service) prepare(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchRequest, query []float32, response *pb.SearchResponse) ([]float32, error) {
	if !projects(message.Project) {
		return query, nil
	}
	projected, weights, err := s.project(ctx, snapshot, query, message.Routing > 0)
	if err != nil {
		return nil, err
	}
	response.Routing = routing(snapshot, weights, message.Routing)
	return projected, nil
}

func (s *Service) searchMemory(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchRequest, query []float32, k int, response *pb.SearchResponse) error {
	query, err := s.prepare(ctx, snapshot, message, query, response)
	if err != nil {
		return err
	}
	_, end := s.stage(ctx, "search")
	defer end()
	hits, err := snapshot.Searcher.SearchWithOptions(projection.Query{Vector: query},
		projection.SearchOptions{K: k, Allowed: allowed(message.Allowed)})
	response.Hits = messages(snapshot, hits)
	return err
}

// allowed are the ids of the answers that may be found, nil for all.
func allowed(message *pb.Allowed) []int64 {
	if message == nil {
		return nil
	}
	return append([]int64{}, message.AnswerIds...)
}

func messages(snapshot *active.Snapshot, hits []projection.Hit) []*pb.Hit {
	all := make([]*pb.Hit, len(hits))
	for i, hit := range hits {
		all[i] = &pb.Hit{AnswerId: hit.AnswerID, Score: hit.Score, Text: hit.Text, Metadata: snapshot.Metadata[hit.AnswerID]}
	}
	return all
}

// searchDatabase lets the database search. Explanations have only what needs no answers.
func (s *Service) searchDatabase(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchRequest, query []float32, k int, response *pb.SearchResponse) error {
	if s.Database == nil {
		return failure.New(connect.CodeFailedPrecondition, failure.Unsupported, "no database is configured")
	}
	projected, err := s.prepare(ctx, snapshot, message, query, response)
	if err != nil {
		return err
	}
	if dim := snapshot.Model.OutputDim(); len(projected) != dim {
		return &projection.Error{Code: projection.ErrDimensionMismatch,
			Message: fmt.Sprintf("query of dimension %d, expected %d", len(projected), dim)}
	}
	if message.Explain {
		response.Explanation = &pb.Explanation{Angle: angle(query, projected)}
	}
	staged, end := s.stage(ctx, "database")
	defer end()
	hits, err := s.Database.Search(staged, projected, k, allowed(message.Allowed))
	response.Hits = messages(snapshot, hits)
	return err
}

// searchWithOptions is for hybrid search and explanations.
func (s *Service) searchWithOptions(ctx context.Context, snapshot *active.Snapshot, message *pb.SearchRequest, query []float32, k int, response *pb.SearchResponse) error {
	question := projection.Query{Vector: query, Text: message.Text}
	options := projection.SearchOptions{K: k, Hybrid: message.Hybrid != nil, HybridWeight: message.Hybrid.GetWeight(),
		Allowed: allowed(message.Allowed)}
	if projects(message.Project) {
		options.Model = snapshot.Model
	}
	if !message.Explain {
		if message.Routing > 0 {
			if _, err := s.prepare(ctx, snapshot, message, query, response); err != nil {
				return err
			}
		}
		_, end := s.stage(ctx, "search")
		defer end()
		hits, err := snapshot.Searcher.SearchWithOptions(question, options)
		response.Hits = messages(snapshot, hits)
		return err
	}
	_, end := s.stage(ctx, "explain")
	defer end()
	found, err := snapshot.Searcher.Explain(question, options)
	if err != nil {
		return err
	}
	if len(found.Heads) > 0 {
		// Both are in ascending order of clusters.
		weights := make([]float32, len(found.Heads))
		for i, head := range found.Heads {
			weights[i] = head.Weight
		}
		response.Routing = routing(snapshot, weights, message.Routing)
	}
	response.Explanation = explanation(snapshot, found)
	for _, hit := range found.Hits {
		response.Hits = append(response.Hits, explained(snapshot, hit))
	}
	return nil
}

func explanation(snapshot *active.Snapshot, found *projection.Explanation) *pb.Explanation {
	message := &pb.Explanation{
		Angle: found.Angle, HybridWeight: found.HybridWeight, QuestionsMove: found.QuestionsMove,
	}
	for _, question := range found.Questions {
		message.Questions = append(message.Questions, &pb.TrainingQuestion{
			ClusterId: question.ClusterID, Cluster: snapshot.Clusters[question.ClusterID],
			Similarity: question.Similarity, Weight: question.Weight, Text: question.Text,
		})
	}
	return message
}

func explained(snapshot *active.Snapshot, hit projection.ExplainedHit) *pb.Hit {
	parts := &pb.HitExplanation{
		ScoreBefore: hit.ScoreBefore, Cosine: &hit.Cosine, Bm25: hit.BM25, Seen: hit.Seen,
	}
	if hit.RankBefore != nil {
		rank := int64(*hit.RankBefore)
		parts.RankBefore = &rank
	}
	return &pb.Hit{AnswerId: hit.AnswerID, Score: hit.Score, Text: hit.Text, Explanation: parts,
		Metadata: snapshot.Metadata[hit.AnswerID]}
}

// angle between two vectors in degrees; nil if they have none.
func angle(a, b []float32) *float64 {
	if len(a) != len(b) {
		return nil
	}
	var dot, squareA, squareB float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, squareA, squareB = dot+x*y, squareA+x*x, squareB+y*y
	}
	degrees := math.Acos(min(1, max(-1, dot/math.Sqrt(squareA*squareB)))) * 180 / math.Pi
	if math.IsNaN(degrees) {
		return nil
	}
	return &degrees
}
