package service

import "container/heap"

// byWeight is a heap of indices whose root has the smallest weight; of equal ones, the largest
// index.
type byWeight struct {
	weights []float32
	indices []int
}

func (h *byWeight) Len() int { return len(h.indices) }
func (h *byWeight) Less(i, j int) bool {
	a, b := h.indices[i], h.indices[j]
	return h.weights[a] < h.weights[b] || h.weights[a] == h.weights[b] && a > b
}
func (h *byWeight) Swap(i, j int) { h.indices[i], h.indices[j] = h.indices[j], h.indices[i] }
func (h *byWeight) Push(index any) {
	h.indices = append(h.indices, index.(int))
}
func (h *byWeight) Pop() any {
	last := h.indices[len(h.indices)-1]
	h.indices = h.indices[:len(h.indices)-1]
	return last
}

// largest returns the indices of the n largest weights, largest first, equal ones ascending.
func largest(weights []float32, n int) []int {
	n = min(n, len(weights))
	h := &byWeight{weights, make([]int, 0, n+1)}
	for i := range weights {
		heap.Push(h, i)
		if len(h.indices) > n {
			heap.Pop(h)
		}
	}
	order := make([]int, len(h.indices))
	for i := len(order) - 1; i >= 0; i-- {
		order[i] = heap.Pop(h).(int)
	}
	return order
}
