package projection

// #include <projection.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Explanation is what moved a query, how far, and what became of the answers' ranks.
type Explanation struct {
	// Angle between the query and the projected query in degrees; NaN without a model, or
	// where the two have different dimensions.
	Angle float64
	// HybridWeight is the weight of BM25 in the scores; 0 where words did not count.
	HybridWeight float64
	// Weights are the routing weights by cluster; empty for models without heads.
	Weights map[int64]float32
	// QuestionsMove says whether the training questions move the query. Otherwise they only
	// give the routing weights.
	QuestionsMove bool
	// Questions are the training questions behind the weights, the largest weight first, for
	// residual models.
	Questions []ExplainedQuestion
	// Hits are the answers that were found, best first.
	Hits []ExplainedHit
}

// ExplainedQuestion is a training question near the query.
type ExplainedQuestion struct {
	// ClusterID is the question's cluster, and Row its row among those of the cluster.
	ClusterID int64
	Row       int
	// Similarity is its cosine with the query.
	Similarity float64
	// Weight is its share; all weights sum to 1.
	Weight float64
	// Text is empty where the searcher is not of a store that still has the question.
	Text string
}

// ExplainedHit is an answer that was found, with the parts of its score.
type ExplainedHit struct {
	Hit
	// Rank counts from 1.
	Rank int
	// RankBefore is the rank by plain cosine, and ScoreBefore the score; 0 and NaN where
	// query and answers have different dimensions.
	RankBefore  int
	ScoreBefore float32
	// Cosine with the query, or with the projected query.
	Cosine float32
	// NearestQuestion is the cosine of the query with the nearest training question of the
	// answer's cluster; NaN where it did not count, or there is none.
	NearestQuestion float32
	// BM25 is NaN where words did not count.
	BM25 float64
	// Headed says whether a head of the model is for the answer; nil where the model has no
	// heads or the searcher is not of a store.
	Headed *bool
}

// Explain searches as [Searcher.SearchWithOptions] does and says why the answers were found.
//
// It fails as that does.
func (s *Searcher) Explain(query Query, options SearchOptions) (*Explanation, error) {
	index, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	projection, release, err := acquireIfAny(options.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	var pinner runtime.Pinner
	defer pinner.Unpin()
	native, err := options.native(&pinner)
	if err != nil {
		return nil, err
	}
	words, err := query.queryText()
	if err != nil {
		return nil, err
	}
	if options.K < 0 {
		return nil, errorf(ErrInvalidArgument, "k is %d, expected at least 0", options.K)
	}
	var found *C.projection_explanation
	var failed *C.projection_error
	status := C.projection_index_explain(index, projection,
		floats(query.Vector), C.size_t(len(query.Vector)), chars(words), &native,
		C.size_t(options.K), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	// Everything is copied, so that there is nothing to close.
	defer C.projection_explanation_free(found)
	return copyExplanation(index, found), nil
}

func copyExplanation(index *C.projection_index, found *C.projection_explanation) *Explanation {
	explanation := &Explanation{
		Angle:         float64(C.projection_explanation_angle(found)),
		HybridWeight:  float64(C.projection_explanation_hybrid_weight(found)),
		QuestionsMove: C.projection_explanation_questions_move(found) != 0,
		Weights:       map[int64]float32{},
	}
	var count C.size_t
	heads := C.projection_explanation_heads(found, &count)
	for _, head := range unsafe.Slice(heads, int(count)) {
		explanation.Weights[int64(head.cluster_id)] = float32(head.weight)
	}
	questions := C.projection_explanation_questions(found, &count)
	for _, question := range unsafe.Slice(questions, int(count)) {
		explanation.Questions = append(explanation.Questions, ExplainedQuestion{
			ClusterID:  int64(question.cluster_id),
			Row:        int(question.row),
			Similarity: float64(question.similarity),
			Weight:     float64(question.weight),
			Text:       C.GoString(question.text),
		})
	}
	hits := C.projection_explanation_hits(found, &count)
	for _, hit := range unsafe.Slice(hits, int(count)) {
		text, _ := answerText(index, hit.answer_id)
		var headed *bool
		if hit.headed >= 0 {
			yes := hit.headed != 0
			headed = &yes
		}
		explanation.Hits = append(explanation.Hits, ExplainedHit{
			Hit:             Hit{AnswerID: int64(hit.answer_id), Score: float32(hit.score), Text: text},
			Rank:            int(hit.rank),
			RankBefore:      int(hit.rank_before),
			ScoreBefore:     float32(hit.score_before),
			Cosine:          float32(hit.cosine),
			NearestQuestion: float32(hit.nearest_question),
			BM25:            float64(hit.bm25),
			Headed:          headed,
		})
	}
	return explanation
}
