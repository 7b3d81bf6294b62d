package projection

// #include <projection.h>
import "C"

import "fmt"

// A Code says what went wrong. It is an error itself, so that it can be the target of
// [errors.Is] and [errors.As]; functions return it inside an [*Error].
//
// The numbers are those of the C interface and never change their meaning.
type Code int

const (
	// ErrInvalidArgument: an argument is outside what the call accepts.
	ErrInvalidArgument Code = C.PROJECTION_STATUS_INVALID_ARGUMENT
	// ErrDimensionMismatch: two vectors, or a vector and a model, have different dimensions.
	ErrDimensionMismatch Code = C.PROJECTION_STATUS_DIMENSION_MISMATCH
	// ErrNotFinite: a vector holds NaN or infinity.
	ErrNotFinite Code = C.PROJECTION_STATUS_NOT_FINITE
	// ErrZeroVector: a vector that needs a direction is zero.
	ErrZeroVector Code = C.PROJECTION_STATUS_ZERO_VECTOR
	// ErrNotFound: a file, folder, model or other named thing does not exist.
	ErrNotFound Code = C.PROJECTION_STATUS_NOT_FOUND
	// ErrIO: the operating system refused to read or write.
	ErrIO Code = C.PROJECTION_STATUS_IO
	// ErrInvalidArray: a .npy file is damaged or of a kind that is not read.
	ErrInvalidArray Code = C.PROJECTION_STATUS_INVALID_ARRAY
	// ErrInvalidModel: the files or rows of a model do not fit together.
	ErrInvalidModel Code = C.PROJECTION_STATUS_INVALID_MODEL
	// ErrInvalidStore: a file is not a store of a schema that this version knows.
	ErrInvalidStore Code = C.PROJECTION_STATUS_INVALID_STORE
	// ErrAmbiguousModel: a model id or name is missing or not enough to choose among several.
	ErrAmbiguousModel Code = C.PROJECTION_STATUS_AMBIGUOUS_MODEL
	// ErrBusy: another process is writing to the store.
	ErrBusy Code = C.PROJECTION_STATUS_BUSY
	// ErrInvalidEmbedder: a text model's files are damaged or of an unknown kind.
	ErrInvalidEmbedder Code = C.PROJECTION_STATUS_INVALID_EMBEDDER
	// ErrBufferSize: a slice that the caller passed has the wrong length.
	ErrBufferSize Code = C.PROJECTION_STATUS_BUFFER_SIZE
	// ErrInvalidInput: a question-answer file is of no known shape.
	ErrInvalidInput Code = C.PROJECTION_STATUS_INVALID_INPUT
	// ErrInternal: a defect of the library.
	ErrInternal Code = C.PROJECTION_STATUS_INTERNAL
	// ErrPanic: a defect of the library that was stopped at this call.
	ErrPanic Code = C.PROJECTION_STATUS_PANIC
	// ErrCancelled: the caller stopped the work. No function of this package gives it yet.
	ErrCancelled Code = C.PROJECTION_STATUS_CANCELLED

	// ErrClosed: the model, searcher or embedder was closed. It has no number in C, where
	// such a use would be undefined.
	ErrClosed Code = -1
)

// String is a short name in English, such as "dimension mismatch".
func (c Code) String() string {
	if c == ErrClosed {
		return "closed"
	}
	return C.GoString(C.projection_status_name(C.int32_t(c)))
}

// Error makes a Code the target of errors.Is.
func (c Code) Error() string {
	return "projection: " + c.String()
}

// Error is what every function of this package returns when it fails.
type Error struct {
	// Code is for programs to branch on.
	Code Code
	// Message is for people. It names the file or the argument, what was expected and what
	// was found.
	Message string
}

// Error is the message.
func (e *Error) Error() string {
	return "projection: " + e.Message
}

// Is reports whether target is the Code of e.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

func errorf(code Code, format string, values ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, values...)}
}

// failure turns what a failed call gave into a Go error, and frees it.
func failure(status C.projection_status, native *C.projection_error) error {
	defer C.projection_error_free(native)
	return &Error{Code: Code(status), Message: C.GoString(C.projection_error_message(native))}
}
