package projection_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

func TestCodes(t *testing.T) {
	codes := map[projection.Code]string{
		projection.ErrClosed:            "closed",
		projection.ErrInvalidArgument:   "invalid argument",
		projection.ErrDimensionMismatch: "dimension mismatch",
		projection.ErrNotFinite:         "not finite",
		projection.ErrZeroVector:        "zero vector",
		projection.ErrNotFound:          "not found",
		projection.ErrIO:                "io",
		projection.ErrInvalidArray:      "invalid array",
		projection.ErrInvalidModel:      "invalid model",
		projection.ErrInvalidStore:      "invalid store",
		projection.ErrAmbiguousModel:    "ambiguous model",
		projection.ErrBusy:              "busy",
		projection.ErrInvalidEmbedder:   "invalid embedder",
		projection.ErrBufferSize:        "buffer size",
		projection.ErrInvalidInput:      "invalid input",
		projection.ErrInternal:          "internal",
		projection.ErrPanic:             "panic",
		projection.ErrCancelled:         "cancelled",
	}
	for code, name := range codes {
		if code.String() != name || code.Error() != "projection: "+name {
			t.Errorf("%d is called %q and %q, expected %q", int(code), code.String(), code.Error(), name)
		}
		wrapped := fmt.Errorf("around: %w", &projection.Error{Code: code, Message: "m"})
		for other := range codes {
			if errors.Is(wrapped, other) != (other == code) {
				t.Errorf("errors.Is(%v, %v) is %t", code, other, other != code)
			}
		}
	}
	// A status without a constant means that the header has a new one.
	for code := projection.Code(1); code.String() != "unknown status"; code++ {
		if _, ok := codes[code]; !ok {
			t.Errorf("status %d, %q, has no constant", int(code), code)
		}
	}
	err := error(&projection.Error{Code: projection.ErrNotFound, Message: "lda.db: no such file"})
	if err.Error() != "projection: lda.db: no such file" || errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestVersion(t *testing.T) {
	if version := projection.Version(); strings.Count(version, ".") != 2 {
		t.Errorf("version %q, expected three numbers", version)
	}
}

func TestLoadErrors(t *testing.T) {
	folder := t.TempDir()
	notAStore := filepath.Join(folder, "not_a_store.db")
	if err := os.WriteFile(notAStore, []byte(strings.Repeat("no database ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	legacy := conformancePath("legacy_store", "lda.db")
	missing := filepath.Join(folder, "missing")
	load := func(folder string, id int64, temperature float64) error {
		model, err := projection.LoadMultiHead(projection.Config{
			DataDir: folder, MHProjectionID: id, Temperature: temperature,
		})
		if model != nil {
			t.Errorf("LoadMultiHead(%q, %d, %g) gave a model", folder, id, temperature)
		}
		return err
	}
	open := func(database string, id int64) error {
		model, err := projection.Open(database, id)
		if model != nil {
			t.Errorf("Open(%q, %d) gave a model", database, id)
		}
		return err
	}
	search := func(database, name string) error {
		searcher, err := projection.OpenSearcher(database, name)
		if searcher != nil {
			t.Errorf("OpenSearcher(%q, %q) gave a searcher", database, name)
		}
		return err
	}
	embed := func(folder string) error {
		embedder, err := projection.LoadEmbedder(folder)
		if embedder != nil {
			t.Errorf("LoadEmbedder(%q) gave an embedder", folder)
		}
		return err
	}
	d3 := smallConfig().DataDir

	fails(t, "missing folder", load(missing, 1, 0.1), projection.ErrNotFound, missing)
	fails(t, "missing id", load(d3, 12345, 0.1), projection.ErrNotFound, "12345")
	fails(t, "no folder", load("", 1, 0.1), projection.ErrInvalidArgument)
	fails(t, "folder with NUL", load(d3+"\x00x", 1, 0.1), projection.ErrInvalidArgument, "DataDir", "NUL")
	fails(t, "folder not UTF-8", load("\xff", 1, 0.1), projection.ErrInvalidArgument, "UTF-8")
	for _, temperature := range []float64{0, -0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)} {
		fails(t, "temperature", load(d3, 1, temperature), projection.ErrInvalidArgument, "temperature")
	}
	fails(t, "temperature that was not set",
		func() error {
			_, err := projection.LoadMultiHead(projection.Config{DataDir: d3, MHProjectionID: 1})
			return err
		}(), projection.ErrInvalidArgument, "temperature 0")

	fails(t, "missing database", open(missing, 1), projection.ErrNotFound, missing)
	fails(t, "missing projection", open(legacy, 12345), projection.ErrNotFound, "12345")
	fails(t, "not a store", open(notAStore, 1), projection.ErrInvalidStore, "not_a_store.db")
	fails(t, "no database", open("", 1), projection.ErrInvalidArgument)
	fails(t, "database with NUL", open("a\x00", 1), projection.ErrInvalidArgument, "database", "NUL")

	fails(t, "missing database", search(missing, ""), projection.ErrNotFound, missing)
	fails(t, "missing embedding model", search(legacy, "no-such-model"), projection.ErrNotFound, "no-such-model")
	fails(t, "not a store", search(notAStore, ""), projection.ErrInvalidStore, "not_a_store.db")
	fails(t, "no database", search("", ""), projection.ErrInvalidArgument)
	fails(t, "database with NUL", search("a\x00", ""), projection.ErrInvalidArgument, "database", "NUL")
	fails(t, "name with NUL", search(legacy, "a\x00"), projection.ErrInvalidArgument, "modelName", "NUL")

	fails(t, "missing embedding model", embed(missing), projection.ErrNotFound, missing)
	fails(t, "empty embedding model", embed(folder), projection.ErrNotFound, folder)
	if err := os.WriteFile(filepath.Join(folder, "modules.json"), []byte("no JSON"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, "damaged embedding model", embed(folder), projection.ErrInvalidEmbedder, "modules.json")
	fails(t, "no embedding model", embed(""), projection.ErrInvalidArgument)
	fails(t, "embedding model with NUL", embed("a\x00"), projection.ErrInvalidArgument, "folder", "NUL")
}

// badQueries are unusable for a model or index of dimension 3.
var badQueries = map[projection.Code][][]float32{
	projection.ErrDimensionMismatch: {nil, {}, {1}, {1, 2}, {1, 2, 3, 4}},
	projection.ErrZeroVector:        {{0, 0, 0}, {0, float32(math.Copysign(0, -1)), 0}},
	projection.ErrNotFinite: {
		{1, float32(math.NaN()), 3}, {float32(math.Inf(1)), 2, 3}, {1, 2, float32(math.Inf(-1))},
	},
}

func TestBadQueries(t *testing.T) {
	model := small(t)
	searcher := newSearcher(t, []int64{1, 2}, []float32{1, 0, 0, 0, 1, 0}, 3)
	for code, queries := range badQueries {
		for _, query := range queries {
			what := fmt.Sprint(query)
			projected, weights, err := model.Project(query)
			fails(t, what, err, code)
			if projected != nil || weights != nil {
				t.Errorf("%s: values beside the error", what)
			}

			into, intoWeights := []float32{7, 7, 7}, []float32{7}
			fails(t, what, model.ProjectInto(query, into, intoWeights), code)
			if !slices.Equal(into, []float32{7, 7, 7}) || intoWeights[0] != 7 {
				t.Errorf("%s: written to %v and %v in spite of the error", what, into, intoWeights)
			}

			_, _, err = model.ProjectBatch([][]float32{{1, 2, 3}, query})
			fails(t, what, err, code)
			_, err = searcher.Search(query, 1)
			fails(t, what, err, code)
			_, err = searcher.SearchWithProjection(query, model, 1)
			fails(t, what, err, code)
			_, err = searcher.SearchBatch([][]float32{{1, 2, 3}, query}, nil, 1)
			fails(t, what, err, code)
			_, err = searcher.SearchBatch([][]float32{{1, 2, 3}, query}, model, 1)
			fails(t, what, err, code)
		}
	}
	_, _, err := model.ProjectBatch([][]float32{{1, 2, 3}, {1, 2}})
	fails(t, "ragged batch", err, projection.ErrDimensionMismatch, "query 1", "2", "3")
}

func TestBadBuffers(t *testing.T) {
	model := small(t)
	query := []float32{1, 2, 3}
	for _, projected := range [][]float32{nil, {}, make([]float32, 2), make([]float32, 4)} {
		fails(t, "projected", model.ProjectInto(query, projected, nil), projection.ErrBufferSize)
		fails(t, "projected, batch", model.ProjectBatchInto(query, projected, nil), projection.ErrBufferSize)
	}
	projected := make([]float32, 3)
	for _, weights := range [][]float32{{}, make([]float32, 2)} {
		fails(t, "weights", model.ProjectInto(query, projected, weights), projection.ErrBufferSize)
		fails(t, "weights, batch", model.ProjectBatchInto(query, projected, weights), projection.ErrBufferSize)
	}
	fails(t, "overlap", model.ProjectInto(query, query, nil), projection.ErrInvalidArgument, "overlap")
	fails(t, "overlap, batch", model.ProjectBatchInto(query, query, nil), projection.ErrInvalidArgument, "overlap")
	fails(t, "ragged", model.ProjectBatchInto(make([]float32, 4), projected, nil), projection.ErrDimensionMismatch)
	if !slices.Equal(query, []float32{1, 2, 3}) || !slices.Equal(projected, []float32{0, 0, 0}) {
		t.Errorf("written to %v or %v in spite of the errors", query, projected)
	}
}

func TestTemperature(t *testing.T) {
	model := large(t)
	query := vectors(loadArray(t, conformancePath("cases", "d384_18-t0.1", "queries.npy")))[0]
	sharper, err := model.WithTemperature(0.01)
	if err != nil {
		t.Fatal(err)
	}
	if model.Temperature() != 0.1 || sharper.Temperature() != 0.01 {
		t.Errorf("temperatures %g and %g, expected 0.1 and 0.01", model.Temperature(), sharper.Temperature())
	}
	model.Close()
	_, weights, err := sharper.Project(query)
	if err != nil {
		t.Fatalf("the copy, after the original was closed: %v", err)
	}
	expected := loadArray(t, conformancePath("cases", "d384_18-t0.01", "weights.npy"))
	for i, id := range sharper.HeadIDs() {
		near(t, "weight", []float32{weights[id]}, expected.Data[i:i+1], tolerance)
	}
	for _, temperature := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		copied, err := sharper.WithTemperature(temperature)
		fails(t, "temperature", err, projection.ErrInvalidArgument, "temperature")
		if copied != nil {
			t.Error("a model beside the error")
		}
	}
	sharper.Close()
	_, err = sharper.WithTemperature(0.1)
	fails(t, "copy of a closed model", err, projection.ErrClosed)
}

func TestSearcherArguments(t *testing.T) {
	vectors := []float32{1, 0, 0, 1}
	refused := func(what string, ids []int64, vectors []float32, dim int, code projection.Code) {
		t.Helper()
		searcher, err := projection.NewSearcher(ids, vectors, dim)
		fails(t, what, err, code)
		if searcher != nil {
			t.Errorf("%s: a searcher beside the error", what)
		}
	}
	ids := []int64{4, 3}
	refused("dimension 0", ids, vectors, 0, projection.ErrInvalidArgument)
	refused("negative dimension", ids, vectors, -2, projection.ErrInvalidArgument)
	refused("dimension too large", ids, vectors, math.MaxInt, projection.ErrBufferSize)
	refused("vectors too short", ids, vectors[:3], 2, projection.ErrBufferSize)
	refused("an id too many", append(ids, 5), vectors, 2, projection.ErrBufferSize)
	refused("no ids", nil, vectors, 2, projection.ErrBufferSize)
	refused("the same id twice", []int64{4, 4}, vectors, 2, projection.ErrInvalidArgument)
	refused("zero vector", ids, []float32{1, 0, 0, 0}, 2, projection.ErrZeroVector)
	refused("NaN", ids, []float32{1, 0, 0, float32(math.NaN())}, 2, projection.ErrNotFinite)

	searcher := newSearcher(t, ids, vectors, 2)
	for k, count := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2, math.MaxInt: 2} {
		hits, err := searcher.Search([]float32{1, 1}, k)
		if err != nil || len(hits) != count {
			t.Errorf("k = %d: %v, %v, expected %d hits", k, hits, err, count)
		}
		batch, err := searcher.SearchBatch([][]float32{{1, 1}, {1, 2}}, nil, k)
		if err != nil || len(batch) != 2 || len(batch[0]) != count || len(batch[1]) != count {
			t.Errorf("k = %d: %v, %v, expected 2 × %d hits", k, batch, err, count)
		}
	}
	_, err := searcher.Search([]float32{1, 1}, -1)
	fails(t, "negative k", err, projection.ErrInvalidArgument, "-1")
	_, err = searcher.SearchBatch([][]float32{{1, 1}}, nil, -1)
	fails(t, "negative k", err, projection.ErrInvalidArgument, "-1")
	_, err = searcher.SearchWithProjection([]float32{1, 2, 3}, small(t), 1)
	fails(t, "model of another dimension", err, projection.ErrDimensionMismatch)

	empty := newSearcher(t, nil, nil, 2)
	if hits, err := empty.Search([]float32{1, 1}, 5); err != nil || len(hits) != 0 {
		t.Errorf("empty searcher: %v, %v", hits, err)
	}
}

func TestEmptyBatches(t *testing.T) {
	model := small(t)
	for _, queries := range [][][]float32{nil, {}} {
		projected, weights, err := model.ProjectBatch(queries)
		if err != nil || len(projected) != 0 || len(weights) != 0 {
			t.Errorf("ProjectBatch: %v, %v, %v", projected, weights, err)
		}
		hits, err := newSearcher(t, []int64{1}, []float32{1, 2, 3}, 3).SearchBatch(queries, model, 1)
		if err != nil || len(hits) != 0 {
			t.Errorf("SearchBatch: %v, %v", hits, err)
		}
	}
	if err := model.ProjectBatchInto(nil, nil, nil); err != nil {
		t.Error(err)
	}
	vectors, err := embedder(t).EmbedBatch(nil)
	if err != nil || len(vectors) != 0 {
		t.Errorf("EmbedBatch: %v, %v", vectors, err)
	}
}
