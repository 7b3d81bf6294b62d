package projection_test

import (
	"math"
	"strings"
	"testing"

	"github.com/unifyweaver/projection/bindings/go"
)

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

func TestEmbed(t *testing.T) {
	embedder := embedder(t)
	if embedder.Dim() != 384 {
		t.Errorf("dimension %d, expected 384", embedder.Dim())
	}
	texts := []string{
		"How do I reset my password?",
		"I forgot my password and cannot log in.",
		"The soup needs more salt.",
		"Ключ, 鍵, 🔑",
		"",
		strings.Repeat("long ", 2000),
	}
	batch, err := embedder.EmbedBatch(texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		vector, err := embedder.Embed(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(vector) != 384 || len(batch[i]) != 384 || cap(batch[i]) != 384 {
			t.Fatalf("text %d: %d and %d values, expected 384", i, len(vector), len(batch[i]))
		}
		near(t, "batch", batch[i], vector, 1e-5)
	}
	for text, want := range map[string]int{"": 2, "hello world": 4, texts[5]: 256} {
		if tokens, err := embedder.CountTokens(text); err != nil || tokens != want {
			t.Errorf("%.20q has %d tokens (%v), expected %d", text, tokens, err, want)
		}
	}
	// Far from what the model gives, near enough to tell a model from none: that the numbers
	// are right is tested where they are computed.
	if alike, unlike := cosine(batch[0], batch[1]), cosine(batch[0], batch[2]); alike < 0.6 || unlike > 0.2 {
		t.Errorf("cosine %.4f of like and %.4f of unlike texts", alike, unlike)
	}
}

func TestCheckEmbedder(t *testing.T) {
	embedder := embedder(t)
	// A store of another program and another dimension.
	store := openStore(t, conformancePath("legacy_store", "lda.db"), nil)
	fails(t, "dimension", store.CheckEmbedder(embedder, ""), projection.ErrDimensionMismatch, "384, expected 32")
	fails(t, "name", store.CheckEmbedder(embedder, "none"), projection.ErrNotFound, "'none'")
	fails(t, "nil", store.CheckEmbedder(nil, ""), projection.ErrInvalidArgument, "embedder")
}

func TestRefusedTexts(t *testing.T) {
	embedder := embedder(t)
	for text, word := range map[string]string{"a\x00b": "byte 1", "\xff\xfe": "UTF-8", "cut \xe2\x82": "UTF-8"} {
		vector, err := embedder.Embed(text)
		fails(t, text, err, projection.ErrInvalidArgument, word)
		_, countErr := embedder.CountTokens(text)
		fails(t, text, countErr, projection.ErrInvalidArgument, word)
		batch, batchErr := embedder.EmbedBatch([]string{"good", text})
		fails(t, text, batchErr, projection.ErrInvalidArgument, word, "texts[1]")
		if vector != nil || batch != nil {
			t.Errorf("%q: vectors beside the error", text)
		}
	}
}
