package projection

// #include <projection.h>
import "C"

import "fmt"

// A Code says what went wrong. It is an error itself, so that it can be the target of
// [errors.Is] and [errors.As]; functions return it inside an [*Error].
//
// The numbers are those of the C interface and never change their meaning; codes.go has them.
type Code int

const (
	// ErrClosed: the model, searcher, store or embedder was closed. It has no number in C,
	// where such a use is undefined.
	ErrClosed Code = -1
)

// String is a short name in English, such as "dimension mismatch".
func (c Code) String() string {
	if c == ErrClosed {
		return "closed"
	}
	return C.GoString(C.projection_status_name(C.int32_t(c)))
}

// Error makes a Code the target of errors.Is.
func (c Code) Error() string {
	return "projection: " + c.String()
}

// Error is what every function of this package returns when it fails.
type Error struct {
	// Code is for programs to branch on.
	Code Code
	// Message is for people. It names the file or the argument, what was expected and what
	// was found.
	Message string
	// What a cancelled context says.
	cause error
}

// Error is the message.
func (e *Error) Error() string {
	return "projection: " + e.Message
}

// Is reports whether target is the Code of e.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap is the error of the context whose end cancelled the call; else nil.
func (e *Error) Unwrap() error {
	return e.cause
}

func errorf(code Code, format string, values ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, values...)}
}
