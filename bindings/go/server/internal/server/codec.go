package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

// codec decodes requests. A message of two bytes takes some hundred bytes of memory, and the
// request may have been compressed to almost nothing. So messages are counted before they are
// decoded, and more than limit are refused.
type codec struct {
	name  string
	limit int
}

func (c codec) Name() string { return c.name }

func (c codec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	if c.name == "proto" {
		return proto.Marshal(m)
	}
	return protojson.Marshal(m)
}

func (c codec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if c.name == "proto" {
		if countMessages(data, m.ProtoReflect().Descriptor(), c.limit) > c.limit {
			return c.tooMany()
		}
		return proto.Unmarshal(data, m)
	}
	if len(data) == 0 {
		return fmt.Errorf("empty, expected a JSON object")
	}
	// Counting every brace is faster, and enough for nearly all requests.
	if bytes.Count(data, []byte("{")) > c.limit && countObjects(data) > c.limit {
		return c.tooMany()
	}
	// Unknown fields are refused, which Connect's own JSON passes over: a misspelt field would
	// otherwise be a request for something else.
	return protojson.Unmarshal(data, m)
}

func (c codec) tooMany() error {
	return fmt.Errorf("more than %d messages in one, expected fewer (limits.batch)", c.limit)
}

// countObjects counts the opening braces outside of texts.
func countObjects(data []byte) (objects int) {
	quoted := false
	for i := 0; i < len(data); i++ {
		switch {
		case data[i] == '"':
			quoted = !quoted
		case quoted && data[i] == '\\':
			i++
		case !quoted && data[i] == '{':
			objects++
		}
	}
	return objects
}

// countMessages counts the messages within one, until there are more than limit. What is
// malformed is left to the decoder.
func countMessages(data []byte, of protoreflect.MessageDescriptor, limit int) (messages int) {
	for len(data) > 0 && messages <= limit {
		number, kind, length := protowire.ConsumeTag(data)
		if length < 0 {
			break
		}
		data = data[length:]
		if length = protowire.ConsumeFieldValue(number, kind, data); length < 0 {
			break
		}
		if field := of.Fields().ByNumber(number); field != nil && field.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(data)
			messages += 1 + countMessages(inner, field.Message(), limit-messages)
		}
		data = data[length:]
	}
	return messages
}

// boundedGzip ends one byte above limit. Connect unpacks a message that is too large to its end,
// only to say how large it is.
type boundedGzip struct {
	gzip.Reader
	limit, left int64
}

func (r *boundedGzip) Reset(source io.Reader) error {
	r.left = r.limit + 1
	return r.Reader.Reset(source)
}

func (r *boundedGzip) Read(into []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n, err := r.Reader.Read(into[:min(int64(len(into)), r.left)])
	r.left -= int64(n)
	return n, err
}

// readAtMost are the options of handlers whose messages may have limit bytes, unpacked.
func readAtMost(limit int64) connect.HandlerOption {
	return connect.WithHandlerOptions(connect.WithReadMaxBytes(int(limit)), connect.WithCompression("gzip",
		func() connect.Decompressor { return &boundedGzip{limit: limit} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) }))
}

// unpacked lets only a few compressed requests be unpacked and decoded at a time: they may be
// large by then. They are read first, so that a slow client takes nobody's turn.
func (s *Server) unpacked(refuse refusal, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Encoding") == "" && r.Header.Get("Grpc-Encoding") == "" && !r.URL.Query().Has("compression") {
			next.ServeHTTP(w, r)
			return
		}
		// One byte more than allowed, and the frame of gRPC: Connect refuses that, and meets the
		// error that ended the reading.
		packed, _ := io.ReadAll(io.LimitReader(r.Body, s.config.Limits.RequestBytes+6))
		leave, err := s.unpacking.Enter(r.Context())
		if err != nil {
			var failed *connect.Error
			if errors.As(failure.From(err), &failed) {
				refuse.write(w, r, http.StatusServiceUnavailable, failed)
			}
			return
		}
		leave = sync.OnceFunc(leave)
		defer leave()
		if known := recordOf(r.Context()); known != nil {
			known.decoded = leave
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(packed), r.Body), r.Body}
		next.ServeHTTP(w, r)
	})
}
