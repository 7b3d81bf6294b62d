package projection_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// Rounded heads project almost as exact ones do, in a file too, and are not rounded again.
func TestPrecision(t *testing.T) {
	model := small(t)
	if model.Precision() != projection.PrecisionF32 {
		t.Errorf("precision %v", model.Precision())
	}
	query := make([]float32, model.InputDim())
	for i := range query {
		query[i] = float32(math.Sin(float64(3*i + 1)))
	}
	exact, _, err := model.Project(query)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	for precision, name := range map[projection.Precision]string{
		projection.PrecisionBF16: "bf16", projection.PrecisionInt8: "int8",
	} {
		compact, err := model.WithPrecision(precision)
		if err != nil {
			t.Fatal(err)
		}
		defer compact.Close()
		projected, _, err := compact.Project(query)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(projected, exact) || cosineOf(projected, exact) < 0.999 {
			t.Errorf("%s: cosine %v", name, cosineOf(projected, exact))
		}
		if err := compact.SaveFile(path); err != nil {
			t.Fatal(err)
		}
		loaded, err := projection.LoadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer loaded.Close()
		again, _, err := loaded.Project(query)
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Precision() != precision || loaded.Precision().String() != name || !slices.Equal(again, projected) {
			t.Errorf("%s from a file: %v, %v", name, loaded.Precision(), again)
		}
		for _, other := range []projection.Precision{projection.PrecisionF32, 0, -1, 1 << 40} {
			if _, err := compact.WithPrecision(other); !errors.Is(err, projection.ErrInvalidArgument) {
				t.Errorf("%s to %d: %v", name, other, err)
			}
		}
	}
	if none := (*projection.Model)(nil); none.Precision() != projection.PrecisionUnknown || none.Precision().String() != "unknown" {
		t.Errorf("nil: %v", none.Precision())
	}
}

func cosineOf(a, b []float32) float64 {
	var dot, normA, normB float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		normA += float64(a[i]) * float64(a[i])
		normB += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(normA*normB)
}

// Threads change nothing but last bits, and searches not even these.
func TestThreads(t *testing.T) {
	model := small(t)
	random := rand.New(rand.NewPCG(1, 2))
	vectors := func(n, dim int) ([]float32, [][]float32) {
		flat, rows := make([]float32, n*dim), make([][]float32, n)
		for i := range flat {
			flat[i] = float32(random.NormFloat64())
		}
		for i := range rows {
			rows[i] = flat[i*dim : (i+1)*dim]
		}
		return flat, rows
	}
	const n = 37
	flat, _ := vectors(n, model.InputDim())
	one := make([]float32, n*model.OutputDim())
	weights := make([]float32, n*len(model.HeadIDs()))
	if err := model.ProjectBatchInto(flat, one, weights); err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{0, 1, 2, 99} {
		many := make([]float32, len(one))
		routed := make([]float32, len(weights))
		if err := model.ProjectBatchIntoOn(threads, flat, many, routed); err != nil {
			t.Fatal(err)
		}
		for i := range many {
			if math.Abs(float64(many[i]-one[i])) > 1e-6 {
				t.Errorf("%d threads: [%d] = %v, expected %v", threads, i, many[i], one[i])
			}
		}
	}
	if err := model.ProjectBatchIntoOn(-1, flat, one, weights); !errors.Is(err, projection.ErrInvalidArgument) {
		t.Errorf("fewer than no threads: %v", err)
	}

	const answers, dim = 5000, 16
	ids := make([]int64, answers)
	for i := range ids {
		ids[i] = int64(i * 3)
	}
	stored, _ := vectors(answers, dim)
	searcher, err := projection.NewSearcher(ids, stored, dim)
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	_, queries := vectors(9, dim)
	var asked []projection.Query
	for _, query := range queries {
		asked = append(asked, projection.Query{Vector: query})
	}
	expected, err := searcher.SearchBatchWithOptions(asked, projection.SearchOptions{K: 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 2, 3, 50} {
		options := projection.SearchOptions{K: 7, Threads: threads}
		found, err := searcher.SearchBatchWithOptions(asked, options)
		if err != nil {
			t.Fatal(err)
		}
		for i, query := range asked {
			single, err := searcher.SearchWithOptions(query, options)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(found[i], expected[i]) || !slices.Equal(single, expected[i]) {
				t.Errorf("%d threads, query %d: %v and %v, expected %v", threads, i, found[i], single, expected[i])
			}
		}
	}
	if _, err := searcher.SearchWithOptions(asked[0], projection.SearchOptions{K: 1, Threads: -1}); !errors.Is(err, projection.ErrInvalidArgument) {
		t.Errorf("fewer than no threads: %v", err)
	}
}
