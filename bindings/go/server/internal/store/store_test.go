package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// create makes a store in folder, and a function that runs SQL on it.
func create(t *testing.T, folder string) (path string, run func(script string)) {
	t.Helper()
	sqlite, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(folder, "lda.db")
	empty, err := projection.OpenStore(path, &projection.StoreOptions{Mode: "create"})
	if err != nil {
		t.Fatal(err)
	}
	empty.Close()
	return path, func(script string) {
		t.Helper()
		command := exec.Command(sqlite, "-batch", "-bail", path)
		command.Stdin = strings.NewReader(script)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
}

func read(t *testing.T, path string) *Contents {
	t.Helper()
	open, err := New(path).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	contents, err := Read(open)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// A program that dies in the middle of a change leaves a journal, and the change must be undone
// before anybody can read. The journal is made by copying the files while a change is open.
func TestReadsAfterAWriterWasKilled(t *testing.T) {
	folder := t.TempDir()
	path, run := create(t, folder)
	run(`INSERT INTO embedding_models (model_id, name, dimension) VALUES (1, 'm', 2);
		INSERT INTO multi_head_projections (mh_projection_id, model_id, name, temperature, num_heads, recall_at_1)
			VALUES (7, 1, 'good', 0.1, 2, 0.5);
		INSERT INTO qa_clusters (cluster_id, name) VALUES (1, 'one'), (2, NULL);`)
	killed := filepath.Join(folder, "killed")
	// The cache is so small that the change is written to the file before it is committed.
	run(`PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE;
		UPDATE multi_head_projections SET name = 'half';
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO answers (answer_id, source_file, text) SELECT i, 'f', printf('%0400d', i) FROM n;
.shell mkdir ` + killed + ` && cp ` + path + ` ` + path + `-journal ` + killed)
	if info, err := os.Stat(filepath.Join(killed, "lda.db-journal")); err != nil || info.Size() == 0 {
		t.Fatalf("no journal: %v", err)
	}
	contents := read(t, filepath.Join(killed, "lda.db"))
	if len(contents.Models) != 1 || contents.Models[0].Name != "good" || contents.Models[0].Kind != projection.KindMultiHead ||
		len(contents.Clusters) != 1 || contents.Clusters[1] != "one" {
		t.Errorf("the store has %+v", contents)
	}
	if recall, mrr := Measured(contents.Models[0]); recall == nil || *recall != 0.5 || mrr != nil {
		t.Errorf("measured %v and %v", recall, mrr)
	}
}

// The engine finds the files of a store that was moved, and reads none outside of it.
func TestFilesOfAMovedStore(t *testing.T) {
	folder := t.TempDir()
	path, run := create(t, folder)
	vector := "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
	vector += strings.Repeat(" ", 128-len(vector)-1) + "\n" + "\x00\x00\x80\x3f\x00\x00\x00\x40"
	outside := filepath.Join(t.TempDir(), "d.npy")
	inside := filepath.Join(folder, "embeddings")
	for _, file := range []string{inside + "/sentence-transformers_mini/a.npy", inside + "/b.npy", inside + "/other/c.npy", outside} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(vector), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(folder, "link.npy")); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/gone/embeddings/a.npy", `C:\gone\b.npy`, "/gone/c.npy", outside, "link.npy", "embeddings", ""}
	run("INSERT INTO embedding_models (model_id, name, dimension) VALUES (1, 'sentence-transformers/mini', 2);")
	for _, file := range paths {
		run("INSERT INTO answers (source_file, text) VALUES ('f', 't'); INSERT INTO embeddings (model_id, entity_type, entity_id, vector_path) " +
			"VALUES (1, 'answer', last_insert_rowid(), '" + file + "');")
	}
	open, err := New(path).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for i, file := range paths {
		vectors, err := open.Vectors("", []int64{int64(i + 1)}, 2)
		if found := err == nil; found != (i < 3) || found && vectors[0][1] != 2 {
			t.Errorf("%q led to %v, %v", file, vectors, err)
		}
	}
}
