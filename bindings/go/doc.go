//go:build cgo

// Package projection runs semantic projections: small models that turn the embedding of a
// question into the embedding that its answer is likely to have, so that retrieval finds
// answers which plain cosine similarity misses.
//
// The package is a thin layer over the C library libprojection, which computes everything.
// The same model gives the same numbers here, in C and in Rust, bit for bit.
//
// # The way of a question
//
//	embedder, err := projection.LoadEmbedder("models/all-MiniLM-L6-v2")
//	model, err := projection.Open("lda.db", 1)
//	searcher, err := projection.OpenSearcher("lda.db", "")
//
//	query, err := embedder.Embed("How do I authenticate?")
//	hits, err := searcher.SearchWithProjection(query, model, 10)
//
// A [Model] also comes from a folder of files alone, see [LoadMultiHead], and a [Searcher]
// from vectors that the caller has, see [NewSearcher].
//
// # Goroutines
//
// A [Model], a [Searcher] and an [Embedder] do not change once they are made. Any number of
// goroutines may use one at the same time, and make use of it while another closes it: Close
// waits for the calls that are under way, and every later call fails with [ErrClosed].
// Slices that are passed in must not be written to by others until the call returns; they
// are not kept after that.
//
// # Closing
//
// Close frees the native memory at once. It may be called any number of times. What is not
// closed is freed some time after the garbage collector finds it unreachable; since the
// collector does not see how large the native memory is, a program that makes models again
// and again should close them.
//
// # Errors
//
// All errors of this package are of type [*Error]. Its Code is one of the constants of type
// [Code], each of which can be given to [errors.Is]:
//
//	if errors.Is(err, projection.ErrNotFound) { … }
//
// # Linking
//
// The package finds the library through pkg-config: projection, or projection-static with
// the build tag projection_static.
package projection
