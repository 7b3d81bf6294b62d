// Code generated from crates/projection-kernel by `make header`. DO NOT EDIT.

package projection

// #include <projection.h>
import "C"

const (
	// ErrInvalidArgument: An argument is outside what the call accepts, such as a temperature of zero.
	ErrInvalidArgument Code = C.PROJECTION_STATUS_INVALID_ARGUMENT
	// ErrDimensionMismatch: Two vectors, or a vector and a model, have different dimensions.
	ErrDimensionMismatch Code = C.PROJECTION_STATUS_DIMENSION_MISMATCH
	// ErrNotFinite: A vector holds NaN or infinity.
	ErrNotFinite Code = C.PROJECTION_STATUS_NOT_FINITE
	// ErrZeroVector: A vector that needs a direction is zero.
	ErrZeroVector Code = C.PROJECTION_STATUS_ZERO_VECTOR
	// ErrNotFound: A file, folder, model, answer or other named thing does not exist.
	ErrNotFound Code = C.PROJECTION_STATUS_NOT_FOUND
	// ErrIO: The operating system refused to read or write.
	ErrIO Code = C.PROJECTION_STATUS_IO
	// ErrInvalidArray: A .npy file is damaged or of an unsupported type.
	ErrInvalidArray Code = C.PROJECTION_STATUS_INVALID_ARRAY
	// ErrInvalidModel: The files or rows of a model do not fit together.
	ErrInvalidModel Code = C.PROJECTION_STATUS_INVALID_MODEL
	// ErrInvalidStore: A file is not a store of a schema that this version knows.
	ErrInvalidStore Code = C.PROJECTION_STATUS_INVALID_STORE
	// ErrAmbiguousModel: An id or name is missing, or matches more than one model.
	ErrAmbiguousModel Code = C.PROJECTION_STATUS_AMBIGUOUS_MODEL
	// ErrBusy: Another process is writing to the store.
	ErrBusy Code = C.PROJECTION_STATUS_BUSY
	// ErrInvalidEmbedder: The files of an embedding model are damaged, do not fit together or are of an unknown kind.
	ErrInvalidEmbedder Code = C.PROJECTION_STATUS_INVALID_EMBEDDER
	// ErrBufferSize: A buffer of the caller has the wrong length.
	ErrBufferSize Code = C.PROJECTION_STATUS_BUFFER_SIZE
	// ErrInvalidInput: A question-answer file does not have a known format.
	ErrInvalidInput Code = C.PROJECTION_STATUS_INVALID_INPUT
	// ErrInternal: A defect of the engine.
	ErrInternal Code = C.PROJECTION_STATUS_INTERNAL
	// ErrPanic: A defect of the engine that was caught at the boundary to another language.
	ErrPanic Code = C.PROJECTION_STATUS_PANIC
	// ErrCancelled: The caller cancelled the work.
	ErrCancelled Code = C.PROJECTION_STATUS_CANCELLED
)
