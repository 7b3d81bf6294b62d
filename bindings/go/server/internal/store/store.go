// Package store reads what the binding does not give from a store's database: which models
// there are, the names of clusters, and where vectors lie. It writes the query log only.
package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/mattn/go-sqlite3"
)

// ErrBusy says that another process is writing to the database.
var ErrBusy = errors.New("another process is writing to the store")

// ErrUnknownAnswer says that the store has no answer of an id.
var ErrUnknownAnswer = errors.New("no such answer")

// Store is a database on disk. It is opened for each use, so that a file that was put in its
// place is seen. It is safe for concurrent use.
type Store struct {
	path string
	// Guards the POSIX locks on the file: closing it here would drop those that the native
	// library holds while it reads the same file, and the other way round.
	files sync.Mutex
}

// New names a store; nothing is opened yet.
func New(path string) *Store {
	return &Store{path: path}
}

// Path is the file of the database.
func (s *Store) Path() string { return s.path }

// Exclusive runs do while nothing of this package has the database open. The native library
// opens it only inside of such a call.
func (s *Store) Exclusive(do func() error) error {
	s.files.Lock()
	defer s.files.Unlock()
	return do()
}

// with opens the database for do, which may be run twice.
func (s *Store) with(mode string, do func(*sql.DB) error) error {
	return s.Exclusive(func() error {
		// SQLite would say only "unable to open database file".
		if _, err := os.Stat(s.path); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		err := s.open(mode, do)
		var failed sqlite3.Error
		if errors.As(err, &failed) && failed.Code == sqlite3.ErrReadonly && mode == "ro" {
			// A writer was killed in the middle of a change, which must be undone before anybody
			// can read.
			err = s.open("rw", do)
		}
		switch {
		case errors.As(err, &failed) && (failed.Code == sqlite3.ErrBusy || failed.Code == sqlite3.ErrLocked):
			return fmt.Errorf("%s: %w", s.path, ErrBusy)
		case err != nil:
			return fmt.Errorf("%s: %w", s.path, err)
		}
		return nil
	})
}

func (s *Store) open(mode string, do func(*sql.DB) error) error {
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: s.path}).EscapedPath()}).String()
	database, err := sql.Open("sqlite3", name+"?mode="+mode+"&_busy_timeout=5000")
	if err != nil {
		return err
	}
	defer database.Close()
	database.SetMaxOpenConns(1)
	return do(database)
}

// Model is a trained projection as the store describes it.
type Model struct {
	ID          int64
	Kind        string
	Name        string
	TextModel   string
	Temperature *float64
	Heads       int64
	CreatedAt   string
	RecallAt1   *float64
	MRR         *float64
}

// Contents is what a reload has to know of a store.
type Contents struct {
	// Models in ascending order of id. Of two models of one id, it has the one with heads,
	// as the binding opens that.
	Models []Model
	// Clusters are the names of those that have one.
	Clusters map[int64]string
	// Fingerprint changes when models, vectors or the file itself are replaced. It does not
	// when the query log grows.
	Fingerprint string
}

// Read gives the contents of the store.
func (s *Store) Read() (*Contents, error) {
	var contents *Contents
	err := s.with("ro", func(database *sql.DB) error {
		contents = &Contents{Clusters: map[int64]string{}}
		if err := readModels(database, contents); err != nil {
			return err
		}
		err := each(database, "SELECT cluster_id, name FROM qa_clusters WHERE name <> ''", func(rows *sql.Rows) error {
			var id int64
			var name string
			if err := rows.Scan(&id, &name); err != nil {
				return err
			}
			contents.Clusters[id] = name
			return nil
		})
		if err != nil {
			return err
		}
		var vectors, newest, answers sql.NullInt64
		if err := database.QueryRow("SELECT count(*), max(embedding_id), (SELECT count(*) FROM answers) FROM embeddings").
			Scan(&vectors, &newest, &answers); err != nil {
			return err
		}
		models, err := json.Marshal(contents.Models)
		if err != nil {
			return err
		}
		contents.Fingerprint = fmt.Sprint(string(models), vectors.Int64, newest.Int64, answers.Int64, fileIdentity(s.path))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return contents, nil
}

func readModels(database *sql.DB, contents *Contents) error {
	var recorded bool
	if err := database.QueryRow("SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'engine_models'").
		Scan(&recorded); err != nil {
		return err
	}
	kind := "'multi_head'"
	if recorded {
		kind = "coalesce((SELECT e.kind FROM engine_models e WHERE e.mh_projection_id = p.mh_projection_id AND e.kind <> 'linear'), 'multi_head')"
	}
	query := "SELECT p.mh_projection_id, " + kind + `, coalesce(p.name, ''), coalesce(m.name, ''), p.temperature,
			coalesce(p.num_heads, 0), coalesce(p.created_at, ''), p.recall_at_1, p.mrr
		FROM multi_head_projections p LEFT JOIN embedding_models m USING (model_id)
		UNION ALL
		SELECT p.projection_id, 'linear', coalesce(p.name, ''), coalesce(m.name, ''), NULL,
			0, coalesce(p.created_at, ''), p.recall_at_1, p.mrr
		FROM projections p LEFT JOIN embedding_models m ON m.model_id = p.input_model_id
		WHERE p.projection_id NOT IN (SELECT mh_projection_id FROM multi_head_projections)
		ORDER BY 1`
	return each(database, query, func(rows *sql.Rows) error {
		var m Model
		if err := rows.Scan(&m.ID, &m.Kind, &m.Name, &m.TextModel, &m.Temperature, &m.Heads, &m.CreatedAt, &m.RecallAt1, &m.MRR); err != nil {
			return err
		}
		contents.Models = append(contents.Models, m)
		return nil
	})
}

func each(database *sql.DB, query string, do func(*sql.Rows) error, arguments ...any) error {
	rows, err := database.Query(query, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// fileIdentity tells a file from another one that was put in its place.
func fileIdentity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path + inode(info)
}

// Feedback is what a user said of the answers to a question.
type Feedback struct {
	Question string
	Helpful  bool
	// Selected is the right answer, which only helpful feedback has.
	Selected *int64
	// Shown are the answers that the user saw, best first.
	Shown []int64
	// Projection and TextModel are those that answered.
	Projection int64
	TextModel  string
}

// Record writes feedback to the query log and gives the entry's id.
func (s *Store) Record(f Feedback) (id int64, err error) {
	err = s.with("rw", func(database *sql.DB) error {
		id, err = record(database, f)
		return err
	})
	return id, err
}

// RecordAll writes all of feedback or nothing, but for entries whose right answer the store has
// not: those are dropped, and counted.
func (s *Store) RecordAll(feedback []Feedback) (dropped int, err error) {
	err = s.with("rw", func(database *sql.DB) error {
		dropped = 0
		change, err := database.Begin()
		if err != nil {
			return err
		}
		defer change.Rollback()
		for _, f := range feedback {
			if _, err := record(change, f); errors.Is(err, ErrUnknownAnswer) {
				dropped++
			} else if err != nil {
				return err
			}
		}
		return change.Commit()
	})
	return dropped, err
}

// writer is a database or a transaction.
type writer interface {
	QueryRow(query string, arguments ...any) *sql.Row
	Exec(query string, arguments ...any) (sql.Result, error)
}

func record(to writer, f Feedback) (int64, error) {
	shown, err := json.Marshal(append([]int64{}, f.Shown...))
	if err != nil {
		return 0, err
	}
	if f.Selected != nil {
		var known bool
		if err := to.QueryRow("SELECT count(*) > 0 FROM answers WHERE answer_id = ?", *f.Selected).Scan(&known); err != nil {
			return 0, err
		}
		if !known {
			return 0, fmt.Errorf("answer %d: %w", *f.Selected, ErrUnknownAnswer)
		}
	}
	// The engine's own log, too, has the ids of models of every kind in projection_id.
	result, err := to.Exec(`INSERT INTO query_log (query_text, model_id, projection_id, results, selected_answer_id, was_helpful)
		VALUES (?, (SELECT model_id FROM embedding_models WHERE name = ?), ?, ?, ?, ?)`,
		f.Question, f.TextModel, f.Projection, string(shown), f.Selected, f.Helpful)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}
