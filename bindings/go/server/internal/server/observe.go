package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	"github.com/unifyweaver/projection/bindings/go/server/internal/telemetry"
)

// record is what is known of a request when it is done. One goroutine at a time writes it.
type record struct {
	id string
	// procedure is empty for what is no request of the API.
	procedure string
	// code and reason of the error, empty without one.
	code, reason string
	seen         bool
	// decoded is called when the message has reached the service; nil if nobody waits for that.
	decoded func()
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

// observer logs and counts requests.
type observer struct {
	metrics *telemetry.Metrics
	log     *slog.Logger
	lines   bool
}

// requestID returns that of the client where it is fit for a log, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	fit := id != "" && len(id) <= 64
	for _, c := range id {
		fit = fit && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.')
	}
	if fit {
		return id
	}
	return rand.Text()
}

// Middleware is the outermost, around all that the server does.
func (o *observer) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		known := &record{id: requestID(r)}
		w.Header().Set("X-Request-Id", known.id)
		written := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(written, r.WithContext(context.WithValue(r.Context(), recordKey{}, known)))
		if known.procedure == "" {
			return
		}
		known.complete(written)
		took := time.Since(began)
		code := known.code
		if code == "" {
			code = "ok"
		}
		o.metrics.Request(known.procedure, code, known.reason, took)
		if o.lines {
			attributes := []any{"id", known.id, "procedure", known.procedure, "code", code, "status", written.status,
				"took_us", took.Microseconds(), "protocol", r.Proto, "peer", r.RemoteAddr}
			if known.reason != "" {
				attributes = append(attributes, "reason", known.reason)
			}
			o.log.InfoContext(r.Context(), "request", attributes...)
		}
	})
}

// grpcCodes are in the order of their numbers in gRPC.
var grpcCodes = map[string]connect.Code{"1": connect.CodeCanceled, "2": connect.CodeUnknown, "3": connect.CodeInvalidArgument,
	"4": connect.CodeDeadlineExceeded, "8": connect.CodeResourceExhausted, "12": connect.CodeUnimplemented,
	"13": connect.CodeInternal, "14": connect.CodeUnavailable, "16": connect.CodeUnauthenticated}

// complete finds out what became of a request that did not reach the service: the message
// could not be read, or the client may not send it.
func (r *record) complete(w *statusWriter) {
	if r.seen || r.code != "" {
		return
	}
	status := w.Header().Get("Grpc-Status")
	if status == "" {
		status = w.Header().Get(http.TrailerPrefix + "Grpc-Status")
	}
	if code, failed := grpcCodes[status]; failed {
		r.code = code.String()
	} else if w.status >= 400 {
		r.code = connect.CodeInvalidArgument.String()
		switch w.status {
		case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
			r.code = connect.CodeResourceExhausted.String()
		case http.StatusUnauthorized:
			r.code = connect.CodeUnauthenticated.String()
		}
	}
	switch r.code {
	case connect.CodeInvalidArgument.String():
		r.reason = failure.InvalidMessage
	case connect.CodeResourceExhausted.String():
		r.reason = failure.TooLarge
	case connect.CodeUnauthenticated.String():
		r.reason = failure.Unauthenticated
	}
}

// named notes the procedure, and is the innermost before Connect.
func named(procedures map[string]string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if known := recordOf(r.Context()); known != nil && procedures[r.URL.Path] != "" {
			known.procedure = strings.TrimPrefix(r.URL.Path, "/")
		}
		next.ServeHTTP(w, r)
	})
}

// outcome notes what the service answered.
func (o *observer) outcome(ctx context.Context, err error) {
	known := recordOf(ctx)
	if known == nil {
		return
	}
	known.seen = true
	if err == nil {
		return
	}
	known.code, known.reason = connect.CodeOf(err).String(), failure.Reason(err)
	if cause := failure.Cause(err); cause != nil {
		o.log.ErrorContext(ctx, "request failed", "id", known.id, "procedure", known.procedure, "error", cause)
	}
}

// WrapUnary makes observer a connect.Interceptor.
func (o *observer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if known := recordOf(ctx); known != nil && known.decoded != nil {
			known.decoded()
		}
		response, err := next(ctx, request)
		o.outcome(ctx, err)
		return response, err
	}
}

// WrapStreamingClient makes observer a connect.Interceptor. The server has no clients.
func (o *observer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler makes observer a connect.Interceptor.
func (o *observer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		err := next(ctx, stream)
		o.outcome(ctx, err)
		return err
	}
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for Connect's streams.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
