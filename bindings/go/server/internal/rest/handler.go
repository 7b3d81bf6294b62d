package rest

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/server/internal/failure"
)

//go:generate sh ../../generate.sh

//go:embed openapi.json
var document []byte

// Register adds the routes to mux. api serves Connect.
func Register(mux *http.ServeMux, api http.Handler) {
	for _, route := range Routes() {
		mux.Handle(route.Verb+" "+route.Path, &handler{route, api})
	}
}

// RegisterDocument adds the OpenAPI document to mux.
func RegisterDocument(mux *http.ServeMux) {
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(document)
	})
}

type handler struct {
	route Route
	api   http.Handler
}

// ServeHTTP passes the request on as one of Connect's.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	passed := r.Clone(r.Context())
	passed.URL.Path, passed.URL.RawPath, passed.URL.RawQuery = h.route.Procedure(), "", ""
	passed.RequestURI = ""
	if h.route.Verb == http.MethodGet {
		fields := map[string]string{}
		for _, name := range h.route.Parameters {
			fields[name] = r.PathValue(name)
		}
		body, err := json.Marshal(fields)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		passed.Method = http.MethodPost
		passed.Body, passed.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		passed.Header.Del("Content-Encoding")
	} else if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		w.Header().Set("Accept-Post", "application/json")
		WriteError(w, http.StatusUnsupportedMediaType, failure.New(connect.CodeInvalidArgument, failure.InvalidMessage,
			"content type is %q, expected application/json", r.Header.Get("Content-Type")))
		return
	}
	passed.Header.Set("Content-Type", "application/json")
	errors := &errorWriter{ResponseWriter: w}
	h.api.ServeHTTP(errors, passed)
	errors.finish()
}

// wireError is an error as Connect writes it.
type wireError struct {
	Code    string           `json:"code"`
	Message string           `json:"message,omitempty"`
	Details []map[string]any `json:"details,omitempty"`
}

// WriteError writes an error as Connect would, with a status of its own.
func WriteError(w http.ResponseWriter, status int, err *connect.Error) {
	body, _ := json.Marshal(wireError{err.Code().String(), err.Message(), reasonDetail(failure.Reason(err))})
	for key, values := range err.Meta() {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func reasonDetail(reason string) []map[string]any {
	detail, err := failure.Detail(reason)
	if err != nil {
		return nil
	}
	return []map[string]any{{
		"type": detail.Type(), "value": base64Encoding.EncodeToString(detail.Bytes()),
		"debug": map[string]string{"reason": reason, "domain": failure.Domain},
	}}
}

// errorWriter holds errors back to give them a reason and a fitting status where they were
// found before the message reached the service, by Connect itself.
type errorWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *errorWriter) WriteHeader(status int) {
	if w.status = status; status < 400 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *errorWriter) Write(data []byte) (int, error) {
	if w.status >= 400 {
		return w.body.Write(data)
	}
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *errorWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *errorWriter) finish() {
	if w.status < 400 {
		return
	}
	var found wireError
	if json.Unmarshal(w.body.Bytes(), &found) == nil && found.Code != "" && len(found.Details) == 0 {
		reason := map[string]string{
			connect.CodeInvalidArgument.String():   failure.InvalidMessage,
			connect.CodeResourceExhausted.String(): failure.TooLarge,
		}[found.Code]
		if reason != "" {
			found.Details = reasonDetail(reason)
			if body, err := json.Marshal(found); err == nil {
				w.body.Reset()
				w.body.Write(body)
			}
		}
		if reason == failure.TooLarge {
			w.status = http.StatusRequestEntityTooLarge
		}
	}
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(w.body.Bytes())
}

// base64Encoding is that of Connect's error details.
var base64Encoding = base64.RawStdEncoding
