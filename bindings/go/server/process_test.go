package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/unifyweaver/projection/bindings/go"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
)

// Clients behave as behind a load balancer: they send requests while the server says that it
// is ready. None of those may fail.
func TestSIGTERMUnderLoadDropsNothing(t *testing.T) {
	server := spawn(t, freeAddress(t), "--store="+copyStore(t), "--log.requests=false", "--shutdown.delay=1s")
	body, _ := json.Marshal(map[string]any{"vector": sample(1), "k": 3})
	var ready atomic.Bool
	ready.Store(true)
	var answered atomic.Int64
	var workers sync.WaitGroup
	for w := range 8 {
		client := h1(t)
		grpc := projectionv1connect.NewProjectionServiceClient(h2c(t), server.url, connect.WithGRPC())
		workers.Go(func() {
			for ready.Load() && !t.Failed() {
				if w%2 == 0 {
					response, err := client.Post(server.url+"/v1/search", "application/json", bytes.NewReader(body))
					if err != nil {
						t.Errorf("a request was dropped: %v", err)
						return
					}
					if status, _, found := decode(t, response); status != 200 {
						t.Errorf("a request gave %d %v", status, found)
					}
				} else if _, err := grpc.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)})); err != nil {
					t.Errorf("a request was dropped: %v", err)
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, "requests are answered", func() bool { return answered.Load() > 100 })
	before := answered.Load()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is not ready", func() bool { return !server.ready() })
	ready.Store(false)
	workers.Wait()
	if err := server.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if !strings.Contains(server.log.String(), `"msg":"stopped"`) || strings.Contains(server.log.String(), "cut off") {
		t.Error("the server did not stop in order")
	}
	t.Logf("%d requests before SIGTERM, %d after", before, answered.Load()-before)
}

// What is under way when a server stops is finished, also without any delay.
func TestStopFinishesRequestsUnderWay(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"),
		"--limits.concurrency=1", "--limits.queue-timeout=1m", "--limits.request-time=1m", "--shutdown.timeout=1m")
	client := s.client(t)
	text := strings.Repeat("How do I share a model among goroutines? ", 300)
	var answered sync.WaitGroup
	for range 8 {
		answered.Go(func() {
			if _, err := client.Embed(t.Context(), connect.NewRequest(&pb.EmbedRequest{Text: text})); err != nil {
				t.Errorf("a request under way gave %v", err)
			}
		})
	}
	eventually(t, "requests are under way", func() bool { return metric(t, s.url, "projection_requests_waiting") > "1" })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	answered.Wait()
}

// A stream that stays open does not hold the stop up.
func TestStopEndsStreams(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	for _, options := range [][]connect.ClientOption{nil, {connect.WithGRPC()}} {
		stream := s.client(t, options...).ProjectStream(t.Context())
		if err := stream.Send(&pb.ProjectStreamRequest{Vectors: []*pb.Vector{{Values: sample(1)}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Receive(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_, err := stream.Receive()
			wantReason(t, err, connect.CodeUnavailable, "SHUTTING_DOWN")
			_ = stream.CloseRequest()
			_ = stream.CloseResponse()
		}()
	}
	if err := s.stop(); err != nil {
		t.Errorf("open streams made the stop fail: %v", err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	server := spawn(t, freeAddress(t), "--store="+copyStore(t), "--shutdown.delay=1h")
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := server.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server is not ready", func() bool { return !server.ready() })
	}
	if err := server.Wait(); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("the server ended with %v, expected the second signal", err)
	}
}

func TestKillAndRestart(t *testing.T) {
	database, address := copyStore(t), freeAddress(t)
	arguments := []string{"--store=" + database, "--log.requests=false", "--search.feedback=store"}
	want := expected(t, database, 2, sample(5), 3)
	for range 3 {
		server := spawn(t, address, arguments...)
		client := projectionv1connect.NewProjectionServiceClient(h2c(t), server.url)
		found, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(5), K: pointer[int32](3)}))
		if err != nil {
			t.Fatal(err)
		}
		sameHits(t, found.Msg.Hits, want)
		// Killed while it writes, too.
		var writers sync.WaitGroup
		var written atomic.Int64
		for range 4 {
			writers.Go(func() {
				for {
					if _, err := client.Feedback(t.Context(), connect.NewRequest(&pb.FeedbackRequest{Question: "why?"})); err != nil {
						return
					}
					written.Add(1)
				}
			})
		}
		eventually(t, "feedback is written", func() bool { return written.Load() > 5 })
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait()
		writers.Wait()
	}
}

func TestSIGHUP(t *testing.T) {
	database := copyStore(t)
	execute(t, database, hide)
	settings := filepath.Join(t.TempDir(), "server.yaml")
	write := func(token string) {
		if err := os.WriteFile(settings, []byte("auth: {tokens: ["+token+"]}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the-old-token-of-all")
	server := spawn(t, freeAddress(t), "--store="+database, "--reload.watch=0s", "--config="+settings)
	execute(t, database, show)
	write("the-new-token-of-all")
	if err := server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "model 2 is active, and the new token is valid", func() bool {
		response, body := fetch(t, h1(t), "GET", server.url+"/v1/projections/active", "Authorization", "Bearer the-new-token-of-all")
		return response.StatusCode == 200 && strings.Contains(body, `"id":"2"`)
	})
	if response, _ := fetch(t, h1(t), "GET", server.url+"/v1/projections", "Authorization", "Bearer the-old-token-of-all"); response.StatusCode != 401 {
		t.Errorf("with the old token the status is %d", response.StatusCode)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := start(t, "--store="+copyStore(t), "--reload.watch=10ms", "--limits.request-time=1s")
	connections := h2c(t)
	client := projectionv1connect.NewProjectionServiceClient(connections, s.url)
	for i := range 50 {
		if _, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	connections.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestCommandLine(t *testing.T) {
	command := func(environment []string, arguments ...string) (int, string) {
		c := exec.Command(os.Args[0], arguments...)
		c.Env = append(append(os.Environ(), "SERVER_TEST_CHILD=1"), environment...)
		output, err := c.CombinedOutput()
		if c.ProcessState == nil {
			t.Fatal(err)
		}
		return c.ProcessState.ExitCode(), string(output)
	}
	const secret = "postgres://me:a-password@localhost/x"
	cases := []struct {
		environment, arguments []string
		code                   int
		says                   string
	}{
		{nil, []string{"--help"}, 0, "--limits.request-bytes (4194304)"},
		{nil, []string{"help"}, 0, "server load"},
		{nil, []string{"version"}, 0, "server " + projection.Version() + ", commit "},
		{nil, []string{"version", "--listen=127.0.0.1:1"}, 2, "version takes no settings"},
		{nil, []string{"--no-such-flag"}, 2, "no-such-flag"},
		{nil, []string{"dance"}, 2, `no command "dance"`},
		{nil, []string{"serve", "x"}, 2, `unexpected argument "x"`},
		{nil, []string{"--limits.queue=many"}, 2, `limits.queue (flag --limits.queue) is "many", expected a whole number`},
		{[]string{"PROJECTION_RELOAD_WATCH=5"}, nil, 2, "reload.watch (environment variable PROJECTION_RELOAD_WATCH) is \"5\", expected a time"},
		{nil, []string{"--search.backend=mongo"}, 2, `search.backend is "mongo", expected memory, postgres`},
		{nil, []string{"--search.backend=postgres"}, 2, "postgres.url is missing"},
		{nil, []string{"--tls.cert=x"}, 2, "tls.cert and tls.key"},
		{nil, []string{"--auth.tokens=short"}, 2, "auth.tokens has a token of 5 characters"},
		{nil, []string{"--store=/nowhere/lda.db"}, 1, "/nowhere/lda.db"},
		{nil, []string{"--config=/nowhere/server.yaml"}, 2, "/nowhere/server.yaml"},
		{nil, []string{"--store=" + copyStore(t), "--model=77"}, 1, "no model 77; the active one is 2"},
		{nil, []string{"--store=" + copyStore(t), "--embedding-model-dir=/nowhere"}, 1, "embedding-model-dir"},
		{[]string{"PROJECTION_POSTGRES_URL=" + strings.ReplaceAll(secret, "localhost", "%zz")}, []string{"--store=" + copyStore(t), "--search.backend=postgres"}, 1, "postgres.url can't be read"},
		{nil, []string{"migrate", "print"}, 2, "unexpected argument"},
		{nil, []string{"migrate", "--print", "--store=" + copyStore(t)}, 0, "USING hnsw (\"embedding\" vector_cosine_ops)"},
	}
	for _, c := range cases {
		code, output := command(c.environment, c.arguments...)
		if code != c.code || !strings.Contains(output, c.says) {
			t.Errorf("%v %v: exit code %d, output %s; expected %d and %q", c.environment, c.arguments, code, output, c.code, c.says)
		}
		if strings.Contains(output, "a-password") {
			t.Errorf("%v shows a secret: %s", c.arguments, output)
		}
	}
}
