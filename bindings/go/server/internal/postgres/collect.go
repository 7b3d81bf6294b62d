package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
)

// Collect moves feedback that was not collected yet into the store's query log, where training
// finds it. It returns the number of entries, and of those that were dropped because the store has
// not the answer they name. Where it is killed at the very end, the same entries come again.
func Collect(ctx context.Context, c *config.Config, into *store.Store) (collected, dropped int, err error) {
	connection, err := open1(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	log := newNames(c).log
	err = pgx.BeginFunc(ctx, connection, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT log_id, query_text, coalesce(embedding_model, ''), coalesce(projection_id, 0), results, selected_answer_id, was_helpful FROM "+
			log+" WHERE collected_at IS NULL ORDER BY log_id FOR UPDATE")
		if err != nil {
			return err
		}
		var ids []int64
		entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f projection.Feedback, err error) {
			var id int64
			err = row.Scan(&id, &f.Query, &f.EmbeddingModel, &f.Projection, &f.Shown, &f.Selected, &f.Helpful)
			ids = append(ids, id)
			return f, err
		})
		if err != nil {
			return err
		}
		if dropped, err = into.RecordAll(entries); err != nil {
			return err
		}
		collected = len(entries) - dropped
		_, err = tx.Exec(ctx, "UPDATE "+log+" SET collected_at = now() WHERE log_id = ANY ($1)", ids)
		return err
	})
	return collected, dropped, err
}
