package projection

// #include <projection.h>
import "C"

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Go memory is passed to the library as it is. That is allowed because the library keeps no
// pointer after a call, and vectors hold no pointers.

// check turns the status of a call and its error into a Go error, and frees the error. It takes
// the error's address because Go may read a variable before it runs the call that sets it.
func check(status C.projection_status, failed **C.projection_error) error {
	if status == C.PROJECTION_STATUS_OK {
		return nil
	}
	defer C.projection_error_free(*failed)
	return &Error{Code: Code(status), Message: C.GoString(C.projection_error_message(*failed))}
}

// report runs a call that returns JSON, which goes to value.
func report(value any, call func(text **C.projection_text, failed **C.projection_error) C.projection_status) error {
	var text *C.projection_text
	var failed *C.projection_error
	if err := check(call(&text, &failed), &failed); err != nil {
		return err
	}
	defer C.projection_text_free(text)
	found := unsafe.Slice((*byte)(unsafe.Pointer(C.projection_text_data(text))), int(C.projection_text_len(text)))
	if err := json.Unmarshal(found, value); err != nil {
		return errorf(ErrInternal, "unexpected report: %v", err)
	}
	return nil
}

func floats(values []float32) *C.float {
	return (*C.float)(unsafe.SliceData(values))
}

func integers(values []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.SliceData(values))
}

// text is s with a NUL at its end, as C wants it. If s contains one already, C would see
// only the part before it, so that is refused.
func text(name, s string) ([]byte, error) {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return nil, errorf(ErrInvalidArgument, "%s holds a NUL character at byte %d", name, at)
	}
	return append([]byte(s), 0), nil
}

// optionalText is text, or nil for an empty string.
func optionalText(name, s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return text(name, s)
}

// options are options as JSON.
func options(value any) ([]byte, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, errorf(ErrInvalidArgument, "options: %v", err)
	}
	return append(encoded, 0), nil
}

func chars(text []byte) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(text)))
}

func checkThreads(threads int) error {
	if threads < 0 {
		return errorf(ErrInvalidArgument, "threads is %d, expected 0 or more", threads)
	}
	return nil
}

// enumerated is the value of an enumeration for C, which has 32 bits.
func enumerated(name string, value int) (C.int32_t, error) {
	if value < math.MinInt32 || value > math.MaxInt32 {
		return 0, errorf(ErrInvalidArgument, "%s is %d, expected a small number", name, value)
	}
	return C.int32_t(value), nil
}

// flatten copies queries of dimension dim into one slice, one after another.
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
