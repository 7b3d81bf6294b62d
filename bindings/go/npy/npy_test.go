package npy_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

const conformance = "../../../tests/conformance"

// Damaged files are tested by TestRefused in the folder above.

func TestLoad(t *testing.T) {
	for path, shape := range map[string][]int{
		"cases/d3_one-t0.1/queries.npy":                      {8, 3},
		"cases/d384_18-t0.1/projected_scores.npy":            {6, 10},
		"models/d8_mixed/mh_1_cluster_9_centroid.npy":        {8},
		"models/d8_fortran/mh_3_cluster_2_answer.npy":        nil,
		"models/d8_float16/mh_1_cluster_10_answer.npy":       nil,
		"legacy_store/embeddings/mh_1_cluster_10_answer.npy": {32},
	} {
		path = filepath.Join(conformance, path)
		array, err := npy.LoadArray(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if shape != nil && !slices.Equal(array.Shape, shape) {
			t.Errorf("%s: shape %d, expected %d", path, array.Shape, shape)
		}
		size := 1
		for _, length := range array.Shape {
			size *= length
		}
		if len(array.Data) != size {
			t.Errorf("%s: %d values, expected %d", path, len(array.Data), size)
		}
		values, err := npy.Load(path)
		if err != nil || !slices.Equal(values, array.Data) {
			t.Errorf("%s: Load and LoadArray differ: %v", path, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for path, code := range map[string]projection.Code{
		"":                                    projection.ErrInvalidArgument,
		"no_such_file.npy":                    projection.ErrNotFound,
		"a\x00b":                              projection.ErrInvalidArgument,
		"not UTF-8 \xff":                      projection.ErrInvalidArgument,
		conformance:                           projection.ErrIO,
		conformance + "/bad/arrays/empty.npy": projection.ErrInvalidArray,
	} {
		array, err := npy.LoadArray(path)
		if !errors.Is(err, code) || array != nil {
			t.Errorf("%q: %v, expected %v", path, err, code)
		}
		var details *projection.Error
		if !errors.As(err, &details) || details.Code != code || details.Message == "" {
			t.Errorf("%q: %#v, expected a message", path, err)
		}
	}
}
