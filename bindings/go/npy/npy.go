// Package npy reads NumPy array files (.npy), as the models of
// [github.com/unifyweaver/projection/bindings/go] are made of.
//
// Read are float16, float32 and float64 numbers, of either byte order, of one or two dimensions,
// in any order; they become float32. Errors are of type [*projection.Error]:
// ErrInvalidArray for a damaged file or another kind of array, ErrNotFound, ErrIO.
package npy

// #include <projection.h>
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/unifyweaver/projection/bindings/go"
)

// Array is an array of float32 numbers. It belongs to the caller.
type Array struct {
	// Shape has one or two lengths.
	Shape []int
	// Data are the values, row by row.
	Data []float32
}

// Load returns the values of the array in the file at path, row by row.
func Load(path string) ([]float32, error) {
	array, err := LoadArray(path)
	if err != nil {
		return nil, err
	}
	return array.Data, nil
}

// LoadArray is [Load] with the array's shape.
func LoadArray(path string) (*Array, error) {
	if at := strings.IndexByte(path, 0); at >= 0 {
		return nil, &projection.Error{
			Code:    projection.ErrInvalidArgument,
			Message: fmt.Sprintf("path holds a NUL character at byte %d", at),
		}
	}
	terminated := append([]byte(path), 0)
	var native *C.projection_array
	var failed *C.projection_error
	status := C.projection_array_load((*C.char)(unsafe.Pointer(unsafe.SliceData(terminated))), &native, &failed)
	if status != C.PROJECTION_STATUS_OK {
		defer C.projection_error_free(failed)
		return nil, &projection.Error{
			Code:    projection.Code(status),
			Message: C.GoString(C.projection_error_message(failed)),
		}
	}
	defer C.projection_array_free(native)
	array := &Array{
		Shape: make([]int, int(C.projection_array_ndim(native))),
		Data:  make([]float32, int(C.projection_array_len(native))),
	}
	for axis := range array.Shape {
		array.Shape[axis] = int(C.projection_array_shape(native, C.size_t(axis)))
	}
	data := (*float32)(unsafe.Pointer(C.projection_array_data(native)))
	copy(array.Data, unsafe.Slice(data, len(array.Data)))
	return array, nil
}
