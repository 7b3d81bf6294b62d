//go:build !projection_static

package npy

// #cgo pkg-config: projection
import "C"
