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

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
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
// its first two lines, and blue ones for the third.
const coloured = `Array.from(document.querySelectorAll(".chart canvas"), canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lines = ["--s0", "--s1", "--s2"].map(name => css(name).slice(1).match(/../g).map(hex => parseInt(hex, 16)));
  const counts = [0, 0, 0];
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3] < 200) continue;
    lines.forEach((rgb, l) => { if (rgb.every((v, k) => Math.abs(pixels[i + k] - v) < 24)) counts[l]++; });
  }
  return counts;
})`

// broken lists the pictures that did not load.
const broken = `Array.from(document.images).filter(i => !(i.complete && i.naturalWidth > 100)).map(i => i.alt)`

// hover moves the mouse over an epoch of the first chart, leave moves it away,
// and legend reads the values that the legend shows.
const (
	hover = `(() => {
  const over = document.querySelector(".chart .u-over"), box = over.getBoundingClientRect();
  over.dispatchEvent(new MouseEvent("mousemove", {clientX: box.right - 2, clientY: box.top + box.height / 2, bubbles: true}));
})()`
	leave  = `document.querySelector(".chart .u-over").dispatchEvent(new MouseEvent("mouseleave"))`
	legend = `Array.from(document.querySelector(".legend").querySelectorAll("caption, td"), v => v.textContent)`
)

// frames waits until the page has drawn what was asked of it.
const frames = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`

func settle(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](frames, chromedp.EvalAwaitPromise))
}

// A run's page in a real browser: every chart has its lines, every picture is
// there, the legend tells the best epoch's values and those under the mouse, and
// nothing is asked for from outside.
func TestRunInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	dir := filepath.Join(trainRuns(t), "alternative-seed1")
	path, _ := write(t, dir)
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"))
	settle(t, ctx)
	pixels := read[[][]int](t, ctx, coloured)
	missing := read[[]string](t, ctx, broken)
	before := read[[]string](t, ctx, legend)
	do(t, ctx, chromedp.Evaluate[chromedp.Void](hover))
	settle(t, ctx)
	under := read[[]string](t, ctx, legend)
	do(t, ctx, chromedp.Evaluate[chromedp.Void](leave))
	settle(t, ctx)
	after := read[[]string](t, ctx, legend)
	keep(t, ctx, "run.png")
	if len(pixels) != 3 || pixels[0][0] < 50 || pixels[0][1] < 50 || pixels[1][0] < 50 || pixels[1][1] < 50 || pixels[2][2] < 50 {
		t.Errorf("the charts' lines have %v pixels, want some of each line", pixels)
	}
	if len(missing) > 0 {
		t.Errorf("pictures that did not load: %v", missing)
	}
	r, err := study.ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	told := func(e trainer.EpochReport) string {
		title := fmt.Sprint("Epoch ", e.Epoch)
		if e.Epoch == r.BestEpoch() {
			title += " (best)"
		}
		return fmt.Sprintf("[%s %.4f %.2f %.4f %.2f]", title, e.TrainLoss, 100*e.TrainAccuracy, e.ValLoss, 100*e.ValAccuracy)
	}
	best := told(r.Epochs[r.BestEpoch()-1])
	if want := told(r.Epochs[1]); fmt.Sprint(under) != want {
		t.Errorf("under the mouse the legend says %v, want %v", under, want)
	}
	if fmt.Sprint(before) != best || fmt.Sprint(after) != best {
		t.Errorf("without the mouse the legend says %v, and %v later, want %v", before, after, best)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// The page of several runs: their charts at once, those of a run in full when
// it is opened. A recipe's line goes and comes with its tick.
func TestRunsInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	path, _ := write(t, trainRuns(t))
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".group .chart canvas"))
	settle(t, ctx)
	closed := read[[][]int](t, ctx, coloured)
	keep(t, ctx, "runs.png")
	do(t, ctx, chromedp.Click(".legend input"))
	settle(t, ctx)
	without := read[[][]int](t, ctx, coloured)
	do(t, ctx, chromedp.Click("details.run summary"), chromedp.WaitVisible("details.run .chart canvas"))
	settle(t, ctx)
	opened := read[[][]int](t, ctx, coloured)
	if len(closed) != 2 || closed[0][0] < 50 || closed[0][1] < 50 || closed[1][0] < 50 {
		t.Errorf("the charts of the comparison have %v pixels of their lines, want some in both", closed)
	}
	if len(without) != 2 || without[0][0] != 0 || without[1][0] != 0 || without[0][1] < 50 {
		t.Errorf("without the first recipe the charts have %v pixels of their lines, want none of the first", without)
	}
	if len(opened) != 5 || opened[2][0] < 50 || opened[3][1] < 50 || opened[4][2] < 50 {
		t.Errorf("with a run open the charts have %v pixels of their lines, want three more charts", opened)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// On a phone no page scrolls sideways, with everything open, and its pictures
// can be enlarged, by the keyboard too.
func TestPhone(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	dir := trainRuns(t)
	long := strings.Repeat("long_name", 20)
	if err := os.Rename(filepath.Join(dir, "alternative-seed1"), filepath.Join(dir, long)); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{".", long} {
		path, _ := write(t, filepath.Join(dir, name))
		do(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)),
			chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"),
			chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		settle(t, ctx)
		if width := read[int](t, ctx, "document.documentElement.scrollWidth"); width != 390 {
			t.Errorf("%s: the page is %d pixels wide, want the phone's 390", name, width)
		}
		keep(t, ctx, fmt.Sprintf("phone-%d.png", i))
	}
	shown := `document.getElementById("zoom").open ? document.querySelector("#zoom img").clientWidth : 0`
	do(t, ctx, chromedp.Focus("button.zoom"), chromedp.KeyEvent("\r"))
	settle(t, ctx)
	if width := read[int](t, ctx, shown); width < 2*390 {
		t.Errorf("the enlarged picture is %d pixels wide, want more than twice the phone", width)
	}
	keep(t, ctx, "phone-zoom.png")
	do(t, ctx, chromedp.KeyEvent("\u001b"))
	settle(t, ctx)
	if width := read[int](t, ctx, shown); width != 0 {
		t.Error("Escape does not close the enlarged picture")
	}
	if focused := read[string](t, ctx, "document.activeElement.className"); focused != "zoom" {
		t.Errorf("after closing, the focus is on %q, want the picture's button", focused)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// contrast computes that of two colours as WCAG defines it.
const contrast = `((a, b) => {
  const light = name => {
    const rgb = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
    const parts = (rgb.length == 3 ? rgb.match(/./g).map(c => c + c) : rgb.match(/../g)).map(c => parseInt(c, 16) / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
  };
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + .05) / (y + .05);
})`

// The page follows the system's dark mode, its charts at once when that changes,
// and all text and lines stay legible.
func TestDarkMode(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := openBrowser(t)
	path, _ := write(t, filepath.Join(trainRuns(t), "alternative-seed1"))
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"))
	for _, scheme := range []string{"dark", "light"} {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		settle(t, ctx)
		if pixels := read[[][]int](t, ctx, coloured); len(pixels) != 3 || pixels[0][0] < 50 || pixels[1][1] < 50 || pixels[2][2] < 50 {
			t.Errorf("%s: the charts' lines have %v pixels, want some of each", scheme, pixels)
		}
		background := read[string](t, ctx, "getComputedStyle(document.body).backgroundColor")
		if want := map[string]string{"dark": "rgb(13, 17, 23)", "light": "rgb(255, 255, 255)"}[scheme]; background != want {
			t.Errorf("%s: the page is %s, want %s", scheme, background, want)
		}
		for name, least := range map[string]float64{"--ink": 7, "--soft": 4.5, "--good": 4.5, "--bad": 4.5, "--s0": 3, "--s1": 3, "--s2": 3} {
			if got := read[float64](t, ctx, fmt.Sprintf("%s(%q, '--page')", contrast, name)); !(got >= least) {
				t.Errorf("%s: %s has a contrast of %.2f, want %v", scheme, name, got, least)
			}
		}
		keep(t, ctx, scheme+".png")
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// Screen readers find every picture's text, every table's headers and headings
// in order.
func TestAccessible(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, _ := openBrowser(t)
	path, _ := write(t, trainRuns(t))
	do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".group .chart canvas"))
	for what, script := range map[string]string{
		"pictures without a text":     `Array.from(document.images).filter(i => i.alt.length < 10).map(i => i.alt)`,
		"charts without a name":       `Array.from(document.querySelectorAll(".chart, svg[role=img]")).filter(c => !c.getAttribute("aria-label")).map(c => c.outerHTML)`,
		"tables without row headers":  `Array.from(document.querySelectorAll("tbody tr")).filter(r => !r.querySelector("th[scope=row]")).map(r => r.textContent)`,
		"headers without a scope":     `Array.from(document.querySelectorAll("th")).filter(h => !h.scope).map(h => h.textContent)`,
		"regions without a name":      `Array.from(document.querySelectorAll("[role=region], dialog")).filter(r => !r.getAttribute("aria-label")).map(r => r.outerHTML.slice(0, 80))`,
		"headings that skip a level":  `Array.from(document.querySelectorAll("h1, h2, h3")).filter((h, i, all) => +h.tagName[1] > (i ? +all[i - 1].tagName[1] : 0) + 1).map(h => h.textContent)`,
		"buttons without a name":      `Array.from(document.querySelectorAll("button")).filter(b => !b.title && !b.textContent).map(b => b.outerHTML.slice(0, 80))`,
		"inputs without a label":      `Array.from(document.querySelectorAll("input")).filter(i => !i.closest("label").textContent).map(i => i.outerHTML)`,
		"scrolled boxes without keys": `Array.from(document.querySelectorAll(".wide")).filter(b => b.tabIndex != 0).map(b => b.className)`,
	} {
		if found := read[[]string](t, ctx, script); len(found) > 0 {
			t.Errorf("%s: %q", what, found)
		}
	}
	if images, tables := read[int](t, ctx, "document.images.length"), read[int](t, ctx, "document.querySelectorAll('table').length"); images < 10 || tables < 10 {
		t.Errorf("%d pictures and %d tables, want the page of three runs", images, tables)
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
