package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unifyweaver/projection/bindings/go"
)

// vectorsOfEngine are the vectors of texts, as they are and projected by model id.
func vectorsOfEngine(t *testing.T, database string, id int64, texts []string) (plain, projected [][]float32, tokens int) {
	t.Helper()
	embedder, err := projection.LoadEmbedder(os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	model, err := projection.Open(database, id)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	for _, text := range texts {
		count, err := embedder.CountTokens(text)
		if err != nil {
			t.Fatal(err)
		}
		tokens += count
	}
	if plain, err = embedder.EmbedBatch(texts); err != nil {
		t.Fatal(err)
	}
	if projected, _, err = model.ProjectBatch(plain); err != nil {
		t.Fatal(err)
	}
	return plain, projected, tokens
}

// sameVectors compares the data of an answer with vectors.
func sameVectors(t *testing.T, what string, answer map[string]any, want [][]float32) {
	t.Helper()
	data, _ := answer["data"].([]any)
	if len(data) != len(want) || answer["object"] != "list" {
		t.Fatalf("%s: %v, expected %d vectors", what, answer, len(want))
	}
	for i, row := range want {
		entry := data[i].(map[string]any)
		var found []float32
		switch value := entry["embedding"].(type) {
		case string:
			raw, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			for ; len(raw) >= 4; raw = raw[4:] {
				found = append(found, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
			}
		case []any:
			for _, number := range value {
				found = append(found, float32(number.(float64)))
			}
		}
		if len(found) != len(row) || entry["object"] != "embedding" || entry["index"] != float64(i) {
			t.Fatalf("%s: vector %d has %d values, expected %d", what, i, len(found), len(row))
		}
		for j := range row {
			if math.Abs(float64(found[j]-row[j])) > 1e-6 {
				t.Fatalf("%s: value %d of vector %d is %g, expected %g", what, j, i, found[j], row[j])
			}
		}
	}
}

func TestOpenAIEmbeddings(t *testing.T) {
	database := copyStore(t)
	s := start(t, "--store="+database, "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	client := h1(t)
	texts := []string{"Is my data uploaded?", "Größe, 東京, 🔑", "Can ten workers call the same loaded model?"}
	plain, projected, tokens := vectorsOfEngine(t, database, 1, texts)
	several, _ := json.Marshal(texts)
	one, _ := json.Marshal(texts[0])
	cases := []struct {
		model, fields, input string
		want                 [][]float32
	}{
		{"projection/faq", ``, string(several), projected},
		{"projection/active", `,"encoding_format":"base64"`, string(several), projected},
		{"projection/active", `,"encoding_format":"float","dimensions":384,"user":"me"`, string(one), projected[:1]},
		{"projection/faq", `,"input_type":"query","dimensions":null`, string(several), projected},
		{"projection/faq", `,"input_type":"search_document"`, string(several), plain},
		{"projection/faq", `,"input_type":"passage","encoding_format":"base64"`, string(several), plain},
		{"all-MiniLM-L6-v2", ``, string(several), plain},
		{"all-MiniLM-L6-v2", `,"input_type":"query","encoding_format":"base64"`, "[" + string(one) + "]", plain[:1]},
	}
	for _, c := range cases {
		body := fmt.Sprintf(`{"model":%q,"input":%s%s}`, c.model, c.input, c.fields)
		status, header, answer := post(t, client, s.url+"/v1/embeddings", body)
		if status != 200 || answer["model"] != c.model || header.Get("X-Request-Id") == "" {
			t.Fatalf("%s gave %d %v", body, status, answer)
		}
		sameVectors(t, body, answer, c.want)
		usage := answer["usage"].(map[string]any)
		if len(c.want) == len(texts) && usage["prompt_tokens"] != float64(tokens) || usage["prompt_tokens"] != usage["total_tokens"] {
			t.Errorf("%s: the usage is %v, expected %d tokens", body, usage, tokens)
		}
	}
	// What was projected was looked at, and is counted as every request is.
	for name, want := range map[string]string{
		"projection_questions_examined_total":                                          "10",
		`projection_requests_total{code="ok",procedure="openai.v1.Embeddings/Create"}`: "8",
	} {
		eventually(t, name+" is "+want, func() bool { return metric(t, s.url, name) == want })
	}
}

func TestOpenAIModels(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	response, body := fetch(t, h1(t), "GET", s.url+"/v1/models")
	var list struct {
		Object string
		Data   []struct {
			ID, Object string
			OwnedBy    string `json:"owned_by"`
			Created    int64
		}
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || response.StatusCode != 200 || list.Object != "list" {
		t.Fatalf("the models are %d %s, %v", response.StatusCode, body, err)
	}
	var names []string
	for _, model := range list.Data {
		names = append(names, model.ID)
		if model.Object != "model" || model.OwnedBy != "projection" || time.Since(time.Unix(model.Created, 0)).Abs() > 24*time.Hour {
			t.Errorf("a model is %v", model)
		}
		// As it is, and escaped as some clients do.
		for _, path := range []string{model.ID, strings.ReplaceAll(model.ID, "/", "%2F")} {
			if response, body := fetch(t, h1(t), "GET", s.url+"/v1/models/"+path); response.StatusCode != 200 || !strings.Contains(body, `"`+model.ID+`"`) {
				t.Errorf("%s is %d %s", path, response.StatusCode, body)
			}
		}
	}
	if found := strings.Join(names, " "); found != "projection/faq projection/active all-MiniLM-L6-v2" {
		t.Errorf("the models are %s", found)
	}
	// Without an embedding model there is nothing to call.
	s = start(t, "--store="+copyStore(t))
	if _, body := fetch(t, h1(t), "GET", s.url+"/v1/models"); !strings.Contains(body, `"data":[]`) {
		t.Errorf("without an embedding model, the models are %s", body)
	}
	status, _, answer := post(t, h1(t), s.url+"/v1/embeddings", `{"model":"projection/active","input":"x"}`)
	if failed := answer["error"].(map[string]any); status != 400 || failed["code"] != "no_embedding_model" {
		t.Errorf("without an embedding model, a text gave %d %v", status, answer)
	}
}

func TestOpenAIErrors(t *testing.T) {
	const token = "a-token-of-a-user"
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"),
		"--limits.batch=4", "--auth.tokens="+token, "--log.requests=true")
	cases := map[string]struct {
		body   string
		status int
		// Of the error.
		code, param, says string
	}{
		"no JSON":          {`{"model":`, 400, "invalid_message", "", "unexpected EOF"},
		"empty":            {``, 400, "invalid_message", "", "empty, expected a JSON object"},
		"no object":        {`[]`, 400, "invalid_message", "", "a JSON array, expected an object"},
		"two objects":      {`{} {}`, 400, "invalid_message", "", "something follows"},
		"not UTF-8":        {"{\"input\":\"\xff\"}", 400, "invalid_message", "", "not UTF-8"},
		"unknown field":    {`{"inptu":"x"}`, 400, "invalid_message", "", `unknown field "inptu"`},
		"deeply nested":    {`{"input":` + strings.Repeat("[", 100_000), 400, "invalid_message", "", "depth"},
		"model of numbers": {`{"model":3}`, 400, "invalid_message", "", "model is a number, expected a string"},
		"dimensions 1.5":   {`{"dimensions":1.5}`, 400, "invalid_message", "", "dimensions is a number 1.5, expected a whole number"},
		"no input":         {`{"model":"projection/active"}`, 400, "invalid_argument", "input", "input is missing"},
		"null":             {`{"model":"projection/active","input":null}`, 400, "invalid_argument", "input", "input is missing"},
		"a number":         {`{"model":"projection/active","input":7}`, 400, "invalid_argument", "input", "neither a text nor an array"},
		"no texts":         {`{"model":"projection/active","input":[]}`, 400, "invalid_argument", "input", "empty array"},
		"empty text":       {`{"model":"projection/active","input":["x",""]}`, 400, "invalid_argument", "input", "input[1] is empty"},
		"an object":        {`{"model":"projection/active","input":["x",{}]}`, 400, "invalid_argument", "input", "input[1] is an object"},
		"a null":           {`{"model":"projection/active","input":["x",null]}`, 400, "invalid_argument", "input", "input[1] is null"},
		"NUL":              {`{"model":"projection/active","input":["x","a\u0000b"]}`, 400, "invalid_argument", "input", "input[1] has a NUL character at byte 1"},
		"tokens":           {`{"model":"projection/active","input":[1,2,3]}`, 400, "invalid_argument", "input", "check_embedding_ctx_length=False"},
		"arrays of tokens": {`{"model":"projection/active","input":[[1,2],[3]]}`, 400, "invalid_argument", "input", "check_embedding_ctx_length=False"},
		"many texts":       {`{"model":"projection/active","input":["a","b","c","d","e"]}`, 400, "too_large", "input", "more than 4 texts"},
		"long text":        {`{"model":"projection/active","input":"` + strings.Repeat("x", 16385) + `"}`, 400, "too_large", "input", "input[0] has 16385 bytes"},
		"10 MB":            {`{"input":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "too_large", "", "larger than"},
		"no model":         {`{"input":"x"}`, 404, "model_not_found", "model", "expected one of projection/faq, projection/active, all-MiniLM-L6-v2"},
		"another model":    {`{"model":"text-embedding-3-small","input":"x"}`, 404, "model_not_found", "model", `model is "text-embedding-3-small"`},
		"another dimension": {`{"model":"projection/faq","input":"x","dimensions":256}`, 400, "invalid_argument", "dimensions",
			"dimensions is 256, expected 384"},
		"another encoding": {`{"model":"projection/faq","input":"x","encoding_format":"int8"}`, 400, "invalid_argument", "encoding_format", `"int8", expected float or base64`},
		"another type":     {`{"model":"projection/faq","input":"x","input_type":"question"}`, 400, "invalid_argument", "input_type", "expected query or passage"},
	}
	// failed checks an error's shape.
	failed := func(what string, response *http.Response, status int, code, param, says string) {
		t.Helper()
		found, _, answer := decode(t, response)
		problem, _ := answer["error"].(map[string]any)
		kind := "invalid_request_error"
		if status >= 500 {
			kind = "server_error"
		}
		message, _ := problem["message"].(string)
		wanted := any(param)
		if param == "" {
			wanted = nil
		}
		if found != status || len(answer) != 1 || len(problem) != 4 || problem["type"] != kind || problem["code"] != code ||
			problem["param"] != wanted || !strings.Contains(message, says) {
			t.Errorf("%s gave %d %v, expected %d, code %s, param %q and %q", what, found, answer, status, code, param, says)
		}
	}
	send := func(method, path, body string, headers ...string) *http.Response {
		t.Helper()
		request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		if host := request.Header.Get("Host"); host != "" {
			request.Host = host
		}
		response, err := h1(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	for name, c := range cases {
		failed(name, send("POST", "/v1/embeddings", c.body), c.status, c.code, c.param, c.says)
	}
	const path, good = "/v1/embeddings", `{"model":"projection/active","input":"x"}`
	failed("a form", send("POST", path, good, "Content-Type", "text/plain"), 415, "invalid_message", "", "content type")
	failed("GET", send("GET", path, ""), 405, "method_not_allowed", "", "expected POST")
	failed("another model", send("GET", "/v1/models/gpt-4", ""), 404, "model_not_found", "model", "gpt-4")
	failed("another token", send("POST", path, good, "Authorization", "Bearer another"), 401, "unauthenticated", "", "bearer token")
	failed("no token for the models", send("GET", "/v1/models", "", "Authorization", ""), 401, "unauthenticated", "", "bearer token")
	failed("another host", send("POST", path, good, "Host", "evil.example"), 421, "host_not_allowed", "", "evil.example")
	failed("another origin", send("POST", path, good, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403, "cross_origin", "", "evil.example")
	if response := send("POST", path, good); response.StatusCode != 200 {
		t.Errorf("a good request gave %d", response.StatusCode)
	}
	if !strings.Contains(s.log.String(), `"procedure":"openai.v1.Embeddings/Create","code":"unauthenticated"`) || strings.Contains(s.log.String(), token) {
		t.Error("the log does not have the refusals, or has a token")
	}
}

// Requests for embeddings wait in the same queue as others, and end with their clients.
func TestOpenAILimits(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"),
		"--limits.concurrency=1", "--limits.queue=1", "--limits.queue-timeout=1m")
	texts, _ := json.Marshal(strings.Split(strings.TrimSpace(strings.Repeat(strings.Repeat("many words ", 200)+"\n", 500)), "\n"))
	long := `{"model":"projection/active","input":` + string(texts) + `}`
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	send := func() {
		request, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/embeddings", strings.NewReader(long))
		if err == nil {
			request.Header.Set("Content-Type", "application/json")
			_, err = h1(t).Do(request)
		}
		ended <- err
	}
	go send()
	eventually(t, "a request is computed", func() bool { return metric(t, s.url, "projection_requests_computing") == "1" })
	go send()
	eventually(t, "another one waits", func() bool { return metric(t, s.url, "projection_requests_waiting") == "1" })
	status, header, answer := post(t, h1(t), s.url+"/v1/embeddings", `{"model":"projection/active","input":"x"}`)
	failed, _ := answer["error"].(map[string]any)
	if status != 503 || header.Get("Retry-After") != "1" || failed["code"] != "overloaded" || failed["type"] != "server_error" {
		t.Errorf("an overload gave %d %v %v", status, header, answer)
	}
	cancel()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a request was answered before it was cancelled")
		}
	}
	eventually(t, "no request is left", func() bool {
		return metric(t, s.url, "projection_requests_computing") == "0" && metric(t, s.url, "projection_requests_waiting") == "0"
	})
}

// The clients that people have, in Python: see testdata/clients.py.
func TestOpenAIClients(t *testing.T) {
	const token = "a-token-of-a-user"
	database := copyStore(t)
	s := start(t, "--store="+database, "--model=1", "--auth.tokens="+token,
		"--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	texts := []string{"Is my data uploaded?", "Größe, 東京, 🔑", "Can ten workers call the same loaded model?"}
	for i := range 30 {
		texts = append(texts, fmt.Sprintf("Which answer has the number %d?", i))
	}
	plain, projected, tokens := vectorsOfEngine(t, database, 1, texts)
	expected, err := json.Marshal(map[string]any{"url": s.url + "/v1", "token": token, "texts": texts, "plain": plain,
		"projected": projected, "tokens": tokens})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "expected.json")
	if err := os.WriteFile(file, expected, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, os.Getenv("SERVER_TEST_PYTHON"), "testdata/clients.py", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, output)
	}
	t.Logf("%s", output)
}
