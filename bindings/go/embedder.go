package projection

// #include <projection.h>
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"
)

// Embedder turns texts into vectors. It is safe for concurrent use.
type Embedder struct {
	handle *handle
	dim    int
}

// LoadEmbedder loads the sentence-transformers model in folder, such as all-MiniLM-L6-v2.
//
// It fails with ErrNotFound where the folder or one of its files is missing, and with
// ErrInvalidEmbedder where a file is damaged or the model is of an unknown kind.
func LoadEmbedder(folder string) (*Embedder, error) {
	path, err := text("folder", folder)
	if err != nil {
		return nil, err
	}
	var embedder *C.projection_embedder
	var failed *C.projection_error
	if err := check(C.projection_embedder_load(chars(path), &embedder, &failed), &failed); err != nil {
		return nil, err
	}
	return &Embedder{
		handle: newHandle("embedder", unsafe.Pointer(embedder), freeEmbedder),
		dim:    int(C.projection_embedder_dim(embedder)),
	}, nil
}

func freeEmbedder(embedder unsafe.Pointer) {
	C.projection_embedder_free((*C.projection_embedder)(embedder))
}

// acquire returns the native embedder until e.handle.release is called.
func (e *Embedder) acquire() (*C.projection_embedder, error) {
	if e == nil || e.handle == nil {
		return nil, errorf(ErrInvalidArgument, "the embedder is nil or empty")
	}
	embedder, err := e.handle.acquire()
	return (*C.projection_embedder)(embedder), err
}

// Embed returns the vector of a text, of Dim values. The text is UTF-8 and holds no NUL
// character; anything else is refused with ErrInvalidArgument.
func (e *Embedder) Embed(s string) ([]float32, error) {
	embedder, err := e.acquire()
	if err != nil {
		return nil, err
	}
	defer e.handle.release()
	terminated, err := text("text", s)
	if err != nil {
		return nil, err
	}
	vector := make([]float32, e.dim)
	var failed *C.projection_error
	if err := check(C.projection_embedder_embed(embedder, chars(terminated),
		floats(vector), C.size_t(len(vector)), &failed), &failed); err != nil {
		return nil, err
	}
	return vector, nil
}

// CountTokens returns how many tokens of a text the model reads: special tokens and the prompt
// included, and nothing beyond its limit. It refuses what [Embedder.Embed] refuses.
func (e *Embedder) CountTokens(s string) (int, error) {
	embedder, err := e.acquire()
	if err != nil {
		return 0, err
	}
	defer e.handle.release()
	terminated, err := text("text", s)
	if err != nil {
		return 0, err
	}
	var tokens C.size_t
	var failed *C.projection_error
	err = check(C.projection_embedder_count_tokens(embedder, chars(terminated), &tokens, &failed), &failed)
	return int(tokens), err
}

// EmbedBatch is [Embedder.Embed] for many texts, and faster than one call for each. One
// unusable text fails the whole batch.
func (e *Embedder) EmbedBatch(texts []string) ([][]float32, error) {
	return e.EmbedBatchContext(context.Background(), texts)
}

// EmbedBatchContext is [Embedder.EmbedBatch] that fails with ErrCancelled and the error of ctx soon
// after ctx ends.
func (e *Embedder) EmbedBatchContext(ctx context.Context, texts []string) ([][]float32, error) {
	embedder, err := e.acquire()
	if err != nil {
		return nil, err
	}
	defer e.handle.release()
	// Go memory that holds pointers to other Go memory may be passed only while that is
	// pinned.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pointers := make([]*C.char, len(texts))
	for i, s := range texts {
		terminated, err := text(fmt.Sprintf("texts[%d]", i), s)
		if err != nil {
			return nil, err
		}
		pointers[i] = chars(terminated)
		pinner.Pin(pointers[i])
	}
	vectors := make([]float32, len(texts)*e.dim)
	if err := cancellable(ctx, func(progress C.projection_progress, stop unsafe.Pointer) error {
		var failed *C.projection_error
		return check(C.projection_embedder_embed_batch(embedder, unsafe.SliceData(pointers), C.size_t(len(texts)),
			progress, stop, floats(vectors), C.size_t(len(vectors)), &failed), &failed)
	}); err != nil {
		return nil, err
	}
	return rows(vectors, len(texts), e.dim), nil
}

// Dim is the dimension of the vectors; 0 for a nil embedder. It may still be asked for after
// Close.
func (e *Embedder) Dim() int {
	if e == nil {
		return 0
	}
	return e.dim
}

// Close frees the embedder's native memory; the last running call does so if there are any. It may be
// called any number of times and always returns nil, as [io.Closer] wants an error.
func (e *Embedder) Close() error {
	if e != nil && e.handle != nil {
		e.handle.close()
	}
	return nil
}
