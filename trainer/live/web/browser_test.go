package web

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/browsertest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// until waits for a script to become true.
func until(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !browsertest.Read[bool](t, ctx, "Boolean("+script+")"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s stays false; the page says %q", script, browsertest.Read[string](t, ctx, "document.body.innerText"))
		}
	}
}

// inked counts the pixels of the training's line in a chart.
const inked = `(id => {
  const canvas = document.querySelector("#" + id + " canvas");
  if (!canvas) return 0;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const rgb = getComputedStyle(document.documentElement).getPropertyValue("--s0").trim().slice(1).match(/../g).map(hex => parseInt(hex, 16));
  let count = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 200 && rgb.every((v, k) => Math.abs(pixels[i + k] - v) < 24)) count++;
  return count;
})`

// gate is a hub whose training waits before each report until it is let on.
type gate struct {
	*live.Hub
	on chan struct{}
}

func (g gate) Epoch(r trainer.EpochReport) {
	g.Hub.Epoch(r)
	<-g.on
}

// A training in a real browser: its curves, cards, confusion matrix and samples come
// and change while it runs, and at its end there are its report and its test accuracy.
func TestTrainingInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	dir := t.TempDir()
	hub := gate{live.NewHub(filepath.Join(dir, "now"), "a device"), make(chan struct{})}
	l, _ := start(t, newServer(t, Options{Folder: dir, Hub: hub.Hub, Run: "now"}), "127.0.0.1:0")
	ctx, wrong := browsertest.Open(t, l.URL())
	browsertest.Do(t, ctx, chromedp.Navigate(l.URL()))
	until(t, ctx, `$("state").textContent.startsWith("Waiting")`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		trainRun(t, dir, "alternative", "now", hub, hub.Hub)
	}()
	until(t, ctx, `run.epochs.length == 1 && $("matrix").rows.length == 11`)
	browsertest.Settle(t, ctx)
	if state := browsertest.Read[string](t, ctx, `$("state").textContent`); state != "Training epoch 2 of 3" {
		t.Errorf("the state is %q", state)
	}
	ink := browsertest.Read[int](t, ctx, inked+`("chart-steps")`)
	matrix := browsertest.Read[string](t, ctx, `$("matrix").innerText`)
	samples := browsertest.Read[string](t, ctx, `$("samples").innerText`)
	shown := browsertest.Read[int](t, ctx, `document.querySelectorAll("#samples canvas").length`)
	if ink < 20 || shown != 20 {
		t.Errorf("after an epoch the curve has %d pixels, and there are %d samples, want some and 20", ink, shown)
	}
	browsertest.Keep(t, ctx, "training.png")
	hub.on <- struct{}{}
	until(t, ctx, `run.epochs.length == 2`)
	browsertest.Settle(t, ctx)
	now := browsertest.Read[int](t, ctx, inked+`("chart-steps")`)
	if now == ink || browsertest.Read[string](t, ctx, `$("matrix").innerText`) == matrix || browsertest.Read[string](t, ctx, `$("samples").innerText`) == samples {
		t.Errorf("after another epoch the curve has %d pixels as before, or the matrix or the samples are the same", now)
	}
	for _, part := range []string{"of 3\nepochs finished", "images/s", "loss of epoch 2", "best test accuracy"} {
		if cards := browsertest.Read[string](t, ctx, `$("cards").innerText`); !strings.Contains(cards, part) {
			t.Errorf("the cards are %q, want %q in them", cards, part)
		}
	}
	close(hub.on)
	<-done
	until(t, ctx, `run.end && !$("report-link").hidden && $("cards").innerText.includes("macro F1")`)
	if state := browsertest.Read[string](t, ctx, `$("state").textContent`); state != "Finished after 3 epochs" {
		t.Errorf("the state is %q", state)
	}
	browsertest.Do(t, ctx, chromedp.Click("#report-link"), chromedp.WaitVisible(".chart canvas"))
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// drawn draws the pixels of an image (28, 28) on the canvas with the page's own pen, a
// dot for each, dark ones first.
const drawn = `(bytes => {
  const side = 28, canvas = $("drawing"), box = canvas.getBoundingClientRect();
  $("brush").value = 14;
  const send = (type, i) => canvas.dispatchEvent(new PointerEvent(type, {clientX: box.left + (i % side + .5) / side * box.width, clientY: box.top + (Math.floor(i / side) + .5) / side * box.height, pointerId: 1}));
  [...atob(bytes)].map((c, i) => [c.charCodeAt(0), i]).filter(([v]) => v).sort((a, b) => a[0] - b[0]).forEach(([v, i]) => {
    $("shade").value = v;
    send("pointerdown", i), send("pointerup", i);
  });
})`

// uploaded chooses a file, as the user's dialog does.
const uploaded = `(bytes => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], "boot.png", {type: "image/png"}));
  $("file").files = files.files;
  $("file").dispatchEvent(new Event("change", {bubbles: true}));
})`

// An ankle boot of the test set is recognised when it is drawn and when it is uploaded,
// with a map of where the network sees it; another class's map can be had.
func TestClassifyInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	l, _ := start(t, newServer(t, Options{Folder: runs(t)}), "127.0.0.1:0")
	ctx, wrong := browsertest.Open(t, l.URL())
	browsertest.Do(t, ctx, chromedp.Navigate(l.URL()+"#classify:conv"), chromedp.WaitVisible("#drawing"))
	until(t, ctx, `document.querySelector("#view-classify .run-choice").value == "conv"`)
	pixels := base64.StdEncoding.EncodeToString(datasettest.Subset(t).Test.Image(0))
	loaded := `$("heat").complete && $("heat").naturalWidth == 224 && $("input").naturalWidth == 224 && !$("heat-box").hidden`
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("%s(%q)", drawn, pixels)))
	until(t, ctx, `$("verdict").textContent.startsWith("Ankle boot, ") && `+loaded)
	browsertest.Keep(t, ctx, "drawn.png")
	heat := browsertest.Read[string](t, ctx, `$("heat").src`)

	browsertest.Do(t, ctx, chromedp.Click("#classes li:nth-child(3) button"))
	until(t, ctx, `document.querySelector("#classes li:nth-child(3) button").getAttribute("aria-pressed") == "true"`)
	if browsertest.Read[string](t, ctx, `$("heat").src`) == heat {
		t.Error("the map of another class is the same")
	}

	browsertest.Do(t, ctx, chromedp.Click("#clear"))
	if said := browsertest.Read[string](t, ctx, `$("verdict").textContent`); said != "Nothing yet." {
		t.Errorf("cleared, it says %q", said)
	}
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("%s(%q)", uploaded, base64.StdEncoding.EncodeToString(boot(t, 5)))))
	until(t, ctx, `$("verdict").textContent.startsWith("Ankle boot, ") && `+loaded)
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}

	// A file that is no picture is refused in words, which the browser logs as well.
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("%s(%q)", uploaded, base64.StdEncoding.EncodeToString([]byte("no picture")))))
	until(t, ctx, `$("verdict").textContent.includes("not a PNG, JPEG, GIF or WebP picture")`)
}

// The comparison of runs: a line for each, which goes with its tick, and links to runs.
func TestRunsInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	l, _ := start(t, newServer(t, Options{Folder: runs(t)}), "127.0.0.1:0")
	ctx, wrong := browsertest.Open(t, l.URL())
	browsertest.Do(t, ctx, chromedp.Navigate(l.URL()+"#runs"), chromedp.WaitVisible("#chart-runs-loss canvas"))
	browsertest.Settle(t, ctx)
	label := `$("chart-runs-accuracy").getAttribute("aria-label")`
	if both := browsertest.Read[string](t, ctx, label); !strings.Contains(both, "conv: ") || !strings.Contains(both, "more/linear: ") {
		t.Errorf("the chart is labelled %q", both)
	}
	first := browsertest.Read[int](t, ctx, inked+`("chart-runs-accuracy")`)
	browsertest.Do(t, ctx, chromedp.Click("#runs tr:first-child input"))
	browsertest.Settle(t, ctx)
	if left := browsertest.Read[int](t, ctx, inked+`("chart-runs-accuracy")`); first < 20 || left != 0 {
		t.Errorf("the first run's line has %d pixels, and %d without its tick", first, left)
	}
	browsertest.Keep(t, ctx, "all-runs.png")
	browsertest.Do(t, ctx, chromedp.Click(`#runs a[href="#run:conv"]`), chromedp.WaitVisible("#chart-accuracy canvas"))
	until(t, ctx, `$("run-title").textContent == "conv" && $("state").textContent == "Finished after 3 epochs"`)
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// A page that shows a finished run shows how it goes on when it is resumed, and the keyboard's
// focus stays where it was in the list of runs.
func TestResumedInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	dir := runs(t)
	l, _ := start(t, newServer(t, Options{Folder: dir}), "127.0.0.1:0")
	ctx, wrong := browsertest.Open(t, l.URL())
	browsertest.Do(t, ctx, chromedp.Navigate(l.URL()+"#run:100%"), chromedp.WaitVisible("#view-run")) // cut off
	browsertest.Do(t, ctx, chromedp.Navigate(l.URL()+"#run:more%2Flinear"), chromedp.WaitVisible("#chart-accuracy canvas"))
	until(t, ctx, `$("state").textContent == "Finished after 3 epochs" && run.ended`)
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](`location.hash = "runs"`), chromedp.WaitVisible("#view-runs"))
	browsertest.Do(t, ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector('#runs tr[data-run="more/linear"] a').focus()`))
	run := filepath.Join(dir, "more", "linear")
	c, err := study.ReadArgs(run)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	c.Epochs = 4
	if _, err := study.Train(t.Context(), c, datasettest.Subset(t), backend, trainer.Options{Dir: run, Resume: true, NoPictures: true}); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `$("state").textContent == "Finished after 4 epochs" && $("runs").textContent.includes("4 of 4")`)
	if focused := browsertest.Read[string](t, ctx, `document.activeElement.getAttribute("href") || ""`); focused != "#run:more%2Flinear" {
		t.Errorf("the focus has gone to %q", focused)
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}

// On a phone nothing scrolls sideways, in the dark too, and all that can be read or
// used has a name.
func TestPhoneAndNames(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start: not under -short")
	}
	dir := runs(t)
	long := filepath.Join(dir, strings.Repeat("long_name", 20))
	if err := os.Rename(filepath.Join(dir, "conv"), long); err != nil {
		t.Fatal(err)
	}
	l, _ := start(t, newServer(t, Options{Folder: dir}), "127.0.0.1:0")
	ctx, wrong := browsertest.Open(t, l.URL())
	browsertest.Do(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)))
	for i, view := range []string{"run", "runs", "classify"} {
		browsertest.Scheme(t, ctx, []string{"dark", "light"}[i%2])
		browsertest.Do(t, ctx, chromedp.Navigate(l.URL()+"#"+view+":"+filepath.Base(long)), chromedp.WaitVisible("#view-"+view))
		until(t, ctx, `run?.end`)
		browsertest.Settle(t, ctx)
		if width := browsertest.Read[int](t, ctx, "document.documentElement.scrollWidth"); width != 390 {
			t.Errorf("%s: the page is %d pixels wide, want the phone's 390", view, width)
		}
		for what, script := range map[string]string{
			"pictures without a text":     `Array.from(document.images).filter(i => i.checkVisibility() && i.alt.length < 10).map(i => i.src)`,
			"charts without a name":       `Array.from(document.querySelectorAll("[role=img]")).filter(c => !c.getAttribute("aria-label")).map(c => c.outerHTML.slice(0, 80))`,
			"headers without a scope":     `Array.from(document.querySelectorAll("th")).filter(h => !h.scope).map(h => h.textContent)`,
			"regions without a name":      `Array.from(document.querySelectorAll("[role=region], section")).filter(r => !r.getAttribute("aria-label") && !document.getElementById(r.getAttribute("aria-labelledby"))?.textContent).map(r => r.outerHTML.slice(0, 80))`,
			"headings that skip a level":  `Array.from(document.querySelectorAll("h1, h2, h3")).filter(h => h.checkVisibility()).filter((h, i, all) => +h.tagName[1] > (i ? +all[i - 1].tagName[1] : 0) + 1).map(h => h.textContent)`,
			"buttons without a name":      `Array.from(document.querySelectorAll("button, a")).filter(b => !b.textContent).map(b => b.outerHTML.slice(0, 80))`,
			"inputs without a label":      `Array.from(document.querySelectorAll("input, select")).filter(i => !i.getAttribute("aria-label") && !i.labels.length).map(i => i.outerHTML)`,
			"scrolled boxes without keys": `Array.from(document.querySelectorAll(".wide")).filter(b => b.tabIndex != 0).map(b => b.className)`,
		} {
			if found := browsertest.Read[[]string](t, ctx, script); len(found) > 0 {
				t.Errorf("%s: %s: %q", view, what, found)
			}
		}
		browsertest.Keep(t, ctx, "serve-phone-"+view+".png")
	}
	if problems := wrong(); len(problems) > 0 {
		t.Errorf("in the browser: %v", problems)
	}
}
