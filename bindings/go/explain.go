package projection

// #include <projection.h>
import "C"

import "runtime"

// Explanation says what moved a query, how far, and how the answers' ranks changed.
type Explanation struct {
	// Angle between the query and the projected query in degrees; nil without a model, or if the two
	// have different dimensions.
	Angle *float64 `json:"angle"`
	// HybridWeight is the weight of BM25 in the scores; 0 without words.
	HybridWeight float64 `json:"hybrid_weight"`
	// UnseenOffset was added to the scores of answers without training questions.
	UnseenOffset float64 `json:"unseen_offset"`
	// Heads are the routing weights by ascending cluster; none for models without heads.
	Heads []ExplainedHead `json:"heads"`
	// QuestionsMove says whether the training questions move the query. If not, they only determine
	// the routing weights.
	QuestionsMove bool `json:"questions_move"`
	// Questions are the training questions behind the weights of a residual model, the largest
	// weight first.
	Questions []ExplainedQuestion `json:"questions"`
	// Hits are the answers that were found, best first.
	Hits []ExplainedHit `json:"hits"`
}

// ExplainedHead is a head with its routing weight.
type ExplainedHead struct {
	ClusterID int64   `json:"cluster_id"`
	Weight    float32 `json:"weight"`
}

// ExplainedQuestion is a training question near the query.
type ExplainedQuestion struct {
	// ClusterID is the question's cluster, and Row its row among those of the cluster.
	ClusterID int64 `json:"cluster_id"`
	Row       int   `json:"row"`
	// Similarity is its cosine with the query.
	Similarity float64 `json:"similarity"`
	// Weight is its share; all weights sum to 1.
	Weight float64 `json:"weight"`
	// ID and Text are nil and empty unless the searcher comes from a store that still has the
	// question.
	ID   *int64 `json:"question_id"`
	Text string `json:"text"`
}

// ExplainedHit is an answer that was found, with the parts of its score. What does not apply is nil.
type ExplainedHit struct {
	Hit
	// Rank counts from 1.
	Rank int `json:"rank"`
	// RankBefore and ScoreBefore are rank and score by plain cosine.
	RankBefore  *int     `json:"rank_before"`
	ScoreBefore *float32 `json:"score_before"`
	// Cosine with the (projected) query.
	Cosine float32 `json:"cosine"`
	// NearestQuestion is the cosine of the query with the nearest training question of the answer's
	// cluster.
	NearestQuestion *float32 `json:"nearest_question"`
	// BM25 is the score by words.
	BM25 *float64 `json:"bm25"`
	// Seen says whether the answer has training questions.
	Seen *bool `json:"seen"`
}

// Explain searches as [Searcher.SearchWithOptions] does and explains why the answers were found.
//
// It fails as that does.
func (s *Searcher) Explain(query Query, options SearchOptions) (*Explanation, error) {
	searcher, projection, release, err := s.acquireWith(options.Model)
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
	words, err := optionalText("Text", query.Text)
	if err != nil {
		return nil, err
	}
	explanation := &Explanation{}
	err = report(explanation, func(text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_searcher_explain(searcher, projection, floats(query.Vector),
			C.size_t(len(query.Vector)), chars(words), &native, C.size_t(options.K), text, failed)
	})
	if err != nil {
		return nil, err
	}
	return explanation, nil
}
