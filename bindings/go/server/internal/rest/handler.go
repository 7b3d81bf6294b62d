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

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	"github.com/unifyweaver/projection/bindings/go/server/internal/openai"
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
	passed.URL.Path, passed.URL.RawPath, passed.URL.RawQuery = h.route.Procedure, "", ""
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
		WriteError(w, r, http.StatusUnsupportedMediaType, failure.New(connect.CodeInvalidArgument, failure.InvalidMessage,
			"content type is %q, expected application/json", r.Header.Get("Content-Type")))
		return
	}
	passed.Header.Set("Content-Type", "application/json")
	errors := &errorWriter{ResponseWriter: w, openAI: openai.Serves(r.URL.Path)}
	h.api.ServeHTTP(errors, passed)
	errors.finish()
}

// wireError is an error as Connect writes it.
type wireError struct {
	Code    string       `json:"code"`
	Message string       `json:"message,omitempty"`
	Details []wireDetail `json:"details,omitempty"`
}

type wireDetail struct {
	Type  string `json:"type"`
	Value string `json:"value"`
	Debug struct {
		Reason   string            `json:"reason,omitempty"`
		Domain   string            `json:"domain,omitempty"`
		Metadata map[string]string `json:"metadata,omitempty"`
	} `json:"debug,omitzero"`
}

// openAI is the error as OpenAI writes it.
func (e wireError) openAI(status int) []byte {
	for _, detail := range e.Details {
		if detail.Debug.Reason != "" {
			return openai.Error(status, e.Message, detail.Debug.Reason, detail.Debug.Metadata["param"])
		}
	}
	return openai.Error(status, e.Message, e.Code, "")
}

// WriteError writes an error as Connect or OpenAI would, with a status of its own.
func WriteError(w http.ResponseWriter, r *http.Request, status int, err *connect.Error) {
	found := wireError{err.Code().String(), err.Message(), reasonDetail(failure.Reason(err))}
	body, _ := json.Marshal(found)
	if openai.Serves(r.URL.Path) {
		body = found.openAI(status)
	}
	for key, values := range err.Meta() {
		w.Header()[key] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func reasonDetail(reason string) []wireDetail {
	detail, err := failure.Detail(reason)
	if err != nil {
		return nil
	}
	written := wireDetail{Type: detail.Type(), Value: base64Encoding.EncodeToString(detail.Bytes())}
	written.Debug.Reason, written.Debug.Domain = reason, failure.Domain
	return []wireDetail{written}
}

// errorWriter holds errors back to give them a reason and a fitting status where they were
// found before the message reached the service, by Connect itself.
type errorWriter struct {
	http.ResponseWriter
	openAI bool
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
	body := w.body.Bytes()
	if json.Unmarshal(body, &found) == nil && found.Code != "" {
		if len(found.Details) == 0 {
			reason := map[string]string{
				connect.CodeInvalidArgument.String():   failure.InvalidMessage,
				connect.CodeResourceExhausted.String(): failure.TooLarge,
			}[found.Code]
			if reason != "" {
				found.Details = reasonDetail(reason)
				if changed, err := json.Marshal(found); err == nil {
					body = changed
				}
			}
			if reason == failure.TooLarge {
				w.status = http.StatusRequestEntityTooLarge
			}
		}
		if w.openAI {
			body = found.openAI(w.status)
		}
	}
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(body)
}

// base64Encoding is that of Connect's error details.
var base64Encoding = base64.RawStdEncoding
