package projection_test

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

// maxGrowth is far below what the smallest leak of one allocation a round, at least 32
// bytes, would add up to in 100,000 rounds: 3.2 MB.
const maxGrowth = 2 << 20

// residentMemory is what the process holds, in bytes.
func residentMemory(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("only Linux says how much memory is resident")
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// noLeak runs f many times and fails where that takes memory. The race detector keeps
// memory of its own, so there the rounds only show that f can be repeated.
func noLeak(t *testing.T, count int, f func()) {
	t.Helper()
	// One thread, since each has a heap of its own whose growth is not a leak.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if testing.Short() || raceEnabled {
		count /= 50
	}
	settle := func() int {
		debug.FreeOSMemory()
		return residentMemory(t)
	}
	for range count / 10 {
		f()
	}
	before := settle()
	for range count {
		f()
	}
	growth := settle() - before
	t.Logf("%d rounds, resident memory %+d KiB", count, growth/1024)
	if growth > maxGrowth && !raceEnabled {
		t.Errorf("resident memory grew by %d KiB in %d rounds, expected at most %d",
			growth/1024, count, maxGrowth/1024)
	}
}

func TestLeakLoad(t *testing.T) {
	config := smallConfig()
	noLeak(t, 100_000, func() {
		model, err := projection.LoadMultiHead(config)
		if err != nil {
			t.Fatal(err)
		}
		model.Close()
	})
}

func TestLeakErrors(t *testing.T) {
	config := smallConfig()
	model := small(t)
	searcher := newSearcher(t, []int64{1}, []float32{1, 2, 3}, 3)
	embedder := embedder(t)
	damaged := conformancePath("bad", "arrays", "data_cut.npy")
	config.Temperature = 0
	noLeak(t, 100_000, func() {
		_, err := projection.LoadMultiHead(config)
		fails(t, "temperature", err, projection.ErrInvalidArgument)
		_, _, err = model.Project(nil)
		fails(t, "query", err, projection.ErrDimensionMismatch)
		_, err = searcher.Search(nil, 1)
		fails(t, "query", err, projection.ErrDimensionMismatch)
		_, err = embedder.EmbedBatch([]string{"a", "\xff"})
		fails(t, "text", err, projection.ErrInvalidArgument)
		_, err = npy.Load(damaged)
		fails(t, "array", err, projection.ErrInvalidArray)
	})
}

func TestLeakStore(t *testing.T) {
	database := conformancePath("legacy_store", "lda.db")
	query := make([]float32, 32)
	query[0] = 1
	noLeak(t, 1_000, func() {
		model, err := projection.Open(database, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		searcher, err := projection.OpenSearcher(database, "toy-minilm")
		if err != nil {
			t.Fatal(err)
		}
		defer searcher.Close()
		if _, err := searcher.SearchWithProjection(query, model, 3); err != nil {
			t.Fatal(err)
		}
		_, err = projection.Open(database, 12345)
		fails(t, "id", err, projection.ErrNotFound)
	})
}

func TestLeakCalls(t *testing.T) {
	model := small(t)
	query := []float32{1, 2, 3}
	array := conformancePath("cases", "d3_one-t0.1", "queries.npy")
	noLeak(t, 100_000, func() {
		searcher, err := projection.NewSearcher([]int64{1}, query, 3)
		if err != nil {
			t.Fatal(err)
		}
		sharper, err := model.WithTemperature(0.01)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := searcher.SearchBatch([][]float32{query, query}, sharper, 1); err != nil {
			t.Fatal(err)
		}
		searcher.Close()
		sharper.Close()
		if _, err := npy.Load(array); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	model := large(t)
	query := vectors(loadArray(t, conformancePath("cases", "d384_18-t0.1", "queries.npy")))[0]
	projected, weights := make([]float32, model.OutputDim()), make([]float32, len(model.HeadIDs()))
	allocations := testing.AllocsPerRun(100, func() {
		if model.ProjectInto(query, projected, weights) != nil || model.ProjectBatchInto(query, projected, nil) != nil {
			t.Error("failed")
		}
	})
	if allocations != 0 {
		t.Errorf("%g allocations, expected none", allocations)
	}
}
