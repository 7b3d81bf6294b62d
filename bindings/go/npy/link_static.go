//go:build projection_static

package npy

// #cgo pkg-config: projection-static
import "C"
