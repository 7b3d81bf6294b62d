package projection_test

import (
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

const goroutines = 16

// together runs f in many goroutines at once.
func together(f func(i int)) {
	var group sync.WaitGroup
	for i := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			f(i)
		}()
	}
	group.Wait()
}

func rounds(full int) int {
	if testing.Short() || raceEnabled {
		return full/10 + 1
	}
	return full
}

// TestShared: one model, one searcher and one embedder give many goroutines the results
// that they give one.
func TestShared(t *testing.T) {
	model, searcher, embedder := large(t), caseSearcher(t, "d384_18-t0.1"), embedder(t)
	queries := vectors(loadArray(t, conformancePath("cases", "d384_18-t0.1", "queries.npy")))
	texts := []string{"How do I link statically?", "What is a temperature?", "Which dtypes are read?"}
	type result struct {
		projected, vector []float32
		weights           map[int64]float32
		hits              []projection.Hit
		text              string
	}
	ask := func(i int) result {
		query, text := queries[i%len(queries)], texts[i%len(texts)]
		projected, weights, err := model.Project(query)
		if err != nil {
			t.Error(err)
		}
		hits, err := searcher.SearchWithProjection(query, model, 10)
		if err != nil {
			t.Error(err)
		}
		return result{projected: projected, weights: weights, hits: hits, text: text}
	}
	expected := make([]result, goroutines)
	for i := range expected {
		expected[i] = ask(i)
		vector, err := embedder.Embed(expected[i].text)
		if err != nil {
			t.Fatal(err)
		}
		expected[i].vector = vector
	}
	together(func(i int) {
		for range rounds(300) {
			found := ask(i)
			found.vector = expected[i].vector
			if !reflect.DeepEqual(found, expected[i]) {
				t.Errorf("goroutine %d: other results than alone", i)
				return
			}
		}
		for range rounds(10) {
			vector, err := embedder.Embed(expected[i].text)
			if err != nil || !slices.Equal(vector, expected[i].vector) {
				t.Errorf("goroutine %d: another vector than alone, %v", i, err)
				return
			}
			if _, _, err := model.Project(nil); !errors.Is(err, projection.ErrDimensionMismatch) {
				t.Errorf("goroutine %d: %v", i, err)
			}
		}
	})
}

// TestCloseDuringUse closes what other goroutines are using: their calls succeed, or fail
// with ErrClosed once they have failed with it.
func TestCloseDuringUse(t *testing.T) {
	query := []float32{1, 2, 3}
	for round := range rounds(200) {
		model, err := projection.LoadMultiHead(smallConfig())
		if err != nil {
			t.Fatal(err)
		}
		searcher, err := projection.NewSearcher([]int64{1}, query, 3)
		if err != nil {
			t.Fatal(err)
		}
		together(func(i int) {
			if i < 2 {
				// At different times, so that it hits calls at different places.
				for range round * (i + 1) {
					runtime.Gosched()
				}
				if i == 0 {
					closeBoth(t, model, searcher)
				} else {
					closeBoth(t, searcher, model)
				}
				return
			}
			for closed := false; !closed; {
				var err error
				switch i % 4 {
				case 0:
					_, _, err = model.Project(query)
				case 1:
					_, err = searcher.SearchWithProjection(query, model, 1)
				case 2:
					_, err = searcher.SearchBatch([][]float32{query, query}, model, 1)
				case 3:
					var copied *projection.Model
					copied, err = model.WithTemperature(1)
					copied.Close()
				}
				closed = errors.Is(err, projection.ErrClosed)
				if err != nil && !closed {
					t.Errorf("%v, expected success or ErrClosed", err)
					return
				}
			}
		})
	}
}

func closeBoth(t *testing.T, closers ...io.Closer) {
	for _, closer := range closers {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseWaits: Close of an embedder, whose calls are long, does not pull the model from
// under them.
func TestCloseWaits(t *testing.T) {
	shared := embedder(t)
	expected, err := shared.Embed("a text")
	if err != nil {
		t.Fatal(err)
	}
	embedder, err := projection.LoadEmbedder(textModel)
	if err != nil {
		t.Fatal(err)
	}
	together(func(i int) {
		if i == 0 {
			closeBoth(t, embedder)
			return
		}
		for {
			vector, err := embedder.Embed("a text")
			if errors.Is(err, projection.ErrClosed) {
				return
			}
			if err != nil || !slices.Equal(vector, expected) {
				t.Errorf("another vector than expected, %v", err)
				return
			}
			if i == 1 {
				closeBoth(t, embedder)
			}
		}
	})
}
