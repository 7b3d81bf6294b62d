package projection

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// countFrees makes a handle of memory that is not native, to see when it is freed.
func countFrees(frees *atomic.Int32) *handle {
	return newHandle("test", unsafe.Pointer(new(int64)), func(unsafe.Pointer) { frees.Add(1) })
}

func TestFinalizer(t *testing.T) {
	var frees atomic.Int32
	for range 100 {
		countFrees(&frees)
	}
	for deadline := time.Now().Add(10 * time.Second); frees.Load() < 100; {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatalf("%d of 100 unreachable handles were freed", frees.Load())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFreedOnce(t *testing.T) {
	var frees atomic.Int32
	h := countFrees(&frees)
	h.close()
	h.close()
	h = nil
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if frees.Load() != 1 {
		t.Errorf("freed %d times, expected once", frees.Load())
	}
}

// TestInUse: a handle that nothing refers to any more but a call is not freed before the
// call ends.
func TestInUse(t *testing.T) {
	var frees atomic.Int32
	func() {
		h := countFrees(&frees)
		if _, err := h.acquire(); err != nil {
			t.Fatal(err)
		}
		defer h.release()
		for range 3 {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		if frees.Load() != 0 {
			t.Error("freed during a call")
		}
	}()
}

// TestCloseDuringCalls: close waits for no call, refuses those that come later at once, and the last
// one frees the object.
func TestCloseDuringCalls(t *testing.T) {
	var frees atomic.Int32
	h := countFrees(&frees)
	for range 2 {
		if _, err := h.acquire(); err != nil {
			t.Fatal(err)
		}
	}
	h.close()
	for range 2 {
		if _, err := h.acquire(); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, expected ErrClosed", err)
		}
		if frees.Load() != 0 {
			t.Error("freed during a call")
		}
		h.release()
	}
	if _, err := h.acquire(); !errors.Is(err, ErrClosed) || frees.Load() != 1 {
		t.Errorf("freed %d times, expected once; %v", frees.Load(), err)
	}
}

// TestForgotten: native objects that were not closed are freed too.
func TestForgotten(t *testing.T) {
	var forgotten []*handle
	for range 10 {
		model, err := LoadMultiHead(Config{
			DataDir: "../../tests/conformance/models/d3_one", MHProjectionID: 1, Temperature: 0.1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := model.Project([]float32{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		searcher, err := NewSearcher([]int64{1}, []float32{1, 2, 3}, 3)
		if err != nil {
			t.Fatal(err)
		}
		forgotten = append(forgotten, model.handle, searcher.handle)
	}
	var frees atomic.Int32
	for _, h := range forgotten {
		free := h.free
		h.free = func(object unsafe.Pointer) {
			free(object)
			frees.Add(1)
		}
	}
	count := int32(len(forgotten))
	clear(forgotten)
	for deadline := time.Now().Add(10 * time.Second); frees.Load() < count; {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d forgotten objects were freed", frees.Load(), count)
		}
		time.Sleep(time.Millisecond)
	}
}
