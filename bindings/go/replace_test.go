package projection_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// TestAddTogether: answers that many goroutines add at once are all there afterwards.
func TestAddTogether(t *testing.T) {
	for round := range rounds(100) {
		searcher := newSearcher(t, []int64{0}, []float32{1, 0}, 2)
		together(func(i int) {
			if err := searcher.Add([]int64{int64(i + 1)}, []float32{1, float32(i)}, nil); err != nil {
				t.Error(err)
			}
		})
		hits, err := searcher.Search([]float32{1, 1}, 1000)
		if err != nil || len(hits) != goroutines+1 || searcher.Len() != goroutines+1 {
			t.Fatalf("round %d: %d hits of %d answers, expected %d; %v", round, len(hits), searcher.Len(), goroutines+1, err)
		}
		searcher.Close()
	}
}

// TestReplace: whoever searches while an answer is replaced finds it, with the text of its vector.
func TestReplace(t *testing.T) {
	ids, vectors := points(0, 20_000)
	for _, indexed := range []bool{false, true} {
		searcher := newSearcher(t, ids, vectors, 6)
		if indexed {
			if _, err := searcher.BuildIndex(projection.IndexOptions{Threads: 2}); err != nil {
				t.Fatal(err)
			}
		}
		versions := [2][]float32{{1, 1, -1, -1, 1, -1}, {-1, 1, 1, -1, -1, -1}}
		options := projection.SearchOptions{K: 3, Allowed: []int64{7, 8}}
		texts := func(version int) []string { return []string{fmt.Sprint("version ", version)} }
		if err := searcher.Replace([]int64{7}, versions[0], texts(0)); err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		together(func(i int) {
			if i == 0 {
				for round := range rounds(2000) {
					if err := searcher.Replace([]int64{7}, versions[round%2], texts(round%2)); err != nil {
						t.Error(err)
					}
				}
				stop.Store(true)
				return
			}
			for !stop.Load() {
				version := i % 2
				query := projection.Query{Vector: versions[version]}
				hits, err := searcher.SearchBatchWithOptions([]projection.Query{query, query}, options)
				if err != nil || len(hits[0]) != 2 {
					t.Errorf("%v, %v, expected two hits", hits, err)
					return
				}
				single, err := searcher.SearchWithOptions(query, options)
				if err != nil || len(single) != 2 {
					t.Errorf("%v, %v, expected two hits", single, err)
					return
				}
				for _, hits := range [][]projection.Hit{hits[0], hits[1], single} {
					found := hits[0]
					if found.AnswerID != 7 {
						found = hits[1]
					}
					// The query's own version has the cosine 1.
					if exact := found.Score > 0.9999; found.Text != texts(version)[0] == exact {
						t.Errorf("the text %q with the score %g", found.Text, found.Score)
						return
					}
				}
			}
		})
		if searcher.Len() != 20_000 {
			t.Errorf("%d answers, expected 20000", searcher.Len())
		}
		// New ids are added, texts go with their vectors, and nothing changes after an error.
		if err := searcher.Replace([]int64{7, 50_000}, append(versions[1], versions[0]...), nil); err != nil || searcher.Len() != 20_001 {
			t.Errorf("%d answers, %v", searcher.Len(), err)
		}
		if text, ok := searcher.Text(7); ok {
			t.Errorf("the text %q of a vector before", text)
		}
		fails(t, "twice", searcher.Replace([]int64{7, 7}, append(versions[1], versions[0]...), nil), projection.ErrInvalidArgument, "id 7")
		fails(t, "zeros", searcher.Replace([]int64{8, 9}, make([]float32, 12), nil), projection.ErrZeroVector, "answer 8")
		searcher.Close()
	}
}

// TestLeakReplace: texts that were found once are not kept.
func TestLeakReplace(t *testing.T) {
	searcher := newSearcher(t, []int64{99}, []float32{0, 1}, 2)
	long, round := strings.Repeat("x", 4096), 0
	noLeak(t, 20_000, func() {
		round++
		if err := searcher.Replace([]int64{1}, []float32{1, 0}, []string{fmt.Sprint(round, long)}); err != nil {
			t.Fatal(err)
		}
		hits, err := searcher.Search([]float32{1, 0}, 1)
		if err != nil || len(hits) != 1 || !strings.HasPrefix(hits[0].Text, fmt.Sprint(round)) {
			t.Fatal(hits, err)
		}
		if _, ok := searcher.Text(1); !ok {
			t.Fatal("no text")
		}
	})
}
