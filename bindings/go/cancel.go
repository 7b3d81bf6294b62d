package projection

/*
#include <projection.h>

// A progress callback that only reads whether to stop, so that C never calls Go.
static int32_t stop_requested(void *stop, const char *stage, uint64_t done, uint64_t total, double loss)
{
	(void)stage, (void)done, (void)total, (void)loss;
	return __atomic_load_n((const int32_t *)stop, __ATOMIC_RELAXED);
}

// Go cannot take the address of a static function.
static projection_progress stop_callback(void)
{
	return stop_requested;
}
*/
import "C"

import (
	"context"
	"errors"
	"sync/atomic"
	"unsafe"
)

// cancellable runs a call of the library that ends soon after ctx does, with ErrCancelled and the
// error of ctx. progress and stop are for the library, and NULL if ctx never ends.
func cancellable(ctx context.Context, call func(progress C.projection_progress, stop unsafe.Pointer) error) error {
	if ctx.Done() == nil {
		return call(nil, nil)
	}
	stop := new(int32)
	defer context.AfterFunc(ctx, func() { atomic.StoreInt32(stop, 1) })()
	err := ctx.Err()
	if err == nil {
		err = call(C.stop_callback(), unsafe.Pointer(stop))
	}
	if ended := ctx.Err(); ended != nil && (err == ended || errors.Is(err, ErrCancelled)) {
		return &Error{Code: ErrCancelled, Message: ended.Error(), cause: ended}
	}
	return err
}
