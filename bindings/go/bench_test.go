package projection_test

import "testing"

func benchQueries(b *testing.B) [][]float32 {
	return vectors(loadArray(b, conformancePath("cases", "d384_18-t0.1", "queries.npy")))
}

// 18 heads of dimension 384.

func BenchmarkProject(b *testing.B) {
	model, query := large(b), benchQueries(b)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := model.Project(query); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProjectInto(b *testing.B) {
	model, query := large(b), benchQueries(b)[0]
	projected, weights := make([]float32, 384), make([]float32, 18)
	b.ReportAllocs()
	for b.Loop() {
		if err := model.ProjectInto(query, projected, weights); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProjectIntoParallel(b *testing.B) {
	model, query := large(b), benchQueries(b)[0]
	b.RunParallel(func(loop *testing.PB) {
		projected, weights := make([]float32, 384), make([]float32, 18)
		for loop.Next() {
			if err := model.ProjectInto(query, projected, weights); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkProjectBatchInto32(b *testing.B) {
	model, queries := large(b), benchQueries(b)
	var flat []float32
	for i := range 32 {
		flat = append(flat, queries[i%len(queries)]...)
	}
	projected, weights := make([]float32, 32*384), make([]float32, 32*18)
	b.ReportAllocs()
	for b.Loop() {
		if err := model.ProjectBatchInto(flat, projected, weights); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSearchWithProjection(b *testing.B) {
	model, query, searcher := large(b), benchQueries(b)[0], caseSearcher(b, "d384_18-t0.1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := searcher.SearchWithProjection(query, model, 10); err != nil {
			b.Fatal(err)
		}
	}
}

// The smallest model: what a call costs beside the work.
func BenchmarkCall(b *testing.B) {
	model, query := small(b), []float32{1, 2, 3}
	projected := make([]float32, 3)
	b.ReportAllocs()
	for b.Loop() {
		if err := model.ProjectInto(query, projected, nil); err != nil {
			b.Fatal(err)
		}
	}
}
