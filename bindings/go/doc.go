//go:build cgo

// Package projection runs semantic projections: small models that turn the embedding of a
// question into the embedding that its answer is likely to have, so that retrieval finds
// answers which plain cosine similarity misses.
//
// The package is a thin layer over the C library libprojection, which computes everything.
// The same model returns the same numbers here, in C and in Rust, bit for bit.
//
// # From a question to its answers
//
//	embedder, err := projection.LoadEmbedder("models/all-MiniLM-L6-v2")
//	store, err := projection.OpenStore("lda.db", nil)
//	model, err := store.Active("")
//	searcher, err := store.Searcher("")
//
//	query, err := embedder.Embed("How do I authenticate?")
//	hits, err := searcher.SearchWithProjection(query, model, 10)
//
// A [Model] can also be loaded from a folder of files alone, see [LoadMultiHead], or from one
// file, see [LoadFile], and a [Searcher] made from vectors of the caller, see [NewSearcher].
//
// # Goroutines
//
// Any number of goroutines may use a [Model], a [Searcher], a [Store] or an [Embedder] at the
// same time, while another one closes it: Close returns at once, running calls succeed, and every
// later call fails with [ErrClosed]. Others must not write to slices that are passed in until the call
// returns; the package does not keep them after that.
//
// # Closing
//
// Close frees the native memory, or lets the last running call free it. It may be called any number
// of times. What is not closed is freed some time after the garbage collector finds it unreachable. The collector
// does not see how large the native memory is, so a program that makes models again and again
// should close them.
//
// # Errors
//
// All errors of this package are of type [*Error]. Its Code is one of the constants of type
// [Code], which [errors.Is] accepts as targets:
//
//	if errors.Is(err, projection.ErrNotFound) { … }
//
// # Linking
//
// A released module links the static library that it brings for Linux on amd64, with glibc 2.28 or
// newer. With the build tag projection_dynamic or projection_static, and in a checkout, the library
// is found through pkg-config, as projection or projection-static.
package projection
