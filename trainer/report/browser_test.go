package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// openBrowser returns the context of a headless Chromium, and what went wrong
// in its pages so far: requests to anywhere, exceptions, errors on the console.
// Without Chromium the test is skipped, or fails where FMNIST_REQUIRE_BROWSER
// is 1.
func openBrowser(t *testing.T) (context.Context, func() []string) {
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
	var lock sync.Mutex
	var wrong []string
	err := chromedp.Listen(ctx, func(event any) {
		lock.Lock()
		defer lock.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, "file:") && !strings.HasPrefix(url, "data:") {
				wrong = append(wrong, "a request to "+url)
			}
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
		case *runtime.EventConsoleAPICalled:
			wrong = append(wrong, fmt.Sprint("console: ", e.Type))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return ctx, func() []string {
		lock.Lock()
		defer lock.Unlock()
		return wrong
	}
}

// read evaluates a script.
func read[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// coloured counts, for each chart that is drawn, the pixels of the colours of
// its first two lines.
const coloured = `Array.from(document.querySelectorAll(".chart canvas"), canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const near = (i, rgb) => rgb.every((v, k) => Math.abs(pixels[i + k] - v) < 24);
  let counts = [0, 0];
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] < 200) continue;
    if (near(i, [0x00, 0x72, 0xB2])) counts[0]++;
    if (near(i, [0xD5, 0x5E, 0x00])) counts[1]++;
  }
  return counts;
})`

// broken lists the pictures that did not load.
const broken = `Array.from(document.images).filter(i => !(i.complete && i.naturalWidth > 100)).map(i => i.alt)`

// hover moves the mouse over the last epoch of the first chart, and legend
// reads the values shown below it.
const (
	hover = `(() => {
  const over = document.querySelector(".chart .u-over"), box = over.getBoundingClientRect();
  over.dispatchEvent(new MouseEvent("mousemove", {clientX: box.right - 2, clientY: box.top + box.height / 2, bubbles: true}));
})()`
	legend = `Array.from(document.querySelector(".chart").querySelectorAll(".u-legend .u-value"), v => v.textContent)`
)

// A run's page in a real browser: every chart has its lines, every picture is
// there, the legend tells the values under the mouse, and nothing is asked for
// from outside.
func TestRunInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	dir := filepath.Join(trainRuns(t), "alternative-seed1")
	path, _ := write(t, dir)
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"))
	pixels := read[[][]int](t, ctx, coloured)
	missing := read[[]string](t, ctx, broken)
	do(t, ctx, chromedp.Evaluate[chromedp.Void](hover), chromedp.Sleep(200*time.Millisecond))
	values := read[[]string](t, ctx, legend)
	keep(t, ctx, "run.png")
	if len(pixels) != 2 || pixels[0][0] < 50 || pixels[0][1] < 50 || pixels[1][0] < 50 || pixels[1][1] < 50 {
		t.Errorf("the charts' lines have %v pixels, want some of both lines in both charts", pixels)
	}
	if len(missing) > 0 {
		t.Errorf("pictures that did not load: %v", missing)
	}
	r, err := trainer.ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Epochs[1]
	if want := []string{"2", fmt.Sprintf("%.4f", last.TrainLoss), fmt.Sprintf("%.4f", last.ValLoss)}; fmt.Sprint(values) != fmt.Sprint(want) {
		t.Errorf("under the mouse the legend says %v, want %v", values, want)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// The page of several runs: their charts at once, those of a run in full when
// it is opened.
func TestRunsInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	path, _ := write(t, trainRuns(t))
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".group .chart canvas"))
	closed := read[[][]int](t, ctx, coloured)
	keep(t, ctx, "runs.png")
	do(t, ctx, chromedp.Click("details summary"), chromedp.WaitVisible("details .chart canvas"), chromedp.Sleep(200*time.Millisecond))
	opened := read[[][]int](t, ctx, coloured)
	if len(closed) != 2 || closed[0][0] < 50 || closed[0][1] < 50 {
		t.Errorf("the charts of the comparison have %v pixels of their lines, want some in both", closed)
	}
	if len(opened) != 4 || opened[2][0] < 50 || opened[3][1] < 50 {
		t.Errorf("with a run open the charts have %v pixels of their lines, want two more charts", opened)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// keep takes a screenshot and writes it to $FMNIST_SCREENSHOTS, for a person to
// look at.
func keep(t *testing.T, ctx context.Context, name string) {
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
