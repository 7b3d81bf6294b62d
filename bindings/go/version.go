package projection

// #include <projection.h>
import "C"

// Version is the version of the native library, such as "0.1.0".
func Version() string {
	return C.GoString(C.projection_version())
}
