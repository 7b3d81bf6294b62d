// Command benches measures what a call of the package costs above the same call in C: of the
// smallest model, where there is little beside the call, and of 18 heads × 384.
//
// usage: benches [-quick] FOLDER
//
// FOLDER has the models that the benchmark of the C interface's calls leaves. Both sides run in
// this process, in turns, after they gave the same. Medians are printed.
package main

/*
#cgo !projection_static pkg-config: projection
#cgo projection_static pkg-config: projection-static
#include <projection.h>
#include <stdlib.h>
#include <time.h>

// The nanoseconds of so many calls; less than 0 where one fails.
static double time_calls(const projection_model *model, const float *query, size_t dim,
                         float *projected, size_t calls)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < calls; i++) {
        if (projection_model_project(model, query, dim, projected, dim, NULL, 0, NULL) != 0) {
            return -1;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return 1e9 * (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec);
}
*/
import "C"

import (
	"flag"
	"fmt"
	"log"
	"math"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"github.com/unifyweaver/projection/bindings/go"
)

// calls in a round: so few that most rounds are not interrupted.
const calls = 500

func main() {
	log.SetFlags(0)
	quick := flag.Bool("quick", false, "make fewer rounds")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: benches [-quick] FOLDER")
	}
	rounds := 4001
	if *quick {
		rounds = 501
	}
	fmt.Printf("\ncalls, %d rounds in turn: medians of ns a call, and of the differences\n", rounds)
	fmt.Printf("%-28s %10s %10s %10s %8s\n", "", "Go", "C", "above", "ratio")
	for _, model := range []string{"small", "usual"} {
		path := filepath.Join(flag.Arg(0), "calls_"+model+".safetensors")
		if err := compare(path, rounds); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
	}
	fmt.Println("(goal: at most 80 above)")
}

func compare(path string, rounds int) error {
	model, err := projection.LoadFile(path)
	if err != nil {
		return err
	}
	defer model.Close()
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var native *C.projection_model
	if status := C.projection_model_load_file(name, &native, nil); status != 0 {
		return fmt.Errorf("status %d", int(status))
	}
	defer C.projection_model_free(native)
	dim := model.InputDim()
	query, projected, expected := make([]float32, dim), make([]float32, dim), make([]float32, dim)
	for i := range query {
		query[i] = float32(math.Sin(float64(i) * 0.7))
	}
	inC := func() (float64, error) {
		took := C.time_calls(native, (*C.float)(&query[0]), C.size_t(dim), (*C.float)(&expected[0]),
			C.size_t(calls))
		if took < 0 {
			return 0, fmt.Errorf("a call in C failed")
		}
		return float64(took) / float64(calls), nil
	}
	inGo := func() (float64, error) {
		start := time.Now()
		for range calls {
			if err := model.ProjectInto(query, projected, nil); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(start).Nanoseconds()) / float64(calls), nil
	}
	var times [2][]float64
	for round := range rounds + 1 {
		for turn := range 2 {
			side := (round + turn) % 2
			took, err := [...]func() (float64, error){inC, inGo}[side]()
			if err != nil {
				return err
			}
			// The first round is to warm up.
			if round > 0 {
				times[side] = append(times[side], took)
			}
		}
		if !slices.Equal(projected, expected) {
			return fmt.Errorf("Go gives %v, C %v", projected, expected)
		}
	}
	above := make([]float64, rounds)
	for i := range above {
		above[i] = times[1][i] - times[0][i]
	}
	c, golang := median(times[0]), median(times[1])
	title := fmt.Sprintf("one query, %d × %d", len(model.HeadIDs()), dim)
	fmt.Printf("%-28s %10.1f %10.1f %10.1f %8.3f\n", title, golang, c, median(above), golang/c)
	return nil
}

func median(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}
