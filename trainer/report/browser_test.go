package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/browsertest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

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

// A run's page in a real browser: every chart has its lines, every picture is
// there, the legend tells the best epoch's values and those under the mouse, and
// nothing is asked for from outside.
func TestRunInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	ctx, wrong := browsertest.Open(t)
	dir := filepath.Join(trainRuns(t), "alternative-seed1")
	path, _ := write(t, dir)
	browsertest.Do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"))
	browsertest.Settle(t, ctx)
	pixels := browsertest.Read[[][]int](t, ctx, coloured)
	missing := browsertest.Read[[]string](t, ctx, broken)
	before := browsertest.Read[[]string](t, ctx, legend)
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](hover))
	browsertest.Settle(t, ctx)
	under := browsertest.Read[[]string](t, ctx, legend)
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](leave))
	browsertest.Settle(t, ctx)
	after := browsertest.Read[[]string](t, ctx, legend)
	browsertest.Keep(t, ctx, "run.png")
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
	ctx, wrong := browsertest.Open(t)
	path, _ := write(t, trainRuns(t))
	browsertest.Do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".group .chart canvas"))
	browsertest.Settle(t, ctx)
	closed := browsertest.Read[[][]int](t, ctx, coloured)
	browsertest.Keep(t, ctx, "runs.png")
	browsertest.Do(t, ctx, chromedp.Click(".legend input"))
	browsertest.Settle(t, ctx)
	without := browsertest.Read[[][]int](t, ctx, coloured)
	browsertest.Do(t, ctx, chromedp.Click("details.run summary"), chromedp.WaitVisible("details.run .chart canvas"))
	browsertest.Settle(t, ctx)
	opened := browsertest.Read[[][]int](t, ctx, coloured)
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
	ctx, wrong := browsertest.Open(t)
	dir := trainRuns(t)
	long := strings.Repeat("long_name", 20)
	if err := os.Rename(filepath.Join(dir, "alternative-seed1"), filepath.Join(dir, long)); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{".", long} {
		path, _ := write(t, filepath.Join(dir, name))
		browsertest.Do(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)),
			chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"),
			chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
		browsertest.Settle(t, ctx)
		if width := browsertest.Read[int](t, ctx, "document.documentElement.scrollWidth"); width != 390 {
			t.Errorf("%s: the page is %d pixels wide, want the phone's 390", name, width)
		}
		browsertest.Keep(t, ctx, fmt.Sprintf("phone-%d.png", i))
	}
	shown := `document.getElementById("zoom").open ? document.querySelector("#zoom img").clientWidth : 0`
	browsertest.Do(t, ctx, chromedp.Focus("button.zoom"), chromedp.KeyEvent("\r"))
	browsertest.Settle(t, ctx)
	if width := browsertest.Read[int](t, ctx, shown); width < 2*390 {
		t.Errorf("the enlarged picture is %d pixels wide, want more than twice the phone", width)
	}
	browsertest.Keep(t, ctx, "phone-zoom.png")
	browsertest.Do(t, ctx, chromedp.KeyEvent("\u001b"))
	browsertest.Settle(t, ctx)
	if width := browsertest.Read[int](t, ctx, shown); width != 0 {
		t.Error("Escape does not close the enlarged picture")
	}
	if focused := browsertest.Read[string](t, ctx, "document.activeElement.className"); focused != "zoom" {
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
	ctx, wrong := browsertest.Open(t)
	path, _ := write(t, filepath.Join(trainRuns(t), "alternative-seed1"))
	browsertest.Do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".chart canvas"))
	for _, scheme := range []string{"dark", "light"} {
		browsertest.Scheme(t, ctx, scheme)
		if pixels := browsertest.Read[[][]int](t, ctx, coloured); len(pixels) != 3 || pixels[0][0] < 50 || pixels[1][1] < 50 || pixels[2][2] < 50 {
			t.Errorf("%s: the charts' lines have %v pixels, want some of each", scheme, pixels)
		}
		background := browsertest.Read[string](t, ctx, "getComputedStyle(document.body).backgroundColor")
		if want := map[string]string{"dark": "rgb(13, 17, 23)", "light": "rgb(255, 255, 255)"}[scheme]; background != want {
			t.Errorf("%s: the page is %s, want %s", scheme, background, want)
		}
		for name, least := range map[string]float64{"--ink": 7, "--soft": 4.5, "--good": 4.5, "--bad": 4.5, "--s0": 3, "--s1": 3, "--s2": 3} {
			if got := browsertest.Read[float64](t, ctx, fmt.Sprintf("%s(%q, '--page')", contrast, name)); !(got >= least) {
				t.Errorf("%s: %s has a contrast of %.2f, want %v", scheme, name, got, least)
			}
		}
		browsertest.Keep(t, ctx, scheme+".png")
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
	ctx, _ := browsertest.Open(t)
	path, _ := write(t, trainRuns(t))
	browsertest.Do(t, ctx, chromedp.Navigate("file://"+path), chromedp.WaitVisible(".group .chart canvas"))
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
		if found := browsertest.Read[[]string](t, ctx, script); len(found) > 0 {
			t.Errorf("%s: %q", what, found)
		}
	}
	if images, tables := browsertest.Read[int](t, ctx, "document.images.length"), browsertest.Read[int](t, ctx, "document.querySelectorAll('table').length"); images < 10 || tables < 10 {
		t.Errorf("%d pictures and %d tables, want the page of three runs", images, tables)
	}
}
