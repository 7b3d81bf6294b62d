package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
)

// Migration is the SQL that makes what the server needs where it is missing. Running it again
// changes nothing.
func Migration(c *config.Config, dim int) string {
	n := newNames(c)
	return fmt.Sprintf(`CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS %[1]s (
    %[2]s bigint PRIMARY KEY,
    %[3]s text NOT NULL,
    %[4]s vector(%[5]d) NOT NULL
);
CREATE INDEX IF NOT EXISTS %[6]s ON %[1]s USING hnsw (%[4]s %[7]s);
CREATE TABLE IF NOT EXISTS %[8]s (
    log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    query_text text NOT NULL,
    embedding_model text,
    projection_id bigint,
    results bigint[] NOT NULL,
    selected_answer_id bigint,
    was_helpful boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    collected_at timestamptz
);
`, n.table, n.id, n.text, n.vector, dim, n.index, distances[c.Postgres.Distance].class, n.log)
}

// open1 opens one connection for a command.
func open1(ctx context.Context, c *config.Config) (*pgx.Conn, error) {
	if c.Postgres.URL == "" {
		return nil, fmt.Errorf("postgres.url is missing")
	}
	settings, err := pgx.ParseConfig(string(c.Postgres.URL))
	if err != nil {
		return nil, fmt.Errorf("postgres.url can't be read, expected such as postgres://user:password@host:5432/database")
	}
	return pgx.ConnectConfig(ctx, settings)
}

// Migrate runs the migration.
func Migrate(ctx context.Context, c *config.Config, dim int) error {
	connection, err := open1(ctx, c)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if _, err := connection.Exec(ctx, Migration(c, dim)); err != nil {
		return fmt.Errorf("migration: %w", err)
	}
	return nil
}

// Loaded is what Load did.
type Loaded struct{ Written, Removed int64 }

const batch = 500

// Load copies the store's answers by embeddingModel into the table, where they are moved by the
// serving model if there is one that moves answers. Answers that are there already are replaced
// where they differ; with prune, those that the store has not are removed. All of it becomes visible
// at once. progress is told how many of how many were sent.
func Load(ctx context.Context, c *config.Config, from *projection.Store, embeddingModel string, dim int, serving *Serving, prune bool, progress func(done, total int)) (loaded Loaded, err error) {
	answers, err := from.Answers(embeddingModel)
	if err != nil {
		return loaded, err
	}
	if len(answers) == 0 {
		return loaded, fmt.Errorf("%s: no answers by %s", c.Store, embeddingModel)
	}
	vectors, err := vectorsFrom(from, embeddingModel, dim, serving)
	if err != nil {
		return loaded, err
	}
	connection, err := open1(ctx, c)
	if err != nil {
		return loaded, err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	n := newNames(c)
	err = pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE loading (id bigint PRIMARY KEY, text text, vector vector(%d)) ON COMMIT DROP", dim)); err != nil {
			return err
		}
		for begin := 0; begin < len(answers); begin += batch {
			end := min(begin+batch, len(answers))
			if err := send(ctx, tx, answers[begin:end], vectors); err != nil {
				return err
			}
			progress(end, len(answers))
		}
		written, err := tx.Exec(ctx, strings.NewReplacer("TABLE", n.table, "ID", n.id, "TEXT", n.text, "VECTOR", n.vector).Replace(
			`INSERT INTO TABLE AS old (ID, TEXT, VECTOR) SELECT id, text, vector FROM loading ORDER BY id
			ON CONFLICT (ID) DO UPDATE SET TEXT = excluded.TEXT, VECTOR = excluded.VECTOR
			WHERE old.TEXT IS DISTINCT FROM excluded.TEXT OR old.VECTOR <> excluded.VECTOR`))
		if err != nil {
			return err
		}
		loaded.Written = written.RowsAffected()
		if prune {
			removed, err := tx.Exec(ctx, "DELETE FROM "+n.table+" WHERE "+n.id+" NOT IN (SELECT id FROM loading)")
			if err != nil {
				return err
			}
			loaded.Removed = removed.RowsAffected()
		}
		_, err = tx.Exec(ctx, fmt.Sprintf("COMMENT ON COLUMN %s.%s IS '%s'", n.table, n.vector, serving.moved()))
		return err
	})
	return loaded, err
}

// Serving is the model whose questions are searched for.
type Serving struct {
	ID    int64
	Model *projection.Model
}

// moved is the comment on a column of vectors: whose moved answers they are, empty for answers that
// are where their embedding model put them.
func (s *Serving) moved() string {
	if s == nil || !s.Model.MovesAnswers() {
		return ""
	}
	return fmt.Sprintf("answers as projection %d moves them", s.ID)
}

// vectorsFrom returns a function that reads the vectors of answers.
func vectorsFrom(from *projection.Store, embeddingModel string, dim int, serving *Serving) (func(ids []int64) ([][]float32, error), error) {
	if serving.moved() == "" {
		return func(ids []int64) ([][]float32, error) { return from.Vectors(embeddingModel, ids, dim) }, nil
	}
	searcher, err := from.Searcher(embeddingModel)
	if err != nil {
		return nil, err
	}
	defer searcher.Close()
	ids, vectors, err := searcher.Vectors(serving.Model)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64][]float32, len(ids))
	for i, id := range ids {
		byID[id] = vectors[i]
	}
	return func(ids []int64) ([][]float32, error) {
		found := make([][]float32, len(ids))
		for i, id := range ids {
			if found[i] = byID[id]; found[i] == nil {
				return nil, fmt.Errorf("answer %d has no vector by %s", id, embeddingModel)
			}
		}
		return found, nil
	}, nil
}

// send puts a batch into the temporary table.
func send(ctx context.Context, tx pgx.Tx, answers []projection.Answer, vectorsOf func(ids []int64) ([][]float32, error)) error {
	ids, texts, vectors := make([]int64, len(answers)), make([]string, len(answers)), make([]string, len(answers))
	for i, answer := range answers {
		ids[i], texts[i] = answer.ID, strings.ReplaceAll(answer.Text, "\x00", "")
	}
	found, err := vectorsOf(ids)
	if err != nil {
		return err
	}
	for i, answer := range answers {
		if vectors[i], err = encode(found[i]); err != nil {
			return fmt.Errorf("answer %d: %w", answer.ID, err)
		}
	}
	_, err = tx.Exec(ctx, "INSERT INTO loading SELECT id, text, vector::vector FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (id, text, vector)",
		ids, texts, vectors)
	return err
}
