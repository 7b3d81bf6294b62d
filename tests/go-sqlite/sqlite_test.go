// Package gosqlite shows that a program may use the engine, which has a SQLite of its own
// inside, beside another SQLite: here that of go-sqlite3, which is compiled into the same
// program. It is a module of its own so that the binding needs no other module.
package gosqlite

import (
	"bufio"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mattn/go-sqlite3"
	"github.com/unifyweaver/projection/bindings/go"
)

const legacyStore = "../conformance/legacy_store"

// The number of answers with a vector in the store.
const answers = 21

// Only go-sqlite3 knows the function `ours`, so a query that uses it ran there.
func init() {
	sql.Register("ours", &sqlite3.SQLiteDriver{
		ConnectHook: func(connection *sqlite3.SQLiteConn) error {
			return connection.RegisterFunc("ours", func(x int64) int64 { return 2 * x }, true)
		},
	})
}

// copyStore gives the database of a copy of the store.
func copyStore(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(folder, os.DirFS(legacyStore)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "lda.db")
}

func openOwn(t *testing.T, database string) *sql.DB {
	t.Helper()
	own, err := sql.Open("ours", database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	return own
}

// one gives the only value of a query of the program's own SQLite.
func one[T any](t *testing.T, own *sql.DB, query string, values ...any) T {
	t.Helper()
	var value T
	if err := own.QueryRow(query, values...).Scan(&value); err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return value
}

func change(t *testing.T, own *sql.DB, statement string, values ...any) {
	t.Helper()
	if _, err := own.Exec(statement, values...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask does with the engine what a program does, and gives the best hit.
func ask(t *testing.T, database string) projection.Hit {
	t.Helper()
	model, err := projection.Open(database, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	searcher, err := projection.OpenSearcher(database, "")
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	if searcher.Len() != answers {
		t.Errorf("%d answers, expected %d", searcher.Len(), answers)
	}
	query := make([]float32, searcher.Dim())
	query[0], query[1] = 1, -1
	hits, err := searcher.SearchWithProjection(query, model, 3)
	if err != nil || len(hits) != 3 {
		t.Fatalf("%v, %v, expected 3 hits", hits, err)
	}
	return hits[0]
}

func TestBothInOneProgram(t *testing.T) {
	database := copyStore(t)
	own := openOwn(t, database)
	check := func() {
		t.Helper()
		compiled, _, _ := sqlite3.Version()
		if running := one[string](t, own, "SELECT sqlite_version()"); running != compiled {
			t.Errorf("go-sqlite3 was compiled with SQLite %s and runs %s", compiled, running)
		}
		if found := one[int64](t, own, "SELECT ours(21)"); found != 42 {
			t.Errorf("ours(21) is %d, expected 42", found)
		}
		if count := one[int64](t, own, "SELECT count(*) FROM cluster_heads WHERE mh_projection_id = 3"); count != 13 {
			t.Errorf("%d heads, expected 13", count)
		}
	}
	check()
	best := ask(t, database)
	check()
	if text := one[string](t, own, "SELECT text FROM answers WHERE answer_id = ?", best.AnswerID); text != best.Text {
		t.Errorf("the engine reads %q, go-sqlite3 %q", best.Text, text)
	}

	// What one writes the other sees.
	change(t, own, "UPDATE answers SET text = ? WHERE answer_id = ?", "changed by go-sqlite3", best.AnswerID)
	if again := ask(t, database); again.AnswerID != best.AnswerID || again.Text != "changed by go-sqlite3" {
		t.Errorf("the engine reads %+v, expected answer %d with the changed text", again, best.AnswerID)
	}
	change(t, own, "CREATE TABLE our_own (x INTEGER)")
	change(t, own, "INSERT INTO our_own VALUES (1), (2)")
	ask(t, database)
	check()
	if result := one[string](t, own, "PRAGMA integrity_check"); result != "ok" {
		t.Errorf("integrity check: %s", result)
	}
}

// TestAtTheSameTime uses both from many goroutines, on databases of their own.
func TestAtTheSameTime(t *testing.T) {
	database := copyStore(t)
	memory := openOwn(t, "file::memory:?cache=shared")
	change(t, memory, "CREATE TABLE counts (x INTEGER)")
	best := ask(t, database)
	var group sync.WaitGroup
	for range 4 {
		group.Add(2)
		go func() {
			defer group.Done()
			for range 20 {
				if again := ask(t, database); again != best {
					t.Errorf("%+v, expected %+v", again, best)
				}
			}
		}()
		go func() {
			defer group.Done()
			for i := range 200 {
				if found := one[int64](t, memory, "SELECT ours(?)", i); found != int64(2*i) {
					t.Errorf("ours(%d) is %d", i, found)
				}
			}
		}()
	}
	group.Wait()
}

// TestBusy: while another process keeps the database to itself, opening fails with ErrBusy.
// The other process is this test program, started once more.
func TestBusy(t *testing.T) {
	if database := os.Getenv("KEEP_DATABASE"); database != "" {
		keep(t, database)
		return
	}
	database := copyStore(t)
	other := exec.Command(os.Args[0], "-test.run", "^TestBusy$", "-test.v")
	other.Env = append(os.Environ(), "KEEP_DATABASE="+database)
	stop, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "kept" {
	}

	model, err := projection.Open(database, 1)
	if !errors.Is(err, projection.ErrBusy) || model != nil {
		t.Errorf("%v, expected ErrBusy", err)
	}

	stop.Close()
	_, _ = io.Copy(io.Discard, output)
	if err := other.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	ask(t, database)
}

// keep has the database to itself until standard input ends.
func keep(t *testing.T, database string) {
	own := openOwn(t, database)
	own.SetMaxOpenConns(1)
	change(t, own, "BEGIN EXCLUSIVE")
	os.Stdout.WriteString("kept\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	change(t, own, "ROLLBACK")
}
