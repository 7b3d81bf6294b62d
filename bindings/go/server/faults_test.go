package main

import (
	"bytes"
	"compress/gzip"
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
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
	"github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1/projectionv1connect"
)

func numbers(count int, number string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(number+",", count), ",") + "]"
}

func TestBadRequests(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1", "--limits.batch=4", "--search.max-k=50", "--search.max-hits=199")
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
		"many values":         {"/v1/project", `{"vector":` + numbers(100_000, "1") + `}`, 400, "DIMENSION_MISMATCH"},
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
		"batch of null":       {"/v1/project/batch", `{"vectors":null}`, 400, "INVALID_ARGUMENT"},
		"batch without rows":  {"/v1/project/batch", `{}`, 400, "INVALID_ARGUMENT"},
		"rows of null":        {"/v1/project/batch", `{"vectors":[null,null]}`, 400, "INVALID_MESSAGE"},
		"braces in a text":    {"/v1/search", `{"text":"` + strings.Repeat(`{\"`, 1000) + `"}`, 400, "NO_EMBEDDING_MODEL"},
		"no questions":        {"/v1/search/batch", `{}`, 400, "INVALID_ARGUMENT"},
		"five questions":      {"/v1/search/batch", `{"questions":[{},{},{},{},{}]}`, 400, "TOO_LARGE"},
		"too many answers":    {"/v1/search/batch", `{"k":50,"questions":[{},{},{},{}]}`, 400, "TOO_LARGE"},
		"an empty question":   {"/v1/search/batch", `{"questions":[{"vector":` + good + `},{}]}`, 400, "INVALID_ARGUMENT"},
		"a short vector":      {"/v1/search/batch", `{"questions":[{"vector":[1]}]}`, 400, "DIMENSION_MISMATCH"},
		"a zero vector":       {"/v1/search/batch", `{"questions":[{"vector":` + numbers(384, "0") + `}]}`, 400, "ZERO_VECTOR"},
		"a batch of texts":    {"/v1/search/batch", `{"questions":[{"text":"x"}]}`, 400, "NO_EMBEDDING_MODEL"},
		"a batch with NUL":    {"/v1/search/batch", `{"questions":[{"vector":` + good + `,"text":"a\u0000"}]}`, 400, "INVALID_ARGUMENT"},
		"hybrid of vectors":   {"/v1/search/batch", `{"hybrid":{},"questions":[{"vector":` + good + `}]}`, 400, "INVALID_ARGUMENT"},
		"allowed ids alone":   {"/v1/search", `{"allowed":[1],"vector":` + good + `}`, 400, "INVALID_MESSAGE"},
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
		text := "POST /v1/search HTTP/1.1\r\nHost: localhost\r\n"
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
	const request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
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
		fmt.Fprintf(connection, "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
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
		request, err := http.NewRequest("GET", s.url+"/v1/projections", nil)
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

// A page whose name resolves to 127.0.0.1 counts as the same origin: only the host tells.
func TestHosts(t *testing.T) {
	database, admin := copyStore(t), freeAddress(t)
	s := start(t, "--store="+database, "--log.requests=true", "--admin-listen="+admin)
	for _, url := range []string{s.url + "/v1/projections", s.url + "/livez", "http://" + admin + "/metrics"} {
		response, body := fetch(t, h1(t), "GET", url, "Host", "evil.example:8080", "Origin", "http://evil.example:8080", "Sec-Fetch-Site", "same-origin")
		if response.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(body, "HOST_NOT_ALLOWED") {
			t.Errorf("%s for a foreign host gave %d %s", url, response.StatusCode, body)
		}
	}
	if !strings.Contains(s.log.String(), "HOST_NOT_ALLOWED") {
		t.Error("the refusal is not in the log")
	}
	for _, host := range []string{"localhost", "127.0.0.1:1", "[::1]:8080", "LOCALHOST.:80"} {
		if response, body := fetch(t, h1(t), "GET", s.url+"/v1/projections", "Host", host); response.StatusCode != 200 {
			t.Errorf("host %s gave %d %s", host, response.StatusCode, body)
		}
	}
	s = start(t, "--store="+database, "--allowed-hosts=Search.example.org")
	for host, want := range map[string]int{"search.example.org": 200, "localhost": http.StatusMisdirectedRequest} {
		if response, _ := fetch(t, h1(t), "GET", s.url+"/v1/projections", "Host", host); response.StatusCode != want {
			t.Errorf("host %s gave %d, expected %d", host, response.StatusCode, want)
		}
	}
}

func TestRefusedRequestsAreLoggedAndCounted(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--auth.tokens=a-token-of-a-user", "--log.requests=true")
	for path, want := range map[string]int{"/v1/projections": 401, "/metrics": 401, "/openapi.json": 200} {
		if response, _ := fetch(t, h1(t), "GET", s.url+path); response.StatusCode != want {
			t.Errorf("%s without a token gave %d, expected %d", path, response.StatusCode, want)
		}
	}
	_, err := s.client(t, connect.WithGRPC()).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1)}))
	wantReason(t, err, connect.CodeUnauthenticated, "UNAUTHENTICATED")
	if response, _ := fetch(t, h1(t), "POST", s.url+"/v1/search", "Origin", "https://example.org", "Sec-Fetch-Site", "cross-site"); response.StatusCode != 403 {
		t.Errorf("another origin gave %d", response.StatusCode)
	}
	eventually(t, "all are counted", func() bool {
		_, metrics := fetch(t, h1(t), "GET", s.url+"/metrics", "Authorization", "Bearer a-token-of-a-user")
		return strings.Contains(metrics, `projection_requests_rejected_total{reason="UNAUTHENTICATED"} 3`) &&
			strings.Contains(metrics, `projection_requests_rejected_total{reason="CROSS_ORIGIN"} 1`) &&
			strings.Contains(metrics, `projection_requests_total{code="unauthenticated",procedure="projection.v1.ModelService/ListModels"} 1`)
	})
	if strings.Count(s.log.String(), `"code":"unauthenticated"`) != 3 {
		t.Error("the log does not have the refusals")
	}
}

func TestWrongPathsAndMethods(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	for request, want := range map[string]struct {
		status        int
		allow, reason string
	}{
		"GET /v1/search":       {405, "POST", "METHOD_NOT_ALLOWED"},
		"POST /v1/projections": {405, "GET", "METHOD_NOT_ALLOWED"},
		"DELETE /v1/embed":     {405, "POST", "METHOD_NOT_ALLOWED"},
		"GET /v1/nothing":      {404, "", "NOT_FOUND"},
	} {
		method, path, _ := strings.Cut(request, " ")
		response, body := fetch(t, h1(t), method, s.url+path)
		var decoded map[string]any
		_ = json.Unmarshal([]byte(body), &decoded)
		if response.StatusCode != want.status || response.Header.Get("Allow") != want.allow || reasonOf(decoded) != want.reason {
			t.Errorf("%s gave %d, Allow %q, %s", request, response.StatusCode, response.Header.Get("Allow"), body)
		}
	}
}

// A few kilobytes must not become gigabytes, in any format.
func TestSmallRequestsStaySmall(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--limits.batch=4")
	object := []byte(`{"vectors":[{}` + strings.Repeat(",{}", 1_000_000) + `]}`)
	empty := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.BytesType), 0)
	for name, c := range map[string]struct {
		path, kind string
		body       []byte
	}{
		"REST":    {"/v1/project/batch", "application/json", object},
		"Connect": {"/projection.v1.ProjectionService/ProjectBatch", "application/json", object},
		"binary":  {"/projection.v1.ProjectionService/ProjectBatch", "application/proto", bytes.Repeat(empty, 1_000_000)},
		// It is not unpacked to its end, only to say how large it is.
		"8 MB": {"/v1/project/batch", "application/json", make([]byte, 8<<20)},
	} {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, _ = writer.Write(c.body)
		_ = writer.Close()
		request, err := http.NewRequest("POST", s.url+c.path, &packed)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", c.kind)
		request.Header.Set("Content-Encoding", "gzip")
		response, err := h1(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		status, _, decoded := decode(t, response)
		code, says := 400, "limits.batch"
		if name == "8 MB" {
			code, says = 413, "message size 4194305 is larger than"
		}
		if message, _ := decoded["message"].(string); status != code || !strings.Contains(message, says) {
			t.Errorf("%s: %d %v", name, status, decoded)
		}
	}
	// Health checks are for everybody, and have a limit of their own.
	large := &healthpb.HealthCheckRequest{Service: strings.Repeat("x", 1<<20)}
	health := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](h2c(t), s.url+"/grpc.health.v1.Health/Check",
		connect.WithGRPC(), connect.WithSendGzip())
	if _, err := health.CallUnary(t.Context(), connect.NewRequest(large)); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("a large health check gave %v", err)
	}
}

// Idle clients, of both versions of HTTP, keep nobody out.
func TestIdleConnectionsGiveWay(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--limits.connections=2")
	for range 3 {
		for name, client := range map[string]*http.Client{"HTTP/1.1": h1(t), "HTTP/2": h2c(t)} {
			client.Timeout = time.Minute
			if response, _ := fetch(t, client, "GET", s.url+"/livez"); response.StatusCode != 200 || response.Proto[:6] != name[:6] {
				t.Errorf("%s gave %d by %s", name, response.StatusCode, response.Proto)
			}
			silent, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
		}
	}
}
