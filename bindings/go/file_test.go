package projection_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// Every conformance model gives the same bits from one file, and from its bytes.
func TestModelFiles(t *testing.T) {
	folder := t.TempDir()
	for _, c := range append(readCases(t), readKinds(t)...) {
		model := c.load(t)
		queries := loadArray(t, c.file("queries.npy")).Data
		projected, weights := allBatch(t, c, model, queries)
		path := filepath.Join(folder, c.name+".safetensors")
		if err := model.SaveFile(path); err != nil {
			t.Fatal(err)
		}
		bytes, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := projection.LoadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read, err := projection.FromBytes(bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []*projection.Model{loaded, read} {
			c.checkModel(t, other)
			p, w := allBatch(t, c, other, queries)
			if !slices.Equal(p, projected) || !slices.Equal(w, weights) {
				t.Errorf("%s: other numbers from one file", c.name)
			}
			other.Close()
		}
	}
}

func allBatch(t *testing.T, c conformanceCase, model *projection.Model, queries []float32) (projected, weights []float32) {
	t.Helper()
	projected, weights = make([]float32, c.queries*c.dOut), make([]float32, c.queries*c.heads)
	if err := model.ProjectBatchInto(queries, projected, weights); err != nil {
		t.Fatal(err)
	}
	return projected, weights
}

// A transformer that torch wrote gives what torch's layers give in float64.
func TestTransformerFile(t *testing.T) {
	model, err := projection.LoadFile(conformancePath("transformer", "transformer.pt"))
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	if model.Kind() != projection.KindTransformer || len(model.HeadIDs()) != 0 || !math.IsNaN(model.Temperature()) {
		t.Errorf("kind %v, heads %v, temperature %v", model.Kind(), model.HeadIDs(), model.Temperature())
	}
	if _, err := model.WithTemperature(0.5); !errors.Is(err, projection.ErrInvalidArgument) {
		t.Errorf("another temperature: %v", err)
	}
	queries := loadArray(t, conformancePath("transformer", "queries.npy"))
	expected := loadArray(t, conformancePath("transformer", "projected.npy"))
	rows, dim := queries.Shape[0], queries.Shape[1]
	if rows == 0 || dim != model.InputDim() || !slices.Equal(queries.Shape, expected.Shape) {
		t.Fatalf("queries %v, expected %v", queries.Shape, expected.Shape)
	}
	batch := make([]float32, rows*dim)
	if err := model.ProjectBatchInto(queries.Data, batch, nil); err != nil {
		t.Fatal(err)
	}
	for row := range rows {
		part := func(values []float32) []float32 { return values[row*dim : (row+1)*dim] }
		single, weights, err := model.Project(part(queries.Data))
		if err != nil || len(weights) != 0 {
			t.Fatal(err, weights)
		}
		scale := 0.0
		for _, value := range part(expected.Data) {
			scale = max(scale, math.Abs(float64(value)))
		}
		for _, found := range [][]float32{single, part(batch)} {
			for i, value := range part(expected.Data) {
				if !(math.Abs(float64(found[i])-float64(value)) <= 1e-5*scale) {
					t.Errorf("row %d: [%d] = %v, expected %v", row, i, found[i], value)
				}
			}
		}
	}
}

func TestModelFileRefusals(t *testing.T) {
	folder := t.TempDir()
	model := small(t)
	path := filepath.Join(folder, "m.safetensors")
	if err := model.SaveFile(path); err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error, kind error) {
		t.Helper()
		if !errors.Is(err, kind) {
			t.Errorf("%s: %v, expected %v", what, err, kind)
		}
	}
	for _, cut := range [][]byte{nil, {}, bytes[:7], bytes[:100], bytes[:len(bytes)-1]} {
		_, err := projection.FromBytes(cut)
		refused("cut", err, projection.ErrInvalidModel)
	}
	_, err = projection.LoadFile(filepath.Join(folder, "gone"))
	refused("missing", err, projection.ErrNotFound)
	_, err = projection.LoadFile(folder)
	refused("folder", err, projection.ErrIO)
	_, err = projection.LoadFile("nul\x00")
	refused("NUL", err, projection.ErrInvalidArgument)
	refused("folder", model.SaveFile(folder), projection.ErrIO)
	refused("NUL", model.SaveFile("nul\x00"), projection.ErrInvalidArgument)
	refused("nil", (*projection.Model)(nil).SaveFile(path), projection.ErrInvalidArgument)
}
