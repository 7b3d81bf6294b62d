package projection

// #include <projection.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Add adds answers to the searcher; a store that it is from does not change. ids holds ids
// that the searcher does not have, vectors the answers' vectors of [Searcher.Dim] values, one
// after another, and texts their texts, or is nil. Nothing is added after an error. Searches
// under way end first.
func (s *Searcher) Add(ids []int64, vectors []float32, texts []string) error {
	index, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.handle.release()
	if len(vectors)%s.dim != 0 || len(vectors)/s.dim != len(ids) {
		return errorf(ErrBufferSize,
			"vectors has the length %d, expected %d vectors of dimension %d", len(vectors), len(ids), s.dim)
	}
	if texts != nil && len(texts) != len(ids) {
		return errorf(ErrBufferSize, "texts has the length %d, expected %d", len(texts), len(ids))
	}
	// C may only see pointers to Go memory that does not move while they are stored.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	words := make([]*C.char, len(texts))
	for i, answer := range texts {
		native, err := text("texts", answer)
		if err != nil {
			return err
		}
		pinner.Pin(unsafe.SliceData(native))
		words[i] = chars(native)
	}
	var native **C.char
	if len(words) > 0 {
		native = unsafe.SliceData(words)
	}
	var failed *C.projection_error
	status := C.projection_index_add(index, (*C.int64_t)(unsafe.SliceData(ids)),
		floats(vectors), C.size_t(len(ids)), C.size_t(s.dim), native, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return failure(status, failed)
	}
	s.length.Store(int64(C.projection_index_len(index)))
	return nil
}

// Remove removes the answers with these ids from the searcher, and gives how many of them
// there were; a store that it is from keeps them. Searches under way end first.
func (s *Searcher) Remove(ids []int64) (int, error) {
	index, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer s.handle.release()
	var removed C.size_t
	var failed *C.projection_error
	status := C.projection_index_remove(index, (*C.int64_t)(unsafe.SliceData(ids)),
		C.size_t(len(ids)), &removed, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return 0, failure(status, failed)
	}
	s.length.Store(int64(C.projection_index_len(index)))
	return int(removed), nil
}

// ListsOptions say how lists are made. All may be left out.
type ListsOptions struct {
	// Queries are like those to come: a few hundred make sure that the promise of MakeLists
	// holds for such.
	Queries [][]float32
	// Model projects the queries; nil is none.
	Model *Model
	// Threads is how many threads work; 0 stands for one.
	Threads int
}

// Lists is what making lists found out.
type Lists struct {
	// Recall is the share of the true 1, 10 and 32 nearest answers, heads or training
	// questions that queries find that were held out, the least of them; 1 where searches
	// stay exact.
	Recall float64
	// Read is the share of all of them that queries read on average.
	Read float64
	// Count is the number of lists; 1 where searches stay exact.
	Count int
}

// MakeLists puts the answers into lists, so that searches find the nearest of many without
// comparing a query with each: at least 99% of them, for queries that are held out. Where
// lists cannot do that, and below 16,384 answers, searches stay exact. It takes seconds for
// 100,000 answers, and a quarter more memory; searches wait for it.
func (s *Searcher) MakeLists(options ListsOptions) (Lists, error) {
	index, err := s.acquire()
	if err != nil {
		return Lists{}, err
	}
	defer s.handle.release()
	projection, release, err := acquireIfAny(options.Model)
	if err != nil {
		return Lists{}, err
	}
	defer release()
	if options.Threads < 0 {
		return Lists{}, errorf(ErrInvalidArgument, "Threads is %d, expected 0 or more", options.Threads)
	}
	dim := s.dim
	if options.Model != nil {
		dim = options.Model.inputDim
	}
	flat, err := flatten(options.Queries, dim)
	if err != nil {
		return Lists{}, err
	}
	var found C.projection_lists
	var failed *C.projection_error
	status := C.projection_index_make_lists(index, projection, floats(flat),
		C.size_t(len(options.Queries)), C.size_t(dim), C.size_t(options.Threads), &found, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return Lists{}, failure(status, failed)
	}
	return newLists(found), nil
}

func newLists(found C.projection_lists) Lists {
	return Lists{float64(found.recall), float64(found.read), int(found.lists)}
}

// DropLists forgets the lists: searches are exact again.
func (s *Searcher) DropLists() error {
	index, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.handle.release()
	C.projection_index_drop_lists(index)
	return nil
}
