package projection

// #include <projection.h>
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// Hit is an answer that a search found.
type Hit struct {
	// AnswerID is the answer's id in the store, or in the slice given to NewSearcher.
	AnswerID int64
	// Score is the cosine of the query, or of the projected query, and the answer.
	Score float32
	// Text is the answer's text; empty where the searcher has none.
	Text string
}

// Searcher finds the answers nearest to a query, exactly unless [Searcher.MakeLists] was
// called. It is a snapshot: what is embedded later is seen by searchers that are opened later,
// or that it is added to. It is safe for concurrent use.
type Searcher struct {
	handle *handle
	length atomic.Int64
	dim    int
}

// OpenSearcher reads the answers of the store whose database is the file database.
// modelName is the text model whose vectors are read; "" stands for the only one there is.
//
// It fails with ErrNotFound where the database, the text model or any vector does not
// exist, with ErrAmbiguousModel where a name is needed, and with ErrInvalidStore where the
// file is no store.
func OpenSearcher(database, modelName string) (*Searcher, error) {
	path, err := text("database", database)
	if err != nil {
		return nil, err
	}
	name, err := text("modelName", modelName)
	if err != nil {
		return nil, err
	}
	if modelName == "" {
		name = nil
	}
	var index *C.projection_index
	var failed *C.projection_error
	status := C.projection_index_open(chars(path), chars(name), &index, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return newSearcher(index), nil
}

// NewSearcher makes a searcher of vectors of dim values each, which lie one after another
// in vectors and need not be of unit length. ids names them; no id may come twice. Both
// slices are copied.
func NewSearcher(ids []int64, vectors []float32, dim int) (*Searcher, error) {
	if dim <= 0 {
		return nil, errorf(ErrInvalidArgument, "dim is %d, expected at least 1", dim)
	}
	if len(vectors)%dim != 0 || len(vectors)/dim != len(ids) {
		return nil, errorf(ErrBufferSize,
			"vectors has the length %d, expected %d vectors of dimension %d", len(vectors), len(ids), dim)
	}
	var index *C.projection_index
	var failed *C.projection_error
	status := C.projection_index_from_vectors((*C.int64_t)(unsafe.SliceData(ids)),
		floats(vectors), C.size_t(len(ids)), C.size_t(dim), &index, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return newSearcher(index), nil
}

// newSearcher takes over index.
func newSearcher(index *C.projection_index) *Searcher {
	searcher := &Searcher{
		handle: newHandle("searcher", unsafe.Pointer(index), freeIndex),
		dim:    int(C.projection_index_dim(index)),
	}
	searcher.length.Store(int64(C.projection_index_len(index)))
	return searcher
}

func freeIndex(index unsafe.Pointer) {
	C.projection_index_free((*C.projection_index)(index))
}

// acquire gives the native index until s.handle.release is called.
func (s *Searcher) acquire() (*C.projection_index, error) {
	if s == nil || s.handle == nil {
		return nil, errorf(ErrInvalidArgument, "the searcher is nil or empty")
	}
	index, err := s.handle.acquire()
	return (*C.projection_index)(index), err
}

// Search finds the k answers nearest to query by cosine, best first, equal ones by
// ascending id; all of them where there are fewer than k.
//
// It fails with ErrDimensionMismatch, ErrNotFinite or ErrZeroVector where the query is
// unusable.
func (s *Searcher) Search(query []float32, k int) ([]Hit, error) {
	return s.SearchWithProjection(query, nil, k)
}

// SearchWithProjection projects query with model and finds the k answers nearest to the
// result. A nil model stands for none: the query is then searched for as it is.
func (s *Searcher) SearchWithProjection(query []float32, model *Model, k int) ([]Hit, error) {
	index, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	projection, release, err := acquireIfAny(model)
	if err != nil {
		return nil, err
	}
	defer release()
	hits, err := s.roomForHits(1, k)
	if err != nil {
		return nil, err
	}
	var found C.size_t
	var failed *C.projection_error
	status := C.projection_index_search(index, projection,
		floats(query), C.size_t(len(query)), C.size_t(len(hits)),
		unsafe.SliceData(hits), C.size_t(len(hits)), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return withTexts(index, hits[:found]), nil
}

// SearchBatch is [Searcher.SearchWithProjection] for many queries, and faster than one call
// for each. One unusable query fails the whole batch.
func (s *Searcher) SearchBatch(queries [][]float32, model *Model, k int) ([][]Hit, error) {
	index, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	projection, release, err := acquireIfAny(model)
	if err != nil {
		return nil, err
	}
	defer release()
	n, dim := len(queries), s.dim
	if model != nil {
		dim = model.inputDim
	}
	flat, err := flatten(queries, dim)
	if err != nil {
		return nil, err
	}
	native, err := s.roomForHits(n, k)
	if err != nil || n == 0 {
		return nil, err
	}
	k = len(native) / n
	var found C.size_t
	var failed *C.projection_error
	status := C.projection_index_search_batch(index, projection,
		floats(flat), C.size_t(n), C.size_t(dim), C.size_t(k),
		unsafe.SliceData(native), C.size_t(len(native)), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	hits := make([][]Hit, n)
	for i := range hits {
		hits[i] = withTexts(index, native[i*k:][:found])
	}
	return hits, nil
}

// acquireIfAny gives the native model until release is called, and NULL for nil.
func acquireIfAny(model *Model) (native *C.projection_model, release func(), err error) {
	if model == nil {
		return nil, func() {}, nil
	}
	native, err = model.acquire()
	if err != nil {
		return nil, nil, err
	}
	return native, model.handle.release, nil
}

// roomForHits is for k hits of each of n queries, or for all answers where there are fewer:
// what k asks for could be more than there is memory.
func (s *Searcher) roomForHits(n, k int) ([]C.projection_hit, error) {
	if k < 0 {
		return nil, errorf(ErrInvalidArgument, "k is %d, expected at least 0", k)
	}
	return make([]C.projection_hit, n*min(k, int(s.length.Load()))), nil
}

// withTexts converts hits and adds the answers' texts.
func withTexts(index *C.projection_index, native []C.projection_hit) []Hit {
	hits := make([]Hit, len(native))
	for i, hit := range native {
		text, _ := answerText(index, hit.answer_id)
		hits[i] = Hit{AnswerID: int64(hit.answer_id), Score: float32(hit.score), Text: text}
	}
	return hits
}

// Text is the text of an answer, and whether the searcher has one for this id. Searchers
// that were not opened from a store have none, nor does a closed one.
func (s *Searcher) Text(answerID int64) (string, bool) {
	index, err := s.acquire()
	if err != nil {
		return "", false
	}
	defer s.handle.release()
	return answerText(index, C.int64_t(answerID))
}

// answerText copies a text, which lives in the index.
func answerText(index *C.projection_index, answerID C.int64_t) (string, bool) {
	text := C.projection_index_text(index, answerID)
	return C.GoString(text), text != nil
}

// Len is the number of answers; 0 for a nil searcher. As Dim, it may still be asked for
// after Close.
func (s *Searcher) Len() int {
	if s == nil {
		return 0
	}
	return int(s.length.Load())
}

// Dim is the dimension of the answers' vectors; 0 for a nil searcher.
func (s *Searcher) Dim() int {
	if s == nil {
		return 0
	}
	return s.dim
}

// Close frees the searcher's native memory, after the calls that are under way. It may be
// called any number of times and always returns nil, as [io.Closer] wants an error.
func (s *Searcher) Close() error {
	if s != nil && s.handle != nil {
		s.handle.close()
	}
	return nil
}
