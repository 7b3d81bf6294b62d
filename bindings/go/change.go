package projection

// #include <projection.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// Add adds answers to the searcher; a store that it comes from does not change. ids holds ids that
// the searcher does not have, vectors the answers' vectors of [Searcher.Dim] values, one after
// another, and texts their texts, or is nil. After an error, nothing is added.
func (s *Searcher) Add(ids []int64, vectors []float32, texts []string) error {
	return s.put(ids, vectors, texts, false)
}

// Replace adds answers as [Searcher.Add] does; those that the searcher has already get the new vector
// and the new text, or none if texts is nil. A search that runs at the same time finds the old answers
// or the new ones: no answer is missing meanwhile, as it would be between Remove and Add. After an
// error, nothing has changed.
func (s *Searcher) Replace(ids []int64, vectors []float32, texts []string) error {
	return s.put(ids, vectors, texts, true)
}

func (s *Searcher) put(ids []int64, vectors []float32, texts []string, replace bool) error {
	searcher, err := s.acquire()
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
	var pinner runtime.Pinner
	defer pinner.Unpin()
	words, err := pinnedTexts(&pinner, "texts", texts)
	if err != nil {
		return err
	}
	n, dim, texted := C.size_t(len(ids)), C.size_t(s.dim), unsafe.SliceData(words)
	var failed *C.projection_error
	if replace {
		return check(C.projection_searcher_replace(searcher, integers(ids), floats(vectors), n, dim, texted, &failed), &failed)
	}
	return check(C.projection_searcher_add(searcher, integers(ids), floats(vectors), n, dim, texted, &failed), &failed)
}

// Remove removes the answers with these ids from the searcher, and returns the number of removed
// answers; a store that it comes from keeps them.
func (s *Searcher) Remove(ids []int64) (int, error) {
	searcher, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer s.handle.release()
	var removed C.size_t
	var failed *C.projection_error
	status := C.projection_searcher_remove(searcher, integers(ids), C.size_t(len(ids)), &removed, &failed)
	return int(removed), check(status, &failed)
}

// pinnedTexts are texts for C, which may only see pointers to Go memory that does not move while
// they are stored; nil for no texts.
func pinnedTexts(pinner *runtime.Pinner, name string, texts []string) ([]*C.char, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	pointers := make([]*C.char, len(texts))
	for i, s := range texts {
		native, err := text(name, s)
		if err != nil {
			return nil, err
		}
		pinner.Pin(unsafe.SliceData(native))
		pointers[i] = chars(native)
	}
	return pointers, nil
}
