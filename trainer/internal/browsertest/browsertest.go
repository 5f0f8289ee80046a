// Package browsertest helps to test pages in a real browser.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Open returns the context of a headless Chromium, and what went wrong in its pages so
// far: requests to anywhere but files and the given origins, exceptions, and messages on
// the console.
// Without Chromium the test is skipped, or fails where FMNIST_REQUIRE_BROWSER
// is 1.
func Open(t *testing.T, origins ...string) (context.Context, func() []string) {
	t.Helper()
	found := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			found = path
			break
		}
	}
	if found == "" {
		if os.Getenv("FMNIST_REQUIRE_BROWSER") == "1" {
			t.Fatal("FMNIST_REQUIRE_BROWSER is 1, and there is no Chromium")
		}
		t.Skip("needs Chromium")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(found), chromedp.WindowSize(1200, 900)}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which Chromium refuses to root
	}
	ctx, cancel := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(options...))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	allowed := append([]string{"file:", "data:", "blob:"}, origins...)
	var lock sync.Mutex
	var wrong []string
	err := chromedp.Listen(ctx, func(event any) {
		lock.Lock()
		defer lock.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !slices.ContainsFunc(allowed, func(start string) bool { return strings.HasPrefix(e.Request.URL, start) }) {
				wrong = append(wrong, "a request to "+e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
		case *runtime.EventConsoleAPICalled:
			wrong = append(wrong, fmt.Sprint("console: ", e.Type))
		case *log.EventEntryAdded: // what the browser itself says, as of a policy that was broken
			if e.Entry.Level == log.EntryLevelError {
				wrong = append(wrong, fmt.Sprint("log: ", e.Entry.Text, " ", e.Entry.URL))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return ctx, func() []string {
		lock.Lock()
		defer lock.Unlock()
		return wrong
	}
}

// Read evaluates a script.
func Read[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Do performs steps one after the other.
func Do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// frames waits for two frames.
const frames = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`

// Settle waits until the page has drawn what was asked of it.
func Settle(t *testing.T, ctx context.Context) {
	t.Helper()
	Do(t, ctx, chromedp.Evaluate[chromedp.Void](frames, chromedp.EvalAwaitPromise))
}

// Scheme makes the page "dark" or "light".
func Scheme(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}); err != nil {
		t.Fatal(err)
	}
	Settle(t, ctx)
}

// Keep takes a screenshot and writes it to $FMNIST_SCREENSHOTS, for a person to
// look at.
func Keep(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if len(png) < 10_000 {
		t.Errorf("the screenshot %s has %d bytes: it is empty", name, len(png))
	}
	if dir := os.Getenv("FMNIST_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), png, 0o666); err != nil {
			t.Error(err)
		}
	}
}
