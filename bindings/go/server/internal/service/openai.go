package service

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go/server/internal/active"
	"github.com/unifyweaver/projection/bindings/go/server/internal/failure"
	"github.com/unifyweaver/projection/bindings/go/server/internal/openai"
)

// projectionPrefix begins the names by which clients of OpenAI's API ask for projected vectors.
const projectionPrefix = "projection/"

// served are the models that clients of OpenAI's API may name: the active projection by its own name,
// the same whatever it is called, and the embedding model for vectors as they are.
func (s *Service) served(snapshot *active.Snapshot) []openai.Model {
	if s.Embedder == nil {
		return []openai.Model{}
	}
	trained := snapshot.LoadedAt
	if parsed, err := time.Parse(time.DateTime, snapshot.Info.CreatedAt); err == nil {
		trained = parsed
	}
	named := func(id string, created time.Time) openai.Model {
		return openai.Model{ID: id, Object: "model", Created: created.Unix(), OwnedBy: "projection"}
	}
	return []openai.Model{
		named(projectionPrefix+cmp.Or(snapshot.Info.Name, strconv.FormatInt(snapshot.Info.ID, 10)), trained),
		named(projectionPrefix+"active", trained),
		named(snapshot.Info.EmbeddingModel, snapshot.LoadedAt),
	}
}

// find returns the model that a request names.
func (s *Service) find(snapshot *active.Snapshot, name string) (openai.Model, error) {
	if s.Embedder == nil {
		return openai.Model{}, failure.New(connect.CodeFailedPrecondition, failure.NoEmbeddingModel,
			"this server has no embedding model (embedding-model-dir), and can't embed texts")
	}
	var names []string
	for _, model := range s.served(snapshot) {
		if model.ID == name {
			return model, nil
		}
		names = append(names, model.ID)
	}
	return openai.Model{}, failure.About("model", connect.CodeNotFound, failure.NoSuchModel,
		"model is %q, expected one of %s", name, strings.Join(names, ", "))
}

// ListOpenAIModels lists the names for CreateEmbeddings.
func (s *Service) ListOpenAIModels(context.Context, *connect.Request[openai.ListModelsRequest]) (*connect.Response[openai.Models], error) {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	return connect.NewResponse(&openai.Models{Object: "list", Data: s.served(snapshot)}), nil
}

// RetrieveOpenAIModel returns one of them.
func (s *Service) RetrieveOpenAIModel(_ context.Context, request *connect.Request[openai.RetrieveModelRequest]) (*connect.Response[openai.Model], error) {
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	model, err := s.find(snapshot, request.Msg.Model)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&model), nil
}

// CreateEmbeddings embeds texts and, if the model is a projection and the texts are questions,
// projects the vectors.
func (s *Service) CreateEmbeddings(ctx context.Context, request *connect.Request[openai.EmbeddingsRequest]) (*connect.Response[openai.Embeddings], error) {
	message := request.Msg
	texts, err := openai.Texts(message.Input, s.Config.Limits.Batch)
	if err != nil {
		return nil, err
	}
	for i, words := range texts {
		if words == "" {
			return nil, openai.Invalid("input", failure.InvalidArgument, "input[%d] is empty, expected a text", i)
		}
		if err := s.checkText(fmt.Sprintf("input[%d]", i), words); err != nil {
			return nil, err
		}
	}
	snapshot := s.Models.Acquire()
	defer snapshot.Release()
	model, projects, err := s.checkEmbeddings(snapshot, message)
	if err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	vectors, tokens, err := s.embedBatch(ctx, texts)
	if err == nil && projects {
		vectors, err = s.projectRows(ctx, snapshot, vectors)
	}
	if err != nil {
		return nil, failure.From(err)
	}
	response := &openai.Embeddings{Object: "list", Data: make([]openai.Embedding, len(vectors)), Model: model.ID,
		Usage: openai.Usage{PromptTokens: tokens, TotalTokens: tokens}}
	for i, vector := range vectors {
		var written any = vector
		if message.EncodingFormat == "base64" {
			written = openai.Base64(vector)
		}
		response.Data[i] = openai.Embedding{Object: "embedding", Index: i, Embedding: written}
	}
	return connect.NewResponse(response), nil
}

// checkEmbeddings returns the model of a request, and whether it projects. It refuses what the server
// can't do before the request waits for its turn.
func (s *Service) checkEmbeddings(snapshot *active.Snapshot, message *openai.EmbeddingsRequest) (model openai.Model, projects bool, err error) {
	if model, err = s.find(snapshot, message.Model); err != nil {
		return model, false, err
	}
	projects = strings.HasPrefix(model.ID, projectionPrefix)
	switch message.InputType {
	case "", "query", "search_query":
	case "passage", "document", "search_document":
		if to := snapshot.Info.AnswerModel; projects && to != snapshot.Info.EmbeddingModel {
			return model, false, openai.Invalid("input_type", failure.InvalidArgument,
				"input_type is %q, but the answers of %s are embedded by %s, which is not this server's embedding model", message.InputType, model.ID, to)
		}
		projects = false
	default:
		return model, false, openai.Invalid("input_type", failure.InvalidArgument, "input_type is %q, expected query or passage", message.InputType)
	}
	switch message.EncodingFormat {
	case "", "float", "base64":
	default:
		return model, false, openai.Invalid("encoding_format", failure.InvalidArgument,
			"encoding_format is %q, expected float or base64", message.EncodingFormat)
	}
	dim := s.Embedder.Dim()
	if projects {
		dim = snapshot.Model.OutputDim()
	}
	if asked := message.Dimensions; asked != nil && *asked != int64(dim) {
		return model, false, openai.Invalid("dimensions", failure.InvalidArgument,
			"dimensions is %d, expected %d: the vectors of %s can't be shortened", *asked, dim, model.ID)
	}
	return model, projects, nil
}

// embedBatch returns the vectors of texts and the number of tokens that the embedding model read.
func (s *Service) embedBatch(ctx context.Context, texts []string) (vectors [][]float32, tokens int, err error) {
	_, end := s.stage(ctx, "embed")
	defer end()
	for _, words := range texts {
		count, err := s.Embedder.CountTokens(words)
		if err != nil {
			return nil, 0, err
		}
		tokens += count
	}
	vectors, err = s.Embedder.EmbedBatchContext(ctx, texts)
	return vectors, tokens, err
}
