package projection_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

// From a question to its answers, with a store that was made by the command `projection`.
func Example() {
	embedder, err := projection.LoadEmbedder("models/all-MiniLM-L6-v2")
	if err != nil {
		log.Fatal(err)
	}
	defer embedder.Close()
	model, err := projection.Open("lda.db", 1)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	searcher, err := projection.OpenSearcher("lda.db", "")
	if err != nil {
		log.Fatal(err)
	}
	defer searcher.Close()

	query, err := embedder.Embed("How do I authenticate?")
	if err != nil {
		log.Fatal(err)
	}
	hits, err := searcher.SearchWithProjection(query, model, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range hits {
		fmt.Printf("%.3f  %s\n", hit.Score, hit.Text)
	}
}

func ExampleLoadMultiHead() {
	model, err := projection.LoadMultiHead(projection.Config{
		DataDir:        "../../tests/conformance/models/d8_mixed",
		MHProjectionID: 1,
		Temperature:    0.1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	fmt.Println(model.InputDim(), model.OutputDim(), model.HeadIDs())
	// Output: 8 8 [2 9 10 100]
}

func ExampleModel_ProjectInto() {
	model, err := projection.Open("lda.db", 1)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ids := model.HeadIDs()
	projected := make([]float32, model.OutputDim())
	weights := make([]float32, len(ids))
	for query := range incoming() {
		if err := model.ProjectInto(query, projected, weights); err != nil {
			log.Print(err)
			continue
		}
		fmt.Println("weight of cluster", ids[0], "is", weights[0])
	}
}

func ExampleModel_WithTemperature() {
	model, err := projection.Open("lda.db", 1)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	sharper, err := model.WithTemperature(0.05)
	if err != nil {
		log.Fatal(err)
	}
	defer sharper.Close()
	fmt.Println(model.Temperature(), sharper.Temperature())
}

func ExampleNewSearcher() {
	ids := []int64{10, 20, 30}
	vectors := []float32{
		1, 0,
		0, 1,
		3, 3,
	}
	searcher, err := projection.NewSearcher(ids, vectors, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer searcher.Close()
	hits, err := searcher.Search([]float32{1, 1}, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, hit := range hits {
		fmt.Printf("%d %.4f\n", hit.AnswerID, hit.Score)
	}
	// Output:
	// 30 1.0000
	// 10 0.7071
}

func ExampleError() {
	_, err := projection.LoadMultiHead(projection.Config{
		DataDir:        "../../tests/conformance/models/d8_mixed",
		MHProjectionID: 1,
		// Temperature was forgotten.
	})
	var details *projection.Error
	switch {
	case errors.Is(err, projection.ErrNotFound):
		fmt.Println("no such model")
	case errors.As(err, &details):
		fmt.Printf("%d: %s\n", details.Code, details.Message)
	}
	// Output: 1: temperature 0, expected a finite number above zero
}

func Example_npy() {
	array, err := npy.LoadArray("../../tests/conformance/cases/d3_one-t0.1/queries.npy")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(array.Shape, len(array.Data))
	// Output: [8 3] 24
}

// incoming stands for where queries come from.
func incoming() chan []float32 { return nil }
