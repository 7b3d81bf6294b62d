package active

import (
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unifyweaver/projection/bindings/go/server/internal/store"
)

type counter struct{ loads atomic.Int64 }

func (c *counter) Reloaded(*Snapshot, error) { c.loads.Add(1) }
func (c *counter) Freed()                    {}

func TestReloadsAreShared(t *testing.T) {
	loads := &counter{}
	missing := store.New(filepath.Join(t.TempDir(), "missing.db"))
	h := &Holder{source: Source{Store: missing}, log: slog.New(slog.DiscardHandler), observer: loads}
	// While a load is under way, all others wait for one that comes after it.
	h.mu.Lock()
	var waiting sync.WaitGroup
	var asked atomic.Int64
	for range 40 {
		waiting.Go(func() {
			asked.Add(1)
			if err := h.Reload("test"); err == nil {
				t.Error("a store that does not exist was loaded")
			}
		})
	}
	for {
		h.queue.Lock()
		queued := h.next != nil
		h.queue.Unlock()
		if queued && asked.Load() == 40 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	// All have asked; the last of them get a moment to join the queue.
	time.Sleep(100 * time.Millisecond)
	h.mu.Unlock()
	waiting.Wait()
	if found := loads.loads.Load(); found < 1 || found > 20 {
		t.Errorf("40 requests made %d loads", found)
	}
}
