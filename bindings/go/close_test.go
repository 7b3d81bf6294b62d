package projection_test

import (
	"io"
	"math"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

var (
	_ io.Closer = (*projection.Model)(nil)
	_ io.Closer = (*projection.Searcher)(nil)
	_ io.Closer = (*projection.Embedder)(nil)
)

// useModel, useSearcher and useEmbedder make every call that needs the native object.

func useModel(t *testing.T, model *projection.Model, code projection.Code) {
	t.Helper()
	query := []float32{1, 2, 3}
	_, _, err := model.Project(query)
	fails(t, "Project", err, code, "model")
	fails(t, "ProjectInto", model.ProjectInto(query, make([]float32, 3), nil), code, "model")
	_, _, err = model.ProjectBatch([][]float32{query})
	fails(t, "ProjectBatch", err, code)
	fails(t, "ProjectBatchInto", model.ProjectBatchInto(query, make([]float32, 3), nil), code, "model")
	_, err = model.WithTemperature(1)
	fails(t, "WithTemperature", err, code, "model")
}

func useSearcher(t *testing.T, searcher *projection.Searcher, code projection.Code) {
	t.Helper()
	query := []float32{1, 2, 3}
	_, err := searcher.Search(query, 1)
	fails(t, "Search", err, code, "searcher")
	_, err = searcher.SearchWithProjection(query, small(t), 1)
	fails(t, "SearchWithProjection", err, code, "searcher")
	_, err = searcher.SearchBatch([][]float32{query}, nil, 1)
	fails(t, "SearchBatch", err, code, "searcher")
	if text, ok := searcher.Text(1); ok || text != "" {
		t.Errorf("Text: %q", text)
	}
}

func useEmbedder(t *testing.T, embedder *projection.Embedder, code projection.Code) {
	t.Helper()
	_, err := embedder.Embed("a")
	fails(t, "Embed", err, code, "embedder")
	_, err = embedder.EmbedBatch([]string{"a"})
	fails(t, "EmbedBatch", err, code, "embedder")
}

func closeTwice(t *testing.T, closer io.Closer) {
	t.Helper()
	for range 2 {
		if err := closer.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestClosed(t *testing.T) {
	model := small(t)
	closeTwice(t, model)
	useModel(t, model, projection.ErrClosed)
	if model.InputDim() != 3 || model.OutputDim() != 3 || model.Temperature() != 0.1 || len(model.HeadIDs()) != 1 {
		t.Error("a closed model no longer knows its sizes")
	}

	searcher := newSearcher(t, []int64{1}, []float32{1, 2, 3}, 3)
	_, err := searcher.SearchWithProjection([]float32{1, 2, 3}, model, 1)
	fails(t, "search with a closed model", err, projection.ErrClosed, "model")
	_, err = searcher.SearchBatch([][]float32{{1, 2, 3}}, model, 1)
	fails(t, "search with a closed model", err, projection.ErrClosed, "model")
	closeTwice(t, searcher)
	useSearcher(t, searcher, projection.ErrClosed)
	if searcher.Len() != 1 || searcher.Dim() != 3 {
		t.Error("a closed searcher no longer knows its sizes")
	}

	embedder, err := projection.LoadEmbedder(textModel)
	if err != nil {
		t.Fatalf("%v\nrun `make model` at the top of the repository to fetch the embedding model", err)
	}
	closeTwice(t, embedder)
	useEmbedder(t, embedder, projection.ErrClosed)
	if embedder.Dim() != 384 {
		t.Error("a closed embedder no longer knows its dimension")
	}
}

// TestNil: what a failed load gives must not crash where the error was ignored, nor must
// values that were not made by this package.
func TestNil(t *testing.T) {
	var model *projection.Model
	useModel(t, model, projection.ErrInvalidArgument)
	useModel(t, &projection.Model{}, projection.ErrInvalidArgument)
	if model.InputDim() != 0 || model.OutputDim() != 0 || model.HeadIDs() != nil || !math.IsNaN(model.Temperature()) {
		t.Error("a nil model has sizes")
	}
	var searcher *projection.Searcher
	useSearcher(t, searcher, projection.ErrInvalidArgument)
	useSearcher(t, &projection.Searcher{}, projection.ErrInvalidArgument)
	if searcher.Len() != 0 || searcher.Dim() != 0 {
		t.Error("a nil searcher has sizes")
	}
	var embedder *projection.Embedder
	useEmbedder(t, embedder, projection.ErrInvalidArgument)
	useEmbedder(t, &projection.Embedder{}, projection.ErrInvalidArgument)
	if embedder.Dim() != 0 {
		t.Error("a nil embedder has a dimension")
	}
	for _, closer := range []io.Closer{
		model, searcher, embedder, &projection.Model{}, &projection.Searcher{}, &projection.Embedder{},
	} {
		closeTwice(t, closer)
	}
	unknown := newSearcher(t, []int64{1}, []float32{1, 2, 3}, 3)
	_, err := unknown.SearchWithProjection([]float32{1, 2, 3}, &projection.Model{}, 1)
	fails(t, "search with an empty model", err, projection.ErrInvalidArgument, "model")
}
