package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program that dies in the middle of a change leaves a journal, and the change must be undone
// before anybody can read. The journal is made by copying the files while a change is open.
func TestReadsAfterAWriterWasKilled(t *testing.T) {
	folder := t.TempDir()
	sqlite, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "lda.db")
	run := func(script string) {
		t.Helper()
		command := exec.Command(sqlite, "-batch", "-bail", path)
		command.Stdin = strings.NewReader(script)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	run(`CREATE TABLE answers (answer_id INTEGER PRIMARY KEY, text TEXT);
		CREATE TABLE embeddings (embedding_id INTEGER PRIMARY KEY);
		CREATE TABLE embedding_models (model_id INTEGER PRIMARY KEY, name TEXT, dimension INTEGER);
		CREATE TABLE qa_clusters (cluster_id INTEGER PRIMARY KEY, name TEXT);
		CREATE TABLE projections (projection_id INTEGER PRIMARY KEY, input_model_id INTEGER, name TEXT, recall_at_1 REAL, mrr REAL, created_at TEXT);
		CREATE TABLE multi_head_projections (mh_projection_id INTEGER PRIMARY KEY, model_id INTEGER, name TEXT, temperature REAL,
			num_heads INTEGER, recall_at_1 REAL, mrr REAL, created_at TEXT);
		INSERT INTO embedding_models VALUES (1, 'm', 2);
		INSERT INTO multi_head_projections VALUES (7, 1, 'good', 0.1, 2, 0.5, NULL, 'today');
		INSERT INTO qa_clusters VALUES (1, 'one'), (2, NULL);`)
	killed := filepath.Join(folder, "killed")
	// The cache is so small that the change is written to the file before it is committed.
	run(`PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE;
		UPDATE multi_head_projections SET name = 'half';
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO answers SELECT i, printf('%0400d', i) FROM n;
.shell mkdir ` + killed + ` && cp ` + path + ` ` + path + `-journal ` + killed)
	if info, err := os.Stat(filepath.Join(killed, "lda.db-journal")); err != nil || info.Size() == 0 {
		t.Fatalf("no journal: %v", err)
	}
	contents, err := New(filepath.Join(killed, "lda.db")).Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(contents.Models) != 1 || contents.Models[0].Name != "good" || contents.Models[0].Kind != "multi_head" ||
		len(contents.Clusters) != 1 || contents.Clusters[1] != "one" {
		t.Errorf("the store has %+v", contents)
	}
}

func TestFilesOutsideTheStoreAreNotRead(t *testing.T) {
	folder := t.TempDir()
	outside := filepath.Join(t.TempDir(), "answer_1_model_1.npy")
	inside := filepath.Join(folder, "embeddings", "m", "answer_2_model_1.npy")
	if err := os.MkdirAll(filepath.Dir(inside), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{outside, inside} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(folder, "link.npy")); err != nil {
		t.Fatal(err)
	}
	s := New(filepath.Join(folder, "lda.db"))
	for recorded, found := range map[string]bool{
		"embeddings/m/answer_2_model_1.npy": true, inside: true, "/moved/from/answer_2_model_1.npy": true,
		outside: false, "../" + filepath.Base(filepath.Dir(outside)) + "/answer_1_model_1.npy": false, "link.npy": false, "embeddings": false, "": false,
	} {
		if path, err := s.resolve(recorded, "m"); (err == nil) != found {
			t.Errorf("%q led to %q, %v", recorded, path, err)
		}
	}
}
