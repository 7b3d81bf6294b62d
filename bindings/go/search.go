package projection

// #include <projection.h>
import "C"

import (
	"math"
	"runtime"
	"unsafe"
)

// ScoreMode is what vectors say about an answer.
type ScoreMode int

const (
	// ScoreCosine is the cosine of the query, or of the projected query, and the answer.
	ScoreCosine ScoreMode = C.PROJECTION_SCORE_MODE_COSINE
	// ScoreMaxNearestQuestion is that, or 0.8 times the cosine of the query and the nearest
	// training question of the answer's cluster, whichever is more. It needs a residual
	// model and a searcher of a store.
	ScoreMaxNearestQuestion ScoreMode = C.PROJECTION_SCORE_MODE_MAX_NEAREST_QUESTION
	// ScoreHeadedUnheaded is the cosine, and for answers that no head of the model is for
	// the UnheadedOffset of the options, or where that is 0 the one that training chose. It
	// needs a model with heads and a searcher of a store.
	ScoreHeadedUnheaded ScoreMode = C.PROJECTION_SCORE_MODE_HEADED_UNHEADED
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
	// Hybrid lets the words count that query and answer share, by BM25. It needs the query's
	// Text and a searcher of a store.
	Hybrid bool
	// HybridWeight is the weight of BM25, up to 1 for words only. 0 stands for the weight
	// that training chose for the model, else 0.2.
	HybridWeight float64
	// ScoreMode is what vectors say.
	ScoreMode ScoreMode
	// UnheadedOffset is added to what vectors say about answers that no head of the model is
	// for; 0 is none, and with ScoreHeadedUnheaded the one that training chose. It needs a
	// model with heads and a searcher of a store.
	UnheadedOffset float64
	// Allowed are the ids of the answers that may be found, in any order: nil stands for all,
	// an empty slice for none. Scores do not depend on it, and ids of no answer are passed
	// over.
	Allowed []int64
	// Threads share the queries of a batch, or the answers to be compared with one query;
	// they are the library's and end before the search does. 0 and 1 are the caller's
	// thread. The results do not depend on it.
	Threads int
}

// native gives the options for C, which see Go memory that stays where it is until pinner is
// unpinned.
func (o SearchOptions) native(pinner *runtime.Pinner) (C.projection_search_options, error) {
	var native C.projection_search_options
	native.size = C.size_t(unsafe.Sizeof(native))
	if o.ScoreMode < math.MinInt32 || o.ScoreMode > math.MaxInt32 {
		return native, errorf(ErrInvalidArgument, "ScoreMode is %d, expected 0, 1 or 2", o.ScoreMode)
	}
	native.score_mode = C.int32_t(o.ScoreMode)
	native.unheaded_offset = C.double(o.UnheadedOffset)
	if o.Threads < 0 {
		return native, errorf(ErrInvalidArgument, "Threads is %d, expected 0 or more", o.Threads)
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

// queryText is the query in words for C, nil where there are none.
func (q Query) queryText() ([]byte, error) {
	if q.Text == "" {
		return nil, nil
	}
	return text("Text", q.Text)
}

// SearchWithOptions finds the best answers to query, best first, equal ones by ascending id;
// all of them where there are fewer than options.K.
//
// It fails as [Searcher.Search] does, and with ErrInvalidArgument for options that are
// outside their range or need what there is not.
func (s *Searcher) SearchWithOptions(query Query, options SearchOptions) ([]Hit, error) {
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
	hits, err := s.roomForHits(1, options.K)
	if err != nil {
		return nil, err
	}
	var found C.size_t
	var failed *C.projection_error
	status := C.projection_index_search_with_options(index, projection,
		floats(query.Vector), C.size_t(len(query.Vector)), chars(words), &native,
		C.size_t(len(hits)), unsafe.SliceData(hits), C.size_t(len(hits)), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return withTexts(index, hits[:found]), nil
}

// SearchBatchWithOptions is [Searcher.SearchWithOptions] for many queries. One unusable
// query fails the whole batch.
func (s *Searcher) SearchBatchWithOptions(queries []Query, options SearchOptions) ([][]Hit, error) {
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
	// C may only see pointers to Go memory that does not move while they are stored.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	scoring, err := options.native(&pinner)
	if err != nil {
		return nil, err
	}
	n, dim := len(queries), s.dim
	if options.Model != nil {
		dim = options.Model.inputDim
	}
	vectors := make([][]float32, n)
	words := make([]*C.char, n)
	for i, query := range queries {
		vectors[i] = query.Vector
		text, err := query.queryText()
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
	native, err := s.roomForHits(n, options.K)
	if err != nil || n == 0 {
		return nil, err
	}
	k := len(native) / n
	var found C.size_t
	var failed *C.projection_error
	status := C.projection_index_search_batch_with_options(index, projection,
		floats(flat), C.size_t(n), C.size_t(dim), unsafe.SliceData(words), &scoring,
		C.size_t(k), unsafe.SliceData(native), C.size_t(len(native)), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	hits := make([][]Hit, n)
	for i := range hits {
		hits[i] = withTexts(index, native[i*k:][:found])
	}
	return hits, nil
}
