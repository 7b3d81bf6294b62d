package projection_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unifyweaver/projection"
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
