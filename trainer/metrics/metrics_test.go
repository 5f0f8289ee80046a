package metrics

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reference is a case of testdata/sklearn.json.
type reference struct {
	Labels        []int
	SixtyFourths  [][]int `json:"sixty_fourths"`
	Accuracy      float64
	Loss          float64
	Top2          float64
	Calibration   float64
	Confusion     [][]int `json:"confusion_matrix"`
	Precision     []float64
	Recall        []float64
	F1            []float64
	Support       []int
	AUC           []float64
	MicroAUC      float64 `json:"micro_auc"`
	MacroAUC      float64 `json:"macro_auc"`
	Macro         []float64
	Micro         []float64
	Weighted      []float64
	labels        []byte
	probabilities []float32
}

// names returns the names of n classes.
func names(n int) []string {
	list := make([]string, n)
	for c := range list {
		list[c] = fmt.Sprint("class ", c)
	}
	return list
}

func (r *reference) compute(t *testing.T) *Metrics {
	t.Helper()
	m, err := Compute(r.labels, r.probabilities, names(len(r.Confusion)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func references(t *testing.T) map[string]*reference {
	t.Helper()
	b, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]*reference{}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, r := range cases {
		for i, row := range r.SixtyFourths {
			r.labels = append(r.labels, byte(r.Labels[i]))
			for _, n := range row {
				r.probabilities = append(r.probabilities, float32(n)/64)
			}
		}
	}
	if len(cases) != 4 {
		t.Fatalf("%d cases, want 4", len(cases))
	}
	return cases
}

func TestComputeAgainstScikitLearn(t *testing.T) {
	for name, r := range references(t) {
		m := r.compute(t)
		near := func(what string, got, want float64) {
			t.Helper()
			if !(math.Abs(got-want) <= 1e-9) {
				t.Errorf("%s: %s %v, want %v", name, what, got, want)
			}
		}
		nearAverage := func(what string, got Average, want []float64) {
			t.Helper()
			near(what+" precision", got.Precision, want[0])
			near(what+" recall", got.Recall, want[1])
			near(what+" F1", got.F1, want[2])
		}
		near("accuracy", m.Accuracy, r.Accuracy)
		near("loss", m.Loss, r.Loss)
		near("top-2 accuracy", m.Top2Accuracy, r.Top2)
		near("calibration error", m.ExpectedCalibrationError, r.Calibration)
		near("area under the micro curve", Area(MicroROC(r.labels, r.probabilities)), r.MicroAUC)
		near("area under the macro curve", Area(MacroROC(r.labels, r.probabilities)), r.MacroAUC)
		nearAverage("macro", m.Macro, r.Macro)
		nearAverage("micro", m.Micro, r.Micro)
		nearAverage("weighted", m.Weighted, r.Weighted)
		if !reflect.DeepEqual(m.ConfusionMatrix, r.Confusion) {
			t.Errorf("%s: confusion matrix %v, want %v", name, m.ConfusionMatrix, r.Confusion)
		}
		if len(m.PerClass) != len(r.AUC) {
			t.Errorf("%s: metrics of %d classes, want %d", name, len(m.PerClass), len(r.AUC))
		}
		for c, got := range m.PerClass {
			near(fmt.Sprint("precision of ", c), got.Precision, r.Precision[c])
			near(fmt.Sprint("recall of ", c), got.Recall, r.Recall[c])
			near(fmt.Sprint("F1 of ", c), got.F1, r.F1[c])
			if got.Support != r.Support[c] {
				t.Errorf("%s: support of %d is %d, want %d", name, c, got.Support, r.Support[c])
			}
			if undefined := got.Support == 0 || got.Support == m.Images; undefined != (got.AUC == nil) {
				t.Errorf("%s: AUC of %d is %v, with %d of %d images", name, c, got.AUC, got.Support, m.Images)
			}
			if got.AUC != nil {
				near(fmt.Sprint("AUC of ", c), *got.AUC, r.AUC[c])
			}
		}
	}
}

// TestAUCIsTheRankStatistic compares with the definition, pair by pair.
func TestAUCIsTheRankStatistic(t *testing.T) {
	r := references(t)["ordinary"]
	for class := range r.Confusion {
		var sum, pairs float64
		for i, a := range r.labels {
			for j, b := range r.labels {
				if int(a) != class || int(b) == class {
					continue
				}
				pairs++
				switch p, q := row(r.labels, r.probabilities, i)[class], row(r.labels, r.probabilities, j)[class]; {
				case p > q:
					sum++
				case p == q:
					sum += .5
				}
			}
		}
		if got, want := AUC(r.labels, r.probabilities, class), sum/pairs; !(math.Abs(got-want) <= 1e-12) {
			t.Errorf("class %d: AUC %v, want %v", class, got, want)
		}
	}
}

func TestROC(t *testing.T) {
	const classes = 8
	// Class 1 in order of probability: + − (+ −) −, the middle two equal.
	labels := []byte{1, 0, 1, 2, 0}
	p := make([]float32, len(labels)*classes)
	for i, x := range []float32{.9, .8, .5, .5, .1} {
		p[i*classes+1] = x
	}
	fpr, tpr := ROC(labels, p, 1)
	for i, want := range [][2]float64{{0, 0}, {0, .5}, {1. / 3, .5}, {2. / 3, 1}, {1, 1}} {
		if i >= len(fpr) || len(fpr) != 5 || !(math.Abs(fpr[i]-want[0]) <= 1e-12) || !(math.Abs(tpr[i]-want[1]) <= 1e-12) {
			t.Fatalf("false positive rates %v, true %v", fpr, tpr)
		}
	}
	if fpr, tpr := ROC(labels, p, 7); fpr != nil || tpr != nil {
		t.Errorf("a class without images has the curve %v %v", fpr, tpr)
	}
}

// The bins are half open, and what they hold is counted once.
func TestCalibration(t *testing.T) {
	labels := []byte{0, 0, 0, 0}
	p := make([]float32, 2*len(labels))
	for i, x := range []float32{1, .95, .3, .5} {
		p[2*i], p[2*i+1] = x, 1-x // .3 and .7: class 1, which is wrong
	}
	bins := Calibration(labels, p)
	for b, want := range map[int]Bin{
		14: {14. / 15, 1, 2, .975, 1},
		10: {10. / 15, 11. / 15, 1, .7, 0},
		7:  {7. / 15, 8. / 15, 1, .5, 1},
		3:  {3. / 15, 4. / 15, 0, 0, 0},
	} {
		got := bins[b]
		if got.Images != want.Images || got.Low != want.Low || got.High != want.High ||
			!(math.Abs(got.Confidence-want.Confidence) <= 1e-7) || got.Accuracy != want.Accuracy {
			t.Errorf("bin %d is %+v, want %+v", b, got, want)
		}
	}
	if want := (2*.025 + .7 + .5) / 4; !(math.Abs(calibrationError(bins)-want) <= 1e-7) {
		t.Errorf("error %v, want %v", calibrationError(bins), want)
	}
}

// Averages leave out the classes that do not occur.
func TestMacroROCWithoutAClass(t *testing.T) {
	r := references(t)["ordinary"]
	var labels []byte
	var p []float32
	for i, label := range r.labels {
		if label < 2 {
			labels, p = append(labels, label), append(p, row(r.labels, r.probabilities, i)...)
		}
	}
	want := (AUC(labels, p, 0) + AUC(labels, p, 1)) / 2
	if got := Area(MacroROC(labels, p)); !(math.Abs(got-want) <= 1e-12) {
		t.Errorf("area %v, want %v", got, want)
	}
	if x, y := MacroROC(labels[:1], p[:10]); x != nil || y != nil {
		t.Errorf("one image has the curve %v %v", x, y)
	}
}

func TestUndefined(t *testing.T) {
	p := make([]float32, 6)
	p[4] = 1
	m, err := Compute([]byte{4}, p, names(6))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.PerClass[4]; got != (ClassMetrics{"class 4", 1, 1, 1, 1, nil}) {
		t.Errorf("class 4: %+v", got)
	}
	if got := m.PerClass[5]; got != (ClassMetrics{Name: "class 5"}) {
		t.Errorf("class 5: %+v", got)
	}
	if m.Loss != 0 {
		t.Errorf("loss %v, want 0", m.Loss)
	}
	m, err = Compute([]byte{5}, p, names(6))
	if err != nil {
		t.Fatal(err)
	}
	if want := 149 * math.Ln2; !(math.Abs(m.Loss-want) <= 1e-9) {
		t.Errorf("loss of probability 0 is %v, want %v", m.Loss, want)
	}
}

func TestComputeRefuses(t *testing.T) {
	with := func(x float32) []float32 {
		p := make([]float32, 2*10)
		p[13] = x
		return p
	}
	for name, c := range map[string]struct {
		labels        []byte
		probabilities []float32
	}{
		"nothing":  {nil, nil},
		"lengths":  {[]byte{1, 2}, with(1)[:19]},
		"label":    {[]byte{1, 10}, with(1)},
		"NaN":      {[]byte{1, 2}, with(float32(math.NaN()))},
		"negative": {[]byte{1, 2}, with(-.1)},
		"above 1":  {[]byte{1, 2}, with(1.5)},
	} {
		if _, err := Compute(c.labels, c.probabilities, names(10)); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := WritePredictions(filepath.Join(t.TempDir(), "f"), nil, c.labels, c.probabilities); err == nil {
			t.Errorf("%s: no error from WritePredictions", name)
		}
	}
	for _, n := range []int{0, 9, 11, 20} {
		if _, err := Compute([]byte{1, 2}, with(1), names(n)); err == nil {
			t.Errorf("probabilities of 10 classes pass for those of %d", n)
		}
	}
}

// Any class has one of the two largest of two probabilities.
func TestTwoClasses(t *testing.T) {
	m, err := Compute([]byte{0, 1, 1, 0}, []float32{.9, .1, .8, .2, .5, .5, .3, .7}, []string{"cat", "dog"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Top2Accuracy != 1 || m.Accuracy != .25 {
		t.Errorf("top-2 accuracy %v, accuracy %v, want 1 and .25", m.Top2Accuracy, m.Accuracy)
	}
	if want := [][]int{{1, 1}, {2, 0}}; !reflect.DeepEqual(m.ConfusionMatrix, want) {
		t.Errorf("confusion matrix %v, want %v", m.ConfusionMatrix, want)
	}
	// The classes' decisions mirror each other.
	if cat, dog := *m.PerClass[0].AUC, *m.PerClass[1].AUC; !(math.Abs(cat-dog) <= 1e-12) || !(math.Abs(cat-.5) <= 1e-12) {
		t.Errorf("areas %v and %v, want 1/2", cat, dog)
	}
}

func TestWrite(t *testing.T) {
	m := references(t)["ordinary"].compute(t)
	m.Protocol, m.Parameters = "val", 7850
	if text, err := json.Marshal(m); err != nil || strings.Contains(string(text), "training_seconds") {
		t.Errorf("metrics of an evaluation alone have a training time (%v):\n%s", err, text)
	}
	m.TrainingSeconds, m.ImagesPerSecond, m.PeakHostMemoryBytes = 1, 2, 3
	path := filepath.Join(t.TempDir(), "metrics.json")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Metrics
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, m) {
		t.Errorf("read back %+v (%v), want %+v", back, err, m)
	}
	var keys map[string]any
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	var got []string
	for k := range keys {
		got = append(got, k)
	}
	slices.Sort(got)
	want := []string{"accuracy", "confusion_matrix", "expected_calibration_error", "flops_per_image", "images", "images_per_second", "loss", "macro", "micro", "model_bytes",
		"parameters", "peak_device_memory_bytes", "peak_host_memory_bytes", "per_class", "protocol", "top2_accuracy", "training_seconds", "weighted"}
	if !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
}

func TestWritePredictions(t *testing.T) {
	labels := []byte{3, 9}
	p := make([]float32, 2*10)
	p[3], p[4] = .7, .3
	p[10], p[19] = 1-1e-7, 1e-7
	dir := t.TempDir()
	all, wrong := filepath.Join(dir, "predictions.csv"), filepath.Join(dir, "misclassified.csv")
	if err := WritePredictions(all, nil, labels, p); err != nil {
		t.Fatal(err)
	}
	if err := WriteMisclassified(wrong, nil, labels, p, []string{"b/1.png", "c/2.png"}); err != nil {
		t.Fatal(err)
	}
	some := filepath.Join(dir, "some.csv")
	if err := WritePredictions(some, []int{7, 40}, labels, p); err != nil {
		t.Fatal(err)
	}
	if records := readCSV(t, some); records[1][0] != "7" || records[2][0] != "40" {
		t.Errorf("indices %s and %s, want 7 and 40", records[1][0], records[2][0])
	}
	if err := WritePredictions(some, []int{7}, labels, p); err == nil {
		t.Error("no error from one index for two images")
	}
	records := readCSV(t, all)
	want := []string{"index", "label", "predicted", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"}
	if len(records) != 3 || !slices.Equal(records[0], want) {
		t.Fatalf("records %v", records)
	}
	for i, record := range records[1:] {
		if got, want := record[:3], [][]string{{"0", "3", "3"}, {"1", "9", "0"}}[i]; !slices.Equal(got, want) {
			t.Errorf("row %d starts %v, want %v", i, got, want)
		}
		for c, text := range record[3:] {
			if got, err := strconv.ParseFloat(text, 32); err != nil || float32(got) != p[i*10+c] {
				t.Errorf("row %d, class %d: %s is not %v", i, c, text, p[i*10+c])
			}
		}
	}
	if got := readCSV(t, wrong); !reflect.DeepEqual(got, [][]string{append(records[0], "file"), append(records[2], "c/2.png")}) {
		t.Errorf("misclassified %v", got)
	}
	if err := WriteMisclassified(wrong, nil, labels, p, []string{"c/2.png"}); err == nil {
		t.Error("no error from one file for two images")
	}
}

// The averages of perfect predictions are 1, not more by rounding.
func TestPerfectAverages(t *testing.T) {
	for classes := 2; classes < 60; classes++ {
		labels, p, names := make([]byte, classes), make([]float32, classes*classes), make([]string, classes)
		for c := range classes {
			labels[c], p[c*classes+c], names[c] = byte(c), 1, fmt.Sprint(c)
		}
		m, err := Compute(labels, p, names)
		if err != nil {
			t.Fatal(err)
		}
		if one := (Average{1, 1, 1}); m.Macro != one || m.Weighted != one {
			t.Errorf("%d classes: %v and %v, want 1", classes, m.Macro, m.Weighted)
		}
	}
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// What WritePredictions has written is read back; a file without probabilities
// is read too, and a wrong one is refused by its line.
func TestReadPredictions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "predictions.csv")
	for name, r := range references(t) {
		if err := WritePredictions(path, nil, r.labels, r.probabilities); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPredictions(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Labels, r.labels) || !slices.Equal(got.Probabilities, r.probabilities) {
			t.Errorf("%s: other labels or probabilities are read back", name)
		}
		for i, class := range got.Predicted {
			if want := Predicted(row(r.labels, r.probabilities, i)); int(class) != want {
				t.Errorf("%s: image %d is read back as %d, want %d", name, i, class, want)
			}
		}
	}
	for text, want := range map[string]string{
		"index,label,predicted\n0,3,4\n":   "",
		"index,label,predicted\n0,255,4\n": "",
		"index,label,predicted" + strings.Repeat(",p", 257) + "\n0,3,4" + strings.Repeat(",0", 257) + "\n": "line 1: probabilities of 257 classes",
		"index,label,predicted\n0,3,256\n":                                                        "line 2: classes",
		"index,label,predicted,p0,p1\n0,0,2,.5,.5\n":                                              "line 2: classes",
		"index,label,predicted,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n0,3,4,0,0,0,0,NaN,0,0,0,0,0\n":      "line 2: probability",
		"index,label,predicted,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n0,3,4,0,0,0,0,1.5,0,0,0,0,0\n":      "line 2: probability",
		"index,label,predicted,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n0,3,4,0,0,0,0,high,0,0,0,0,0\n":     "line 2: probability",
		"index,class,predicted,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n0,3,4,0,0,0,0,1,0,0,0,0,0\n":        "want a header",
		"index,label,predicted,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n0,3,4,0,0,0,0,1,0,0,0,0,0\n1,2,3\n": "wrong number of fields",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		p, err := ReadPredictions(path)
		if want == "" && (err != nil || p.Probabilities != nil || p.Predicted[0] != 4) {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Curves begin at 0 and end at 1 exactly, for any number of images: their mean
// over the classes is taken between the points of each.
func TestROCEnds(t *testing.T) {
	for n := 2; n < 300; n++ {
		labels, probabilities := make([]byte, n), make([]float32, n*10)
		for i := range labels {
			labels[i] = byte(i % 3)
		}
		for i := range probabilities {
			probabilities[i] = float32((i*7919)%1009) / 1009
		}
		x, y := ROC(labels, probabilities, 0)
		if x[0] != 0 || y[0] != 0 || x[len(x)-1] != 1 || y[len(y)-1] != 1 {
			t.Fatalf("%d images: from (%v, %v) to (%v, %v)", n, x[0], y[0], x[len(x)-1], y[len(y)-1])
		}
		MacroROC(labels, probabilities)
	}
}
