package projection

// #include <projection.h>
import "C"

// Precision is how a model stores its vectors.
type Precision int

const (
	// PrecisionUnknown is that of a nil model, or a precision that has no number yet.
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

// WithPrecision returns a copy of the model that stores its vectors in less memory, and is faster
// if there are many heads. [Model.SaveFile] keeps the precision. Each of the two models is closed
// on its own.
//
// Only multi-head models can be rounded, and only once: otherwise it fails with
// ErrInvalidArgument.
func (m *Model) WithPrecision(precision Precision) (*Model, error) {
	number, err := enumerated("precision", int(precision))
	if err != nil {
		return nil, err
	}
	return m.copied(func(model *C.projection_model, copied **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_with_precision(model, number, copied, failed)
	})
}

// Precision is how the model stores its vectors; PrecisionUnknown for a nil model.
func (m *Model) Precision() Precision {
	if m == nil {
		return PrecisionUnknown
	}
	return m.precision
}
