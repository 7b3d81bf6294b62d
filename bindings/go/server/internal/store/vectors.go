package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/unifyweaver/projection/npy"
)

// Answer is an answer of the store, with the file of its vector.
type Answer struct {
	ID   int64
	Text string
	file string
}

// Answers gives the answers that have a vector by the given text model, in ascending order of
// id. It reads no vectors yet.
func (s *Store) Answers(textModel string) ([]Answer, error) {
	var answers []Answer
	err := s.with("ro", func(database *sql.DB) error {
		answers = nil
		return each(database, `SELECT a.answer_id, a.text, e.vector_path FROM answers a
			JOIN embeddings e ON e.entity_type = 'answer' AND e.entity_id = a.answer_id
			JOIN embedding_models m USING (model_id) WHERE m.name = ? ORDER BY 1`,
			func(rows *sql.Rows) error {
				var a Answer
				if err := rows.Scan(&a.ID, &a.Text, &a.file); err != nil {
					return err
				}
				answers = append(answers, a)
				return nil
			}, textModel)
	})
	return answers, err
}

// Vector reads the vector of an answer that Answers gave.
func (s *Store) Vector(a Answer, textModel string) ([]float32, error) {
	file, err := s.resolve(a.file, textModel)
	if err != nil {
		return nil, fmt.Errorf("answer %d: %w", a.ID, err)
	}
	return npy.Load(file)
}

// TextModels gives the dimension of each text model of the store by its name.
func (s *Store) TextModels() (map[string]int, error) {
	models := map[string]int{}
	err := s.with("ro", func(database *sql.DB) error {
		return each(database, "SELECT name, dimension FROM embedding_models", func(rows *sql.Rows) error {
			var name string
			var dim int
			if err := rows.Scan(&name, &dim); err != nil {
				return err
			}
			models[name] = dim
			return nil
		})
	})
	return models, err
}

// Centroids reads the centroids of the heads of a model, which lie one after another, and
// their clusters. Linear models have none.
func (s *Store) Centroids(model Model) (clusters []int64, centroids []float32, dim int, err error) {
	var files []string
	if model.Kind == "linear" {
		return nil, nil, 0, nil
	}
	err = s.with("ro", func(database *sql.DB) error {
		clusters, files = nil, nil
		return each(database, "SELECT cluster_id, centroid_path FROM cluster_heads WHERE mh_projection_id = ? ORDER BY 1",
			func(rows *sql.Rows) error {
				var cluster int64
				var file string
				if err := rows.Scan(&cluster, &file); err != nil {
					return err
				}
				clusters, files = append(clusters, cluster), append(files, file)
				return nil
			}, model.ID)
	})
	if err != nil {
		return nil, nil, 0, err
	}
	for i, file := range files {
		path, err := s.resolve(file, model.TextModel)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("head of cluster %d: %w", clusters[i], err)
		}
		centroid, err := npy.Load(path)
		if err != nil {
			return nil, nil, 0, err
		}
		if i > 0 && len(centroid) != dim {
			return nil, nil, 0, fmt.Errorf("%s: %d values, expected %d", path, len(centroid), dim)
		}
		dim = len(centroid)
		centroids = append(centroids, centroid...)
	}
	return clusters, centroids, dim, nil
}

// resolve finds a recorded file: relative to the database, as it is, or by its name in the
// folders of the store's vectors, and never outside of the store's folder.
func (s *Store) resolve(recorded, textModel string) (string, error) {
	root, err := filepath.Abs(filepath.Dir(s.path))
	if err != nil {
		return "", err
	}
	name := filepath.Base(filepath.FromSlash(recorded))
	candidates := []string{recorded, filepath.Join(root, "embeddings", textModel, name), filepath.Join(root, "embeddings", name)}
	if !filepath.IsAbs(recorded) {
		candidates = append([]string{filepath.Join(root, filepath.FromSlash(recorded))}, candidates...)
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", err
	}
	for _, candidate := range candidates {
		real, err := filepath.EvalSymlinks(candidate)
		if err != nil {
			continue
		}
		if real, err = filepath.Abs(real); err != nil {
			continue
		}
		inside, err := filepath.Rel(root, real)
		if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
			continue
		}
		if info, err := os.Stat(real); err == nil && info.Mode().IsRegular() {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s: no such file in the store's folder %s", recorded, root)
}
