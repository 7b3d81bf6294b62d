package active

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Observer observes reloads.
type Observer interface {
	// Reloaded is called after each attempt; err is nil where it succeeded.
	Reloaded(current *Snapshot, err error)
	// Freed is called when the last request has let go of a snapshot that was replaced.
	Freed()
}

// Holder owns the current snapshot. It is safe for concurrent use.
type Holder struct {
	source   Source
	log      *slog.Logger
	observer Observer
	current  atomic.Pointer[Snapshot]
	refused  atomic.Pointer[string]

	// One reload at a time.
	mu         sync.Mutex
	generation int64

	// next is the reload that has not begun yet: whoever asks meanwhile gets its result.
	queue sync.Mutex
	next  *reload
}

type reload struct {
	done chan struct{}
	err  error
}

// Open loads the first snapshot.
func Open(source Source, log *slog.Logger, observer Observer) (*Holder, error) {
	h := &Holder{source: source, log: log, observer: observer}
	if err := h.Reload("start"); err != nil {
		return nil, err
	}
	return h, nil
}

// Acquire returns the current snapshot, which stays whole until its Release.
func (h *Holder) Acquire() *Snapshot {
	for {
		// Between the two steps a reload may have replaced and freed it; then there is a newer one.
		if s := h.current.Load(); s.pin() {
			return s
		}
	}
}

// Refused says why the latest reload failed, empty where it did not.
func (h *Holder) Refused() string {
	if message := h.refused.Load(); message != nil {
		return *message
	}
	return ""
}

// Reload reads the store anew and, where all is well, lets it answer. Otherwise the current
// snapshot stays. However many ask at once, the store is read at most twice: by the reload that is
// under way, which may have read it before they asked, and by one more for all of them.
func (h *Holder) Reload(reason string) error {
	h.queue.Lock()
	if next := h.next; next != nil {
		h.queue.Unlock()
		<-next.done
		return next.err
	}
	own := &reload{done: make(chan struct{})}
	h.next = own
	h.queue.Unlock()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue.Lock()
	h.next = nil
	h.queue.Unlock()
	defer close(own.done)
	own.err = h.load(reason)
	return own.err
}

// load is Reload, one at a time.
func (h *Holder) load(reason string) error {
	loaded, err := h.source.load(h.log)
	if err != nil {
		return h.refuse(reason, err)
	}
	h.generation++
	loaded.Generation = h.generation
	loaded.users.Store(1)
	loaded.freed = h.observer.Freed
	old := h.current.Swap(loaded)
	h.refused.Store(nil)
	h.observer.Reloaded(loaded, nil)
	h.log.Info("model loaded", "reason", reason, "model", loaded.Info.ID, "kind", loaded.Info.Kind.String(),
		"generation", loaded.Generation, "embedding_model", loaded.EmbeddingModel,
		"heads", loaded.Info.Heads, "answers", loaded.Searcher.Len())
	if old != nil {
		old.Release()
	}
	return nil
}

func (h *Holder) refuse(reason string, err error) error {
	message := err.Error()
	// A watched store that stays broken is tried again and again, and says so once.
	if before := h.Refused(); before != message {
		if s := h.current.Load(); s != nil {
			h.log.Error("reload refused, the old model goes on answering", "reason", reason, "error", message,
				"model", s.Info.ID, "generation", s.Generation)
		}
	}
	h.refused.Store(&message)
	h.observer.Reloaded(h.current.Load(), err)
	return err
}

// Watch looks for changes of the store until ctx ends. A reload that was refused is tried
// again each time: files may still be on their way.
func (h *Holder) Watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		fingerprint, err := h.source.fingerprint()
		if err == nil && h.Refused() == "" && fingerprint == h.current.Load().fingerprint {
			continue
		}
		// Its error is in the log, and asks for no more.
		_ = h.Reload("watch")
	}
}

// Close frees the current snapshot once its requests are done. Nobody may Acquire any more.
func (h *Holder) Close() {
	h.current.Load().Release()
}
