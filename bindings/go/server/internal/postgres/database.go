// Package postgres searches for answers in PostgreSQL with pgvector, and keeps feedback there.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
)

// ErrUnfit says that a database is there but has not what the configuration expects.
var ErrUnfit = errors.New("the database does not fit")

// distance is a way of comparing vectors.
type distance struct {
	// operator compares two vectors, class is that of an index for it.
	operator, class string
	// score turns the operator's result, smallest best, into a score, largest best.
	score string
}

var distances = map[string]distance{
	"cosine":        {"<=>", "vector_cosine_ops", "1 - (%s)"},
	"inner_product": {"<#>", "vector_ip_ops", "-(%s)"},
	"l2":            {"<->", "vector_l2_ops", "-(%s)"},
}

// Database is a pool of connections. It is safe for concurrent use.
type Database struct {
	pool     *pgxpool.Pool
	timeout  time.Duration
	names    names
	distance distance
	// search is SQL; restricted too, for allowed answers only.
	search, restricted string

	// The latest answer to whether the database can be reached, so that health checks do not
	// add up.
	mu        sync.Mutex
	checked   time.Time
	reachable error
}

// names are quoted for SQL.
type names struct{ table, id, text, vector, index, log string }

func newNames(c *config.Config) names {
	table := pgx.Identifier(strings.Split(c.Postgres.Table, "."))
	schema, name := table[:len(table)-1], table[len(table)-1]
	quote := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	return names{
		table: table.Sanitize(), id: quote(c.Postgres.IDColumn), text: quote(c.Postgres.TextColumn),
		vector: quote(c.Postgres.VectorColumn), index: quote(name + "_hnsw"),
		log: append(append(pgx.Identifier{}, schema...), "projection_query_log").Sanitize(),
	}
}

// Open makes a pool. It connects when it is first used, and again whenever the database was
// away.
func Open(ctx context.Context, c *config.Config) (*Database, error) {
	settings, err := pgxpool.ParseConfig(string(c.Postgres.URL))
	if err != nil {
		// pgx hides passwords in what it quotes, but not in every form.
		return nil, fmt.Errorf("postgres.url can't be read, expected such as postgres://user:password@host:5432/database")
	}
	settings.MaxConns = int32(c.Postgres.Connections)
	settings.ConnConfig.ConnectTimeout = c.Postgres.Timeout
	parameters := settings.ConnConfig.RuntimeParams
	parameters["application_name"] = "projection-server"
	parameters["hnsw.ef_search"] = strconv.Itoa(c.Postgres.EfSearch)
	// So that k may be above ef_search.
	parameters["hnsw.iterative_scan"] = "strict_order"
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("postgres.url: %w", err)
	}
	d := &Database{pool: pool, timeout: c.Postgres.Timeout, names: newNames(c), distance: distances[c.Postgres.Distance]}
	compared := d.names.vector + " " + d.distance.operator + " $1::vector"
	statement := "SELECT %s, coalesce(%s, ''), (%s)::real FROM %s ORDER BY %s LIMIT $2"
	in := func(table string) string {
		return fmt.Sprintf(statement, d.names.id, d.names.text, fmt.Sprintf(d.distance.score, compared), table, compared)
	}
	d.search = in(d.names.table)
	// The allowed answers are compared one by one: the index would end before it has found enough of them.
	d.restricted = fmt.Sprintf("WITH allowed AS MATERIALIZED (SELECT * FROM %s WHERE %s = ANY ($3::bigint[])) ", d.names.table, d.names.id) + in("allowed")
	return d, nil
}

// Close ends all connections once they are idle.
func (d *Database) Close() { d.pool.Close() }

// Check compares the table with what the server expects. It fails with ErrUnfit where they
// differ.
func (d *Database) Check(ctx context.Context, dim int) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var kind string
	var found int
	err := d.pool.QueryRow(ctx, `SELECT t.typname, a.atttypmod FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = to_regclass($1) AND quote_ident(a.attname) = any ($2) AND a.attnum > 0 AND NOT a.attisdropped`,
		d.names.table, []string{d.names.vector, strings.Trim(d.names.vector, `"`)}).Scan(&kind, &found)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%w: no column %s in table %s; the command migrate makes it", ErrUnfit, d.names.vector, d.names.table)
	case err != nil:
		return err
	case kind != "vector":
		return fmt.Errorf("%w: column %s of table %s is of type %s, expected vector", ErrUnfit, d.names.vector, d.names.table, kind)
	case found > 0 && found != dim:
		return fmt.Errorf("%w: table %s has vectors of dimension %d, the model returns %d", ErrUnfit, d.names.table, found, dim)
	}
	return nil
}

// Suits returns what is wrong with the table's vectors for a model, empty if nothing is: a model
// that moves answers has to be compared with the moved ones, and no other model with these.
func (d *Database) Suits(ctx context.Context, serving *Serving) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var found string
	err := d.pool.QueryRow(ctx, `SELECT coalesce(col_description(a.attrelid, a.attnum), '') FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND quote_ident(a.attname) = any ($2) AND a.attnum > 0 AND NOT a.attisdropped`,
		d.names.table, []string{d.names.vector, strings.Trim(d.names.vector, `"`)}).Scan(&found)
	if err != nil {
		return "", err
	}
	what := func(moved string) string {
		if moved == "" {
			return "answers in place"
		}
		return moved
	}
	if expected := serving.moved(); found != expected && (expected != "" || strings.HasPrefix(found, "answers as projection ")) {
		return fmt.Sprintf("table %s holds %s, expected %s; the command load writes them", d.names.table, what(found), what(expected)), nil
	}
	return "", nil
}

// Reachable says whether the database answers, at most a second late.
func (d *Database) Reachable(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.checked) > time.Second {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(d.timeout, time.Second))
		defer cancel()
		d.reachable = d.pool.Ping(ctx)
		d.checked = time.Now()
	}
	return d.reachable
}

// Search returns the k answers nearest to vector, of those that are allowed; nil allows all.
func (d *Database) Search(ctx context.Context, vector []float32, k int, allowed []int64) (hits []projection.Hit, err error) {
	literal, err := encode(vector)
	if err != nil {
		return nil, err
	}
	err = d.retried(ctx, func(ctx context.Context) error {
		statement, arguments := d.search, []any{literal, k}
		if allowed != nil {
			statement, arguments = d.restricted, append(arguments, allowed)
		}
		rows, err := d.pool.Query(ctx, statement, arguments...)
		if err != nil {
			return err
		}
		hits, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (hit projection.Hit, err error) {
			err = row.Scan(&hit.AnswerID, &hit.Text, &hit.Score)
			return hit, err
		})
		return err
	})
	return hits, err
}

// Record keeps feedback and returns the entry's id. It is not repeated where the connection
// breaks: the entry may be there already.
func (d *Database) Record(ctx context.Context, f projection.Feedback) (id int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	err = d.pool.QueryRow(ctx, "INSERT INTO "+d.names.log+` (query_text, embedding_model, projection_id, results, selected_answer_id, was_helpful)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING log_id`,
		f.Query, f.EmbeddingModel, f.Projection, append([]int64{}, f.Shown...), f.Selected, f.Helpful).Scan(&id)
	return id, translate(ctx, err)
}

// retried runs what changes nothing, and once more where the connection had broken before.
func (d *Database) retried(ctx context.Context, do func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	err := do(bounded)
	if err != nil && away(err) && bounded.Err() == nil {
		err = do(bounded)
	}
	return translate(ctx, err)
}

// away says whether err is about reaching the database, and not about the request.
func away(err error) bool {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return true
	}
	// Connections, resources, and operators who stop the server.
	class := said.Code[:min(2, len(said.Code))]
	return class == "08" || class == "53" || class == "57"
}

func translate(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case away(err):
		return failure.Hide(failure.Retry(time.Second, connect.CodeUnavailable, failure.Database, "the database can't be reached or is too slow"), err)
	}
	return err
}

// encode writes a vector as pgvector reads it.
func encode(vector []float32) (string, error) {
	text := make([]byte, 0, 12*len(vector)+2)
	text = append(text, '[')
	zero := true
	for i, value := range vector {
		if value-value != 0 {
			return "", &projection.Error{Code: projection.ErrNotFinite, Message: fmt.Sprintf("component %d of the query is not finite", i)}
		}
		zero = zero && value == 0
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendFloat(text, float64(value), 'g', -1, 32)
	}
	if zero {
		return "", &projection.Error{Code: projection.ErrZeroVector, Message: "the query is zero, expected a direction"}
	}
	return string(append(text, ']')), nil
}
