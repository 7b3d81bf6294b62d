// Command program is what a user's program does with a released module: it reads a model, writes it
// as one file, loads that file and projects. It fails unless the numbers are those expected.
//
// usage: program CASE_FOLDER MODEL_FOLDER
package main

import (
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/npy"
)

func main() {
	log.SetFlags(0)
	test, folder := os.Args[1], os.Args[2]
	read, err := projection.LoadMultiHead(projection.Config{DataDir: folder, MHProjectionID: 1, Temperature: 0.1})
	check(err)
	file := filepath.Join(os.TempDir(), "model.safetensors")
	check(read.SaveFile(file))
	model, err := projection.LoadFile(file)
	check(err)
	defer model.Close()

	queries, err := npy.LoadArray(filepath.Join(test, "queries.npy"))
	check(err)
	expected, err := npy.Load(filepath.Join(test, "projected.npy"))
	check(err)
	dim := queries.Shape[1]
	largest := 0.0
	for row := range queries.Shape[0] {
		projected, _, err := model.Project(queries.Data[row*dim : (row+1)*dim])
		check(err)
		wanted := expected[row*len(projected) : (row+1)*len(projected)]
		var difference, length float64
		for i := range projected {
			difference += math.Pow(float64(projected[i]-wanted[i]), 2)
			length += math.Pow(float64(wanted[i]), 2)
		}
		largest = math.Max(largest, math.Sqrt(difference/length))
	}
	if !(largest <= 1e-5) || queries.Shape[0] == 0 {
		log.Fatalf("projected %d queries with a relative error of %g, expected at most 1e-5", queries.Shape[0], largest)
	}
	fmt.Printf("projected %d queries with a relative error of %.1e\n", queries.Shape[0], largest)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
