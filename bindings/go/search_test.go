package projection_test

import (
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

// legacy opens the store of the existing code, which has texts, and its first model.
func legacy(t testing.TB) (*projection.Searcher, *projection.Model, []float32) {
	t.Helper()
	path := conformancePath("legacy_store", "lda.db")
	searcher, err := projection.OpenSearcher(path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { searcher.Close() })
	model, err := projection.Open(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	query := make([]float32, model.InputDim())
	for i := range query {
		query[i] = float32(math.Cos(float64(i)))
	}
	return searcher, model, query
}

func residual(t testing.TB) *projection.Model {
	t.Helper()
	model, err := projection.Load(conformancePath("models", "residual_all"), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return model
}

func TestModelOfKind(t *testing.T) {
	store := openStore(t, conformancePath("legacy_store", "lda.db"), nil)
	model, err := store.ModelOfKind(1, projection.KindLinear)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	if model.Kind() != projection.KindLinear || len(model.HeadIDs()) != 0 {
		t.Errorf("%v with the heads %v", model.Kind(), model.HeadIDs())
	}
	_, err = store.ModelOfKind(1, projection.KindResidual)
	fails(t, "residual", err, projection.ErrNotFound, "residual")
	_, err = store.ModelOfKind(1, 9)
	fails(t, "unknown", err, projection.ErrInvalidArgument, "kind is 9")
	_, err = projection.Load(conformancePath("models", "d3_one"), 1)
	fails(t, "no temperature", err, projection.ErrInvalidArgument, "temperature")
}

func TestSearchWithOptions(t *testing.T) {
	searcher, model, vector := legacy(t)
	plain, err := searcher.SearchWithProjection(vector, model, 4)
	if err != nil {
		t.Fatal(err)
	}
	query := projection.Query{Vector: vector, Text: plain[3].Text}
	search := func(options projection.SearchOptions) []projection.Hit {
		t.Helper()
		hits, err := searcher.SearchWithOptions(query, options)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := searcher.SearchBatchWithOptions([]projection.Query{query, query}, options)
		if err != nil || !reflect.DeepEqual(batch, [][]projection.Hit{hits, hits}) {
			t.Errorf("%+v: a batch finds %v (%v), expected %v twice", options, batch, err, hits)
		}
		explained, err := searcher.Explain(query, options)
		if err != nil {
			t.Fatal(err)
		}
		var same []projection.Hit
		for i, hit := range explained.Hits {
			same = append(same, hit.Hit)
			if hit.Rank != i+1 || (hit.BM25 != nil) != options.Hybrid || hit.Seen == nil {
				t.Errorf("%+v: %+v", options, hit)
			}
		}
		if !reflect.DeepEqual(same, hits) {
			t.Errorf("%+v: Explain finds %v, expected %v", options, same, hits)
		}
		return hits
	}
	if hits := search(projection.SearchOptions{K: 4, Model: model}); !reflect.DeepEqual(hits, plain) {
		t.Errorf("%v, expected %v", hits, plain)
	}
	// Words alone find the answer whose words they are.
	words := search(projection.SearchOptions{K: 4, Model: model, Hybrid: true, HybridWeight: 1})
	if words[0].AnswerID != plain[3].AnswerID || words[0].Score != 1 {
		t.Errorf("%v, expected answer %d first", words, plain[3].AnswerID)
	}
	usual := search(projection.SearchOptions{K: 99, Model: model, Hybrid: true})
	same := search(projection.SearchOptions{K: 99, Model: model, Hybrid: true, HybridWeight: 0.2})
	if !reflect.DeepEqual(usual, same) || len(usual) != searcher.Len() {
		t.Errorf("%v, expected %v", usual, same)
	}
	raised := search(projection.SearchOptions{K: 99, Model: model, UnseenOffset: 0.5})
	same = search(projection.SearchOptions{K: 99, Model: model, UnseenOffset: 0.5,
		ScoreMode: projection.ScoreCosine})
	if !reflect.DeepEqual(raised, same) {
		t.Errorf("%v, expected %v", same, raised)
	}
	// Nothing was chosen for a model of another program.
	same = search(projection.SearchOptions{K: 4, Model: model, ScoreMode: projection.ScoreCosine})
	if !reflect.DeepEqual(plain, same) {
		t.Errorf("%v, expected %v", same, plain)
	}
}

func TestRefusedOptions(t *testing.T) {
	searcher, model, vector := legacy(t)
	query := projection.Query{Vector: vector, Text: "words"}
	for what, options := range map[string]projection.SearchOptions{
		"at least 0":     {K: -1},
		"from 0 to 1":    {Hybrid: true, HybridWeight: -1},
		"hybrid weight":  {Hybrid: true, HybridWeight: math.NaN()},
		"without Hybrid": {HybridWeight: 0.5},
		"residual":       {Model: model, ScoreMode: projection.ScoreMaxNearestQuestion},
		"score_mode":     {ScoreMode: 9},
		"heads":          {UnseenOffset: 0.5},
		"finite":         {Model: model, UnseenOffset: math.Inf(1)},
	} {
		_, err := searcher.SearchWithOptions(query, options)
		fails(t, what, err, projection.ErrInvalidArgument, what)
		_, err = searcher.Explain(query, options)
		fails(t, what, err, projection.ErrInvalidArgument, what)
		_, err = searcher.SearchBatchWithOptions([]projection.Query{query}, options)
		fails(t, what, err, projection.ErrInvalidArgument, what)
	}
	hybrid := projection.SearchOptions{K: 1, Hybrid: true}
	_, err := searcher.SearchWithOptions(projection.Query{Vector: vector}, hybrid)
	fails(t, "no text", err, projection.ErrInvalidArgument, "text")
	_, err = searcher.Explain(projection.Query{Vector: vector, Text: "a\x00b"}, hybrid)
	fails(t, "NUL", err, projection.ErrInvalidArgument, "NUL")
	searcher.Close()
	_, err = searcher.SearchWithOptions(query, hybrid)
	fails(t, "closed", err, projection.ErrClosed)
	_, err = searcher.Explain(query, hybrid)
	fails(t, "closed", err, projection.ErrClosed)
}

func TestExplain(t *testing.T) {
	model := residual(t)
	vectors := loadArray(t, conformancePath("kinds", "residual_all", "answers.npy"))
	ids := readIDs(t, conformancePath("kinds", "residual_all", "answer_ids.txt"))
	searcher := newSearcher(t, ids, vectors.Data, vectors.Shape[1])
	query := loadArray(t, conformancePath("kinds", "residual_all", "queries.npy")).Data[:8]
	found, err := searcher.Explain(projection.Query{Vector: query}, projection.SearchOptions{K: 3, Model: model})
	if err != nil {
		t.Fatal(err)
	}
	_, weights, err := model.Project(query)
	if err != nil {
		t.Fatal(err)
	}
	routing := map[int64]float32{}
	for _, head := range found.Heads {
		routing[head.ClusterID] = head.Weight
	}
	if !reflect.DeepEqual(routing, weights) || !found.QuestionsMove || !(*found.Angle > 0) {
		t.Errorf("%+v, expected the weights %v", found, weights)
	}
	sums := map[int64]float64{}
	for _, question := range found.Questions {
		sums[question.ClusterID] += question.Weight
	}
	for id, weight := range weights {
		if math.Abs(sums[id]-float64(weight)) > tolerance {
			t.Errorf("cluster %d has the weight %g, and its questions %g", id, weight, sums[id])
		}
	}
	before, err := searcher.Search(query, len(ids))
	if err != nil {
		t.Fatal(err)
	}
	for _, hit := range found.Hits {
		if plain := before[*hit.RankBefore-1]; plain.AnswerID != hit.AnswerID || plain.Score != *hit.ScoreBefore {
			t.Errorf("%+v, expected %+v", hit, plain)
		}
		if hit.Seen != nil || hit.NearestQuestion != nil {
			t.Errorf("%+v without a store", hit)
		}
	}
}

func TestSearchWithOptionsTogether(t *testing.T) {
	searcher, model, vector := legacy(t)
	query := projection.Query{Vector: vector, Text: "the answer to this question"}
	options := projection.SearchOptions{K: 5, Model: model, Hybrid: true, UnseenOffset: 0.1}
	expected, err := searcher.SearchWithOptions(query, options)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 20 {
				hits, err := searcher.SearchWithOptions(query, options)
				if err != nil || !reflect.DeepEqual(hits, expected) {
					t.Errorf("%v (%v), expected %v", hits, err, expected)
				}
			}
		}()
	}
	group.Wait()
}
