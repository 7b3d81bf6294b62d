//go:build projection_static

package projection

// #cgo pkg-config: projection-static
import "C"
