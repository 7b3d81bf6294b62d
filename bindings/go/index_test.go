package projection_test

import (
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// points are n vectors of dimension 6 with the ids from 0 on.
func points(from, n int) ([]int64, []float32) {
	ids, vectors := make([]int64, n), make([]float32, 6*n)
	for i := range ids {
		ids[i] = int64(from + i)
		for j := range 6 {
			vectors[6*i+j] = float32(math.Sin(float64((from+i)*7+j*13) * 0.37))
		}
	}
	return ids, vectors
}

func TestAllowedAnswers(t *testing.T) {
	ids, vectors := points(0, 5000)
	searcher, err := projection.NewSearcher(ids, vectors, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	query := []float32{1, 2, 3, 4, 5, 6}
	all, err := searcher.Search(query, 5000)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, allowed := range [][]int64{nil, {}, {4, 4, 4999, 70000}, ids[100:3000]} {
			known := map[int64]bool{}
			for _, id := range allowed {
				known[id] = true
			}
			expected := []projection.Hit{}
			for _, hit := range all {
				if len(expected) < 10 && (allowed == nil || known[hit.AnswerID]) {
					expected = append(expected, hit)
				}
			}
			options := projection.SearchOptions{K: 10, Allowed: allowed}
			hits, err := searcher.SearchWithOptions(projection.Query{Vector: query}, options)
			if err != nil || !reflect.DeepEqual(hits, expected) {
				t.Fatalf("%d allowed: %v, %v, expected %v", len(allowed), hits, err, expected)
			}
			both, err := searcher.SearchBatchWithOptions(
				[]projection.Query{{Vector: query}, {Vector: query}}, options)
			if err != nil || !reflect.DeepEqual(both, [][]projection.Hit{expected, expected}) {
				t.Fatalf("%d allowed: %v, %v, expected %v twice", len(allowed), both, err, expected)
			}
		}
		// With so few answers search stays exact.
		stats, err := searcher.BuildIndex(projection.IndexOptions{Queries: [][]float32{query}})
		if err != nil || stats != (projection.IndexStats{Recall: 1, Read: 1, Lists: 1}) {
			t.Fatalf("%v, %v", stats, err)
		}
	}
	_, err = searcher.BuildIndex(projection.IndexOptions{Queries: [][]float32{{1}}})
	fails(t, "short query", err, projection.ErrDimensionMismatch, "")
	_, err = searcher.BuildIndex(projection.IndexOptions{Threads: -1})
	fails(t, "threads", err, projection.ErrInvalidArgument, "threads is -1")
	if err := searcher.DropIndex(); err != nil {
		t.Fatal(err)
	}
}

func TestIndexOfModels(t *testing.T) {
	exact := projection.IndexStats{Recall: 1, Read: 1, Lists: 1}
	model := small(t)
	if stats, err := model.IndexStats(); err != nil || stats != exact {
		t.Fatal(stats, err)
	}
	// So few heads stay as they are.
	copied, err := model.WithApproximateIndex(2)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	query := []float32{1, 2, 3}
	expected, _, err := model.Project(query)
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := copied.Project(query)
	if err != nil || !reflect.DeepEqual(found, expected) {
		t.Fatalf("%v, %v, expected %v", found, err, expected)
	}
	_, err = model.WithApproximateIndex(-1)
	fails(t, "threads", err, projection.ErrInvalidArgument, "threads is -1")
	store := openStore(t, conformancePath("legacy_store", "lda.db"), nil)
	if stats, err := store.IndexStats(1); err != nil || stats != exact {
		t.Fatal(stats, err)
	}
	_, err = store.BuildIndex(99, 1)
	fails(t, "no model", err, projection.ErrNotFound, "99")
	_, err = store.BuildIndex(1, -2)
	fails(t, "threads", err, projection.ErrInvalidArgument, "threads is -2")
	copied.Close()
	_, err = copied.WithApproximateIndex(1)
	fails(t, "closed", err, projection.ErrClosed, "closed")
	_, err = copied.IndexStats()
	fails(t, "closed", err, projection.ErrClosed, "closed")
}

func TestAddAndRemove(t *testing.T) {
	ids, vectors := points(0, 40)
	searcher, err := projection.NewSearcher(ids[:30], vectors[:180], 6)
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	texts := make([]string, 10)
	texts[3] = "the thirty-fourth"
	if err := searcher.Add(ids[30:], vectors[180:], texts); err != nil || searcher.Len() != 40 {
		t.Fatal(err, searcher.Len())
	}
	hits, err := searcher.Search(vectors[33*6:34*6], 1)
	if err != nil || hits[0].AnswerID != 33 || hits[0].Text != "the thirty-fourth" {
		t.Fatal(hits, err)
	}
	err = searcher.Add(ids[:1], vectors[:6], nil)
	fails(t, "twice", err, projection.ErrInvalidArgument, "two vectors with the id 0")
	err = searcher.Add([]int64{77}, vectors[:5], nil)
	fails(t, "short", err, projection.ErrBufferSize, "vectors has the length 5")
	err = searcher.Add([]int64{77}, make([]float32, 6), nil)
	fails(t, "zero", err, projection.ErrZeroVector, "answer 77")
	err = searcher.Add([]int64{77}, vectors[:6], texts)
	fails(t, "texts", err, projection.ErrBufferSize, "texts has the length 10")
	removed, err := searcher.Remove([]int64{33, 5, 5, 900})
	if err != nil || removed != 2 || searcher.Len() != 38 {
		t.Fatal(removed, err, searcher.Len())
	}
	hits, err = searcher.Search(vectors[33*6:34*6], 40)
	if err != nil || len(hits) != 38 {
		t.Fatal(len(hits), err)
	}
	for _, hit := range hits {
		if hit.AnswerID == 33 || hit.AnswerID == 5 {
			t.Error("found", hit)
		}
	}
	if _, known := searcher.Text(33); known {
		t.Error("a removed answer still has a text")
	}
	// Searches and changes at once.
	var group sync.WaitGroup
	for worker := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range 50 {
				id := []int64{int64(1000 + worker*100 + i)}
				if err := searcher.Add(id, vectors[:6], nil); err != nil {
					t.Error(err)
				}
				if _, err := searcher.Search(vectors[:6], 100); err != nil {
					t.Error(err)
				}
				if removed, err := searcher.Remove(id); err != nil || removed != 1 {
					t.Error(removed, err)
				}
			}
		}()
	}
	group.Wait()
	if searcher.Len() != 38 {
		t.Error(searcher.Len())
	}
	searcher.Close()
	err = searcher.Add(nil, nil, nil)
	fails(t, "closed", err, projection.ErrClosed, "closed")
}
