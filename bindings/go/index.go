package projection

// #include <projection.h>
import "C"

import (
	"context"
	"unsafe"
)

// IndexOptions say how an approximate index is built. All fields may be left out.
type IndexOptions struct {
	// Queries resemble later ones. A few hundred make sure that the promise of BuildIndex holds
	// for such queries.
	Queries [][]float32
	// Model projects the queries; nil is none.
	Model *Model
	// Threads is the number of threads that work; 0 stands for one.
	Threads int
}

// IndexStats are recall and cost measured while building an approximate index.
type IndexStats struct {
	// Recall is the smallest share of the true 1, 10 and 32 nearest answers, heads or training
	// questions that held-out queries find; 1 if search is exact.
	Recall float64
	// Read is the share of all vectors that a query reads on average; 1 if search is exact.
	Read float64
	// Lists is the number of inverted lists; 1 if search is exact.
	Lists int
}

// measured runs a call that reports what was measured.
func measured(call func(stats *C.projection_index_stats, failed **C.projection_error) C.projection_status) (IndexStats, error) {
	return built(context.Background(), func(_ C.projection_progress, _ unsafe.Pointer, stats *C.projection_index_stats, failed **C.projection_error) C.projection_status {
		return call(stats, failed)
	})
}

// built is measured for a call that ends soon after ctx does.
func built(ctx context.Context, call func(progress C.projection_progress, stop unsafe.Pointer, stats *C.projection_index_stats, failed **C.projection_error) C.projection_status) (IndexStats, error) {
	var stats C.projection_index_stats
	if err := cancellable(ctx, func(progress C.projection_progress, stop unsafe.Pointer) error {
		var failed *C.projection_error
		return check(call(progress, stop, &stats, &failed), &failed)
	}); err != nil {
		return IndexStats{}, err
	}
	return IndexStats{float64(stats.recall), float64(stats.read), int(stats.lists)}, nil
}

// BuildIndex builds an approximate index of the answers, so that a query is compared with a few of
// them only. Held-out queries find at least 99% of the nearest answers. If the index cannot reach
// that, or if there are fewer than 16,384 answers, search stays exact. It takes seconds for 100,000
// answers, and a quarter more memory. Searches go on
// meanwhile, changes wait.
func (s *Searcher) BuildIndex(options IndexOptions) (IndexStats, error) {
	return s.BuildIndexContext(context.Background(), options)
}

// BuildIndexContext is [Searcher.BuildIndex] that fails with ErrCancelled and the error of ctx soon
// after ctx ends. The searcher is as before then.
func (s *Searcher) BuildIndexContext(ctx context.Context, options IndexOptions) (IndexStats, error) {
	if err := checkThreads(options.Threads); err != nil {
		return IndexStats{}, err
	}
	searcher, projection, release, err := s.acquireWith(options.Model)
	if err != nil {
		return IndexStats{}, err
	}
	defer release()
	dim := s.queryDim(options.Model)
	flat, err := flatten(options.Queries, dim)
	if err != nil {
		return IndexStats{}, err
	}
	return built(ctx, func(progress C.projection_progress, stop unsafe.Pointer, stats *C.projection_index_stats, failed **C.projection_error) C.projection_status {
		return C.projection_searcher_build_index(searcher, projection, floats(flat), C.size_t(len(options.Queries)),
			C.size_t(dim), C.size_t(options.Threads), progress, stop, stats, failed)
	})
}

// DropIndex drops the approximate index: search is exact again.
func (s *Searcher) DropIndex() error {
	searcher, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.handle.release()
	C.projection_searcher_drop_index(searcher)
	return nil
}

// WithApproximateIndex returns a copy of the model with an approximate index of its heads or
// training questions, so that a query is compared with a few of them only. Held-out queries find at
// least 99% of the nearest. [Model.SaveFile] keeps the index. If the index cannot reach that, if
// there are fewer than 16,384 heads or questions, or if all heads take part anyway, the copy has
// none. Up to threads threads work; 0 stands for one. Each of the two models is closed on its own.
func (m *Model) WithApproximateIndex(threads int) (*Model, error) {
	return m.WithApproximateIndexContext(context.Background(), threads)
}

// WithApproximateIndexContext is [Model.WithApproximateIndex] that fails with ErrCancelled and the
// error of ctx soon after ctx ends.
func (m *Model) WithApproximateIndexContext(ctx context.Context, threads int) (indexed *Model, err error) {
	if err := checkThreads(threads); err != nil {
		return nil, err
	}
	err = cancellable(ctx, func(progress C.projection_progress, stop unsafe.Pointer) (err error) {
		indexed, err = m.copied(func(model *C.projection_model, copied **C.projection_model, failed **C.projection_error) C.projection_status {
			return C.projection_model_build_index(model, C.size_t(threads), progress, stop, copied, failed)
		})
		return err
	})
	return indexed, err
}

// IndexStats are what was measured while building the model's approximate index. For a model
// without one, which searches exactly, there is one inverted list, and all of it is read.
func (m *Model) IndexStats() (IndexStats, error) {
	model, err := m.acquire()
	if err != nil {
		return IndexStats{}, err
	}
	defer m.handle.release()
	return measured(func(stats *C.projection_index_stats, failed **C.projection_error) C.projection_status {
		return C.projection_model_index_stats(model, stats, failed)
	})
}

// BuildIndex builds an approximate index of projection id as [Model.WithApproximateIndex] does, and
// stores it in a file beside the projection's others. Whoever opens the projection afterwards has
// it; programs that do not know it are not affected. If an index is not worth building, none is
// stored.
//
// An index that is damaged, or was built from other vectors than the projection has now, is
// ignored: rebuild it. [Store.IndexStats] reports that.
func (s *Store) BuildIndex(id int64, threads int) (IndexStats, error) {
	return s.BuildIndexContext(context.Background(), id, threads)
}

// BuildIndexContext is [Store.BuildIndex] that fails with ErrCancelled and the error of ctx soon
// after ctx ends. Nothing is stored then.
func (s *Store) BuildIndexContext(ctx context.Context, id int64, threads int) (IndexStats, error) {
	if err := checkThreads(threads); err != nil {
		return IndexStats{}, err
	}
	store, err := s.acquire()
	if err != nil {
		return IndexStats{}, err
	}
	defer s.handle.release()
	return built(ctx, func(progress C.projection_progress, stop unsafe.Pointer, stats *C.projection_index_stats, failed **C.projection_error) C.projection_status {
		return C.projection_store_build_index(store, C.int64_t(id), C.size_t(threads), progress, stop, stats, failed)
	})
}

// IndexStats are what was measured while building the stored index of projection id; without a
// stored index, one inverted list that is read as a whole.
//
// It fails with ErrInvalidModel if the index is damaged or was built from other vectors than the
// projection has now: the projection opens without it.
func (s *Store) IndexStats(id int64) (IndexStats, error) {
	store, err := s.acquire()
	if err != nil {
		return IndexStats{}, err
	}
	defer s.handle.release()
	return measured(func(stats *C.projection_index_stats, failed **C.projection_error) C.projection_status {
		return C.projection_store_index_stats(store, C.int64_t(id), stats, failed)
	})
}
