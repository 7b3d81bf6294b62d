// Package active holds what answers requests at present, and replaces it without a request
// noticing: requests pin a snapshot, and what was replaced is freed when the last one is done.
package active

import (
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/unifyweaver/projection/bindings/go"
)

// Snapshot is a model and what belongs to it. It does not change. It is used between Acquire
// and Release.
type Snapshot struct {
	// Generation counts the snapshots of a process, from 1.
	Generation int64
	LoadedAt   time.Time
	// Model projects; Info is what the store says of it.
	Model *projection.Model
	Info  projection.StoredModel
	// EmbeddingModel is the name of the one whose vectors are searched.
	EmbeddingModel string
	// Searcher has the answers; nil where a database has them.
	Searcher *projection.Searcher
	// Metadata is what their files say of answers beside their texts.
	Metadata map[int64]*structpb.Struct
	// Heads has the centroids of the model's heads by cluster; nil if there are none.
	Heads *projection.Searcher
	// Models and Clusters are those of the store when it was read.
	Models   []projection.StoredModel
	Clusters map[int64]string

	fingerprint string
	// users is 1 for the holder and 1 for each request. It never leaves 0.
	users atomic.Int64
	freed func()
}

// pin takes part in the use of s, unless it was freed already.
func (s *Snapshot) pin() bool {
	for {
		users := s.users.Load()
		if users == 0 {
			return false
		}
		if s.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

// Release ends the use of s.
func (s *Snapshot) Release() {
	if s.users.Add(-1) == 0 {
		s.free()
		if s.freed != nil {
			s.freed()
		}
	}
}

// free frees the native memory. Nobody uses s any more.
func (s *Snapshot) free() {
	s.Heads.Close()
	s.Searcher.Close()
	s.Model.Close()
}
