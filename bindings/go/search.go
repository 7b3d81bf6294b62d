package projection

// #include <projection.h>
import "C"

import (
	"context"
	"runtime"
	"unsafe"
)

// ScoreMode says how vectors score an answer.
type ScoreMode int

const (
	// ScoreSeenUnseen, the default, is the cosine of the (projected) query and the answer, plus an
	// offset for answers without training questions: UnseenOffset, or if that is 0 the one that
	// training chose for the model. Without a model, with one that has no offset, and in a searcher
	// that is not one of a store, it is the cosine alone.
	ScoreSeenUnseen ScoreMode = C.PROJECTION_SCORE_MODE_SEEN_UNSEEN
	// ScoreMaxNearestQuestion is the cosine, or 0.8 times the cosine of the query and the nearest
	// training question of the answer's cluster if that is larger. It needs a residual model and a
	// searcher of a store.
	ScoreMaxNearestQuestion ScoreMode = C.PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION
	// ScoreCosine is the cosine alone, without the offset that training chose.
	ScoreCosine ScoreMode = C.PROJECTION_SCORE_MODE_COSINE
)

// Query is what is searched for.
type Query struct {
	// Vector is the question's embedding.
	Vector []float32
	// Text is the question in words, which only hybrid search needs.
	Text string
}

// SearchOptions say how many answers to find and how to score them. Only K must be set.
type SearchOptions struct {
	// K is the number of answers.
	K int
	// Model projects the query; nil is plain cosine.
	Model *Model
	// Hybrid mixes in BM25 over the answers' texts. It needs the query's Text and a searcher of a
	// store.
	Hybrid bool
	// HybridWeight is the weight of BM25, up to 1 for words only. 0 stands for the weight that
	// training chose for the model, else 0.2.
	HybridWeight float64
	// ScoreMode says how vectors score an answer.
	ScoreMode ScoreMode
	// UnseenOffset is added to the scores by vectors of answers without training questions. 0 is
	// the offset that training chose with ScoreSeenUnseen, else none. Another number needs a model
	// with heads and a searcher of a store.
	UnseenOffset float64
	// Allowed are the ids of the answers that may be found, in any order. nil allows all, an empty
	// slice none. Scores do not depend on it, and unknown ids are ignored.
	Allowed []int64
	// Threads is the number of threads that share the queries of a batch, or the answers for one
	// query. They end before the search does. 0 and 1 are the calling thread. Results do not depend
	// on it.
	Threads int
}

// native returns the options for C. They point to Go memory that does not move until pinner is
// unpinned.
func (o SearchOptions) native(pinner *runtime.Pinner) (C.projection_search_options, error) {
	var native C.projection_search_options
	if o.K < 0 {
		return native, errorf(ErrInvalidArgument, "k is %d, expected at least 0", o.K)
	}
	native.size = C.size_t(unsafe.Sizeof(native))
	mode, err := enumerated("ScoreMode", int(o.ScoreMode))
	if err != nil {
		return native, err
	}
	native.score_mode = mode
	native.unseen_offset = C.double(o.UnseenOffset)
	if err := checkThreads(o.Threads); err != nil {
		return native, err
	}
	native.threads = C.size_t(o.Threads)
	if o.Allowed != nil {
		allowed := o.Allowed
		if len(allowed) == 0 {
			// An address that is not NULL, whatever an empty slice has.
			allowed = make([]int64, 1)
		}
		pinner.Pin(unsafe.SliceData(allowed))
		native.allowed = (*C.int64_t)(unsafe.SliceData(allowed))
		native.allowed_len = C.size_t(len(o.Allowed))
	}
	switch {
	case !o.Hybrid && o.HybridWeight != 0:
		return native, errorf(ErrInvalidArgument, "HybridWeight is %g without Hybrid", o.HybridWeight)
	case o.Hybrid && o.HybridWeight == 0:
		native.hybrid_weight = C.PROJECTION_HYBRID_WEIGHT_OF_MODEL
	case o.HybridWeight < 0:
		// One of these numbers has a meaning in C.
		return native, errorf(ErrInvalidArgument, "HybridWeight is %g, expected a number from 0 to 1", o.HybridWeight)
	default:
		native.hybrid_weight = C.double(o.HybridWeight)
	}
	return native, nil
}

// Search finds the k answers nearest to query by cosine, best first, equal ones by ascending id; all
// of them if there are fewer than k.
//
// It fails with ErrDimensionMismatch, ErrNotFinite or ErrZeroVector if the query is unusable.
func (s *Searcher) Search(query []float32, k int) ([]Hit, error) {
	return s.SearchWithOptions(Query{Vector: query}, SearchOptions{K: k})
}

// SearchWithProjection projects query with model and finds the k answers nearest to the result. A
// nil model searches for the query itself.
func (s *Searcher) SearchWithProjection(query []float32, model *Model, k int) ([]Hit, error) {
	return s.SearchWithOptions(Query{Vector: query}, SearchOptions{K: k, Model: model})
}

// SearchWithOptions finds the best answers to query, best first, equal ones by ascending id; all of
// them if there are fewer than options.K.
//
// It fails as [Searcher.Search] does, and with ErrInvalidArgument for options that are out of range
// or need what the searcher or the model does not have.
func (s *Searcher) SearchWithOptions(query Query, options SearchOptions) ([]Hit, error) {
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
	var found *C.projection_hits
	var failed *C.projection_error
	if err := check(C.projection_searcher_search(searcher, projection,
		floats(query.Vector), C.size_t(len(query.Vector)), chars(words), &native,
		C.size_t(options.K), &found, &failed), &failed); err != nil {
		return nil, err
	}
	return takeHits(found, 1)[0], nil
}

// SearchBatch is [Searcher.SearchWithProjection] for many queries, and faster than one call for each.
// One unusable query fails the whole batch.
func (s *Searcher) SearchBatch(queries [][]float32, model *Model, k int) ([][]Hit, error) {
	wrapped := make([]Query, len(queries))
	for i, query := range queries {
		wrapped[i].Vector = query
	}
	return s.SearchBatchWithOptions(wrapped, SearchOptions{K: k, Model: model})
}

// SearchBatchWithOptions is [Searcher.SearchWithOptions] for many queries. One unusable query fails
// the whole batch.
func (s *Searcher) SearchBatchWithOptions(queries []Query, options SearchOptions) ([][]Hit, error) {
	return s.SearchBatchContext(context.Background(), queries, options)
}

// SearchBatchContext is [Searcher.SearchBatchWithOptions] that fails with ErrCancelled and the error
// of ctx soon after ctx ends.
func (s *Searcher) SearchBatchContext(ctx context.Context, queries []Query, options SearchOptions) ([][]Hit, error) {
	searcher, projection, release, err := s.acquireWith(options.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	// C may only see pointers to Go memory that does not move while they are stored.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	scoring, err := options.native(&pinner)
	if err != nil {
		return nil, err
	}
	n, dim := len(queries), s.queryDim(options.Model)
	vectors := make([][]float32, n)
	words := make([]*C.char, n)
	for i, query := range queries {
		vectors[i] = query.Vector
		text, err := optionalText("Text", query.Text)
		if err != nil {
			return nil, err
		}
		if text != nil {
			pinner.Pin(unsafe.SliceData(text))
			words[i] = chars(text)
		}
	}
	flat, err := flatten(vectors, dim)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nil
	}
	var found *C.projection_hits
	err = cancellable(ctx, func(progress C.projection_progress, stop unsafe.Pointer) error {
		if stop != nil {
			pinner.Pin(stop)
		}
		scoring.progress, scoring.context = progress, stop
		var failed *C.projection_error
		return check(C.projection_searcher_search_batch(searcher, projection,
			floats(flat), C.size_t(n), C.size_t(dim), unsafe.SliceData(words), &scoring,
			C.size_t(options.K), &found, &failed), &failed)
	})
	if err != nil {
		return nil, err
	}
	return takeHits(found, n), nil
}

// takeHits converts the hits of n queries, n above 0, and frees them.
func takeHits(found *C.projection_hits, n int) [][]Hit {
	defer C.projection_hits_free(found)
	native := unsafe.Slice(C.projection_hits_data(found), int(C.projection_hits_len(found)))
	hits, each := make([][]Hit, n), len(native)/n
	for i := range hits {
		hits[i] = make([]Hit, each)
		for j, hit := range native[i*each:][:each] {
			hits[i][j] = Hit{int64(hit.answer_id), float32(hit.score), C.GoString(hit.text)}
		}
	}
	return hits
}
