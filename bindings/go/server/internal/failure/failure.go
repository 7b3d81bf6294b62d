// Package failure makes errors that programs can tell apart: a code of the protocol, and a
// reason in a google.rpc.ErrorInfo.
package failure

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/unifyweaver/projection/bindings/go"
)

// Domain is that of every reason.
const Domain = "projection.unifyweaver"

// Reasons that are not an error of the engine.
const (
	InvalidArgument  = "INVALID_ARGUMENT"
	InvalidMessage   = "INVALID_MESSAGE"
	TooLarge         = "TOO_LARGE"
	NoEmbeddingModel = "NO_EMBEDDING_MODEL"
	Unsupported      = "UNSUPPORTED_BY_BACKEND"
	Overloaded       = "OVERLOADED"
	ShuttingDown     = "SHUTTING_DOWN"
	Database         = "DATABASE_UNAVAILABLE"
	Unauthenticated  = "UNAUTHENTICATED"
	PermissionDenied = "PERMISSION_DENIED"
	HostNotAllowed   = "HOST_NOT_ALLOWED"
	CrossOrigin      = "CROSS_ORIGIN"
	NotFound         = "NOT_FOUND"
	MethodNotAllowed = "METHOD_NOT_ALLOWED"
	FeedbackOff      = "FEEDBACK_OFF"
	ReloadRefused    = "RELOAD_REFUSED"
	NoSuchModel      = "MODEL_NOT_FOUND"
	NoSuchAnswer     = "ANSWER_NOT_FOUND"
	StoreBusy        = "STORE_BUSY"
	Internal         = "INTERNAL"
)

// New makes an error of a code with a reason.
func New(code connect.Code, reason, format string, values ...any) *connect.Error {
	return About("", code, reason, format, values...)
}

// About is New for an error in a field of a request, which the metadata of its ErrorInfo names as param.
func About(param string, code connect.Code, reason, format string, values ...any) *connect.Error {
	err := connect.NewError(code, fmt.Errorf(format, values...))
	info := &errdetails.ErrorInfo{Reason: reason, Domain: Domain}
	if param != "" {
		info.Metadata = map[string]string{"param": param}
	}
	if detail, failed := connect.NewErrorDetail(info); failed == nil {
		err.AddDetail(detail)
	}
	return err
}

// Detail is a reason as errors carry it.
func Detail(reason string) (*connect.ErrorDetail, error) {
	return connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: reason, Domain: Domain})
}

// Retry is New for what may succeed later. HTTP clients see Retry-After, others RetryInfo.
func Retry(after time.Duration, code connect.Code, reason, format string, values ...any) *connect.Error {
	err := New(code, reason, format, values...)
	seconds := max(1, int((after+time.Second-1)/time.Second))
	err.Meta().Set("Retry-After", strconv.Itoa(seconds))
	if detail, failed := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); failed == nil {
		err.AddDetail(detail)
	}
	return err
}

// reasons of the engine's errors that the caller's input causes.
var reasons = map[projection.Code]string{
	projection.ErrInvalidArgument:   InvalidArgument,
	projection.ErrDimensionMismatch: "DIMENSION_MISMATCH",
	projection.ErrNotFinite:         "NOT_FINITE",
	projection.ErrZeroVector:        "ZERO_VECTOR",
}

// From translates an error of the engine, of a context, or one that is translated already.
// What is the server's fault is not shown to clients; Hidden tells it to the log.
func From(err error) error {
	if err == nil {
		return nil
	}
	var translated *connect.Error
	var engine *projection.Error
	switch {
	case errors.As(err, &translated):
		return err
	case errors.As(err, &engine) && reasons[engine.Code] != "":
		return New(connect.CodeInvalidArgument, reasons[engine.Code], "%s", engine.Message)
	case errors.Is(err, projection.ErrBusy):
		return Retry(time.Second, connect.CodeUnavailable, StoreBusy, "another process is writing to the store")
	case errors.Is(err, context.DeadlineExceeded):
		return New(connect.CodeDeadlineExceeded, "DEADLINE_EXCEEDED", "the request took too long")
	case errors.Is(err, context.Canceled):
		return New(connect.CodeCanceled, "CANCELED", "the client has gone")
	}
	return Hide(New(connect.CodeInternal, Internal, "internal error; the log has it under the request's id"), err)
}

// Hide shows an error to clients and its cause to the log.
func Hide(shown *connect.Error, cause error) error { return &hiddenError{shown, cause} }

// hiddenError is shown as one error and logged as another.
type hiddenError struct {
	shown *connect.Error
	cause error
}

func (e *hiddenError) Error() string { return e.shown.Error() }
func (e *hiddenError) Unwrap() error { return e.shown }

// Cause is what a hidden error was about, nil for errors that clients see whole.
func Cause(err error) error {
	var hidden *hiddenError
	if errors.As(err, &hidden) {
		return hidden.cause
	}
	return nil
}

// Reason is that of the error, empty where it has none.
func Reason(err error) string {
	var failed *connect.Error
	if !errors.As(err, &failed) {
		return ""
	}
	for _, detail := range failed.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				return info.Reason
			}
		}
	}
	return ""
}
