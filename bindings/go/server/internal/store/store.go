// Package store asks the engine what the server needs of a store: which models there are, the names
// of clusters, and the query log.
package store

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/unifyweaver/projection/bindings/go"
)

// Store is a database on disk. It is opened for each use, so that a file that was put in its place is
// seen. It is safe for concurrent use.
type Store struct {
	path string
}

// New names a store; nothing is opened yet.
func New(path string) *Store {
	return &Store{path: path}
}

// Path is the file of the database.
func (s *Store) Path() string { return s.path }

// Open opens the store for reading.
func (s *Store) Open() (*projection.Store, error) {
	return projection.OpenStore(s.path, nil)
}

// Contents is what a reload has to know of a store.
type Contents struct {
	// Models in ascending order of id. Of two models with one id, it has the one with heads, unless
	// the other one is active.
	Models []projection.StoredModel
	// Clusters are the names of those that have one.
	Clusters map[int64]string
	// Fingerprint changes when answers, models or vectors change. It does not when the query log
	// grows.
	Fingerprint string
}

// Read returns the contents of an open store.
func Read(open *projection.Store) (*Contents, error) {
	contents := &Contents{Clusters: map[int64]string{}}
	var err error
	if contents.Fingerprint, err = open.Fingerprint(); err != nil {
		return nil, err
	}
	models, err := open.Models()
	if err != nil {
		return nil, err
	}
	for i, model := range models {
		switch last := len(contents.Models) - 1; {
		case i == 0 || model.ID != models[i-1].ID:
			contents.Models = append(contents.Models, model)
		case model.Active:
			contents.Models[last] = model
		}
	}
	clusters, err := open.Clusters()
	if err != nil {
		return nil, err
	}
	for _, cluster := range clusters {
		if cluster.Name != "" {
			contents.Clusters[cluster.ID] = cluster.Name
		}
	}
	return contents, nil
}

// Metadata returns what their files say of answers beside their texts, by answer.
func Metadata(open *projection.Store) (map[int64]*structpb.Struct, error) {
	found, err := open.Metadata()
	if err != nil {
		return nil, err
	}
	metadata := make(map[int64]*structpb.Struct, len(found))
	for id, fields := range found {
		parsed := &structpb.Struct{}
		if err := protojson.Unmarshal(fields, parsed); err != nil {
			return nil, fmt.Errorf("metadata of answer %d: %w", id, err)
		}
		metadata[id] = parsed
	}
	return metadata, nil
}

// Measured are the metrics that a model was stored with, nil if they were not measured.
func Measured(model projection.StoredModel) (recallAt1, mrr *float64) {
	var metrics struct {
		RecallAt1 *float64 `json:"recall_at_1"`
		MRR       *float64 `json:"mrr"`
		MRRAt10   *float64 `json:"mrr_at_10"`
	}
	// Other programs may have written something else.
	if json.Unmarshal(model.Metrics, &metrics) != nil {
		return nil, nil
	}
	if metrics.MRRAt10 != nil {
		metrics.MRR = metrics.MRRAt10
	}
	return metrics.RecallAt1, metrics.MRR
}

// Record adds feedback to the query log and returns the entry's id. It fails with
// projection.ErrNotFound if the store does not have the right answer.
func (s *Store) Record(feedback projection.Feedback) (int64, error) {
	ids, err := s.log([]projection.Feedback{feedback})
	if err != nil {
		return 0, err
	}
	if ids[0] == nil {
		return 0, &projection.Error{Code: projection.ErrNotFound,
			Message: fmt.Sprintf("%s: no answer %d", s.path, *feedback.Selected)}
	}
	return *ids[0], nil
}

// RecordAll adds all feedback or nothing, except entries whose right answer the store does not have:
// those are dropped, and counted.
func (s *Store) RecordAll(feedback []projection.Feedback) (dropped int, err error) {
	ids, err := s.log(feedback)
	for _, id := range ids {
		if id == nil {
			dropped++
		}
	}
	return dropped, err
}

func (s *Store) log(feedback []projection.Feedback) ([]*int64, error) {
	open, err := projection.OpenStore(s.path, &projection.StoreOptions{Mode: "write"})
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return open.LogFeedback(feedback)
}
