package projection_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

// LoadNPY is the function of chapter 7, "Go NPY Loading".
func LoadNPY(path string) ([]float32, error) {
	// NPY format: magic + header + data
	// UnifyWeaver provides npy.Load() helper
	return npy.Load(path)
}

// TestChapter is the program of chapter 7, "Go: Microservices & CLIs", line by line, with
// the errors that Embed, Project and Search also give.
func TestChapter(t *testing.T) {
	embedder := embedder(t)
	searcher := caseSearcher(t, "d384_18-t0.1")
	chapterFolder(t)

	// Load multi-head projection
	proj, err := projection.LoadMultiHead(projection.Config{
		DataDir:        "embeddings/all-MiniLM-L6-v2",
		MHProjectionID: 1,
		Temperature:    0.1,
	})
	if err != nil {
		panic(err)
	}

	// Project a query
	queryEmb, err := embedder.Embed("How do I authenticate?")
	if err != nil {
		panic(err)
	}
	projected, weights, err := proj.Project(queryEmb)
	if err != nil {
		panic(err)
	}

	// Use projected embedding for search
	results, err := searcher.Search(projected, 10)
	if err != nil {
		panic(err)
	}

	if len(projected) != 384 || len(weights) != 18 || len(results) != 10 {
		t.Errorf("%d values, %d weights and %d results, expected 384, 18 and 10",
			len(projected), len(weights), len(results))
	}
	centroid, err := LoadNPY("embeddings/all-MiniLM-L6-v2/mh_1_cluster_10_centroid.npy")
	if err != nil || len(centroid) != 384 {
		t.Errorf("%d values, %v", len(centroid), err)
	}
}

// chapterFolder makes a working folder as the chapter has it.
func chapterFolder(t *testing.T) {
	source := conformancePath("models", "d384_18")
	folder := t.TempDir()
	target := filepath.Join(folder, "embeddings", "all-MiniLM-L6-v2")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(target, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
}
