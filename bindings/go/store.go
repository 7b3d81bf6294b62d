package projection

// #include <projection.h>
import "C"

import (
	"encoding/json"
	"unsafe"
)

// Store is an open store: the database lda.db and the vectors beside it. It is safe for concurrent
// use; its calls wait for each other. Models and searchers opened from a store do not depend on it.
type Store struct {
	handle *handle
}

// StoreOptions say how a store is opened.
type StoreOptions struct {
	// Mode is "read", "write" or "create", which also creates an empty store if there is none;
	// empty stands for "read".
	Mode string `json:"mode,omitempty"`
	// AllowOutsidePaths lets paths in the database lead outside the store's folder. Only for
	// databases that are trusted.
	AllowOutsidePaths bool `json:"allow_outside_paths,omitempty"`
}

// OpenStore opens the store whose database is the file database, such as lda.db. nil options stand
// for the defaults.
//
// It fails with ErrNotFound if the file does not exist, and with ErrInvalidStore if it is no store.
func OpenStore(database string, with *StoreOptions) (*Store, error) {
	path, err := text("database", database)
	if err != nil {
		return nil, err
	}
	if with == nil {
		with = &StoreOptions{}
	}
	encoded, err := options(with)
	if err != nil {
		return nil, err
	}
	var store *C.projection_store
	var failed *C.projection_error
	if err := check(C.projection_store_open(chars(path), chars(encoded), &store, &failed), &failed); err != nil {
		return nil, err
	}
	return &Store{newHandle("store", unsafe.Pointer(store), func(store unsafe.Pointer) {
		C.projection_store_free((*C.projection_store)(store))
	})}, nil
}

// acquire returns the native store until s.handle.release is called.
func (s *Store) acquire() (*C.projection_store, error) {
	if s == nil || s.handle == nil {
		return nil, errorf(ErrInvalidArgument, "the store is nil or empty")
	}
	store, err := s.handle.acquire()
	return (*C.projection_store)(store), err
}

// Model opens projection id at the temperature stored in the database. Existing stores may have a
// linear projection and one with heads with the same id: then the one with heads.
//
// It fails with ErrNotFound if the projection does not exist, and as [LoadMultiHead].
func (s *Store) Model(id int64) (*Model, error) {
	return s.ModelOfKind(id, KindUnknown)
}

// ModelOfKind opens projection id as a model of kind; KindUnknown opens it as what it is. A residual
// projection can be opened as a multi-head one.
//
// It fails as [Store.Model] does.
func (s *Store) ModelOfKind(id int64, kind Kind) (*Model, error) {
	number, err := enumerated("kind", int(kind))
	if err != nil {
		return nil, err
	}
	store, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_store_model(store, C.int64_t(id), number, model, failed)
	})
}

// Active opens the active projection for queries by the embedding model modelName, of any kind; ""
// stands for the embedding model of the last activation.
//
// It fails with ErrNotFound if there is none.
func (s *Store) Active(modelName string) (*Model, error) {
	name, err := optionalText("modelName", modelName)
	if err != nil {
		return nil, err
	}
	store, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return openModel(func(model **C.projection_model, failed **C.projection_error) C.projection_status {
		return C.projection_store_active_model(store, chars(name), model, failed)
	})
}

// Searcher reads the answers of the store. modelName is the embedding model whose vectors are read;
// "" stands for the only one there is. The searcher is a snapshot of the store.
//
// It fails with ErrNotFound if the embedding model or any vector does not exist, and with
// ErrAmbiguousModel if a name is needed.
func (s *Store) Searcher(modelName string) (*Searcher, error) {
	name, err := optionalText("modelName", modelName)
	if err != nil {
		return nil, err
	}
	store, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return openSearcher(func(searcher **C.projection_searcher, failed **C.projection_error) C.projection_status {
		return C.projection_store_searcher(store, chars(name), searcher, failed)
	})
}

// CheckEmbedder refuses an embedder that did not make the vectors of the store: its vectors may have
// the same dimension and yet nothing in common with them. modelName is the embedding model in the
// store; "" stands for the only one there is. The store records a fingerprint of the model that
// embedded it; if it has none, a few stored texts are embedded and compared with their vectors.
//
// It fails with ErrDimensionMismatch for another dimension and with ErrInvalidEmbedder for another
// model.
func (s *Store) CheckEmbedder(embedder *Embedder, modelName string) error {
	name, err := optionalText("modelName", modelName)
	if err != nil {
		return err
	}
	store, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.handle.release()
	native, err := embedder.acquire()
	if err != nil {
		return err
	}
	defer embedder.handle.release()
	var failed *C.projection_error
	return check(C.projection_store_check_embedder(store, chars(name), native, &failed), &failed)
}

// HeadSearcher is a searcher of the centroids of the heads of projection id. Its answer ids are the
// heads' clusters.
//
// It fails with ErrNotFound if the projection has no heads.
func (s *Store) HeadSearcher(id int64) (*Searcher, error) {
	store, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return openSearcher(func(searcher **C.projection_searcher, failed **C.projection_error) C.projection_status {
		return C.projection_store_head_searcher(store, C.int64_t(id), searcher, failed)
	})
}

// StoredModel describes a trained model of a store.
type StoredModel struct {
	// ID is the model's id.
	ID int64 `json:"id"`
	// Kind is the model's kind.
	Kind Kind `json:"kind"`
	// Name is a name for people, if it has one.
	Name string `json:"name"`
	// EmbeddingModel is that of queries, AnswerModel that of answers. They differ for some linear
	// models only.
	EmbeddingModel string `json:"model"`
	AnswerModel    string `json:"answer_model"`
	// Temperature is that of the routing, nil for linear models.
	Temperature *float64 `json:"temperature"`
	// Heads is the number of heads, 0 for linear models.
	Heads int64 `json:"heads"`
	// CreatedAt is when it was stored, in UTC.
	CreatedAt string `json:"created_at"`
	// Metrics are what was measured when it was trained, such as recall_at_1, as JSON.
	Metrics json.RawMessage `json:"metrics"`
	// Active says whether it is the active one of its embedding model, Default whether it answers
	// where neither a projection nor an embedding model is named.
	Active  bool `json:"active"`
	Default bool `json:"default"`
}

// Models lists the trained models in ascending order of id. Of two models with one id, the one with
// heads comes first.
func (s *Store) Models() (models []StoredModel, err error) {
	err = s.report(&models, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_models(store, text, failed)
	})
	return models, err
}

// Activate makes projection id the active one of its embedding model. The store must be open for
// writing, as for the next three.
//
// It fails with ErrNotFound if the projection does not exist.
func (s *Store) Activate(id int64) error {
	return s.changeModels(map[string]any{"action": "activate", "id": id})
}

// RollBack returns to the projection that was active before the active one of the embedding model
// modelName; "" is as for [Store.Active].
//
// It fails with ErrNotFound if none was.
func (s *Store) RollBack(modelName string) error {
	change := map[string]any{"action": "rollback"}
	if modelName != "" {
		change["model_name"] = modelName
	}
	return s.changeModels(change)
}

// Rename renames the projection id; "" removes its name.
func (s *Store) Rename(id int64, name string) error {
	change := map[string]any{"action": "rename", "id": id}
	if name != "" {
		change["name"] = name
	}
	return s.changeModels(change)
}

// Delete deletes projection id with its files.
//
// It fails with ErrInvalidArgument for an active projection unless force is set.
func (s *Store) Delete(id int64, force bool) error {
	return s.changeModels(map[string]any{"action": "delete", "id": id, "force": force})
}

func (s *Store) changeModels(change map[string]any) error {
	encoded, err := options(change)
	if err != nil {
		return err
	}
	var models []StoredModel
	return s.report(&models, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_change_models(store, chars(encoded), text, failed)
	})
}

// Warnings says what a person should know before the store is used: values of a wrong type, with table
// and row, and files that another database in the folder names too. All tables are read.
func (s *Store) Warnings() (warnings []string, err error) {
	err = s.report(&warnings, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_warnings(store, text, failed)
	})
	return warnings, err
}

// EmbeddingModel is an embedding model of a store.
type EmbeddingModel struct {
	Name      string `json:"name"`
	Dimension int    `json:"dimension"`
}

// EmbeddingModels lists the embedding models whose vectors the store has.
func (s *Store) EmbeddingModels() (models []EmbeddingModel, err error) {
	err = s.report(&models, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_embedding_models(store, text, failed)
	})
	return models, err
}

// Cluster is a group of questions with common answers.
type Cluster struct {
	ID int64 `json:"cluster_id"`
	// Name is empty if it has none.
	Name string `json:"name"`
	// Answers and Questions are numbers of texts.
	Answers   int `json:"answers"`
	Questions int `json:"questions"`
}

// Clusters lists the clusters in ascending order of id.
func (s *Store) Clusters() (clusters []Cluster, err error) {
	err = s.report(&clusters, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_clusters(store, text, failed)
	})
	return clusters, err
}

// Answer is an answer of a store.
type Answer struct {
	ID   int64  `json:"answer_id"`
	Text string `json:"text"`
}

// Answers lists the answers that have a vector by the embedding model modelName, in ascending order
// of id; "" stands for the only one there is.
func (s *Store) Answers(modelName string) (answers []Answer, err error) {
	name, err := optionalText("modelName", modelName)
	if err != nil {
		return nil, err
	}
	err = s.report(&answers, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_answers(store, chars(name), text, failed)
	})
	return answers, err
}

// Metadata returns what the imported files say of answers beside their texts, such as a title or a
// URL: a JSON object for the id of each answer that has some.
func (s *Store) Metadata() (metadata map[int64]json.RawMessage, err error) {
	err = s.report(&metadata, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_metadata(store, text, failed)
	})
	return metadata, err
}

// Vectors reads the vectors of answers by the embedding model modelName, of dim values each, as they
// are stored.
//
// It fails with ErrNotFound if an answer has no vector, and with ErrBufferSize if the embedding model
// has another dimension.
func (s *Store) Vectors(modelName string, answers []int64, dim int) ([][]float32, error) {
	name, err := optionalText("modelName", modelName)
	if err != nil {
		return nil, err
	}
	store, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	vectors := make([]float32, len(answers)*max(dim, 0))
	var failed *C.projection_error
	err = check(C.projection_store_vectors(store, chars(name), integers(answers), C.size_t(len(answers)),
		floats(vectors), C.size_t(len(vectors)), &failed), &failed)
	if err != nil {
		return nil, err
	}
	return rows(vectors, len(answers), dim), nil
}

// Fingerprint changes whenever answers, clusters, embeddings or models change, and not when the
// query log grows.
func (s *Store) Fingerprint() (fingerprint string, err error) {
	err = s.report(&fingerprint, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_fingerprint(store, text, failed)
	})
	return fingerprint, err
}

// Feedback is what a user said of the answers to a query.
type Feedback struct {
	// Query is the query in words.
	Query string `json:"query"`
	// Helpful says whether the answers helped.
	Helpful bool `json:"helpful"`
	// Selected is the right answer, which only helpful feedback has.
	Selected *int64 `json:"selected,omitempty"`
	// Shown are the answers that the user saw, best first.
	Shown []int64 `json:"results,omitempty"`
	// Projection is the model that projected the query, 0 for none; EmbeddingModel is the one whose
	// vectors were searched.
	Projection     int64  `json:"projection_id,omitempty"`
	EmbeddingModel string `json:"model_name,omitempty"`
}

// LogFeedback adds feedback to the query log, all of it or nothing, and returns the id of each new
// entry. Feedback whose right answer the store does not have is not added and has none. The store
// must be open for writing.
//
// It fails with ErrBusy if another process is writing to the store.
func (s *Store) LogFeedback(feedback []Feedback) (ids []*int64, err error) {
	entries, err := options(append([]Feedback{}, feedback...))
	if err != nil {
		return nil, err
	}
	err = s.report(&ids, func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status {
		return C.projection_store_log_feedback(store, chars(entries), text, failed)
	})
	return ids, err
}

// report runs a call that returns JSON, which goes to value.
func (s *Store) report(value any, call func(store *C.projection_store, text **C.projection_text, failed **C.projection_error) C.projection_status) error {
	store, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.handle.release()
	return report(value, func(text **C.projection_text, failed **C.projection_error) C.projection_status {
		return call(store, text, failed)
	})
}

// Close closes the store; the last running call does so if there are any. It may be called any number of times and always
// returns nil, as [io.Closer] wants an error.
func (s *Store) Close() error {
	if s != nil && s.handle != nil {
		s.handle.close()
	}
	return nil
}
