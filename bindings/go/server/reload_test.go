package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	"github.com/unifyweaver/projection/bindings/go"
	pb "github.com/unifyweaver/projection/bindings/go/server/internal/gen/projection/v1"
)

// hide takes model 2 out of the list of models, and show puts it back: the active model is 1
// or 2.
const (
	hide = "UPDATE multi_head_projections SET mh_projection_id = -2 WHERE mh_projection_id = 2"
	show = "UPDATE multi_head_projections SET mh_projection_id = 2 WHERE mh_projection_id = -2"
)

func TestReloadUnderLoad(t *testing.T) {
	database := copyStore(t)
	s := start(t, "--store="+database, "--far.sample=0")
	const questions = 8
	want := map[int64][questions][]projection.Hit{}
	for _, id := range []int64{1, 2} {
		var hits [questions][]projection.Hit
		for i := range hits {
			hits[i] = expected(t, database, id, sample(i), 5)
		}
		want[id] = hits
	}
	var stop atomic.Bool
	var served [3]atomic.Int64
	var workers sync.WaitGroup
	for w := range 8 {
		client := s.client(t)
		if w%2 == 0 {
			client = s.client(t, connect.WithGRPC())
		}
		workers.Go(func() {
			for n := w; !stop.Load() && !t.Failed(); n++ {
				question := n % questions
				found, err := client.Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(question), K: pointer[int32](5)}))
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				id := found.Msg.Model.Id
				served[id].Add(1)
				for i, hit := range found.Msg.Hits {
					if right := want[id][question][i]; hit.AnswerId != right.AnswerID || hit.Score != right.Score || hit.Text != right.Text {
						t.Errorf("hit %d of model %d is %v, expected %v", i, id, hit, right)
						return
					}
				}
			}
		})
	}
	models := s.models(t)
	before := int64(0)
	for n := range 200 {
		statement := hide
		if n%2 == 1 {
			statement = show
		}
		execute(t, database, statement)
		response, err := models.Reload(t.Context(), connect.NewRequest(&pb.ReloadRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		if response.Msg.Model.Id != int64(1+n%2) || response.Msg.Model.Generation <= before {
			t.Fatalf("reload %d gave %v", n, response.Msg.Model)
		}
		before = response.Msg.Model.Generation
	}
	stop.Store(true)
	workers.Wait()
	if served[1].Load() == 0 || served[2].Load() == 0 {
		t.Errorf("the models served %d and %d requests, expected both to serve", served[1].Load(), served[2].Load())
	}
	if alive := metric(t, s.url, "projection_models_in_memory"); alive != "1" {
		t.Errorf("%s models are in memory, expected 1", alive)
	}
	t.Logf("%d requests by model 1 and %d by model 2", served[1].Load(), served[2].Load())
}

// metric is the value of a metric.
func metric(t *testing.T, url, name string) string {
	t.Helper()
	response, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// resident is the process's memory in kilobytes.
func resident(t *testing.T) (kilobytes int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes
}

func TestReloadGivesMemoryBack(t *testing.T) {
	s := start(t, "--store="+copyStore(t))
	reload := func(times int) {
		for range times {
			if err := s.Reload("test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	reload(50)
	before := resident(t)
	reload(400)
	// A model and its answers are 800 kB here: 400 that stay would be 300 MB.
	if grown := resident(t) - before; grown > 32_000 {
		t.Errorf("400 reloads took %d kB", grown)
	}
}

func TestBrokenModelIsRefused(t *testing.T) {
	folder := "embeddings/all-MiniLM-L6-v2"
	damages := map[string]func(t *testing.T, database string){
		"truncated centroid": func(t *testing.T, database string) {
			truncate(t, filepath.Join(filepath.Dir(database), folder, "mh_2_cluster_3_centroid.npy"))
		},
		"missing answer of a head": func(t *testing.T, database string) {
			if err := os.Remove(filepath.Join(filepath.Dir(database), folder, "mh_2_cluster_3_answer.npy")); err != nil {
				t.Fatal(err)
			}
		},
		"truncated database": func(t *testing.T, database string) { truncate(t, database) },
		"no database": func(t *testing.T, database string) {
			if err := os.Remove(database); err != nil {
				t.Fatal(err)
			}
		},
		"no vectors": func(t *testing.T, database string) {
			execute(t, database, "DELETE FROM embeddings")
		},
		"no models": func(t *testing.T, database string) {
			execute(t, database, "PRAGMA foreign_keys = OFF; DELETE FROM multi_head_projections")
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			database := copyStore(t)
			execute(t, database, hide)
			s := start(t, "--store="+database)
			want := expected(t, database, 1, sample(1), 3)
			execute(t, database, show)
			good, err := os.ReadFile(database)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, database)

			_, err = s.models(t).Reload(t.Context(), connect.NewRequest(&pb.ReloadRequest{}))
			wantReason(t, err, connect.CodeFailedPrecondition, "RELOAD_REFUSED")
			found, err := s.client(t).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1), K: pointer[int32](3)}))
			if err != nil {
				t.Fatal(err)
			}
			sameHits(t, found.Msg.Hits, want)
			if metric(t, s.url, "projection_reload_refused") != "1" {
				t.Error("no metric says that a reload was refused")
			}
			if !strings.Contains(s.log.String(), "reload refused") {
				t.Error("the log does not say that a reload was refused")
			}
			active, err := s.models(t).GetActiveModel(t.Context(), connect.NewRequest(&pb.GetActiveModelRequest{}))
			if err != nil || active.Msg.Model.Id != 1 || active.Msg.ReloadError == "" {
				t.Errorf("the active model is %v, %v", active, err)
			}
			response, err := http.Get(s.url + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			ready, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != 200 || !strings.Contains(string(ready), "refused") {
				t.Errorf("readiness is %d %q, expected ready with a warning", response.StatusCode, ready)
			}

			// What was repaired is taken.
			if err := os.WriteFile(database, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Dir(database)+"/again", os.DirFS(os.Getenv("SERVER_TEST_STORE"))); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"centroid", "answer"} {
				file := "mh_2_cluster_3_" + kind + ".npy"
				if err := os.Rename(filepath.Join(filepath.Dir(database), "again", folder, file), filepath.Join(filepath.Dir(database), folder, file)); err != nil {
					t.Fatal(err)
				}
			}
			repaired, err := s.models(t).Reload(t.Context(), connect.NewRequest(&pb.ReloadRequest{}))
			if err != nil || repaired.Msg.Model.Id != 2 {
				t.Fatalf("after the repair, the reload gave %v, %v", repaired, err)
			}
			if metric(t, s.url, "projection_reload_refused") != "0" {
				t.Error("the metric still says that the reload was refused")
			}
		})
	}
}

func truncate(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// The watch sees what leaves all counts and ids as they were.
func TestWatchSeesChangedContents(t *testing.T) {
	current := copyStore(t)
	folder := filepath.Dir(current)
	link, other := filepath.Join(folder, "link.db"), filepath.Join(folder, "other.db")
	if err := os.Symlink(current, link); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--store="+link, "--reload.watch=20ms")
	search := func() *pb.Hit {
		found, err := s.client(t).Search(t.Context(), connect.NewRequest(&pb.SearchRequest{Vector: sample(1), K: pointer[int32](1)}))
		if err != nil {
			t.Fatal(err)
		}
		return found.Msg.Hits[0]
	}
	first := search()
	execute(t, current, fmt.Sprintf("UPDATE answers SET text = upper(text) WHERE answer_id = %d", first.AnswerId))
	eventually(t, "the new text is found", func() bool { return search().Text != first.Text })

	// Another vector in the same file, which keeps its length and time.
	file := filepath.Join(folder, execute(t, current, fmt.Sprintf(
		"SELECT vector_path FROM embeddings WHERE entity_type = 'answer' AND entity_id = %d", first.AnswerId)))
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	vector, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The sign of each number is the highest bit of its last byte.
	for i := len(vector) - 384*4 + 3; i < len(vector); i += 4 {
		vector[i] ^= 0x80
	}
	if err := os.WriteFile(file, vector, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new vector is searched", func() bool { return search().AnswerId != first.AnswerId })

	content, err := os.ReadFile(current)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, content, 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, other, "UPDATE answers SET text = 'x' || text")
	if err := os.Symlink(other, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store that the link leads to now is searched", func() bool { return search().Text[0] == 'x' })
}

func TestWatch(t *testing.T) {
	database := copyStore(t)
	execute(t, database, hide)
	s := start(t, "--store="+database, "--reload.watch=20ms")
	active := func() int64 {
		response, err := s.models(t).GetActiveModel(t.Context(), connect.NewRequest(&pb.GetActiveModelRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return response.Msg.Model.Id
	}
	if id := active(); id != 1 {
		t.Fatalf("model %d is active, expected 1", id)
	}
	execute(t, database, show)
	eventually(t, "the new model is active", func() bool { return active() == 2 })

	// Another store put in its place.
	other := copyStore(t)
	execute(t, other, hide)
	if err := os.Rename(other, database); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new store's model is active", func() bool { return active() == 1 })

	// The query log is no reason to reload.
	generation := metric(t, s.url, "projection_model_generation")
	for range 5 {
		execute(t, database, "INSERT INTO query_log (query_text) VALUES ('x')")
	}
	eventually(t, "the watch has looked again", func() bool {
		execute(t, database, show)
		return active() == 2
	})
	var before, after int
	_ = json.Unmarshal([]byte(generation), &before)
	_ = json.Unmarshal([]byte(metric(t, s.url, "projection_model_generation")), &after)
	if after != before+1 {
		t.Errorf("generation %d after %d, expected one reload", after, before)
	}
}
