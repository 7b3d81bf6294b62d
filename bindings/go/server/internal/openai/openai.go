// Package openai has the routes, messages and errors of the part of OpenAI's API that the server
// speaks: embeddings and models.
package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

// Procedures of the API within the server; clients reach them by their paths only.
const (
	CreateEmbeddings = "/openai.v1.Embeddings/Create"
	ListModels       = "/openai.v1.Models/List"
	RetrieveModel    = "/openai.v1.Models/Retrieve"
)

// EmbeddingsRequest asks for the vectors of texts.
type EmbeddingsRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     *int64          `json:"dimensions"`
	// InputType is no field of OpenAI's own API; other providers have it.
	InputType string `json:"input_type"`
	// User is accepted and not used.
	User string `json:"user"`
}

// Embeddings has the vectors, in the order of the texts.
type Embeddings struct {
	Object string      `json:"object"`
	Data   []Embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  Usage       `json:"usage"`
}

// Embedding is one vector: numbers, or a text in base64.
type Embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

// Usage counts the tokens that the embedding model read.
type Usage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// ListModelsRequest is empty.
type ListModelsRequest struct{}

// RetrieveModelRequest asks for one model.
type RetrieveModelRequest struct {
	Model string `json:"model"`
}

// Models are all that there are.
type Models struct {
	Object string  `json:"object"`
	Data   []Model `json:"data"`
}

// Model is the name of something that makes vectors.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// Serves says whether a path belongs to OpenAI's API, whose errors look different.
func Serves(path string) bool {
	return path == "/v1/embeddings" || path == "/v1/models" || strings.HasPrefix(path, "/v1/models/")
}

// Invalid is an error in a field of a request.
func Invalid(param, reason, format string, values ...any) *connect.Error {
	return failure.About(param, connect.CodeInvalidArgument, reason, format, values...)
}

// Texts reads the field input: a text, or at most limit of them. It keeps no more in memory than that.
func Texts(input json.RawMessage, limit int) ([]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(input))
	// Connect has decoded the request, so that the tokens are those of valid JSON.
	first, _ := decoder.Token()
	switch value := first.(type) {
	case string:
		return []string{value}, nil
	case json.Delim:
		if value == '[' {
			return readTexts(decoder, limit)
		}
	case nil:
		return nil, Invalid("input", failure.InvalidArgument, "input is missing, expected a text or an array of texts")
	}
	return nil, Invalid("input", failure.InvalidArgument, "input is neither a text nor an array of texts")
}

func readTexts(decoder *json.Decoder, limit int) ([]string, error) {
	var texts []string
	for decoder.More() {
		if len(texts) == limit {
			return nil, Invalid("input", failure.TooLarge, "input has more than %d texts, expected fewer (limits.batch)", limit)
		}
		token, _ := decoder.Token()
		switch value := token.(type) {
		case string:
			texts = append(texts, value)
		case float64, json.Delim:
			if value != json.Delim('{') {
				return nil, Invalid("input", failure.InvalidArgument,
					"input has arrays of token numbers, expected texts: another model's tokens mean nothing to this one. "+
						"In LangChain, set check_embedding_ctx_length=False")
			}
			return nil, Invalid("input", failure.InvalidArgument, "input[%d] is an object, expected a text", len(texts))
		case bool:
			return nil, Invalid("input", failure.InvalidArgument, "input[%d] is %t, expected a text", len(texts), value)
		default:
			return nil, Invalid("input", failure.InvalidArgument, "input[%d] is null, expected a text", len(texts))
		}
	}
	if len(texts) == 0 {
		return nil, Invalid("input", failure.InvalidArgument, "input is an empty array, expected at least one text")
	}
	return texts, nil
}

// Base64 is a vector as little-endian float32.
func Base64(vector []float32) string {
	raw := make([]byte, 0, 4*len(vector))
	for _, value := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Error is an error as OpenAI writes it. reason is ours; param is the field that is wrong, empty if
// none is.
func Error(status int, message, reason, param string) []byte {
	kind := "invalid_request_error"
	if status >= http.StatusInternalServerError {
		kind = "server_error"
	}
	nullable := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	body, _ := json.Marshal(map[string]any{"error": map[string]any{
		"message": message, "type": kind, "param": nullable(param), "code": nullable(strings.ToLower(reason))}})
	return body
}

// Codec is JSON for Connect, of the messages above.
type Codec struct{}

// Name is that of the content type, after application/.
func (Codec) Name() string { return "json" }

// Marshal writes a message.
func (Codec) Marshal(message any) ([]byte, error) { return json.Marshal(message) }

// Unmarshal reads a message. Unknown fields are refused: a misspelt one would otherwise be a request
// for something else.
func (Codec) Unmarshal(data []byte, message any) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(message)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("empty, expected a JSON object")
	case errors.As(err, &mistyped) && mistyped.Field == "":
		return fmt.Errorf("a JSON %s, expected an object", mistyped.Value)
	case errors.As(err, &mistyped) && mistyped.Type.Kind() == reflect.Int64:
		return fmt.Errorf("%s is a %s, expected a whole number", mistyped.Field, mistyped.Value)
	case errors.As(err, &mistyped):
		return fmt.Errorf("%s is a %s, expected a %s", mistyped.Field, mistyped.Value, mistyped.Type)
	case err != nil:
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}
