package projection

// #include <projection.h>
import "C"

import (
	"slices"
	"strings"
	"unsafe"
)

// Go memory is passed to the library as it is. That is allowed because the library keeps no
// pointer after a call, and vectors hold no pointers.

func floats(values []float32) *C.float {
	return (*C.float)(unsafe.SliceData(values))
}

// text is s with a NUL at its end, as C wants it. Where s holds one already, C would see
// only the part before it, so that is refused.
func text(name, s string) ([]byte, error) {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return nil, errorf(ErrInvalidArgument, "%s holds a NUL character at byte %d", name, at)
	}
	return append([]byte(s), 0), nil
}

func chars(text []byte) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(text)))
}

// flatten copies queries, each of which must have the dimension dim, one after another.
func flatten(queries [][]float32, dim int) ([]float32, error) {
	for i, query := range queries {
		if len(query) != dim {
			return nil, errorf(ErrDimensionMismatch,
				"query %d has the dimension %d, expected %d", i, len(query), dim)
		}
	}
	return slices.Concat(queries...), nil
}

// rows cuts flat into n vectors of dim values each. They can't grow into each other.
func rows(flat []float32, n, dim int) [][]float32 {
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = flat[i*dim : (i+1)*dim : (i+1)*dim]
	}
	return rows
}
