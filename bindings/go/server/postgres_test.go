package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/postgres"
	"github.com/unifyweaver/projection/bindings/go/server/internal/server"
	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
)

// cluster is a PostgreSQL that a test may stop and start.
type cluster struct {
	t              *testing.T
	programs, data string
	port           int
	url            string
	attributes     *syscall.SysProcAttr
	serving        *exec.Cmd
	log            logBuffer
}

// newCluster makes a PostgreSQL of its own and starts it.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	folder, err := os.MkdirTemp("", "server-postgres")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, programs: os.Getenv("SERVER_TEST_POSTGRES"), data: filepath.Join(folder, "data"),
		attributes: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}}
	t.Cleanup(func() {
		c.stop(syscall.SIGINT)
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	if os.Geteuid() == 0 {
		// PostgreSQL refuses to run as root. nobody must reach the programs, too.
		const nobody = 65534
		c.attributes.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := errors.Join(os.Chown(folder, nobody, nobody), os.Chmod(folder, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	c.url = fmt.Sprintf("postgres://postgres:not-asked-for@127.0.0.1:%d/postgres?sslmode=disable", c.port)
	initialise := exec.Command(filepath.Join(c.programs, "initdb"), "-D", c.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C")
	initialise.SysProcAttr, initialise.Dir = c.attributes, "/"
	if output, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	c.start()
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	c.serving = exec.Command(filepath.Join(c.programs, "postgres"), "-D", c.data, "-p", fmt.Sprint(c.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=32MB")
	c.serving.SysProcAttr, c.serving.Dir = c.attributes, "/"
	c.serving.Stdout, c.serving.Stderr = &c.log, &c.log
	if err := c.serving.Start(); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "PostgreSQL answers", func() bool {
		connection, err := pgx.Connect(context.Background(), c.url)
		if err != nil {
			return false
		}
		return connection.Close(context.Background()) == nil
	})
}

// stop ends it: SIGINT breaks its connections, SIGQUIT does not even say so.
func (c *cluster) stop(how syscall.Signal) {
	if c.serving == nil {
		return
	}
	_ = c.serving.Process.Signal(how)
	_ = c.serving.Wait()
	c.serving = nil
}

// fill makes the table and copies the store's answers.
func (c *cluster) fill(database string, arguments ...string) *config.Config {
	c.t.Helper()
	settings := configure(c.t, append([]string{"--store=" + database, "--postgres.url=" + c.url}, arguments...)...)
	if err := migrate(c.t.Context(), settings, false); err != nil {
		c.t.Fatal(err)
	}
	if err := load(c.t.Context(), settings, false); err != nil {
		c.t.Fatal(err)
	}
	return settings
}

func TestPostgresFindsWhatMemoryFinds(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	for distance, score := range map[string]func(cosine float64) float64{
		"cosine": func(cosine float64) float64 { return cosine },
		// The answers have unit length; a residual model's projections nearly so.
		"inner_product": nil, "l2": nil,
	} {
		t.Run(distance, func(t *testing.T) {
			arguments := []string{"--search.backend=postgres", "--model=1", "--postgres.distance=" + distance,
				"--postgres.table=Answers of " + distance, "--postgres.vector-column=Vector", "--postgres.id-column=no"}
			c.fill(database, arguments...)
			s := start(t, append(arguments, "--store="+database, "--postgres.url="+c.url)...)
			client := s.client(t)
			for i := range 10 {
				for _, id := range []int64{0, 1} {
					query := sample(i)
					want := expected(t, database, id, query, 10)
					byID := map[int64]projection.Hit{}
					for _, hit := range want {
						byID[hit.AnswerID] = hit
					}
					found, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: query, K: pointer[int32](5), Project: pointer(id != 0), Explain: true}))
					if err != nil {
						t.Fatal(err)
					}
					if len(found.Msg.Hits) != 5 {
						t.Fatalf("%d hits, expected 5", len(found.Msg.Hits))
					}
					for j, hit := range found.Msg.Hits {
						// Single precision may turn round answers that are equally near but for rounding.
						own := byID[hit.AnswerId]
						if own.Text == "" || own.Text != hit.Text || abs(float64(own.Score)-float64(want[j].Score)) > 1e-6 {
							t.Fatalf("question %d, hit %d is answer %d, expected %d", i, j, hit.AnswerId, want[j].AnswerID)
						}
						if score != nil && abs(score(float64(want[j].Score))-float64(hit.Score)) > 1e-5 {
							t.Fatalf("the score is %g, expected %g", hit.Score, want[j].Score)
						}
						if j > 0 && hit.Score > found.Msg.Hits[j-1].Score {
							t.Fatalf("the scores are not in order: %v", found.Msg.Hits)
						}
					}
					// Of the last five only, and of none.
					allowed := &pb.Allowed{AnswerIds: []int64{99999}}
					for _, hit := range want[5:] {
						allowed.AnswerIds = append(allowed.AnswerIds, hit.AnswerID)
					}
					for n, allowed := range map[int]*pb.Allowed{5: allowed, 0: {}} {
						few, err := client.SearchBatch(t.Context(), connect.NewRequest(&pb.SearchBatchRequest{
							Questions: []*pb.Question{{Vector: sample(99)}, {Vector: query}}, Project: pointer(id != 0), Allowed: allowed}))
						if err != nil {
							t.Fatal(err)
						}
						hits := few.Msg.Results[1].Hits
						if len(hits) != n {
							t.Fatalf("%d hits among %d allowed answers", len(hits), n)
						}
						for j, hit := range hits {
							if abs(float64(byID[hit.AnswerId].Score)-float64(want[5+j].Score)) > 1e-6 {
								t.Fatalf("hit %d of the allowed answers is %d, expected %d", j, hit.AnswerId, want[5+j].AnswerID)
							}
						}
					}
					if moved := found.Msg.Explanation.GetAngle(); (moved > 0.01) != (id != 0) {
						t.Errorf("model %d moved the question by %g degrees", id, moved)
					}
				}
			}
			_, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Text: "x", Vector: sample(1), Hybrid: &pb.Hybrid{}}))
			wantReason(t, err, connect.CodeUnimplemented, "UNSUPPORTED_BY_BACKEND")
			for reason, bad := range map[string][]float32{"DIMENSION_MISMATCH": sample(1)[1:], "ZERO_VECTOR": make([]float32, 384)} {
				for _, project := range []bool{false, true} {
					_, err = client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: bad, Project: &project}))
					wantReason(t, err, connect.CodeInvalidArgument, reason)
				}
			}
		})
	}
}

// The index gives as many answers as were asked for, also where that is more than the
// candidates that it keeps.
func TestPostgresUsesItsIndex(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	c.fill(database)
	// So few answers would be read one after another.
	indexed := c.url + "&options=-c%20enable_seqscan%3Doff"
	connection, err := pgx.Connect(t.Context(), indexed)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	rows, err := connection.Query(t.Context(), "EXPLAIN SELECT answer_id FROM projection_answers ORDER BY embedding <=> (SELECT embedding FROM projection_answers LIMIT 1) LIMIT 5")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !strings.Contains(strings.Join(plan, "\n"), "projection_answers_hnsw") {
		t.Fatalf("the plan is %q, %v", plan, err)
	}
	s := start(t, "--store="+database, "--search.backend=postgres", "--postgres.url="+indexed, "--postgres.ef-search=5", "--model=1")
	found, err := s.client(t).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1), K: pointer[int32](40)}))
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Msg.Hits) != 40 {
		t.Errorf("%d hits, expected 40", len(found.Msg.Hits))
	}
}

func abs(x float64) float64 { return max(x, -x) }

func TestPostgresHoldsTheAnswersThatAModelMoves(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	arguments := []string{"--store=" + database, "--search.backend=postgres", "--postgres.url=" + c.url, "--model=1"}
	complaints := func(angle float64) int {
		t.Helper()
		execute(t, database, fmt.Sprintf("UPDATE engine_models SET parameters = json_set(parameters, '$.answer_angle', %g) WHERE mh_projection_id = 1", angle))
		s := start(t, arguments...)
		defer s.stop()
		client := s.client(t)
		wrong := 0
		for i := range 10 {
			want := expected(t, database, 1, sample(i), 5)
			found, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(i), K: pointer[int32](5)}))
			if err != nil {
				t.Fatal(err)
			}
			for j, hit := range found.Msg.Hits {
				if abs(float64(hit.Score)-float64(want[j].Score)) > 1e-5 {
					wrong++
				}
			}
		}
		warned := strings.Contains(s.log.String(), "the vectors in the database were not made for this model")
		if warned != (wrong > 0) {
			t.Errorf("%d scores of 50 are wrong, and a warning is %t", wrong, warned)
		}
		return wrong
	}
	execute(t, database, "UPDATE engine_models SET parameters = json_set(parameters, '$.answer_angle', 0.6) WHERE mh_projection_id = 1")
	c.fill(database, "--model=1")
	if wrong := complaints(0.6); wrong != 0 {
		t.Errorf("%d scores of moved answers are wrong", wrong)
	}
	if wrong := complaints(0); wrong == 0 {
		t.Error("the moved answers are found by a model that leaves answers in place")
	}
	c.fill(database, "--model=1")
	if wrong := complaints(0); wrong != 0 {
		t.Errorf("%d scores of answers in place are wrong", wrong)
	}
	if wrong := complaints(0.6); wrong == 0 {
		t.Error("answers in place are found by a model that moves answers")
	}
}

func TestLoadBringsTheTableUpToDate(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	settings := c.fill(database)
	from, err := store.New(database).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	again := func(prune bool) postgres.Loaded {
		t.Helper()
		var steps [][2]int
		loaded, err := postgres.Load(t.Context(), settings, from, "all-MiniLM-L6-v2", 384, nil, prune, func(done, total int) {
			steps = append(steps, [2]int{done, total})
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) == 0 || steps[len(steps)-1][0] != steps[len(steps)-1][1] {
			t.Errorf("the progress was %v", steps)
		}
		return loaded
	}
	if loaded := again(true); loaded != (postgres.Loaded{}) {
		t.Errorf("loading again did %+v, expected nothing", loaded)
	}
	execute(t, database, "UPDATE answers SET text = 'another text' WHERE answer_id = 3")
	execute(t, database, "DELETE FROM embeddings WHERE entity_type = 'answer' AND entity_id = 4")
	if loaded := again(false); loaded != (postgres.Loaded{Written: 1}) {
		t.Errorf("loading a change did %+v, expected 1 written", loaded)
	}
	if loaded := again(true); loaded != (postgres.Loaded{Removed: 1}) {
		t.Errorf("pruning did %+v, expected 1 removed", loaded)
	}
	// What fails changes nothing.
	vectors, err := filepath.Glob(filepath.Join(filepath.Dir(database), "embeddings/all-MiniLM-L6-v2/answer_7_model_1_*.npy"))
	if err != nil || len(vectors) != 1 {
		t.Fatal(vectors, err)
	}
	if err := os.Remove(vectors[0]); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "UPDATE answers SET text = 'a third text' WHERE answer_id = 3")
	if _, err := postgres.Load(t.Context(), settings, from, "all-MiniLM-L6-v2", 384, nil, true, func(int, int) {}); err == nil ||
		!strings.Contains(err.Error(), "answer_7_model_1_") {
		t.Errorf("a missing vector gave %v", err)
	}
	connection, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	var text string
	if err := connection.QueryRow(t.Context(), "SELECT text FROM projection_answers WHERE answer_id = 3").Scan(&text); err != nil || text != "another text" {
		t.Errorf("the text is %q, %v", text, err)
	}
}

func TestPostgresStoppedUnderLoad(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	c.fill(database)
	s := start(t, "--store="+database, "--search.backend=postgres", "--postgres.url="+c.url, "--postgres.timeout=2s", "--model=1")
	client := s.client(t)
	search := func() error {
		_, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)}))
		return err
	}
	var stop atomic.Bool
	var good, bad atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for !stop.Load() {
				err := search()
				if err == nil {
					good.Add(1)
					continue
				}
				bad.Add(1)
				var failed *connect.Error
				if !errors.As(err, &failed) || failed.Code() != connect.CodeUnavailable || failed.Meta().Get("Retry-After") == "" {
					t.Errorf("without a database, a request gave %v", err)
					return
				}
			}
		})
	}
	for _, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		before := good.Load()
		eventually(t, "requests are answered", func() bool { return good.Load() > before+20 })
		failures := bad.Load()
		c.stop(how)
		eventually(t, "requests fail", func() bool { return bad.Load() > failures+5 })
		wantReason(t, search(), connect.CodeUnavailable, "DATABASE_UNAVAILABLE")
		eventually(t, "the server is not ready", func() bool { return s.Ready(t.Context()) != nil })
		c.start()
		eventually(t, "the server is ready", func() bool { return s.Ready(t.Context()) == nil })
		// It has recovered for good: no connection is left that would fail.
		for range 50 {
			if err := search(); err != nil {
				t.Errorf("after the database is back, a request gave %v", err)
			}
		}
	}
	stop.Store(true)
	workers.Wait()
	log := s.log.String()
	if strings.Contains(log, "not-asked-for") {
		t.Error("the log has the database's password")
	}
	for _, says := range []string{"the database can't be reached", "the database can be reached again", "request failed"} {
		if !strings.Contains(log, says) {
			t.Errorf("the log does not say %q", says)
		}
	}
}

func TestServerStartsBeforeItsDatabase(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	c.fill(database)
	c.stop(syscall.SIGINT)
	s := start(t, "--store="+database, "--search.backend=postgres", "--postgres.url="+c.url, "--postgres.timeout=1s")
	if s.Ready(t.Context()) == nil {
		t.Error("the server is ready without its database")
	}
	c.start()
	eventually(t, "the server is ready", func() bool { return s.Ready(t.Context()) == nil })
	if _, err := s.client(t).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)})); err != nil {
		t.Error(err)
	}
}

func TestDatabaseThatDoesNotFit(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	connection, err := pgx.Connect(t.Context(), c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	if _, err := connection.Exec(t.Context(), `CREATE EXTENSION vector; CREATE TABLE small (answer_id bigint, text text, embedding vector(3));
		CREATE TABLE words (answer_id bigint, text text, embedding text)`); err != nil {
		t.Fatal(err)
	}
	for table, says := range map[string]string{
		"nothing": "the command migrate makes it", "small": "dimension 3, the model returns 384", "words": "of type text, expected vector",
	} {
		settings := configure(t, "--store="+database, "--search.backend=postgres", "--postgres.url="+c.url, "--postgres.table="+table)
		_, err := server.New(t.Context(), settings, discard)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("table %s gave %v, expected %q", table, err, says)
		}
	}
}

func TestFeedbackInPostgres(t *testing.T) {
	c := newCluster(t)
	database := copyStore(t)
	c.fill(database)
	s := start(t, "--store="+database, "--search.feedback=postgres", "--postgres.url="+c.url)
	response, err := s.client(t).Feedback(t.Context(), connect.NewRequest(&pb.FeedbackRequest{Question: "why?", Helpful: true, ShownAnswerIds: []int64{5, 6}}))
	if err != nil {
		t.Fatal(err)
	}
	if response.Msg.LogId != 1 {
		t.Errorf("the first entry is %d", response.Msg.LogId)
	}
	// An answer that the store has not, and an entry without an answer.
	for _, more := range []*pb.FeedbackRequest{{Question: "which?", Helpful: true, AnswerId: pointer[int64](999)}, {Question: "why not?"}} {
		if _, err := s.client(t).Feedback(t.Context(), connect.NewRequest(more)); err != nil {
			t.Fatal(err)
		}
	}
	from := store.New(database)
	for n, want := range [][2]int{{2, 1}, {0, 0}} {
		collected, dropped, err := postgres.Collect(t.Context(), configure(t, "--store="+database, "--postgres.url="+c.url), from)
		if err != nil || collected != want[0] || dropped != want[1] {
			t.Fatalf("collecting, time %d, gave %d, %d, %v; expected %v", n, collected, dropped, err, want)
		}
	}
	entry := execute(t, database, "SELECT query_text, selected_answer_id, results, model_id FROM query_log WHERE was_helpful")
	if entry != "why?|5|[5,6]|1" {
		t.Errorf("the entry is %s", entry)
	}
}
