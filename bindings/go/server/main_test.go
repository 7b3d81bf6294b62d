package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go"
	"github.com/unifyweaver/projection/bindings/go/server/internal/config"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
	"github.com/unifyweaver/projection/bindings/go/server/internal/server"
)

// These tests need what scripts/test_server.sh makes: a store with the models 1, residual, and
// 2, multi-head, and a PostgreSQL with pgvector.
var fixtures = map[string]string{
	"SERVER_TEST_STORE":           "folder of a store",
	"SERVER_TEST_EMBEDDING_MODEL": "folder of an embedding model",
	"SERVER_TEST_POSTGRES":        "folder of PostgreSQL's programs",
	"SERVER_TEST_PYTHON":          "Python that has testdata/requirements.txt",
}

func TestMain(m *testing.M) {
	// As a child, this is the server's own program.
	if os.Getenv("SERVER_TEST_CHILD") != "" {
		os.Exit(run(os.Args[1:]))
	}
	for name, what := range fixtures {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set, expected the %s; run scripts/test_server.sh\n", name, what)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// copyStore returns the database of a store that the test may change.
func copyStore(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(os.Getenv("SERVER_TEST_STORE"))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "lda.db")
}

// execute runs SQL on a database and returns what it printed. That is done by another process: two
// copies of SQLite in one process do not see each other's locks.
func execute(t *testing.T, database, statement string) string {
	t.Helper()
	output, err := exec.Command("sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", database, statement).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return strings.TrimSpace(string(output))
}

// configure reads settings as the command does, from flags only.
func configure(t *testing.T, arguments ...string) *config.Config {
	t.Helper()
	standard := []string{"--listen=127.0.0.1:0", "--shutdown.delay=0s", "--reload.watch=0s", "--log.requests=false"}
	c, _, err := config.Load("server", append(standard, arguments...), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// instance is a server in this process.
type instance struct {
	*server.Server
	url  string
	stop func() error
	log  *logBuffer
}

// discard is a log that nobody reads.
var discard = slog.New(slog.DiscardHandler)

// logBuffer keeps what a server wrote.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, text...)
	return len(text), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// start runs a server until the test ends.
func start(t *testing.T, arguments ...string) *instance {
	t.Helper()
	log := &logBuffer{}
	s, err := server.New(t.Context(), configure(t, arguments...), slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return &instance{s, "http://" + s.Addr(), stop, log}
}

// h2c is an HTTP client that speaks HTTP/2 without TLS, for gRPC.
func h2c(t *testing.T) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// h1 is an HTTP client of its own, so that its connections end with the test.
func h1(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func (i *instance) client(t *testing.T, options ...connect.ClientOption) projectionv1connect.ProjectionServiceClient {
	return projectionv1connect.NewProjectionServiceClient(h2c(t), i.url, options...)
}

func (i *instance) models(t *testing.T) projectionv1connect.ModelServiceClient {
	return projectionv1connect.NewModelServiceClient(h2c(t), i.url)
}

// child is a server in a process of its own.
type child struct {
	*exec.Cmd
	url string
	log *logBuffer
}

// spawn starts the program and waits until it is ready.
func spawn(t *testing.T, address string, arguments ...string) *child {
	t.Helper()
	command := exec.Command(os.Args[0], append([]string{"--listen=" + address}, arguments...)...)
	command.Env = append(os.Environ(), "SERVER_TEST_CHILD=1")
	log := &logBuffer{}
	command.Stderr = log
	// Dies with the test, whatever happens to it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	c := &child{command, "http://" + address, log}
	eventually(t, "the server is ready", func() bool { return c.ready() })
	return c
}

func (c *child) ready() bool {
	response, err := http.Get(c.url + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// fetch sends a request with the given headers, names and values by turns.
func fetch(t *testing.T, client *http.Client, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	request.Host = request.Header.Get("Host")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// freeAddress is one that nobody listens to.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// eventually waits for what needs time, however much of it within reason.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come about that %s", what)
		}
	}
}

// sample is a question's vector, made of a number.
func sample(seed int) []float32 {
	vector := make([]float32, 384)
	state := uint32(seed)*2654435761 + 12345
	for i := range vector {
		state = state*1664525 + 1013904223
		vector[i] = float32(int32(state)) / (1 << 31)
	}
	return vector
}

// expected is what the binding finds for a question, with model id or without one.
func expected(t *testing.T, database string, id int64, query []float32, k int) []projection.Hit {
	t.Helper()
	searcher, err := projection.OpenSearcher(database, "")
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	var model *projection.Model
	if id != 0 {
		if model, err = projection.Open(database, id); err != nil {
			t.Fatal(err)
		}
		defer model.Close()
	}
	hits, err := searcher.SearchWithProjection(query, model, k)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}
