// Exported models in ONNX Runtime from Go, as a service without the engine runs them.
//
// usage: onnx LIBRARY CASES      ONNX Runtime's shared library, and the folder that
// onnx_export.py --cases wrote
//
// Each case is run with batches of 1, 3 and all of its queries, and must be within 1e-5 of the
// engine, relative to the largest component of a row; routing weights absolutely.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

const tolerance = 1e-5

// testCase is a row of cases.json: n queries of dim values give n projections of out values
// and, where there are heads, n rows of weights.
type testCase struct {
	Name, Kind         string
	N, Dim, Out, Heads int
}

// output is one of a graph's, with what the engine gave.
type output struct {
	name     string
	width    int
	expected []float32
	relative bool
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: onnx LIBRARY CASES")
	}
	ort.SetSharedLibraryPath(os.Args[1])
	if err := ort.InitializeEnvironment(); err != nil {
		log.Fatal(err)
	}
	defer ort.DestroyEnvironment()
	if err := checkAll(os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func checkAll(folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, "cases.json"))
	if err != nil {
		return err
	}
	var cases []testCase
	if err := json.Unmarshal(text, &cases); err != nil {
		return err
	}
	if len(cases) == 0 {
		return fmt.Errorf("%s: no cases", folder)
	}
	worst, count := map[string]float64{}, map[string]int{}
	for number, c := range cases {
		away, err := check(filepath.Join(folder, fmt.Sprint(number)), c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		worst[c.Kind] = max(worst[c.Kind], away)
		count[c.Kind]++
	}
	for kind, away := range worst {
		fmt.Printf("ok      %d of kind %s in Go, at most %.1e from the engine\n", count[kind], kind, away)
	}
	return nil
}

func check(path string, c testCase) (float64, error) {
	queries, err := floats(path+".queries", c.N*c.Dim)
	if err != nil {
		return 0, err
	}
	projected, err := floats(path+".projected", c.N*c.Out)
	if err != nil {
		return 0, err
	}
	outputs := []output{{"projected", c.Out, projected, true}}
	if c.Heads > 0 {
		weights, err := floats(path+".weights", c.N*c.Heads)
		if err != nil {
			return 0, err
		}
		outputs = append(outputs, output{"weights", c.Heads, weights, false})
	}
	names := make([]string, len(outputs))
	for i, o := range outputs {
		names[i] = o.name
	}
	session, err := ort.NewDynamicAdvancedSession(path+".onnx", []string{"query"}, names, nil)
	if err != nil {
		return 0, err
	}
	defer session.Destroy()
	worst := 0.0
	for _, rows := range slices.Compact([]int{1, min(3, c.N), c.N}) {
		away, err := runBatch(session, queries[:rows*c.Dim], rows, outputs)
		if err != nil {
			return 0, fmt.Errorf("%d queries: %w", rows, err)
		}
		worst = max(worst, away)
	}
	return worst, nil
}

// runBatch gives the largest error of a batch.
func runBatch(session *ort.DynamicAdvancedSession, queries []float32, rows int, outputs []output) (float64, error) {
	query, err := ort.NewTensor(ort.NewShape(int64(rows), int64(len(queries)/rows)), queries)
	if err != nil {
		return 0, err
	}
	defer query.Destroy()
	// ONNX Runtime makes the outputs.
	results := make([]ort.Value, len(outputs))
	if err := session.Run([]ort.Value{query}, results); err != nil {
		return 0, err
	}
	worst := 0.0
	for i, o := range outputs {
		defer results[i].Destroy()
		found, ok := results[i].(*ort.Tensor[float32])
		if shape := ort.NewShape(int64(rows), int64(o.width)); !ok || !found.GetShape().Equals(shape) {
			return 0, fmt.Errorf("%s is a %T of shape %v, expected float32 of %v", o.name, results[i], results[i].GetShape(), shape)
		}
		away := distance(found.GetData(), o)
		// Written so that NaN is an error.
		if !(away <= tolerance) {
			return 0, fmt.Errorf("%s is %.2e from the engine's, expected at most %v", o.name, away, tolerance)
		}
		worst = max(worst, away)
	}
	return worst, nil
}

func distance(found []float32, o output) float64 {
	worst := 0.0
	for start := 0; start < len(found); start += o.width {
		scale := 1.0
		expected := o.expected[start : start+o.width]
		if o.relative {
			scale = 0
			for _, value := range expected {
				scale = max(scale, math.Abs(float64(value)))
			}
		}
		for i, value := range expected {
			worst = max(worst, math.Abs(float64(found[start+i]-value))/scale)
		}
	}
	return worst
}

// floats reads a file of so many little-endian numbers.
func floats(path string, count int) ([]float32, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(bytes) != 4*count {
		return nil, fmt.Errorf("%s: %d bytes, expected %d", path, len(bytes), 4*count)
	}
	values := make([]float32, count)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return values, nil
}
