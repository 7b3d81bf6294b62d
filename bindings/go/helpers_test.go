package projection_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

const (
	conformance = "../../tests/conformance"
	textModel   = "../../models/all-MiniLM-L6-v2"
)

func conformancePath(elements ...string) string {
	return filepath.Join(append([]string{conformance}, elements...)...)
}

// small is a model of dimension 3 with one head.
func small(t testing.TB) *projection.Model {
	t.Helper()
	model, err := projection.LoadMultiHead(smallConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return model
}

func smallConfig() projection.Config {
	return projection.Config{DataDir: conformancePath("models", "d3_one"), MHProjectionID: 1, Temperature: 0.1}
}

// large is a model of dimension 384 with 18 heads.
func large(t testing.TB) *projection.Model {
	t.Helper()
	model, err := projection.LoadMultiHead(projection.Config{
		DataDir: conformancePath("models", "d384_18"), MHProjectionID: 1, Temperature: 0.1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return model
}

func newSearcher(t testing.TB, ids []int64, vectors []float32, dim int) *projection.Searcher {
	t.Helper()
	searcher, err := projection.NewSearcher(ids, vectors, dim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { searcher.Close() })
	return searcher
}

// caseSearcher searches the answers of a conformance case.
func caseSearcher(t testing.TB, name string) *projection.Searcher {
	t.Helper()
	return folderSearcher(t, "cases", name)
}

func folderSearcher(t testing.TB, folder, name string) *projection.Searcher {
	t.Helper()
	answers := loadArray(t, conformancePath(folder, name, "answers.npy"))
	ids := readIDs(t, conformancePath(folder, name, "answer_ids.txt"))
	return newSearcher(t, ids, answers.Data, answers.Shape[1])
}

var realEmbedder = sync.OnceValues(func() (*projection.Embedder, error) {
	return projection.LoadEmbedder(textModel)
})

// embedder is the real embedding model, shared by all tests.
func embedder(t testing.TB) *projection.Embedder {
	t.Helper()
	embedder, err := realEmbedder()
	if err != nil {
		t.Fatalf("%v\nrun `make model` at the top of the repository to fetch the embedding model", err)
	}
	return embedder
}

// vectors cuts an array into its rows.
func vectors(array *npy.Array) [][]float32 {
	n, dim := array.Shape[0], array.Shape[1]
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = array.Data[i*dim : (i+1)*dim]
	}
	return rows
}

func loadArray(t testing.TB, path string) *npy.Array {
	t.Helper()
	array, err := npy.LoadArray(path)
	if err != nil {
		t.Fatal(err)
	}
	return array
}

// readLines returns the lines of a list, cut into columns, without its comments.
func readLines(t testing.TB, path string) [][]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.Fields(line))
		}
	}
	return lines
}

func readIDs(t testing.TB, path string) []int64 {
	t.Helper()
	var ids []int64
	for _, line := range readLines(t, path) {
		ids = append(ids, parse(t, line[0]))
	}
	return ids
}

func parse(t testing.TB, number string) int64 {
	t.Helper()
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// near fails the test where a value is further than tolerance from the expected one.
func near(t testing.TB, what string, found, expected []float32, tolerance float64) {
	t.Helper()
	if len(found) != len(expected) {
		t.Errorf("%s: %d values, expected %d", what, len(found), len(expected))
		return
	}
	for i := range found {
		// Written so that NaN fails.
		if !(math.Abs(float64(found[i])-float64(expected[i])) <= tolerance) {
			t.Errorf("%s: value %d is %g, expected %g ± %g", what, i, found[i], expected[i], tolerance)
			return
		}
	}
}

func largest(values []float32) float64 {
	var largest float64
	for _, value := range values {
		largest = max(largest, math.Abs(float64(value)))
	}
	return largest
}

// fails checks an error's code, and that its message has all of the words.
func fails(t testing.TB, what string, err error, code projection.Code, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, expected %v", what, code)
		return
	}
	if !errors.Is(err, code) {
		t.Errorf("%s: %#v, expected %v", what, err, code)
	}
	var details *projection.Error
	if !errors.As(err, &details) {
		t.Errorf("%s: %#v is no *projection.Error", what, err)
	} else if details.Code != code || details.Message == "" {
		t.Errorf("%s: code %d and message %q, expected code %d", what, details.Code, details.Message, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the message %q does not have %q", what, err, word)
		}
	}
}

// openStore opens a store until the test ends.
func openStore(t *testing.T, database string, options *projection.StoreOptions) *projection.Store {
	t.Helper()
	store, err := projection.OpenStore(database, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}
