package projection

/*
#include <projection.h>

// These keep no Go pointer and do not call back, which lets Go do without an allocation for
// every argument that is passed by address.
#cgo noescape projection_model_project
#cgo nocallback projection_model_project
#cgo noescape projection_model_project_batch
#cgo nocallback projection_model_project_batch
*/
import "C"

import (
	"context"
	"math"
	"slices"
	"unsafe"
)

// Config says which multi-head projection to load, and how it routes.
type Config struct {
	// DataDir is the folder of the model's files: embeddings/{model_name}, or embeddings,
	// below which the folder with the model is then looked for.
	DataDir string
	// MHProjectionID is the number in the files' names, mh_{id}_cluster_{n}_centroid.npy.
	MHProjectionID int64
	// Temperature of the routing softmax; 0.1 is the usual one, lower is sharper. The files
	// do not hold it and there is no default: what is not a finite number above 0, such as
	// a field that was not set, is refused with ErrInvalidArgument.
	Temperature float64
}

// Kind is what a model is.
type Kind int

const (
	// KindUnknown is that of a nil model, or one of a kind that has no number yet.
	KindUnknown Kind = C.PROJECTION_KIND_UNKNOWN
	// KindMultiHead has one head a cluster, mixed by softmax.
	KindMultiHead Kind = C.PROJECTION_KIND_MULTI_HEAD
	// KindResidual is the query and what training learned to add to it.
	KindResidual Kind = C.PROJECTION_KIND_RESIDUAL
	// KindLinear is one matrix, without heads and temperature.
	KindLinear Kind = C.PROJECTION_KIND_LINEAR
	// KindTransformer is a distilled network, without heads and temperature.
	KindTransformer Kind = C.PROJECTION_KIND_TRANSFORMER
)

// String is the name in stores, such as "residual".
func (k Kind) String() string {
	switch k {
	case KindMultiHead:
		return "multi_head"
	case KindResidual:
		return "residual"
	case KindLinear:
		return "linear"
	case KindTransformer:
		return "transformer"
	}
	return "unknown"
}

// UnmarshalText reads the name that String returns; other names are KindUnknown.
func (k *Kind) UnmarshalText(name []byte) error {
	*k = KindUnknown
	for kind := KindMultiHead; kind <= KindTransformer; kind++ {
		if kind.String() == string(name) {
			*k = kind
		}
	}
	return nil
}

// Model is a trained projection. It is safe for concurrent use.
type Model struct {
	handle              *handle
	kind                Kind
	precision           Precision
	inputDim, outputDim int
	headIDs             []int64
	temperature         float64
	movesAnswers        bool
}

// LoadMultiHead loads a projection from its files.
//
// It fails with ErrNotFound if the folder does not exist or has no head of this id, with
// ErrAmbiguousModel if the id is found below two model folders, with ErrInvalidModel,
// ErrDimensionMismatch, ErrNotFinite, ErrZeroVector or ErrInvalidArray if the files are
// unusable, and with ErrInvalidArgument for the temperature.
func LoadMultiHead(config Config) (*Model, error) {
	folder, err := text("DataDir", config.DataDir)
	if err != nil {
		return nil, err
	}
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_load(chars(folder), C.int64_t(config.MHProjectionID),
			C.double(config.Temperature), model, failed)
	})
}

// Load loads a projection of any kind from its files in dataDir, as [LoadMultiHead] does, at
// the temperature stored in them.
//
// It fails as [LoadMultiHead] does, and with ErrInvalidArgument if the files of a multi-head model
// contain no temperature.
func Load(dataDir string, id int64) (*Model, error) {
	folder, err := text("dataDir", dataDir)
	if err != nil {
		return nil, err
	}
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_load_as_trained(chars(folder), C.int64_t(id), model, failed)
	})
}

// Open opens projection id of the store whose database is the file database, such as lda.db, at
// the temperature stored in the database. It is [Store.Model] of a store that is closed again.
func Open(database string, id int64) (*Model, error) {
	store, err := OpenStore(database, nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return store.Model(id)
}

// LoadFile opens the model in the .safetensors file path, of any kind, at the temperature stored
// in the file.
//
// The file is mapped, so a large one is ready at once. Until the model is closed, the file must not
// be changed in place: that could change results or, if the file is truncated, end the process.
// Replacing it by renaming another one, as [Model.SaveFile] does, is safe. The values of a file of
// more than 1 MiB are checked when the model is first used. If another program may change the file
// in place, read it and use [FromBytes].
//
// It fails with ErrNotFound or ErrIO if the file can't be read, and with ErrInvalidModel,
// ErrDimensionMismatch or ErrNotFinite if it does not hold a valid model.
func LoadFile(path string) (*Model, error) {
	file, err := text("path", path)
	if err != nil {
		return nil, err
	}
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_load_file(chars(file), model, failed)
	})
}

// FromBytes reads a model from the bytes of a file as [LoadFile] opens it, such as an embedded
// one. The bytes are copied, and all values are checked.
//
// It fails as [LoadFile] does.
func FromBytes(file []byte) (*Model, error) {
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_from_bytes((*C.uint8_t)(unsafe.SliceData(file)),
			C.size_t(len(file)), model, failed)
	})
}

// SaveFile writes the model to the file path, which [LoadFile] and every other language opens. An
// existing file is replaced only by the complete new one.
//
// It fails with ErrIO or ErrNotFound if the file can't be written.
func (m *Model) SaveFile(path string) error {
	file, err := text("path", path)
	if err != nil {
		return err
	}
	model, err := m.acquire()
	if err != nil {
		return err
	}
	defer m.handle.release()
	var failed *C.projection_error
	return check(C.projection_model_save_file(model, chars(file), &failed), &failed)
}

// openModel takes over the model that call returns.
func openModel(call func(model **C.projection_model, failed **C.projection_error) C.projection_status) (*Model, error) {
	var model *C.projection_model
	var failed *C.projection_error
	if err := check(call(&model, &failed), &failed); err != nil {
		return nil, err
	}
	m := &Model{
		handle:       newHandle("model", unsafe.Pointer(model), freeModel),
		kind:         Kind(C.projection_model_kind(model)),
		precision:    Precision(C.projection_model_precision(model)),
		movesAnswers: C.projection_model_moves_answers(model) != 0,
		inputDim:     int(C.projection_model_input_dim(model)),
		outputDim:    int(C.projection_model_output_dim(model)),
		headIDs:      make([]int64, int(C.projection_model_num_heads(model))),
		temperature:  float64(C.projection_model_temperature(model)),
	}
	status := C.projection_model_head_ids(model, integers(m.headIDs), C.size_t(len(m.headIDs)), &failed)
	if err := check(status, &failed); err != nil {
		m.handle.close()
		return nil, err
	}
	return m, nil
}

func freeModel(model unsafe.Pointer) {
	C.projection_model_free((*C.projection_model)(model))
}

// acquire returns the native model until m.handle.release is called.
func (m *Model) acquire() (*C.projection_model, error) {
	if err := m.checkMade(); err != nil {
		return nil, err
	}
	model, err := m.handle.acquire()
	return (*C.projection_model)(model), err
}

// checkMade refuses what no function of this package made.
func (m *Model) checkMade() error {
	if m == nil || m.handle == nil {
		return errorf(ErrInvalidArgument, "the model is nil or empty")
	}
	return nil
}

// Project projects a query of InputDim values. It returns the projected query, of OutputDim
// values, and the routing weight of every head by cluster id; the weights sum to 1.
//
// It fails with ErrDimensionMismatch, ErrNotFinite or ErrZeroVector where the query is
// unusable.
func (m *Model) Project(query []float32) (projected []float32, weights map[int64]float32, err error) {
	if err := m.checkMade(); err != nil {
		return nil, nil, err
	}
	projected = make([]float32, m.outputDim)
	row := make([]float32, len(m.headIDs))
	if err := m.ProjectInto(query, projected, row); err != nil {
		return nil, nil, err
	}
	return projected, m.byClusterID(row), nil
}

// ProjectInto is [Model.Project] into slices of the caller, without an allocation: projected
// has OutputDim values; weights has as many as HeadIDs, in the order of those, or is nil
// where they are not wanted. The slices must not overlap. They are written only on success.
//
// It fails as [Model.Project] does, with ErrBufferSize for a slice of the wrong length and
// with ErrInvalidArgument for slices that overlap.
func (m *Model) ProjectInto(query, projected, weights []float32) error {
	model, err := m.acquire()
	if err != nil {
		return err
	}
	defer m.handle.release()
	var failed *C.projection_error
	return check(C.projection_model_project(model,
		floats(query), C.size_t(len(query)),
		floats(projected), C.size_t(len(projected)),
		floats(weights), C.size_t(len(weights)), &failed), &failed)
}

// ProjectBatch is [Model.Project] for many queries, and faster than one call for each. One
// unusable query fails the whole batch.
func (m *Model) ProjectBatch(queries [][]float32) (projected [][]float32, weights []map[int64]float32, err error) {
	if err := m.checkMade(); err != nil {
		return nil, nil, err
	}
	flat, err := flatten(queries, m.inputDim)
	if err != nil {
		return nil, nil, err
	}
	n, heads := len(queries), len(m.headIDs)
	flatProjected := make([]float32, n*m.outputDim)
	flatWeights := make([]float32, n*heads)
	if err := m.ProjectBatchInto(flat, flatProjected, flatWeights); err != nil {
		return nil, nil, err
	}
	weights = make([]map[int64]float32, n)
	for i := range weights {
		weights[i] = m.byClusterID(flatWeights[i*heads : (i+1)*heads])
	}
	return rows(flatProjected, n, m.outputDim), weights, nil
}

// ProjectBatchInto is [Model.ProjectInto] for n queries that lie one after another: queries
// has n × InputDim values, projected n × OutputDim, and weights n × len(HeadIDs) or is nil.
func (m *Model) ProjectBatchInto(queries, projected, weights []float32) error {
	return m.ProjectBatchIntoOn(1, queries, projected, weights)
}

// ProjectBatchIntoOn is [Model.ProjectBatchInto] on up to so many threads of the library, which
// share the queries out and end before it returns; 0 and 1 are the caller's thread. How the
// queries are shared out may change last bits.
//
// It fails as [Model.ProjectBatchInto] does, and with ErrInvalidArgument for fewer than none.
func (m *Model) ProjectBatchIntoOn(threads int, queries, projected, weights []float32) error {
	return m.ProjectBatchIntoContext(context.Background(), threads, queries, projected, weights)
}

// ProjectBatchIntoContext is [Model.ProjectBatchIntoOn] that ends soon after ctx does, with
// ErrCancelled and the error of ctx. Some of the results may have been written then.
func (m *Model) ProjectBatchIntoContext(ctx context.Context, threads int, queries, projected, weights []float32) error {
	if err := checkThreads(threads); err != nil {
		return err
	}
	model, err := m.acquire()
	if err != nil {
		return err
	}
	defer m.handle.release()
	if len(queries)%m.inputDim != 0 {
		return errorf(ErrDimensionMismatch,
			"queries has the length %d, expected a multiple of the dimension %d", len(queries), m.inputDim)
	}
	return cancellable(ctx, func(progress C.projection_progress, stop unsafe.Pointer) error {
		var failed *C.projection_error
		return check(C.projection_model_project_batch(model,
			floats(queries), C.size_t(len(queries)/m.inputDim), C.size_t(m.inputDim),
			floats(projected), C.size_t(len(projected)),
			floats(weights), C.size_t(len(weights)), C.size_t(threads), progress, stop, &failed), &failed)
	})
}

func (m *Model) byClusterID(weights []float32) map[int64]float32 {
	byID := make(map[int64]float32, len(weights))
	for i, id := range m.headIDs {
		byID[id] = weights[i]
	}
	return byID
}

// copied takes over the copy that call makes of the native model.
func (m *Model) copied(call func(model *C.projection_model, copied **C.projection_model, failed **C.projection_error) C.projection_status) (*Model, error) {
	model, err := m.acquire()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	return openModel(func(copied **C.projection_model, failed **C.projection_error) C.projection_status {
		return call(model, copied, failed)
	})
}

// WithTemperature returns a copy of the model that routes at another temperature. The two share
// their vectors, and each is closed on its own.
func (m *Model) WithTemperature(temperature float64) (*Model, error) {
	return m.copied(func(model *C.projection_model, copied **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_model_with_temperature(model, C.double(temperature), copied, failed)
	})
}

// Kind is what the model is; KindUnknown for a nil model.
func (m *Model) Kind() Kind {
	if m == nil {
		return KindUnknown
	}
	return m.kind
}

// Temperature is that of the routing; NaN for a linear and for a nil model. As Kind, Precision, InputDim,
// OutputDim and HeadIDs, it may still be asked for after Close.
func (m *Model) Temperature() float64 {
	if m == nil {
		return math.NaN()
	}
	return m.temperature
}

// MovesAnswers says whether the model moves the answers that it was trained on towards their
// questions. Searchers of a store then compare projected queries with the moved answers; another
// index has to hold those, see [Searcher.Vectors]. It is false for a nil model.
func (m *Model) MovesAnswers() bool {
	return m != nil && m.movesAnswers
}

// InputDim is the dimension of queries; 0 for a nil model.
func (m *Model) InputDim() int {
	if m == nil {
		return 0
	}
	return m.inputDim
}

// OutputDim is the dimension of projected queries; 0 for a nil model.
func (m *Model) OutputDim() int {
	if m == nil {
		return 0
	}
	return m.outputDim
}

// HeadIDs are the cluster ids of the heads in ascending order, which is that of the weights
// of [Model.ProjectInto]. The caller owns the slice.
func (m *Model) HeadIDs() []int64 {
	if m == nil {
		return nil
	}
	return slices.Clone(m.headIDs)
}

// Close frees the model's native memory; the last running call does so if there are any. It may be
// called any number of times and always returns nil, as [io.Closer] wants an error.
func (m *Model) Close() error {
	if m != nil && m.handle != nil {
		m.handle.close()
	}
	return nil
}
