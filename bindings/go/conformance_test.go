package projection_test

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

// Of tests/conformance/README.md.
const tolerance = 1e-5

// conformanceCase is a line of cases.txt or kinds.txt.
type conformanceCase struct {
	// folder is where its files are: cases or kinds.
	folder, kind             string
	name, source, path       string
	id                       int64
	temperature              float64
	d, dOut, heads           int
	queries, answers, k      int
	searches, embeddingModel string
}

func readCases(t testing.TB) []conformanceCase {
	t.Helper()
	var cases []conformanceCase
	for _, columns := range readLines(t, conformancePath("cases.txt")) {
		if len(columns) != 13 {
			t.Fatalf("cases.txt: %d columns, expected 13: %v", len(columns), columns)
		}
		number := func(column int) int { return int(parse(t, columns[column])) }
		temperature, err := strconv.ParseFloat(columns[4], 64)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, conformanceCase{
			folder: "cases", kind: "multi_head",
			name: columns[0], source: columns[1], path: conformancePath(columns[2]),
			id: parse(t, columns[3]), temperature: temperature,
			d: number(5), dOut: number(6), heads: number(7),
			queries: number(8), answers: number(9), k: number(10),
			searches: columns[11], embeddingModel: columns[12],
		})
	}
	return cases
}

// readKinds reads kinds.txt. The temperature is NaN for the model's own.
func readKinds(t testing.TB) []conformanceCase {
	t.Helper()
	var cases []conformanceCase
	for _, columns := range readLines(t, conformancePath("kinds.txt")) {
		if len(columns) != 12 {
			t.Fatalf("kinds.txt: %d columns, expected 12: %v", len(columns), columns)
		}
		number := func(column int) int { return int(parse(t, columns[column])) }
		temperature := math.NaN()
		if columns[4] != "-" {
			var err error
			if temperature, err = strconv.ParseFloat(columns[4], 64); err != nil {
				t.Fatal(err)
			}
		}
		cases = append(cases, conformanceCase{
			folder: "kinds", source: "dir",
			name: columns[0], kind: columns[1], path: conformancePath(columns[2]),
			id: parse(t, columns[3]), temperature: temperature,
			d: number(5), dOut: number(6), heads: number(7),
			queries: number(8), answers: number(9), k: number(10), searches: columns[11],
		})
	}
	return cases
}

func (c conformanceCase) file(name string) string {
	return conformancePath(c.folder, c.name, name)
}

func (c conformanceCase) load(t testing.TB) *projection.Model {
	t.Helper()
	var model *projection.Model
	var err error
	if c.source == "db" {
		model, err = projection.Open(c.path, c.id)
	} else if math.IsNaN(c.temperature) {
		model, err = projection.Load(c.path, c.id)
	} else {
		model, err = projection.LoadMultiHead(projection.Config{
			DataDir: c.path, MHProjectionID: c.id, Temperature: c.temperature,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return model
}

func TestConformance(t *testing.T) {
	cases := readCases(t)
	if len(cases) < 50 {
		t.Fatalf("cases.txt has %d cases, expected at least 50", len(cases))
	}
	kinds := readKinds(t)
	if len(kinds) < 20 {
		t.Fatalf("kinds.txt has %d cases, expected at least 20", len(kinds))
	}
	cases = append(cases, kinds...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			model := c.load(t)
			c.checkModel(t, model)
			c.checkProjections(t, model)
			if c.searches != "none" {
				c.checkSearches(t, model)
			}
		})
	}
}

func (c conformanceCase) checkModel(t *testing.T, model *projection.Model) {
	if model.InputDim() != c.d || model.OutputDim() != c.dOut {
		t.Errorf("dimensions %d → %d, expected %d → %d", model.InputDim(), model.OutputDim(), c.d, c.dOut)
	}
	if model.Kind().String() != c.kind {
		t.Errorf("kind %v, expected %s", model.Kind(), c.kind)
	}
	if !math.IsNaN(c.temperature) && model.Temperature() != c.temperature {
		t.Errorf("temperature %g, expected %g", model.Temperature(), c.temperature)
	}
	if ids := readIDs(t, c.file("head_ids.txt")); !slices.Equal(model.HeadIDs(), ids) || len(ids) != c.heads {
		t.Errorf("head ids %d, expected %d", model.HeadIDs(), ids)
	}
}

// checkProjections projects the queries in all four ways.
func (c conformanceCase) checkProjections(t *testing.T, model *projection.Model) {
	flat := loadArray(t, c.file("queries.npy"))
	queries := vectors(flat)
	projected := vectors(loadArray(t, c.file("projected.npy")))
	weights := make([][]float32, len(queries))
	if c.heads > 0 {
		weights = vectors(loadArray(t, c.file("weights.npy")))
	}
	if len(queries) != c.queries {
		t.Fatalf("%d queries, expected %d", len(queries), c.queries)
	}
	check := func(way string, i int, p, w []float32) {
		t.Helper()
		near(t, fmt.Sprintf("%s, projected %d", way, i), p, projected[i], tolerance*largest(projected[i]))
		near(t, fmt.Sprintf("%s, weights %d", way, i), w, weights[i], tolerance)
	}
	inOrder := func(byID map[int64]float32) []float32 {
		var row []float32
		for _, id := range model.HeadIDs() {
			row = append(row, byID[id])
		}
		return row
	}

	into, intoWeights, intoAlone := make([]float32, c.dOut), make([]float32, c.heads), make([]float32, c.dOut)
	for i, query := range queries {
		p, w, err := model.Project(query)
		if err != nil {
			t.Fatal(err)
		}
		check("Project", i, p, inOrder(w))
		if err := model.ProjectInto(query, into, intoWeights); err != nil {
			t.Fatal(err)
		}
		if err := model.ProjectInto(query, intoAlone, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(into, p) || !slices.Equal(intoAlone, p) || !slices.Equal(intoWeights, inOrder(w)) {
			t.Errorf("query %d: ProjectInto and Project differ", i)
		}
	}

	batch, batchWeights, err := model.ProjectBatch(queries)
	if err != nil {
		t.Fatal(err)
	}
	for i := range queries {
		check("ProjectBatch", i, batch[i], inOrder(batchWeights[i]))
	}
	flatProjected, flatWeights := make([]float32, c.queries*c.dOut), make([]float32, c.queries*c.heads)
	if err := model.ProjectBatchInto(flat.Data, flatProjected, flatWeights); err != nil {
		t.Fatal(err)
	}
	for i := range queries {
		same := slices.Equal(flatProjected[i*c.dOut:][:c.dOut], batch[i]) &&
			slices.Equal(flatWeights[i*c.heads:][:c.heads], inOrder(batchWeights[i]))
		if !same {
			t.Errorf("query %d: ProjectBatchInto and ProjectBatch differ", i)
		}
	}
}

func (c conformanceCase) checkSearches(t *testing.T, model *projection.Model) {
	searchers := map[string]*projection.Searcher{"vectors": folderSearcher(t, c.folder, c.name)}
	if c.source == "db" {
		store, err := projection.OpenSearcher(c.path, c.embeddingModel)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		searchers["store"] = store
	}
	queries := vectors(loadArray(t, c.file("queries.npy")))
	for source, searcher := range searchers {
		if searcher.Len() != c.answers || searcher.Dim() != c.dOut {
			t.Errorf("%s: %d answers of dimension %d, expected %d of %d",
				source, searcher.Len(), searcher.Dim(), c.answers, c.dOut)
		}
		c.checkHits(t, source, "projected", searcher, model, queries)
		if c.searches == "both" {
			c.checkHits(t, source, "plain", searcher, nil, queries)
		}
	}
}

// checkHits searches with or without a model, one by one and as a batch.
func (c conformanceCase) checkHits(t *testing.T, source, kind string, searcher *projection.Searcher,
	model *projection.Model, queries [][]float32) {
	ids := readLines(t, c.file(kind+"_ids.txt"))
	scores := vectors(loadArray(t, c.file(kind+"_scores.npy")))
	check := func(way string, i int, hits []projection.Hit) {
		t.Helper()
		var foundIDs []string
		var foundScores []float32
		for _, hit := range hits {
			foundIDs = append(foundIDs, strconv.FormatInt(hit.AnswerID, 10))
			foundScores = append(foundScores, hit.Score)
			if text, ok := searcher.Text(hit.AnswerID); text != hit.Text || ok != (source == "store") {
				t.Errorf("%s: answer %d has the text %q and the hit %q", source, hit.AnswerID, text, hit.Text)
			}
		}
		what := fmt.Sprintf("%s, %s, %s, query %d", source, kind, way, i)
		if !slices.Equal(foundIDs, ids[i]) {
			t.Errorf("%s: hits %v, expected %v", what, foundIDs, ids[i])
		}
		near(t, what, foundScores, scores[i], tolerance)
	}

	for i, query := range queries {
		hits, err := searcher.SearchWithProjection(query, model, c.k)
		if err != nil {
			t.Fatal(err)
		}
		check("one", i, hits)
		if model == nil {
			plain, err := searcher.Search(query, c.k)
			if err != nil || !reflect.DeepEqual(plain, hits) {
				t.Errorf("query %d: Search and SearchWithProjection with nil differ: %v", i, err)
			}
			continue
		}
		projected, _, err := model.Project(query)
		if err != nil {
			t.Fatal(err)
		}
		after, err := searcher.Search(projected, c.k)
		if err != nil {
			t.Fatal(err)
		}
		check("projected before", i, after)
	}
	batch, err := searcher.SearchBatch(queries, model, c.k)
	if err != nil {
		t.Fatal(err)
	}
	for i := range queries {
		check("batch", i, batch[i])
	}
}

// TestDump leaves the results bit for bit in target/tests/go_dump.txt, to be compared with
// those of the other languages. tests/c/README.md describes the file.
func TestDump(t *testing.T) {
	path := filepath.Join("..", "..", "target", "tests", "go_dump.txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dump := bufio.NewWriter(file)
	for _, c := range append(readCases(t), readKinds(t)...) {
		model := c.load(t)
		weights := make([]float32, c.heads)
		projected := make([]float32, c.dOut)
		for row, query := range vectors(loadArray(t, c.file("queries.npy"))) {
			if err := model.ProjectInto(query, projected, weights); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(dump, "%s\t%d\t%s\t%s\n", c.name, row, bits(projected), bits(weights))
		}
	}
	if err := dump.Flush(); err != nil {
		t.Fatal(err)
	}
}

func bits(values []float32) []byte {
	var text []byte
	for _, value := range values {
		text = fmt.Appendf(text, "%08x", math.Float32bits(value))
	}
	return text
}

// TestRefused runs bad.txt.
func TestRefused(t *testing.T) {
	lines := readLines(t, conformancePath("bad.txt"))
	if len(lines) < 60 {
		t.Fatalf("bad.txt has %d lines, expected at least 60", len(lines))
	}
	for _, columns := range lines {
		kind, path, words := columns[0], conformancePath(columns[1]), columns[5:]
		code := projection.Code(parse(t, columns[3]))
		switch kind {
		case "array":
			array, err := npy.LoadArray(path)
			fails(t, path, err, code, words...)
			values, err := npy.Load(path)
			fails(t, path, err, code, words...)
			if array != nil || values != nil {
				t.Errorf("%s: values beside the error", path)
			}
		case "model":
			model, err := projection.LoadMultiHead(projection.Config{
				DataDir: path, MHProjectionID: parse(t, columns[2]), Temperature: 0.1,
			})
			fails(t, path, err, code, words...)
			if model != nil {
				t.Errorf("%s: a model beside the error", path)
			}
		default:
			t.Errorf("bad.txt: unknown kind %q", kind)
		}
	}
}
