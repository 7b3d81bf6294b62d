package service

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLargest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		weights := make([]float32, random.IntN(20))
		for i := range weights {
			weights[i] = float32(random.IntN(5))
		}
		want := make([]int, len(weights))
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int { return int(weights[b] - weights[a]) })
		n := random.IntN(25)
		if found := largest(weights, n); !slices.Equal(found, want[:min(n, len(want))]) {
			t.Fatalf("the %d largest of %v are %v, expected %v", n, weights, found, want)
		}
	}
}
