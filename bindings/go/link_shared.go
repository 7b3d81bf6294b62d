//go:build !projection_static

package projection

// #cgo pkg-config: projection
import "C"
