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
	AnswerID int64 `json:"answer_id"`
	// Score is the cosine of the (projected) query and the answer, unless the options ask for
	// another score.
	Score float32 `json:"score"`
	// Text is the answer's text; empty if the searcher has none.
	Text string `json:"text"`
}

// Searcher finds the answers nearest to a query, exactly unless [Searcher.BuildIndex] was called. It
// is a snapshot: searchers that are opened later see what is embedded later, others only what is
// added to them. It is safe for concurrent use.
type Searcher struct {
	handle *handle
	dim    int
	// The number of answers when it was closed.
	lastLen atomic.Int64
}

// OpenSearcher reads the answers of the store whose database is the file database. It is
// [Store.Searcher] of a store that is closed again.
func OpenSearcher(database, modelName string) (*Searcher, error) {
	store, err := OpenStore(database, nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return store.Searcher(modelName)
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
	return openSearcher(func(searcher **C.projection_searcher, failed **C.projection_error) C.projection_status {
		return C.projection_searcher_from_vectors(integers(ids), floats(vectors), C.size_t(len(ids)),
			C.size_t(dim), searcher, failed)
	})
}

// openSearcher takes over the searcher that call returns.
func openSearcher(call func(searcher **C.projection_searcher, failed **C.projection_error) C.projection_status) (*Searcher, error) {
	var native *C.projection_searcher
	var failed *C.projection_error
	if err := check(call(&native, &failed), &failed); err != nil {
		return nil, err
	}
	return &Searcher{
		handle: newHandle("searcher", unsafe.Pointer(native), func(searcher unsafe.Pointer) {
			C.projection_searcher_free((*C.projection_searcher)(searcher))
		}),
		dim: int(C.projection_searcher_dim(native)),
	}, nil
}

// acquire returns the native searcher until s.handle.release is called.
func (s *Searcher) acquire() (*C.projection_searcher, error) {
	if s == nil || s.handle == nil {
		return nil, errorf(ErrInvalidArgument, "the searcher is nil or empty")
	}
	searcher, err := s.handle.acquire()
	return (*C.projection_searcher)(searcher), err
}

// acquireWith returns the native searcher and model, which is NULL for nil, until release is called.
func (s *Searcher) acquireWith(model *Model) (searcher *C.projection_searcher, native *C.projection_model, release func(), err error) {
	if searcher, err = s.acquire(); err != nil || model == nil {
		return searcher, nil, s.release, err
	}
	if native, err = model.acquire(); err != nil {
		s.release()
		return nil, nil, nil, err
	}
	return searcher, native, func() { model.handle.release(); s.release() }, nil
}

func (s *Searcher) release() { s.handle.release() }

// queryDim is the dimension that queries must have.
func (s *Searcher) queryDim(model *Model) int {
	if model != nil {
		return model.inputDim
	}
	return s.dim
}

// Vectors returns the ids of all answers, and the vectors of length 1 that a search with the model
// compares with, for another index: the answers where the model moves them, see
// [Model.MovesAnswers], or as they are for a nil model.
func (s *Searcher) Vectors(model *Model) (ids []int64, vectors [][]float32, err error) {
	searcher, native, release, err := s.acquireWith(model)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	n := int(C.projection_searcher_len(searcher))
	ids = make([]int64, n)
	var failed *C.projection_error
	if err := check(C.projection_searcher_ids(searcher, integers(ids), C.size_t(n), &failed), &failed); err != nil {
		return nil, nil, err
	}
	values := make([]float32, n*s.dim)
	err = check(C.projection_searcher_vectors(searcher, native, floats(values), C.size_t(len(values)), &failed), &failed)
	if err != nil {
		return nil, nil, err
	}
	return ids, rows(values, n, s.dim), nil
}

// Text is the text of an answer, and whether the searcher has one for this id. Searchers
// that were not opened from a store have none, nor does a closed one.
func (s *Searcher) Text(answerID int64) (string, bool) {
	searcher, err := s.acquire()
	if err != nil {
		return "", false
	}
	defer s.handle.release()
	var found *C.projection_text
	if C.projection_searcher_text(searcher, C.int64_t(answerID), &found, nil) != C.PROJECTION_STATUS_OK || found == nil {
		return "", false
	}
	defer C.projection_text_free(found)
	return C.GoString(C.projection_text_data(found)), true
}

// Len is the number of answers; 0 for a nil searcher. As Dim, it may still be asked for
// after Close.
func (s *Searcher) Len() int {
	searcher, err := s.acquire()
	if err != nil {
		if s == nil {
			return 0
		}
		return int(s.lastLen.Load())
	}
	defer s.handle.release()
	return int(C.projection_searcher_len(searcher))
}

// Dim is the dimension of the answers' vectors; 0 for a nil searcher.
func (s *Searcher) Dim() int {
	if s == nil {
		return 0
	}
	return s.dim
}

// Close frees the searcher's native memory; the last running call does so if there are any. It may be
// called any number of times and always returns nil, as [io.Closer] wants an error.
func (s *Searcher) Close() error {
	if s != nil && s.handle != nil {
		if searcher, err := s.acquire(); err == nil {
			s.lastLen.Store(int64(C.projection_searcher_len(searcher)))
			s.handle.release()
		}
		s.handle.close()
	}
	return nil
}
