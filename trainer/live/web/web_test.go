package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// trained is the folder of the runs that all tests copy; "" before the first.
var trained struct {
	once sync.Once
	dir  string
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(trained.dir)
	os.Exit(code)
}

func openCPU() (kernels.Backend, error) { return cpuref.Open(cpuref.Options{Threads: 1}) }

// runs returns a folder of the test's own with a finished run of a convolutional
// network, "conv", and in the folder "more" one of logistic regression, "more/linear".
func runs(t testing.TB) string {
	t.Helper()
	trained.once.Do(func() {
		source, err := os.MkdirTemp("", "web")
		if err != nil {
			t.Fatal(err)
		}
		trained.dir = source
		trainRun(t, source, "alternative", "conv", nil, nil)
		trainRun(t, filepath.Join(source, "more"), "logistic", "linear", nil, nil)
	})
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(trained.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// trainRun trains for three epochs into the folder out/name. It tells the hub, unless
// that is nil, how the training ended.
func trainRun(t testing.TB, out, network, name string, progress trainer.Progress, hub *live.Hub) {
	t.Helper()
	backend, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	c := study.DefaultConfig()
	c.Model, c.Epochs, c.SelectOn, c.Out, c.Name = network, 3, "test", out, name
	o := trainer.Options{Dir: filepath.Join(out, name), Progress: progress, NoPictures: true}
	result, err := study.Train(context.Background(), c, datasettest.Subset(t), backend, o)
	if err == nil {
		_, err = report.Write(o.Dir, "")
	}
	if hub != nil {
		hub.End(result, err)
	}
	if err != nil {
		t.Error(err)
	}
}

// newServer returns a server of the folder.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	if o.OpenBackend == nil {
		o.OpenBackend = openCPU
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start serves on a free port until stop is called.
func start(t *testing.T, s *Server, address string) (l *Listener, stop func() error) {
	t.Helper()
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, s) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	return l, stop
}

// ask performs a request without a network and returns the answer.
func ask(h http.Handler, method, target string, body io.Reader, change ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, target, body)
	r.Host = "localhost:8601"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// boot returns the first test image, an ankle boot, as a PNG of its own size or larger.
func boot(t testing.TB, scale int) []byte {
	t.Helper()
	small := datasettest.Subset(t).Test.Picture(0)
	large := image.NewGray(image.Rect(0, 0, scale*small.Bounds().Dx(), scale*small.Bounds().Dy()))
	for y := range large.Rect.Dy() {
		for x := range large.Rect.Dx() {
			large.Set(x, y, small.At(x/scale, y/scale))
		}
	}
	return encoded(t, large)
}

func encoded(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The page, its style and its script weigh less than 100 kB, and name nothing outside.
func TestPage(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	total := 0
	for target, kind := range map[string]string{"/": "text/html", "/style.css": "text/css", "/app.js": "text/javascript", "/icon.svg": "image/svg+xml"} {
		r := ask(s, "GET", target, nil)
		content := text(t, r)
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: status %d of type %s, want 200 of %s", target, r.StatusCode, r.Header.Get("Content-Type"), kind)
		}
		total += len(content)
		content = strings.ReplaceAll(content, "http://www.w3.org/2000/svg", "")
		content = strings.ReplaceAll(content, "https://github.com/leeoniya/uPlot", "")
		if strings.Contains(content, "http://") || strings.Contains(content, "https://") {
			t.Errorf("%s names an address outside", target)
		}
		again := ask(s, "GET", target, nil, func(q *http.Request) { q.Header.Set("If-None-Match", r.Header.Get("ETag")) })
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: asked again, status %d, want 304", target, again.StatusCode)
		}
	}
	if total >= 100_000 {
		t.Errorf("the page weighs %d bytes, want less than 100,000", total)
	}
	t.Logf("the page weighs %d bytes", total)
	for _, target := range []string{"/other", "/api/", "/page.html", "/assets/app.js"} {
		if r := ask(s, "GET", target, nil); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, r.StatusCode)
		}
	}
}

func TestRuns(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: dir})
	for range 2 { // the second time from what is known
		var list runList
		if err := json.NewDecoder(ask(s, "GET", "/api/runs", nil).Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		if len(list.Runs) != 2 || len(list.Experiments) != 1 || list.Experiments[0].Name != "more" || list.Live != "" || !list.Classifies {
			t.Fatalf("the list is %+v", list)
		}
		for _, r := range list.Runs {
			want := map[string]string{"conv": "alternative", "more/linear": "logistic"}[r.Name]
			read, err := study.ReadRun(filepath.Join(dir, r.Name))
			if err != nil {
				t.Fatal(err)
			}
			if r.Network != want || r.State != "finished" || r.Done != 3 || r.Epochs != 3 || !r.Report || !r.Weights || r.Error != "" || len(r.Curve.Epoch) != 3 ||
				*r.Test != read.Metrics.Accuracy || *r.Best != read.Epochs[read.BestEpoch()-1].ValAccuracy || *r.Curve.ValAccuracy[2] != read.Epochs[2].ValAccuracy {
				t.Errorf("the run %s is listed as %+v", r.Name, r)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conv", trainer.ResultsFile), []byte("\"\x00"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "more", "linear", trainer.MetricsFile)); err != nil {
		t.Fatal(err)
	}
	var list runList
	if err := json.NewDecoder(ask(s, "GET", "/api/runs", nil).Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list.Runs {
		if damaged := r.Name == "conv"; damaged != (r.Error != "") || (r.State == "unfinished") == damaged {
			t.Errorf("after the damage, the run %s is listed as %+v", r.Name, r)
		}
	}
}

// An experiment's title is read again when its file changes, and only then.
func TestExperimentTitle(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: dir})
	path := filepath.Join(dir, "more", study.ExperimentFile)
	write := func(name string, changed time.Time) {
		if err := errors.Join(os.WriteFile(path, []byte("name: "+name+"\n"), 0o666), os.Chtimes(path, changed, changed)); err != nil {
			t.Fatal(err)
		}
	}
	title := func() string {
		list, err := s.list()
		if err != nil || len(list.Experiments) != 1 {
			t.Fatalf("the list is %+v (%v)", list, err)
		}
		return list.Experiments[0].Title
	}
	now := time.Now()
	write("rates", now)
	if got := title(); got != "rates" {
		t.Errorf("the title is %q, want rates", got)
	}
	write("seeds", now)
	if got := title(); got != "rates" {
		t.Errorf("the title of an unchanged file is %q, want what is known, rates", got)
	}
	write("seeds", now.Add(time.Second))
	if got := title(); got != "seeds" {
		t.Errorf("the title of the changed file is %q, want seeds", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := title(); got != "" {
		t.Errorf("without the file, the title is %q", got)
	}
}

// A folder that is itself a run shows that run.
func TestFolderIsRun(t *testing.T) {
	s := newServer(t, Options{Folder: filepath.Join(runs(t), "conv")})
	var list runList
	if err := json.NewDecoder(ask(s, "GET", "/api/runs", nil).Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list.Runs) != 1 || list.Runs[0].Name != "." || len(list.Experiments) != 0 {
		t.Errorf("the list is %+v", list)
	}
	if r := ask(s, "GET", "/report?run=.", nil); r.StatusCode != http.StatusOK {
		t.Errorf("its report: status %d", r.StatusCode)
	}
}

func TestNoFolder(t *testing.T) {
	if _, err := New(Options{Folder: filepath.Join(t.TempDir(), "absent")}); !errors.Is(err, trainer.ErrUsage) {
		t.Errorf("%v, want ErrUsage", err)
	}
}

func classifyPNG(t *testing.T, s *Server, query string, file []byte) (classified, int) {
	t.Helper()
	r := ask(s, "POST", "/api/classify?"+query, bytes.NewReader(file))
	var c classified
	if r.StatusCode == http.StatusOK {
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Fatal(err)
		}
	}
	return c, r.StatusCode
}

// fromURL decodes a data URL.
func fromURL(t *testing.T, url string) image.Image {
	t.Helper()
	file, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(url, "data:image/png;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A picture is classified as the run's model does it, whether small, large, or dark on
// light; another class can be explained.
func TestClassify(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: dir})
	backend, err := openCPU()
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	m, err := trainer.Load(filepath.Join(dir, "conv"), backend)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Predict(datasettest.Subset(t).Test.Picture(0))
	if err != nil {
		t.Fatal(err)
	}
	if want.Best().Class != "Ankle boot" {
		t.Fatalf("the model says %v of an ankle boot", want)
	}
	small, _ := classifyPNG(t, s, "run=conv", boot(t, 1))
	for i, p := range small.Predictions {
		if p.Label != want[i].Label || !(math.Abs(float64(p.Probability-want[i].Probability)) < 1e-5) {
			t.Errorf("prediction %d is %v, want %v", i, p, want[i])
		}
	}
	if small.Run != "conv" || small.Network != "alternative" || small.Epoch != m.Origin.Epoch || small.Explained != "Ankle boot" {
		t.Errorf("the answer is %+v", small)
	}
	large, _ := classifyPNG(t, s, "run=conv", boot(t, 10))
	if large.Predictions.Best().Class != "Ankle boot" {
		t.Errorf("enlarged it is %v", large.Predictions)
	}
	for name, url := range map[string]string{"input": small.Input, "heat": small.Heat} {
		if size := fromURL(t, url).Bounds(); size.Dx() != shownSize || size.Dy() != shownSize {
			t.Errorf("the %s has the size %v", name, size)
		}
	}
	other, _ := classifyPNG(t, s, "run=conv&label=0", boot(t, 1))
	if other.Explained != "T-shirt/top" || other.Heat == small.Heat || other.Predictions.Best() != small.Predictions.Best() {
		t.Errorf("for another class it explains %s", other.Explained)
	}
	linear, _ := classifyPNG(t, s, "run=more/linear", boot(t, 1))
	if linear.Heat != "" || linear.Network != "logistic" || len(linear.Predictions) != 10 {
		t.Errorf("a network without convolutions: %+v", linear)
	}
}

// New weights are used at once, and a run without weights says so.
func TestNewWeights(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: dir})
	run := filepath.Join(dir, "conv")
	if err := os.Remove(filepath.Join(run, trainer.MetricsFile)); err != nil { // it is being trained
		t.Fatal(err)
	}
	before, _ := classifyPNG(t, s, "run=conv", boot(t, 1))
	weights, err := os.ReadFile(filepath.Join(dir, "more", "linear", trainer.LastWeights))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, trainer.LastWeights), weights, 0o666); err != nil {
		t.Fatal(err)
	}
	after, _ := classifyPNG(t, s, "run=conv", boot(t, 1))
	if before.Network != "alternative" || after.Network != "logistic" {
		t.Errorf("before %s, after %s", before.Network, after.Network)
	}
	if err := os.Remove(filepath.Join(run, trainer.LastWeights)); err != nil {
		t.Fatal(err)
	}
	if _, status := classifyPNG(t, s, "run=conv", boot(t, 1)); status != http.StatusConflict {
		t.Errorf("without weights: status %d, want 409", status)
	}
}

func TestClassifyErrors(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	for _, c := range []struct {
		query string
		file  []byte
		want  int
	}{
		{"run=conv", nil, http.StatusUnprocessableEntity},
		{"run=conv", []byte("no picture"), http.StatusUnprocessableEntity},
		{"run=conv", boot(t, 1)[:100], http.StatusUnprocessableEntity},
		{"run=conv&label=x", boot(t, 1), http.StatusBadRequest},
		{"run=conv&label=-1", boot(t, 1), http.StatusBadRequest},
		{"run=conv&label=10", boot(t, 1), http.StatusBadRequest},
		{"run=absent", boot(t, 1), http.StatusNotFound},
		{"", boot(t, 1), http.StatusNotFound},
	} {
		if _, status := classifyPNG(t, s, c.query, c.file); status != c.want {
			t.Errorf("%q with %d bytes: status %d, want %d", c.query, len(c.file), status, c.want)
		}
	}
	if r := ask(s, "GET", "/api/classify?run=conv", nil); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", r.StatusCode)
	}
}

// A server without a backend does not classify, and says so in its list.
func TestClassifyNot(t *testing.T) {
	s, err := New(Options{Folder: runs(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, status := classifyPNG(t, s, "run=conv", boot(t, 1)); status != http.StatusNotFound {
		t.Errorf("status %d, want 404", status)
	}
	if list := text(t, ask(s, "GET", "/api/runs", nil)); !strings.Contains(list, `"classifies":false`) {
		t.Errorf("the list is %s", list)
	}
}

// The events of a finished run are those of its folder.
func TestEventsOfFolder(t *testing.T) {
	dir := runs(t)
	l, _ := start(t, newServer(t, Options{Folder: dir}), "127.0.0.1:0")
	next, err := live.Follow(t.Context(), l.URL()+"api/events?run=conv")
	if err != nil {
		t.Fatal(err)
	}
	var got []live.Event
	for e := range next {
		got = append(got, e)
	}
	want, err := live.Replay(filepath.Join(dir, "conv"))
	if err != nil {
		t.Fatal(err)
	}
	a, err1 := json.Marshal(got)
	b, err2 := json.Marshal(want)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the events are %s, want %s (%v)", a, b, err)
	}
	if _, err := live.Follow(t.Context(), l.URL()+"api/events?run=absent"); err == nil || !strings.Contains(err.Error(), `there is no run \"absent\"`) {
		t.Errorf("of an absent run: %v", err)
	}
}

// A page that comes in the middle of a training gets the history, then what follows.
func TestEventsOfTraining(t *testing.T) {
	dir := t.TempDir()
	hub := live.NewHub(filepath.Join(dir, "now"), "a device")
	l, _ := start(t, newServer(t, Options{Folder: dir, Hub: hub, Run: "now"}), "127.0.0.1:0")
	recipe := trainer.DefaultRecipe()
	hub.Start(trainer.Summary{Recipe: recipe, TrainImages: 100, StepsPerEpoch: 2, FirstEpoch: 1})
	hub.Step(trainer.StepReport{Epoch: 1, ImagesDone: 64, Images: 100, Loss: 2, NewImages: 64, ImagesPerSecond: 1})
	next, err := live.Follow(t.Context(), l.URL()+"api/events?run=now")
	if err != nil {
		t.Fatal(err)
	}
	types := []string{(<-next).Type, (<-next).Type}
	hub.Epoch(trainer.EpochReport{Epoch: 1, ValLoss: math.NaN(), ValAccuracy: math.NaN()})
	types = append(types, (<-next).Type)
	hub.End(nil, trainer.ErrInterrupted)
	for e := range next {
		types = append(types, e.Type)
	}
	if fmt.Sprint(types) != "[start step epoch end]" {
		t.Errorf("the events are %v", types)
	}
}

// A report is served in a sandbox, with what it needs and no more.
func TestReport(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: dir})
	want, err := os.ReadFile(filepath.Join(dir, "conv", report.File))
	if err != nil {
		t.Fatal(err)
	}
	r := ask(newGuard(s, "", loopbackAddress, ""), "GET", "/report?run=conv", nil)
	if r.StatusCode != http.StatusOK || text(t, r) != string(want) {
		t.Errorf("status %d, want the file", r.StatusCode)
	}
	if policy := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "sandbox allow-scripts;") || strings.Contains(policy, "allow-same-origin") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("its policy is %q", policy)
	}
	if r := ask(s, "GET", "/report?run=more", nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("a folder without a report: status %d, want 404", r.StatusCode)
	}
}

// grey returns a picture of one shade.
func grey(side int, shade byte) image.Image {
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i := range img.Pix {
		img.Pix[i] = shade
	}
	img.Set(side/2, side/2, color.Gray{255 - shade})
	return img
}

// BenchmarkStep measures what a report of a training's progress costs while a page
// follows, the receiving program included.
func BenchmarkStep(b *testing.B) {
	hub := live.NewHub("", "")
	s, err := New(Options{Folder: b.TempDir(), Hub: hub, Run: "now"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, s) }()
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe(), TrainImages: 100, StepsPerEpoch: 100})
	next, err := live.Follow(ctx, l.URL()+"api/events?run=now")
	if err != nil {
		b.Fatal(err)
	}
	<-next
	for i := 0; b.Loop(); i++ {
		hub.Step(trainer.StepReport{Epoch: 1, ImagesDone: i, Images: 100, Loss: 1, NewImages: 1, ImagesPerSecond: 1})
		<-next
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
