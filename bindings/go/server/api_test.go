package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/unifyweaver/projection/bindings/go"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
)

func pointer[T any](value T) *T { return &value }

func sameHits(t *testing.T, found []*pb.Hit, want []projection.Hit) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("%d hits, expected %d", len(found), len(want))
	}
	for i, hit := range found {
		if hit.AnswerId != want[i].AnswerID || hit.Score != want[i].Score || hit.Text != want[i].Text {
			t.Fatalf("hit %d is %v, expected %v", i, hit, want[i])
		}
	}
}

// protocols are the ways to call the same methods.
var protocols = map[string][]connect.ClientOption{
	"connect":      nil,
	"connect json": {connect.WithProtoJSON()},
	"grpc":         {connect.WithGRPC()},
	"grpc-web":     {connect.WithGRPCWeb()},
	"gzip":         {connect.WithGRPC(), connect.WithSendGzip()},
}

func TestProtocolsGiveTheBindingsNumbers(t *testing.T) {
	database := copyStore(t)
	s := start(t, "--store="+database, "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	model, err := projection.Open(database, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	query := sample(1)
	projected, weights, err := model.Project(query)
	if err != nil {
		t.Fatal(err)
	}
	embedder, err := projection.LoadEmbedder(os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	vector, err := embedder.Embed("How do I share a model?")
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			client := s.client(t, options...)
			ctx := t.Context()
			embedded, err := client.Embed(ctx, connect.NewRequest(&pb.EmbedRequest{Text: "How do I share a model?"}))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(embedded.Msg.Vector, vector) || embedded.Msg.EmbeddingModel != "all-MiniLM-L6-v2" {
				t.Error("Embed differs from the binding")
			}
			response, err := client.Project(ctx, connect.NewRequest(&pb.ProjectRequest{Vector: query, Routing: 5}))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(response.Msg.Vector, projected) {
				t.Error("Project differs from the binding")
			}
			if len(response.Msg.Routing) != 5 {
				t.Fatalf("%d routing weights, expected 5", len(response.Msg.Routing))
			}
			for i, head := range response.Msg.Routing {
				if head.Weight != weights[head.ClusterId] || head.Cluster == "" || i > 0 && head.Weight > response.Msg.Routing[i-1].Weight {
					t.Errorf("routing weight %d is %v", i, head)
				}
			}
			batch, err := client.ProjectBatch(ctx, connect.NewRequest(&pb.ProjectBatchRequest{Vectors: []*pb.Vector{{Values: sample(2)}, {Values: query}}}))
			if err != nil {
				t.Fatal(err)
			}
			batched, _, err := model.ProjectBatch([][]float32{sample(2), query})
			if err != nil {
				t.Fatal(err)
			}
			for i := range batched {
				if !slices.Equal(batch.Msg.Vectors[i].Values, batched[i]) {
					t.Errorf("ProjectBatch differs from the binding in row %d", i)
				}
			}
			found, err := client.Search(ctx, connect.NewRequest(&pb.SearchRequest{Vector: query, K: pointer[int32](4)}))
			if err != nil {
				t.Fatal(err)
			}
			sameHits(t, found.Msg.Hits, expected(t, database, 1, query, 4))
			plain, err := client.Search(ctx, connect.NewRequest(&pb.SearchRequest{Vector: query, Project: pointer(false)}))
			if err != nil {
				t.Fatal(err)
			}
			sameHits(t, plain.Msg.Hits, expected(t, database, 0, query, 10))
		})
	}
}

func TestHybridAndExplain(t *testing.T) {
	database := copyStore(t)
	s := start(t, "--store="+database, "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	client := s.client(t)
	const question = "Can ten workers call the same loaded model simultaneously?"
	searcher, err := projection.OpenSearcher(database, "")
	if err != nil {
		t.Fatal(err)
	}
	defer searcher.Close()
	model, err := projection.Open(database, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	embedded, err := client.Embed(t.Context(), connect.NewRequest(&pb.EmbedRequest{Text: question}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := searcher.Explain(projection.Query{Vector: embedded.Msg.Vector, Text: question},
		projection.SearchOptions{K: 3, Model: model, Hybrid: true, HybridWeight: 0.4})
	if err != nil {
		t.Fatal(err)
	}
	request := &pb.SearchRequest{Text: question, K: pointer[int32](3), Hybrid: &pb.Hybrid{Weight: pointer(0.4)}}
	for _, explain := range []bool{false, true} {
		request.Explain = explain
		request.Routing = 2
		found, err := client.Search(t.Context(), connect.NewRequest(request))
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Msg.Hits) != 3 || len(found.Msg.Routing) != 2 {
			t.Fatalf("%d hits and %d routing weights, expected 3 and 2", len(found.Msg.Hits), len(found.Msg.Routing))
		}
		for i, hit := range found.Msg.Hits {
			if hit.AnswerId != want.Hits[i].AnswerID || hit.Score != want.Hits[i].Score {
				t.Errorf("hit %d is %v, expected %v", i, hit, want.Hits[i])
			}
			if explain && (*hit.Explanation.RankBefore != int64(*want.Hits[i].RankBefore) || *hit.Explanation.Bm25 != *want.Hits[i].BM25) {
				t.Errorf("hit %d is explained by %v, expected %v", i, hit.Explanation, want.Hits[i])
			}
		}
		if !explain {
			continue
		}
		explanation := found.Msg.Explanation
		if *explanation.Angle != *want.Angle || explanation.HybridWeight != 0.4 || len(explanation.Questions) != len(want.Questions) ||
			explanation.Questions[0].Text != want.Questions[0].Text || explanation.Questions[0].Cluster == "" {
			t.Errorf("the explanation is %v, expected %v", explanation, want)
		}
	}
}

// What the files of answers say of them comes with every hit, and changes with the store.
func TestMetadata(t *testing.T) {
	database := copyStore(t)
	execute(t, database, `CREATE TABLE IF NOT EXISTS engine_metadata (answer_id INTEGER PRIMARY KEY, metadata TEXT NOT NULL)`)
	set := func(json string) {
		execute(t, database, `INSERT OR REPLACE INTO engine_metadata VALUES (7, '`+json+`')`)
	}
	set(`{"title": "Größe", "url": "https://example.org/7", "tags": ["a", 1.5, null], "price": {"eur": 3}}`)
	s := start(t, "--store="+database, "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	check := func(fields string) {
		t.Helper()
		for _, more := range []string{``, `,"explain":true`, `,"hybrid":{}`, `,"project":false`} {
			status, _, found := post(t, h1(t), s.url+"/v1/search", `{"text":"x","k":50`+more+`}`)
			hits, _ := found["hits"].([]any)
			if status != 200 || len(hits) != 50 {
				t.Fatalf("%d %v", status, found)
			}
			for _, hit := range hits {
				hit := hit.(map[string]any)
				written, err := json.Marshal(hit["metadata"])
				if want := map[bool]string{true: fields, false: "null"}[hit["answerId"] == "7"]; err != nil || string(written) != want {
					t.Errorf("%s: the metadata of answer %v is %s, expected %s", more, hit["answerId"], written, want)
				}
			}
		}
	}
	check(`{"price":{"eur":3},"tags":["a",1.5,null],"title":"Größe","url":"https://example.org/7"}`)
	_, _, batch := post(t, h1(t), s.url+"/v1/search/batch", `{"questions":[{"text":"x"}],"allowed":{"answerIds":[7]}}`)
	if written, _ := json.Marshal(batch); !strings.Contains(string(written), "https://example.org/7") {
		t.Errorf("the batch is %s", written)
	}
	set(`{"url": "another"}`)
	if err := s.Reload("test"); err != nil {
		t.Fatal(err)
	}
	check(`{"url":"another"}`)
	set(`[1]`)
	if err := s.Reload("test"); err == nil || !strings.Contains(err.Error(), "engine_metadata: answer 7") {
		t.Errorf("damaged metadata gave %v", err)
	}
	check(`{"url":"another"}`)
}

// A batch finds what single searches find, and a search among allowed answers what is left of all.
func TestSearchBatchAndAllowedAnswers(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	client := s.client(t)
	const text = "Can ten workers call the same loaded model simultaneously?"
	questions := []*pb.Question{{Vector: sample(1)}, {Text: text}, {Vector: sample(2), Text: "Is my data uploaded?"}}
	find := func(request *pb.SearchRequest) []*pb.Hit {
		t.Helper()
		found, err := client.Search(t.Context(), connect.NewRequest(request))
		if err != nil {
			t.Fatal(err)
		}
		return found.Msg.Hits
	}
	same := func(what string, found, want []*pb.Hit) {
		t.Helper()
		if len(found) != len(want) {
			t.Fatalf("%s: %d hits, expected %d", what, len(found), len(want))
		}
		for i, hit := range found {
			// A batch of another size may round differently.
			if hit.AnswerId != want[i].AnswerId || hit.Text != want[i].Text || abs(float64(hit.Score-want[i].Score)) > 1e-6 {
				t.Fatalf("%s: hit %d is %v, expected %v", what, i, hit, want[i])
			}
		}
	}
	all := find(&pb.SearchRequest{Text: text, K: pointer[int32](50)})
	ids := []int64{all[30].AnswerId, all[7].AnswerId, 99999, all[12].AnswerId}
	for name, hybrid := range map[string]*pb.Hybrid{"vectors": nil, "hybrid": {Weight: pointer(0.3)}} {
		for _, project := range []bool{true, false} {
			for _, allowed := range []*pb.Allowed{nil, {}, {AnswerIds: ids}} {
				request := &pb.SearchBatchRequest{Questions: questions, K: pointer[int32](4), Project: &project, Hybrid: hybrid, Allowed: allowed}
				if hybrid != nil {
					request.Questions = questions[1:]
				}
				batch, err := client.SearchBatch(t.Context(), connect.NewRequest(request))
				if err != nil {
					t.Fatal(err)
				}
				for i, question := range request.Questions {
					single := &pb.SearchRequest{Text: question.Text, Vector: question.Vector, K: request.K, Project: &project, Hybrid: hybrid}
					if allowed != nil {
						// What is left of all answers, by hand.
						single.K = pointer[int32](50)
					}
					want := find(single)
					if allowed != nil {
						want = slices.DeleteFunc(want, func(hit *pb.Hit) bool { return !slices.Contains(allowed.AnswerIds, hit.AnswerId) })
					}
					same(name, batch.Msg.Results[i].Hits, want)
					single.K, single.Allowed = request.K, allowed
					same(name+", single", find(single), want)
					single.Explain = true
					same(name+", explained", find(single), want)
				}
			}
		}
	}
}

func TestStream(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1")
	for name, options := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}} {
		t.Run(name, func(t *testing.T) {
			client := s.client(t, options...)
			stream := client.ProjectStream(t.Context())
			for n := range 20 {
				batch := &pb.ProjectStreamRequest{}
				for i := range n {
					batch.Vectors = append(batch.Vectors, &pb.Vector{Values: sample(i)})
				}
				if err := stream.Send(batch); err != nil {
					t.Fatal(err)
				}
				answer, err := stream.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if len(answer.Vectors) != n || answer.Model.Id != 1 {
					t.Fatalf("%d vectors of model %d, expected %d of model 1", len(answer.Vectors), answer.Model.Id, n)
				}
			}
			if err := stream.CloseRequest(); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
				t.Fatalf("the stream ended with %v", err)
			}
			_ = stream.CloseResponse()
			// An unusable vector ends the stream with the error that the batch would have.
			bad := client.ProjectStream(t.Context())
			if err := bad.Send(&pb.ProjectStreamRequest{Vectors: []*pb.Vector{{Values: []float32{1}}}}); err != nil {
				t.Fatal(err)
			}
			_, err := bad.Receive()
			wantReason(t, err, connect.CodeInvalidArgument, "DIMENSION_MISMATCH")
			_ = bad.CloseRequest()
			_ = bad.CloseResponse()
		})
	}
}

// wantReason checks an error's code and reason.
func wantReason(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	var failed *connect.Error
	if !errors.As(err, &failed) || failed.Code() != code {
		t.Fatalf("the error is %v, expected %v", err, code)
	}
	for _, detail := range failed.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatal(err)
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			if info.Reason != reason {
				t.Fatalf("the reason is %s, expected %s", info.Reason, reason)
			}
			return
		}
	}
	t.Fatalf("no reason in %v, expected %s", err, reason)
}

func TestModels(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	client := s.models(t)
	list, err := client.ListModels(t.Context(), connect.NewRequest(&pb.ListModelsRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	_, when := time.Parse(time.RFC3339, list.Msg.Models[0].CreatedAt)
	if len(list.Msg.Models) != 2 || list.Msg.Models[0].Kind != "residual" || list.Msg.Models[1].Kind != "multi_head" ||
		list.Msg.Models[0].Active || !list.Msg.Models[1].Active || list.Msg.Models[0].GetRecallAt_1() <= 0 || when != nil {
		t.Errorf("the models are %v", list.Msg.Models)
	}
	one, err := client.GetModel(t.Context(), connect.NewRequest(&pb.GetModelRequest{Id: 1}))
	if err != nil || one.Msg.Model.Id != 1 {
		t.Errorf("model 1 is %v, %v", one, err)
	}
	_, err = client.GetModel(t.Context(), connect.NewRequest(&pb.GetModelRequest{Id: 3}))
	wantReason(t, err, connect.CodeNotFound, "MODEL_NOT_FOUND")
	active, err := client.GetActiveModel(t.Context(), connect.NewRequest(&pb.GetActiveModelRequest{}))
	if err != nil || active.Msg.Model.Id != 2 || active.Msg.InputDim != 384 || active.Msg.GetAnswers() == 0 {
		t.Errorf("the active model is %v, %v", active, err)
	}
	build := fmt.Sprintf(`projection_build_info{goversion=%q,revision="unknown",version=%q}`, runtime.Version(), projection.Version())
	if metric(t, s.url, build) != "1" {
		t.Errorf("there is no metric %s", build)
	}
}

func TestFeedback(t *testing.T) {
	database := copyStore(t)
	off := start(t, "--store="+database)
	request := &pb.FeedbackRequest{Question: "why?", Helpful: true, ShownAnswerIds: []int64{3, 4}}
	_, err := off.client(t).Feedback(t.Context(), connect.NewRequest(request))
	wantReason(t, err, connect.CodeFailedPrecondition, "FEEDBACK_OFF")

	client := start(t, "--store="+database, "--search.feedback=store").client(t)
	first, err := client.Feedback(t.Context(), connect.NewRequest(request))
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Feedback(t.Context(), connect.NewRequest(&pb.FeedbackRequest{Question: "why not?"}))
	if err != nil || second.Msg.LogId != first.Msg.LogId+1 {
		t.Errorf("the second entry is %v, %v", second, err)
	}
	for _, bad := range []*pb.FeedbackRequest{{}, {Question: "x", Helpful: true}, {Question: "x", AnswerId: pointer[int64](1)}} {
		_, err = client.Feedback(t.Context(), connect.NewRequest(bad))
		wantReason(t, err, connect.CodeInvalidArgument, "INVALID_ARGUMENT")
	}
	_, err = client.Feedback(t.Context(), connect.NewRequest(&pb.FeedbackRequest{Question: "x", Helpful: true, AnswerId: pointer[int64](999)}))
	wantReason(t, err, connect.CodeNotFound, "ANSWER_NOT_FOUND")
}

// post sends JSON to a REST path.
func post(t *testing.T, client *http.Client, url, body string) (int, http.Header, map[string]any) {
	t.Helper()
	response, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, response)
}

func decode(t *testing.T, response *http.Response) (int, http.Header, map[string]any) {
	t.Helper()
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(content, &decoded); err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return response.StatusCode, response.Header, decoded
}

// reasonOf is the reason in an error's JSON.
func reasonOf(decoded map[string]any) any {
	details, _ := decoded["details"].([]any)
	if len(details) == 0 {
		return nil
	}
	return details[0].(map[string]any)["debug"].(map[string]any)["reason"]
}

func TestREST(t *testing.T) {
	database := copyStore(t)
	s := start(t, "--store="+database, "--model=1")
	client := h1(t)
	query, _ := json.Marshal(sample(7))
	status, header, found := post(t, client, s.url+"/v1/search", `{"vector":`+string(query)+`,"k":2}`)
	want := expected(t, database, 1, sample(7), 2)
	hits, _ := found["hits"].([]any)
	if status != 200 || len(hits) != 2 || hits[0].(map[string]any)["text"] != want[0].Text || header.Get("X-Request-Id") == "" {
		t.Errorf("the search gave %d %v", status, found)
	}
	response, err := client.Get(s.url + "/v1/projections/2")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, model := decode(t, response); status != 200 || model["model"].(map[string]any)["kind"] != "multi_head" {
		t.Errorf("the model is %d %v", status, model)
	}
	response, err = client.Get(s.url + "/v1/projections/x")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, failed := decode(t, response); status != 400 || reasonOf(failed) != "INVALID_MESSAGE" {
		t.Errorf("a model without number gave %d %v", status, failed)
	}
	response, err = client.Get(s.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, document := decode(t, response); document["openapi"] != "3.1.0" || document["paths"].(map[string]any)["/v1/search"] == nil {
		t.Error("the OpenAPI document has no search")
	}
	response, err = client.Post(s.url+"/v1/search", "text/plain", bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, failed := decode(t, response); status != 415 || reasonOf(failed) != "INVALID_MESSAGE" {
		t.Errorf("text gave %d %v", status, failed)
	}
}

// A stream may take longer than a request, and not longer than a stream.
func TestStreamTime(t *testing.T) {
	database := copyStore(t)
	exchange := func(stream *connect.BidiStreamForClient[pb.ProjectStreamRequest, pb.ProjectStreamResponse]) error {
		if err := stream.Send(&pb.ProjectStreamRequest{Vectors: []*pb.Vector{{Values: sample(1)}}}); err != nil {
			return err
		}
		_, err := stream.Receive()
		return err
	}
	client := start(t, "--store="+database, "--limits.request-time=300ms", "--limits.streams=1").client(t, connect.WithGRPC())
	long := client.ProjectStream(t.Context())
	if err := exchange(long); err != nil {
		t.Fatal(err)
	}
	second := client.ProjectStream(t.Context())
	_ = second.Send(nil)
	_, err := second.Receive()
	wantReason(t, err, connect.CodeUnavailable, "OVERLOADED")
	_ = second.CloseRequest()
	_ = second.CloseResponse()
	for range 3 {
		if err := exchange(long); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if err := errors.Join(exchange(long), long.CloseRequest(), long.CloseResponse()); err != nil {
		t.Error(err)
	}
	short := start(t, "--store="+database, "--limits.stream-time=300ms").client(t, connect.WithGRPC()).ProjectStream(t.Context())
	eventually(t, "the stream has ended", func() bool { return exchange(short) != nil })
	_ = short.CloseRequest()
	_ = short.CloseResponse()
}
