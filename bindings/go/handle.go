//go:build cgo

package projection

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// handle owns an object of the native library. The object is freed once, after close or when the
// garbage collector finds the handle unreachable, by whoever uses it last: close waits for nobody.
type handle struct {
	kind   string
	free   func(unsafe.Pointer)
	object unsafe.Pointer
	closed atomic.Bool
	// The number of running calls, and one more until close.
	users atomic.Int64
}

// newHandle takes over object, which free returns to the library.
func newHandle(kind string, object unsafe.Pointer, free func(unsafe.Pointer)) *handle {
	h := &handle{kind: kind, free: free, object: object}
	h.users.Store(1)
	runtime.SetFinalizer(h, (*handle).close)
	return h
}

// acquire returns the native object, which stays alive until release.
func (h *handle) acquire() (unsafe.Pointer, error) {
	for !h.closed.Load() {
		// Never from 0: then it is being freed.
		if users := h.users.Load(); users > 0 && h.users.CompareAndSwap(users, users+1) {
			return h.object, nil
		}
	}
	return nil, errorf(ErrClosed, "the %s is closed", h.kind)
}

func (h *handle) release() {
	if h.users.Add(-1) == 0 {
		h.free(h.object)
	}
	// The finalizer must not run between the call's last use of the native object, which
	// the garbage collector does not see, and here.
	runtime.KeepAlive(h)
}

// close refuses later calls. The object is freed when those that run now have ended.
func (h *handle) close() {
	if h.closed.CompareAndSwap(false, true) {
		runtime.SetFinalizer(h, nil)
		h.release()
	}
}
