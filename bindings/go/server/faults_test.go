package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	pb "github.com/unifyweaver/projection/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/server/internal/gen/projection/v1/projectionv1connect"
)

func numbers(count int, number string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(number+",", count), ",") + "]"
}

func TestBadRequests(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1", "--limits.batch=4", "--search.max-k=50")
	client := h1(t)
	good := numbers(384, "0.5")
	cases := map[string]struct {
		path, body string
		status     int
		reason     string
	}{
		"no JSON":             {"/v1/search", `{"vector":`, 400, "INVALID_MESSAGE"},
		"empty":               {"/v1/search", ``, 400, "INVALID_MESSAGE"},
		"no object":           {"/v1/search", `[]`, 400, "INVALID_MESSAGE"},
		"another type":        {"/v1/search", `{"vector":"x"}`, 400, "INVALID_MESSAGE"},
		"unknown field":       {"/v1/search", `{"vektor":[1]}`, 400, "INVALID_MESSAGE"},
		"not UTF-8":           {"/v1/search", "{\"text\":\"\xff\"}", 400, "INVALID_MESSAGE"},
		"deeply nested":       {"/v1/search", `{"hybrid":` + strings.Repeat("[", 100_000), 400, "INVALID_MESSAGE"},
		"nothing to find":     {"/v1/search", `{}`, 400, "INVALID_ARGUMENT"},
		"other dimension":     {"/v1/search", `{"vector":` + numbers(383, "1") + `}`, 400, "DIMENSION_MISMATCH"},
		"NaN":                 {"/v1/search", `{"vector":` + numbers(384, `"NaN"`) + `}`, 400, "NOT_FINITE"},
		"NaN, plain":          {"/v1/search", `{"project":false,"vector":` + numbers(384, `"NaN"`) + `}`, 400, "NOT_FINITE"},
		"infinity":            {"/v1/project", `{"vector":` + numbers(384, `"-Infinity"`) + `}`, 400, "NOT_FINITE"},
		"beyond float32":      {"/v1/project", `{"vector":` + numbers(384, `1e39`) + `}`, 400, "INVALID_MESSAGE"},
		"zero":                {"/v1/project", `{"vector":` + numbers(384, "0") + `}`, 400, "ZERO_VECTOR"},
		"10 MB":               {"/v1/project", `{"vector":` + numbers(1_300_000, "0.12345") + `}`, 413, "TOO_LARGE"},
		"1 million values":    {"/v1/project", `{"vector":` + numbers(1_000_000, "1") + `}`, 400, "DIMENSION_MISMATCH"},
		"k 0":                 {"/v1/search", `{"k":0,"vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"k too large":         {"/v1/search", `{"k":51,"vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"k negative":          {"/v1/search", `{"k":-1,"vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"routing negative":    {"/v1/search", `{"routing":-1,"vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"text and vector":     {"/v1/project", `{"text":"x","vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"text without model":  {"/v1/search", `{"text":"x"}`, 400, "NO_EMBEDDING_MODEL"},
		"text too long":       {"/v1/search", `{"text":"` + strings.Repeat("x", 16385) + `"}`, 400, "TOO_LARGE"},
		"hybrid without text": {"/v1/search", `{"hybrid":{},"vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"hybrid weight 0":     {"/v1/search", `{"hybrid":{"weight":0},"text":"x","vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"hybrid weight 2":     {"/v1/search", `{"hybrid":{"weight":2},"text":"x","vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"hybrid weight NaN":   {"/v1/search", `{"hybrid":{"weight":"NaN"},"text":"x","vector":` + good + `}`, 400, "INVALID_ARGUMENT"},
		"large batch":         {"/v1/project/batch", `{"vectors":[{},{},{},{},{}]}`, 400, "TOO_LARGE"},
		"bad row of a batch":  {"/v1/project/batch", `{"vectors":[{"values":` + good + `},{"values":[1]}]}`, 400, "DIMENSION_MISMATCH"},
		"empty text to embed": {"/v1/embed", `{}`, 400, "INVALID_ARGUMENT"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, _, decoded := post(t, client, s.url+c.path, c.body)
			if status != c.status || reasonOf(decoded) != c.reason {
				t.Errorf("found %d %v, expected %d %s", status, decoded, c.status, c.reason)
			}
		})
	}
	// It still answers.
	if status, _, found := post(t, client, s.url+"/v1/search", `{"vector":`+good+`}`); status != 200 {
		t.Errorf("a good request gave %d %v", status, found)
	}
}

func TestTextWithNUL(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	_, err := s.client(t).Embed(t.Context(), connect.NewRequest(&pb.EmbedRequest{Text: "a\x00b"}))
	wantReason(t, err, connect.CodeInvalidArgument, "INVALID_ARGUMENT")
}

func TestTooLargeOverGRPC(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	_, err := s.client(t, connect.WithGRPC()).Project(t.Context(), connect.NewRequest(&pb.ProjectRequest{Vector: make([]float32, 2_500_000)}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("10 MB gave %v, expected resource_exhausted", err)
	}
	// Small on the way and large when unpacked.
	_, err = s.client(t, connect.WithGRPC(), connect.WithSendGzip()).Project(t.Context(), connect.NewRequest(&pb.ProjectRequest{Vector: make([]float32, 2_500_000)}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("10 MB, packed, gave %v, expected resource_exhausted", err)
	}
	eventually(t, "both are counted", func() bool {
		return metric(t, s.url, `projection_requests_rejected_total{reason="TOO_LARGE"}`) == "2"
	})
}

// Slow clients keep a connection, and no turn: others are answered meanwhile.
func TestSlowClients(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--limits.concurrency=1", "--limits.queue=1", "--limits.request-time=2s")
	body := `{"vector":` + numbers(384, "0.5") + `}`
	var slow []net.Conn
	for i := range 20 {
		connection, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		text := "POST /v1/search HTTP/1.1\r\nHost: x\r\n"
		if i%2 == 0 {
			text += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:100])
		}
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, connection)
	}
	if status, _, found := post(t, h1(t), s.url+"/v1/search", body); status != 200 {
		t.Errorf("beside slow clients, a request gave %d %v", status, found)
	}
	// All of them are turned away in the end.
	for _, connection := range slow {
		if err := connection.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, connection); err != nil {
			t.Errorf("a slow client's connection was not closed: %v", err)
		}
	}
}

// A client that reads nothing is cut off, and does not stay in memory.
func TestClientThatDoesNotRead(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--limits.request-time=1s", "--shutdown.timeout=10s")
	connection, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	const request = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
	go func() { _, _ = io.WriteString(connection, strings.Repeat(request, 10_000)) }()
	if status, _, found := post(t, h1(t), s.url+"/v1/search", `{"vector":`+numbers(384, "0.5")+`}`); status != 200 {
		t.Errorf("beside it, a request gave %d %v", status, found)
	}
	eventually(t, "the connection is gone", func() bool {
		_, err := connection.Write([]byte("x"))
		return err != nil
	})
}

func TestDisconnects(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"), "--limits.concurrency=1")
	body, _ := json.Marshal(map[string]any{"text": strings.Repeat("many words ", 200)})
	for i := range 50 {
		connection, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(connection, "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		_, _ = connection.Write(body[:len(body)*i/49])
		connection.Close()
	}
	client := s.client(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, _ = client.Search(ctx, connect.NewRequest(&pb.SearchRequest{Text: "a question"}))
		cancel()
	}
	if _, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Text: "a question"})); err != nil {
		t.Errorf("after disconnects, a request gave %v", err)
	}
	eventually(t, "no request is left", func() bool {
		return metric(t, s.url, "projection_requests_computing") == "0" && metric(t, s.url, "projection_requests_waiting") == "0"
	})
}

func TestOverload(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"),
		"--limits.concurrency=1", "--limits.queue=1", "--limits.queue-timeout=50ms")
	client := h1(t)
	body, _ := json.Marshal(map[string]any{"text": strings.Repeat("many words ", 200)})
	var mu sync.Mutex
	statuses := map[int]int{}
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range 5 {
				response, err := client.Post(s.url+"/v1/search", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				status, header, decoded := decode(t, response)
				mu.Lock()
				statuses[status]++
				mu.Unlock()
				if status == 503 && (header.Get("Retry-After") != "1" || reasonOf(decoded) != "OVERLOADED") {
					t.Errorf("an overload gave %v %v", header, decoded)
				}
			}
		})
	}
	workers.Wait()
	if statuses[200] == 0 || statuses[503] == 0 || statuses[200]+statuses[503] != 80 {
		t.Errorf("the statuses are %v, expected 200 and 503", statuses)
	}
}

func TestTokens(t *testing.T) {
	const user, admin = "a-token-of-a-user", "a-token-of-an-admin"
	s := start(t, "--store="+copyStore(t), "--auth.tokens="+user, "--auth.admin-tokens="+admin)
	call := func(token string) (search, reload error) {
		add := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
				if token != "" {
					request.Header().Set("Authorization", "Bearer "+token)
				}
				return next(ctx, request)
			}
		}))
		_, search = s.client(t, connect.WithGRPC(), add).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)}))
		_, reload = projectionv1connect.NewModelServiceClient(h2c(t), s.url, add).Reload(t.Context(), connect.NewRequest(&pb.ReloadRequest{}))
		return search, reload
	}
	for _, bad := range []string{"", "another-token-than-that", user + " "} {
		search, reload := call(strings.TrimSpace(bad) + "x")
		wantReason(t, search, connect.CodeUnauthenticated, "UNAUTHENTICATED")
		wantReason(t, reload, connect.CodeUnauthenticated, "UNAUTHENTICATED")
	}
	search, reload := call(user)
	if search != nil {
		t.Error(search)
	}
	wantReason(t, reload, connect.CodePermissionDenied, "PERMISSION_DENIED")
	if search, reload = call(admin); search != nil || reload != nil {
		t.Errorf("an admin's calls gave %v, %v", search, reload)
	}
	if strings.Contains(s.log.String(), user) || strings.Contains(s.log.String(), admin) {
		t.Error("the log has a token")
	}
	for _, path := range []string{"/readyz", "/livez"} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("%s gave %d without a token", path, response.StatusCode)
		}
	}
}

// A web page of somebody else must not use a browser to reach a server on this machine.
func TestOtherOrigins(t *testing.T) {
	database := copyStore(t)
	for _, allowed := range []bool{false, true} {
		arguments := []string{"--store=" + database}
		if allowed {
			arguments = append(arguments, "--cors-origins=https://example.org")
		}
		s := start(t, arguments...)
		request, err := http.NewRequest("POST", s.url+"/v1/search", strings.NewReader(`{"vector":`+numbers(384, "0.5")+`}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Origin", "https://example.org")
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := h1(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if allowed != (response.StatusCode == 200) || allowed != (response.Header.Get("Access-Control-Allow-Origin") != "") {
			t.Errorf("allowed %t: status %d, %v", allowed, response.StatusCode, response.Header)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--log.requests=true")
	for id, kept := range map[string]bool{"abc-1.2_3": true, `x","level":"`: false, strings.Repeat("x", 65): false} {
		request, err := http.NewRequest("GET", s.url+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Request-Id", id)
		response, err := h1(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("X-Request-Id"); (got == id) != kept || got == "" {
			t.Errorf("the id %q became %q", id, got)
		}
	}
	for line := range strings.Lines(s.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON in the log: %s", line)
		}
	}
	if !strings.Contains(s.log.String(), "abc-1.2_3") {
		t.Error("the log has no request id")
	}
}
