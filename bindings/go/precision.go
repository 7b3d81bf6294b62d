package projection

// #include <projection.h>
import "C"

import "math"

// Precision is how a model keeps its vectors.
type Precision int

const (
	// PrecisionUnknown is that of a nil model, or one that has no number yet.
	PrecisionUnknown Precision = C.PROJECTION_PRECISION_UNKNOWN
	// PrecisionF32 is single precision.
	PrecisionF32 Precision = C.PROJECTION_PRECISION_F32
	// PrecisionBF16 is bfloat16, in half the memory: the direction of projected queries
	// changes by about a hundred-thousandth.
	PrecisionBF16 Precision = C.PROJECTION_PRECISION_BF16
	// PrecisionInt8 is bytes with a scale for each vector, in a quarter of the memory.
	PrecisionInt8 Precision = C.PROJECTION_PRECISION_INT8
)

// String is the name in commands, such as "bf16".
func (p Precision) String() string {
	switch p {
	case PrecisionF32:
		return "f32"
	case PrecisionBF16:
		return "bf16"
	case PrecisionInt8:
		return "int8"
	}
	return "unknown"
}

// WithPrecision makes a copy of the model that keeps its vectors in less memory, and is faster
// where there are many heads. [Model.SaveFile] keeps the precision. Each of the two models is
// closed on its own.
//
// Only multi-head models do that. It fails with ErrInvalidArgument for others, and for another
// precision than that of a model which is rounded already.
func (m *Model) WithPrecision(precision Precision) (*Model, error) {
	if precision < math.MinInt32 || precision > math.MaxInt32 {
		return nil, errorf(ErrInvalidArgument, "precision is %d, expected 1, 2 or 3", int(precision))
	}
	model, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	var copied *C.projection_model
	var failed *C.projection_error
	status := C.projection_model_with_precision(model, C.int32_t(precision), &copied, &failed)
	if status != C.PROJECTION_STATUS_OK {
		return nil, failure(status, failed)
	}
	return newModel(copied)
}

// Precision is how the model keeps its vectors; PrecisionUnknown for a nil model.
func (m *Model) Precision() Precision {
	if m == nil {
		return PrecisionUnknown
	}
	return m.precision
}
