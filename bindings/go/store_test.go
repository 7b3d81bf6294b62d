package projection_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

func TestStore(t *testing.T) {
	store := openStore(t, conformancePath("legacy_store", "lda.db"), nil)
	models, err := store.Models()
	if err != nil || len(models) < 2 || models[0].ID != 1 || models[0].Kind != projection.KindMultiHead ||
		models[1].Kind != projection.KindLinear || models[0].Heads == 0 {
		t.Fatalf("%+v, %v", models, err)
	}
	name := models[0].EmbeddingModel
	embeddings, err := store.EmbeddingModels()
	if err != nil || len(embeddings) == 0 || embeddings[0] != (projection.EmbeddingModel{Name: name, Dimension: 32}) {
		t.Fatalf("%+v, %v", embeddings, err)
	}
	active, err := store.Active(name)
	if err != nil {
		t.Fatal(err)
	}
	defer active.Close()
	searcher, err := store.Searcher("")
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	heads, err := store.HeadSearcher(1)
	if err != nil {
		t.Fatal(err)
	}
	defer heads.Close()
	if heads.Len() != int(models[0].Heads) || heads.Dim() != 32 {
		t.Errorf("%d centroids of dimension %d", heads.Len(), heads.Dim())
	}
	clusters, err := store.Clusters()
	if err != nil || len(clusters) == 0 || clusters[0].Answers+clusters[0].Questions == 0 {
		t.Fatalf("%+v, %v", clusters, err)
	}

	// Other programs write none.
	if metadata, err := store.Metadata(); err != nil || len(metadata) != 0 {
		t.Errorf("the metadata is %v, %v", metadata, err)
	}
	answers, err := store.Answers(name)
	if err != nil || len(answers) != searcher.Len() {
		t.Fatalf("%d answers, %v, expected %d", len(answers), err, searcher.Len())
	}
	// The vector of an answer finds it.
	last := answers[len(answers)-1]
	vectors, err := store.Vectors(name, []int64{last.ID, answers[0].ID}, 32)
	if err != nil {
		t.Fatal(err)
	}
	hits, err := searcher.Search(vectors[0], 1)
	if err != nil || hits[0].AnswerID != last.ID || hits[0].Text != last.Text {
		t.Errorf("%+v, %v, expected %+v", hits, err, last)
	}
	_, err = store.Vectors(name, []int64{-1}, 32)
	fails(t, "no vector", err, projection.ErrNotFound, "-1")
	_, err = store.Vectors(name, []int64{last.ID}, 31)
	fails(t, "dimension", err, projection.ErrBufferSize)
	_, err = store.Answers("no-such-model")
	fails(t, "model", err, projection.ErrNotFound, "no-such-model")

	store.Close()
	store.Close()
	_, err = store.Models()
	fails(t, "closed", err, projection.ErrClosed, "store")
	if _, err := searcher.Search(vectors[0], 1); err != nil {
		t.Error("a searcher depends on its store:", err)
	}
}

func TestCreatedStore(t *testing.T) {
	database := filepath.Join(t.TempDir(), "lda.db")
	_, err := projection.OpenStore(database, nil)
	fails(t, "missing", err, projection.ErrNotFound, "lda.db")
	_, err = projection.OpenStore(database, &projection.StoreOptions{Mode: "append"})
	fails(t, "mode", err, projection.ErrInvalidArgument, "append")
	store := openStore(t, database, &projection.StoreOptions{Mode: "create"})
	before, err := store.Fingerprint()
	if err != nil || before == "" {
		t.Fatal(before, err)
	}
	_, err = store.Active("")
	fails(t, "no model", err, projection.ErrNotFound)
	unknown := int64(7)
	ids, err := store.LogFeedback([]projection.Feedback{
		{Query: "why?"}, {Query: "why?", Helpful: true, Selected: &unknown}, {Query: "how?", Helpful: true},
	})
	if err != nil || len(ids) != 3 || *ids[0] != 1 || ids[1] != nil || *ids[2] != 2 {
		t.Fatal(ids, err)
	}
	if ids, err := store.LogFeedback(nil); err != nil || len(ids) != 0 {
		t.Fatal(ids, err)
	}
	after, err := store.Fingerprint()
	if err != nil || after != before {
		t.Errorf("%s, %v, expected %s", after, err, before)
	}
}

func TestActiveModel(t *testing.T) {
	database := filepath.Join(t.TempDir(), "lda.db")
	if err := os.CopyFS(filepath.Dir(database), os.DirFS(conformancePath("legacy_store"))); err != nil {
		t.Fatal(err)
	}
	store := openStore(t, database, &projection.StoreOptions{Mode: "write"})
	active := func() (id int64) {
		models, err := store.Models()
		if err != nil {
			t.Fatal(err)
		}
		for _, model := range models {
			if model.Active && model.Default {
				id = model.ID
			}
		}
		return id
	}
	newest := active()
	if err := store.Activate(2); err != nil || newest != 3 || active() != 2 {
		t.Fatal(err, newest, active())
	}
	fails(t, "the active one", store.Delete(2, false), projection.ErrInvalidArgument, "force")
	if err := store.RollBack(""); err != nil || active() != newest {
		t.Fatal(err, active())
	}
	if err := store.Rename(2, "first"); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(2, false); err != nil {
		t.Fatal(err)
	}
	fails(t, "deleted", store.Activate(2), projection.ErrNotFound, "2")
}

// TestWarnings: a program is told of values that it would not see.
func TestWarnings(t *testing.T) {
	database := filepath.Join(t.TempDir(), "lda.db")
	if err := os.CopyFS(filepath.Dir(database), os.DirFS(conformancePath("legacy_store"))); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []bool{false, true} {
		if odd {
			content, err := os.ReadFile(database)
			if err != nil {
				t.Fatal(err)
			}
			text := []byte("How csv sources work, part 1.")
			content = bytes.Replace(content, text, append(text[:len(text)-1:len(text)-1], 0xff), 1)
			if err := os.WriteFile(database, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		warnings, err := openStore(t, database, nil).Warnings()
		if err != nil || (len(warnings) > 0) != odd || odd && warnings[0] != "table answers, row 1: text is not UTF-8" {
			t.Errorf("%q, %v", warnings, err)
		}
	}
}
