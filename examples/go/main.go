// Command ask answers a question from a store.
//
//	ask STORE.db PROJECTION_ID MODEL_DIR "question" [k]
//
// It prints the three clusters that the question is routed to most, and then the k best
// answers, 5 unless told otherwise, with columns separated by a tab.
package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/unifyweaver/projection/bindings/go"
)

const usage = `usage: ask STORE.db PROJECTION_ID MODEL_DIR "question" [k]`

func main() {
	arguments := os.Args[1:]
	if len(arguments) != 4 && len(arguments) != 5 {
		fail(2, usage)
	}
	id, err := strconv.ParseInt(arguments[1], 10, 64)
	if err != nil {
		fail(2, fmt.Sprintf("PROJECTION_ID is %q, expected a number\n%s", arguments[1], usage))
	}
	k := 5
	if len(arguments) == 5 {
		if k, err = strconv.Atoi(arguments[4]); err != nil || k < 1 {
			fail(2, fmt.Sprintf("k is %q, expected a number above 0\n%s", arguments[4], usage))
		}
	}
	if err := ask(os.Stdout, arguments[0], id, arguments[2], arguments[3], k); err != nil {
		fail(1, err.Error())
	}
}

func fail(code int, message string) {
	fmt.Fprintln(os.Stderr, "ask: "+message)
	os.Exit(code)
}

func ask(output io.Writer, store string, id int64, modelDir, question string, k int) error {
	// A service does this once, when it starts, and shares model, searcher and embedder among its
	// goroutines.
	opened, err := projection.OpenStore(store, nil)
	if err != nil {
		return err
	}
	defer opened.Close()
	model, err := opened.Model(id)
	if err != nil {
		return err
	}
	defer model.Close()
	searcher, err := opened.Searcher("")
	if err != nil {
		return err
	}
	defer searcher.Close()
	embedder, err := projection.LoadEmbedder(modelDir)
	if err != nil {
		return err
	}
	defer embedder.Close()

	// And this for every question.
	query, err := embedder.Embed(question)
	if err != nil {
		return err
	}
	_, weights, err := model.Project(query)
	if err != nil {
		return err
	}
	// The searcher projects the query itself. It could also Search for what Project returned.
	hits, err := searcher.SearchWithProjection(query, model, k)
	if err != nil {
		return err
	}

	for _, cluster := range largest(weights, 3) {
		fmt.Fprintf(output, "weight\t%d\t%.6f\n", cluster, weights[cluster])
	}
	for i, hit := range hits {
		fmt.Fprintf(output, "%d\t%.6f\t%d\t%s\n", i+1, hit.Score, hit.AnswerID, oneLine.Replace(hit.Text))
	}
	return nil
}

var oneLine = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")

// largest returns the clusters of the n largest weights, equal ones by ascending id.
func largest(weights map[int64]float32, n int) []int64 {
	clusters := slices.SortedFunc(maps.Keys(weights), func(a, b int64) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(a, b))
	})
	return clusters[:min(n, len(clusters))]
}
