//go:build cgo

package projection

import (
	"runtime"
	"sync"
	"unsafe"
)

// handle owns an object of the native library: it is freed once, by close or by the
// finalizer, and never while a call uses it.
type handle struct {
	kind string
	free func(unsafe.Pointer)

	// Calls hold it for reading, close for writing.
	mu sync.RWMutex
	// nil once closed.
	object unsafe.Pointer
}

// newHandle takes over object, which free returns to the library.
func newHandle(kind string, object unsafe.Pointer, free func(unsafe.Pointer)) *handle {
	h := &handle{kind: kind, free: free, object: object}
	runtime.SetFinalizer(h, (*handle).close)
	return h
}

// acquire returns the native object, which stays alive until release. Every call that acquires
// several handles does so in the order searcher, model; with another order, two calls and two
// closes could wait for each other.
func (h *handle) acquire() (unsafe.Pointer, error) {
	h.mu.RLock()
	if h.object == nil {
		h.mu.RUnlock()
		return nil, errorf(ErrClosed, "the %s is closed", h.kind)
	}
	return h.object, nil
}

func (h *handle) release() {
	h.mu.RUnlock()
	// The finalizer must not run between the call's last use of the native object, which
	// the garbage collector does not see, and here.
	runtime.KeepAlive(h)
}

// close waits for running calls and frees the object, unless that was done before.
func (h *handle) close() {
	h.mu.Lock()
	object := h.object
	h.object = nil
	h.mu.Unlock()
	if object != nil {
		runtime.SetFinalizer(h, nil)
		h.free(object)
	}
}
