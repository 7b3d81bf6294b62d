package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser starts a Chromium that reaches nothing but this machine, and fails the test for
// every error that the page reports.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if path := os.Getenv("SERVER_TEST_CHROMIUM"); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	var listeners sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		listeners.Wait()
	})
	exceptions, entries := chromedp.Events(ctx, runtime.ExceptionThrown), chromedp.Events(ctx, log.EntryAdded)
	listeners.Go(func() {
		for event, err := range exceptions {
			if err == nil {
				t.Errorf("the page failed: %s", event.ExceptionDetails.Text)
			}
		}
	})
	listeners.Go(func() {
		for event, err := range entries {
			// The answer 401 is expected where a token is asked for.
			if err == nil && event.Entry.Level == log.EntryLevelError && !strings.Contains(event.Entry.Text, "401") {
				t.Errorf("the browser reports: %s", event.Entry.Text)
			}
		}
	})
	return ctx
}

// do runs steps in the browser.
func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// get reads something from the page.
func get[T any](t *testing.T, ctx context.Context, what chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, what)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// screenshot writes a picture for people to the folder SERVER_TEST_SCREENSHOTS, if that is set.
func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if folder := os.Getenv("SERVER_TEST_SCREENSHOTS"); folder != "" {
		picture := get(t, ctx, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const question = "Can ten workers call the same loaded model simultaneously?"

func TestPage(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(s.url+"/"), chromedp.WaitVisible(`#question`))
	screenshot(t, ctx, "desktop-empty")
	do(t, ctx, chromedp.SendKeys(`#question`, question+"\r"), chromedp.WaitVisible(`#projected li`))
	screenshot(t, ctx, "desktop")
	text := func(selector string) string { return get(t, ctx, chromedp.Text(selector)) }
	count := func(script string) int { return get(t, ctx, chromedp.Evaluate[int](script)) }
	if model := text(`#model`); !strings.Contains(model, "Model 1 “faq” · residual · 50 heads · all-MiniLM-L6-v2 · 50 answers in memory") {
		t.Errorf("the model is %q", model)
	}
	if status := text(`#status`); !strings.Contains(status, "5 answers") {
		t.Errorf("the status is %q", status)
	}
	if heads, hits := count(`document.querySelectorAll("#routing tr").length`), count(`document.querySelectorAll("#projected li").length`); heads != 6 || hits != 5 {
		t.Errorf("%d heads and %d hits, expected 6 and 5", heads, hits)
	}
	if first, second := text(`#projected li:nth-child(1)`), text(`#projected li:nth-child(2)`); !strings.Contains(first, "Only one process") ||
		!strings.Contains(second, "up from rank 4") {
		t.Errorf("the first hits are %q and %q", first, second)
	}
	if plain := text(`#plain li:nth-child(1)`); !strings.Contains(plain, "Only one process") {
		t.Errorf("the first hit without projection is %q", plain)
	}
	if moved := text(`#moved`); !strings.Contains(moved, "17.8 degrees") {
		t.Errorf("the question was moved: %q", moved)
	}
	for _, width := range []int{1200, 360} {
		do(t, ctx, chromedp.EmulateViewport(int64(width), 740))
		if wide := count(`document.documentElement.scrollWidth`); wide > width {
			t.Errorf("the page is %d wide where %d is to be had", wide, width)
		}
	}
	screenshot(t, ctx, "phone")
}

// By keyboard alone, with what is in the texts shown as text.
func TestPageKeyboardAndMarkup(t *testing.T) {
	database := copyStore(t)
	execute(t, database, `UPDATE answers SET text = '<img src=x onerror="document.title=1"><b>bold</b>'`)
	s := start(t, "--store="+database, "--model=2", "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	ctx := browser(t)
	// The focus is in the field from the start; then the button, the list and the box follow.
	do(t, ctx, chromedp.Navigate(s.url+"/"), chromedp.WaitVisible(`#question`), chromedp.KeyEvent(question+"\t\t\t "))
	if focused := get(t, ctx, chromedp.Evaluate[string](`document.activeElement.id`)); focused != "hybrid" {
		t.Errorf("the keyboard led to %q, expected the box for words", focused)
	}
	do(t, ctx, chromedp.KeyEvent("\r"), chromedp.WaitVisible(`#projected li`))
	if text := get(t, ctx, chromedp.Text(`#projected li:first-child p`)); !strings.HasPrefix(text, "<img src=x") {
		t.Errorf("the text is %q", text)
	}
	if title := get(t, ctx, chromedp.Title()); title != "Semantic projection" {
		t.Errorf("the title is %q", title)
	}
	unnamed := get(t, ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("input, select")].filter((e) => e.labels.length === 0).length +
		[...document.querySelectorAll("button")].filter((e) => !e.textContent.trim()).length`))
	if unnamed != 0 {
		t.Errorf("%d controls have no name", unnamed)
	}
}

func TestPageAsksForToken(t *testing.T) {
	const token = "a-token-of-a-user"
	s := start(t, "--store="+copyStore(t), "--model=1", "--auth.tokens="+token, "--embedding-model-dir="+os.Getenv("SERVER_TEST_EMBEDDING_MODEL"))
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(s.url+"/"), chromedp.WaitVisible(`#token`), chromedp.SendKeys(`#token`, token),
		chromedp.SendKeys(`#question`, question+"\r"), chromedp.WaitVisible(`#projected li`))
}

func TestPageWithoutEmbeddingModel(t *testing.T) {
	s := start(t, "--store="+copyStore(t), "--model=1")
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(s.url+"/"), chromedp.WaitVisible(`#status.failed`))
	if status := get(t, ctx, chromedp.Text(`#status`)); !strings.Contains(status, "takes vectors only") {
		t.Errorf("the status is %q", status)
	}
}
