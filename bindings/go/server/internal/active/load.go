package active

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
)

// Source says what to load.
type Source struct {
	Store *store.Store
	// Projection is the id of a model, or active.
	Projection string
	// EmbeddingModel is the name of the one whose vectors are searched; empty for the model's own.
	EmbeddingModel string
	// Answers says whether the store's answers are searched in memory.
	Answers bool
	// Embedder embeds questions; nil where none are embedded here.
	Embedder *projection.Embedder
	// AnyEmbedder accepts an Embedder that did not make the vectors of the store.
	AnyEmbedder bool
	// Accepts refuses models whose projected vectors can't be searched for; nil accepts all.
	Accepts func(id int64, model *projection.Model) error
}

// Choose returns the model to load.
func (s Source) Choose(contents *store.Contents) (projection.StoredModel, error) {
	if len(contents.Models) == 0 {
		return projection.StoredModel{}, fmt.Errorf("%s: no model was trained yet, expected at least one", s.Store.Path())
	}
	if s.Projection == "active" {
		for _, model := range contents.Models {
			if model.Default && s.EmbeddingModel == "" || model.Active && model.AnswerModel == s.EmbeddingModel {
				return model, nil
			}
		}
		return projection.StoredModel{}, fmt.Errorf("%s: no model to the vectors of %s", s.Store.Path(), s.EmbeddingModel)
	}
	id, err := strconv.ParseInt(s.Projection, 10, 64)
	if err != nil {
		return projection.StoredModel{}, fmt.Errorf("model is %q, expected an id or active", s.Projection)
	}
	active := int64(0)
	for _, model := range contents.Models {
		if model.ID == id {
			return model, nil
		}
		if model.Default {
			active = model.ID
		}
	}
	return projection.StoredModel{}, fmt.Errorf("%s: no model %d; the active one is %d", s.Store.Path(), id, active)
}

// fingerprint is that of the store's contents.
func (s Source) fingerprint() (string, error) {
	open, err := s.Store.Open()
	if err != nil {
		return "", err
	}
	defer open.Close()
	return open.Fingerprint()
}

// load opens the model and the answers, and tries them before anybody depends on them.
func (s Source) load(log *slog.Logger) (loaded *Snapshot, err error) {
	open, err := s.Store.Open()
	if err != nil {
		return nil, err
	}
	defer open.Close()
	contents, err := store.Read(open)
	if err != nil {
		return nil, err
	}
	warnings, err := open.Warnings()
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		log.Warn("the store needs attention", "store", s.Store.Path(), "warning", warning)
	}
	info, err := s.Choose(contents)
	if err != nil {
		return nil, err
	}
	loaded = &Snapshot{
		Info: info, EmbeddingModel: s.EmbeddingModel, Models: contents.Models, Clusters: contents.Clusters,
		LoadedAt: time.Now(), fingerprint: contents.Fingerprint,
	}
	defer func() {
		if err != nil {
			loaded.free()
			loaded = nil
		}
	}()
	if loaded.EmbeddingModel == "" {
		loaded.EmbeddingModel = info.EmbeddingModel
	}
	if s.Embedder != nil && !s.AnyEmbedder {
		if err = open.CheckEmbedder(s.Embedder, info.EmbeddingModel); err != nil {
			return loaded, fmt.Errorf("embedding-model-dir: %w", err)
		}
	}
	if loaded.Model, err = open.ModelOfKind(info.ID, info.Kind); err != nil {
		return loaded, err
	}
	if s.Answers {
		if loaded.Searcher, err = open.Searcher(loaded.EmbeddingModel); err != nil {
			return loaded, err
		}
		if loaded.Metadata, err = store.Metadata(open); err != nil {
			return loaded, err
		}
	}
	if len(loaded.Model.HeadIDs()) > 0 {
		if loaded.Heads, err = open.HeadSearcher(info.ID); err != nil {
			// Only the metric of questions far from every head depends on it.
			log.Warn("the heads' centroids can't be read, questions far from every head are not counted", "error", err)
			loaded.Heads = nil
		}
	}
	return loaded, s.try(loaded)
}

// try refuses a snapshot that could not answer.
func (s Source) try(loaded *Snapshot) error {
	model := loaded.Model
	if dim := s.Embedder.Dim(); dim != 0 && dim != model.InputDim() {
		return fmt.Errorf("model %d takes questions of dimension %d, the embedding model returns %d",
			loaded.Info.ID, model.InputDim(), dim)
	}
	if loaded.Searcher != nil && loaded.Searcher.Dim() != model.OutputDim() {
		return fmt.Errorf("model %d returns vectors of dimension %d, the answers have %d",
			loaded.Info.ID, model.OutputDim(), loaded.Searcher.Dim())
	}
	if s.Accepts != nil {
		if err := s.Accepts(loaded.Info.ID, model); err != nil {
			return fmt.Errorf("model %d: %w", loaded.Info.ID, err)
		}
	}
	for _, sign := range []float32{1, -1} {
		query := make([]float32, model.InputDim())
		for i := range query {
			query[i] = sign
			sign = -sign
		}
		query[0] += sign / 2
		// A projection that is not finite is an error of the search or, without one, seen below.
		projected, _, err := model.Project(query)
		if err != nil {
			return fmt.Errorf("model %d fails for a trial question: %w", loaded.Info.ID, err)
		}
		for _, value := range projected {
			if value-value != 0 {
				return fmt.Errorf("model %d returns %g for a trial question", loaded.Info.ID, value)
			}
		}
		if loaded.Searcher != nil {
			hits, err := loaded.Searcher.SearchWithProjection(query, model, 1)
			switch {
			case errors.Is(err, projection.ErrZeroVector):
			case err != nil:
				return fmt.Errorf("model %d: searching for a trial question: %w", loaded.Info.ID, err)
			case len(hits) == 0:
				return fmt.Errorf("%s: no answers by %s", s.Store.Path(), loaded.EmbeddingModel)
			}
		}
	}
	return nil
}
