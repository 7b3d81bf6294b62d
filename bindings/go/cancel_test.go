package projection_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unifyweaver/projection/bindings/go"
)

// TestCancelled: long calls end when their context does, and what they worked on goes on working.
func TestCancelled(t *testing.T) {
	ids, vectors := points(0, 20_000)
	searcher := newSearcher(t, ids, vectors, 6)
	queries := make([]projection.Query, 200_000)
	for i := range queries {
		queries[i].Vector = vectors[:6]
	}
	texts := make([]string, 20_000)
	for i := range texts {
		texts[i] = "How do I link the library statically, and which dtypes are read?"
	}
	model := small(t)
	many := slices.Repeat(vectors[:model.InputDim()], 2_000_000/model.InputDim())
	store, err := projection.OpenStore(conformancePath("legacy_store", "lda.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, call := range map[string]func(ctx context.Context) error{
		"EmbedBatch": func(ctx context.Context) error {
			_, err := embedder(t).EmbedBatchContext(ctx, texts)
			return err
		},
		"SearchBatch": func(ctx context.Context) error {
			_, err := searcher.SearchBatchContext(ctx, queries, projection.SearchOptions{K: 100, Threads: 2})
			return err
		},
		"ProjectBatch": func(ctx context.Context) error {
			return model.ProjectBatchIntoContext(ctx, 2, many, make([]float32, len(many)), nil)
		},
		"BuildIndex": func(ctx context.Context) error {
			_, err := searcher.BuildIndexContext(ctx, projection.IndexOptions{Threads: 2})
			return err
		},
		"WithApproximateIndex": func(ctx context.Context) error {
			_, err := model.WithApproximateIndexContext(ctx, 1)
			return err
		},
		"Store.BuildIndex": func(ctx context.Context) error {
			_, err := store.BuildIndexContext(ctx, 1, 1)
			return err
		},
	} {
		ended, end := context.WithCancel(context.Background())
		end()
		err := call(ended)
		fails(t, name, err, projection.ErrCancelled)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
		if name == "WithApproximateIndex" || name == "Store.BuildIndex" {
			// So few heads need no index.
			if err := call(context.Background()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		// Uncancelled, each takes long enough.
		soon, stop := context.WithTimeout(context.Background(), 5*time.Millisecond)
		err = call(soon)
		fails(t, name, err, projection.ErrCancelled)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, expected context.DeadlineExceeded", name, err)
		}
		stop()
	}
	if hits, err := searcher.Search(vectors[:6], 1); err != nil || hits[0].AnswerID != 0 {
		t.Errorf("%v, %v", hits, err)
	}
}
