// Package metrics computes the metrics of an evaluation from the true labels and
// the predicted probabilities, and writes them.
package metrics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/integrate"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// Metrics is the content of metrics.json. [Compute] fills what follows from
// the predictions, up to ConfusionMatrix but for Protocol; the rest is for the
// caller to fill.
type Metrics struct {
	// Protocol says on which images the best epoch was selected: "val" or
	// "test"; "none" where the last epoch's weights were taken without an
	// evaluation, "unknown" for weights of another program.
	Protocol string `json:"protocol"`
	Images   int    `json:"images"` // that were evaluated, of the test set

	Accuracy float64 `json:"accuracy"` // fraction
	Loss     float64 `json:"loss"`     // mean cross-entropy, nats
	// Top2Accuracy is the share of images whose class has one of the two largest
	// probabilities; of equal ones, the lower class comes first.
	Top2Accuracy float64 `json:"top2_accuracy"`
	// ExpectedCalibrationError is the mean absolute difference between mean
	// probability and accuracy in 15 equal bins of the largest probability,
	// weighted by the number of images (Naeini et al. 2015; Guo et al. 2017).
	ExpectedCalibrationError float64 `json:"expected_calibration_error"`

	PerClass []ClassMetrics `json:"per_class"`
	Macro    Average        `json:"macro"`    // mean over all classes, those without images and predictions included, as 0
	Micro    Average        `json:"micro"`    // over all decisions pooled; all three equal the accuracy
	Weighted Average        `json:"weighted"` // mean weighted by support

	// ConfusionMatrix counts images; rows are true classes, columns predicted ones.
	ConfusionMatrix [][]int `json:"confusion_matrix"`

	Parameters      int     `json:"parameters"`
	ModelBytes      int64   `json:"model_bytes"`
	FLOPsPerImage   int     `json:"flops_per_image"`             // multiplications and additions of classifying one
	TrainingSeconds float64 `json:"training_seconds,omitempty"`  // absent in an evaluation alone
	ImagesPerSecond float64 `json:"images_per_second,omitempty"` // in training; of classifying in an evaluation alone
	// SecondsToWeights is the time from the program's start until the last epoch's
	// weights were on the disk: all that a training takes but the test. It is absent
	// unless the program trained this run alone and without an interruption.
	SecondsToWeights      float64 `json:"seconds_to_weights,omitempty"`
	PeakDeviceMemoryBytes int64   `json:"peak_device_memory_bytes"`
	PeakHostMemoryBytes   int64   `json:"peak_host_memory_bytes,omitempty"` // absent where the system does not tell
}

// mostBytes is the largest metrics.json that is read: those of 256 classes with the longest
// names have less. In memory, empty parts take fifty times their bytes.
const mostBytes = 2 << 20

// Read reads a metrics.json. The error names the file.
func Read(path string) (*Metrics, error) {
	text, err := limitedfile.Read(path, mostBytes)
	if err != nil {
		return nil, err
	}
	m := new(Metrics)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return m, nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It refuses metrics whose parts have
// different numbers of classes, or more than there can be.
func (m *Metrics) UnmarshalJSON(text []byte) error {
	type plain Metrics
	if err := json.Unmarshal(text, (*plain)(m)); err != nil {
		return err
	}
	if n := max(len(m.ConfusionMatrix), len(m.PerClass)); n > mostClasses {
		return fmt.Errorf("it has %d classes: want at most %d", n, mostClasses)
	}
	if n := len(m.ConfusionMatrix); !IsSquare(m.ConfusionMatrix) || n > 0 && len(m.PerClass) != n {
		return fmt.Errorf("the confusion matrix does not fit %d classes", len(m.PerClass))
	}
	return nil
}

// IsSquare reports whether each row of a matrix has as many columns as there are rows.
func IsSquare(matrix [][]int) bool {
	return !slices.ContainsFunc(matrix, func(row []int) bool { return len(row) != len(matrix) })
}

// Average holds precision, recall and F1 averaged over the classes.
type Average struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// ClassMetrics describes the decisions about one class against all others. An
// undefined quotient, 0/0, is 0, as with scikit-learn's zero_division=0.
type ClassMetrics struct {
	Name      string  `json:"name"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int     `json:"support"` // number of images of the class
	// AUC is the area under the ROC curve, nil if all images, or none, are of the class.
	AUC *float64 `json:"auc"`
}

// Compute evaluates predictions: labels (N), probabilities (N, classes). classes are
// the classes' names. It returns an error if there are no predictions, the lengths
// differ, a label is no class, or a probability is outside [0, 1] by more than
// rounding.
func Compute(labels []byte, probabilities []float32, classes []string) (*Metrics, error) {
	if err := check(labels, probabilities, len(classes)); err != nil {
		return nil, err
	}
	m := &Metrics{Images: len(labels), Loss: crossEntropy(labels, probabilities), Top2Accuracy: topAccuracy(labels, probabilities, 2),
		ExpectedCalibrationError: calibrationError(Calibration(labels, probabilities))}
	for range classes {
		m.ConfusionMatrix = append(m.ConfusionMatrix, make([]int, len(classes)))
	}
	for i, label := range labels {
		m.ConfusionMatrix[label][Predicted(row(labels, probabilities, i))]++
	}
	correct := 0
	for c, name := range classes {
		m.PerClass = append(m.PerClass, m.class(c, name))
		if area := AUC(labels, probabilities, c); !math.IsNaN(area) {
			m.PerClass[c].AUC = &area
		}
		correct += m.ConfusionMatrix[c][c]
	}
	n := float64(len(labels))
	m.Accuracy = float64(correct) / n
	m.Micro = Average{m.Accuracy, m.Accuracy, m.Accuracy}
	m.Macro = m.average(func(ClassMetrics) int { return 1 })
	m.Weighted = m.average(func(c ClassMetrics) int { return c.Support })
	return m, nil
}

// roundedUp is how far above 1 the rounding of a softmax may lift a probability.
const roundedUp = 1e-5

func check(labels []byte, probabilities []float32, classes int) error {
	if len(labels) == 0 || classes == 0 || len(probabilities) != len(labels)*classes {
		return fmt.Errorf("metrics: %d probabilities for %d labels and %d classes, want one for each label and class", len(probabilities), len(labels), classes)
	}
	for i, label := range labels {
		if int(label) >= classes {
			return fmt.Errorf("metrics: image %d has label %d, want 0 to %d", i, label, classes-1)
		}
		for c, p := range row(labels, probabilities, i) {
			if !(p >= 0 && p <= 1+roundedUp) { // NaN too
				return fmt.Errorf("metrics: image %d has probability %v of class %d", i, p, c)
			}
		}
	}
	return nil
}

// row returns the probabilities of image i.
func row(labels []byte, probabilities []float32, i int) []float32 {
	classes := len(probabilities) / len(labels)
	return probabilities[i*classes : (i+1)*classes]
}

// Predicted returns the class with the largest probability, the first of equals.
func Predicted(p []float32) int {
	best := 0
	for c, x := range p {
		if x > p[best] {
			best = c
		}
	}
	return best
}

// crossEntropy returns the mean of −ln p(label). A probability of 0 counts as the
// smallest positive float32, 2⁻¹⁴⁹.
func crossEntropy(labels []byte, probabilities []float32) float64 {
	var sum float64
	for i, label := range labels {
		p := max(float64(row(labels, probabilities, i)[label]), math.SmallestNonzeroFloat32)
		sum -= math.Log(p)
	}
	return sum / float64(len(labels))
}

// topAccuracy returns the share of images whose class has one of the k largest
// probabilities.
func topAccuracy(labels []byte, probabilities []float32, k int) float64 {
	hits := 0
	for i, label := range labels {
		p, before := row(labels, probabilities, i), 0
		for c, x := range p {
			if x > p[label] || (x == p[label] && c < int(label)) {
				before++
			}
		}
		if before < k {
			hits++
		}
	}
	return float64(hits) / float64(len(labels))
}

// calibrationBins is the usual number of equally wide bins of confidence.
const calibrationBins = 15

// Bin is the part of the images whose confidence, the probability of the
// predicted class, is above Low and at most High.
type Bin struct {
	Low, High  float64
	Images     int
	Confidence float64 // mean; 0 without images
	Accuracy   float64 // share of right answers; 0 without images
}

// Calibration sorts images by their confidence into equally wide bins of
// [0, 1], the lowest first. The arguments are as of [Compute].
func Calibration(labels []byte, probabilities []float32) []Bin {
	bins := make([]Bin, calibrationBins)
	for b := range bins {
		bins[b].Low, bins[b].High = float64(b)/calibrationBins, float64(b+1)/calibrationBins
	}
	for i, label := range labels {
		p := row(labels, probabilities, i)
		best := Predicted(p)
		b := &bins[max(0, min(calibrationBins-1, int(math.Ceil(float64(p[best])*calibrationBins))-1))]
		b.Images++
		b.Confidence += float64(p[best])
		if best == int(label) {
			b.Accuracy++
		}
	}
	for b := range bins {
		n := float64(max(1, bins[b].Images))
		bins[b].Confidence /= n
		bins[b].Accuracy /= n
	}
	return bins
}

func calibrationError(bins []Bin) float64 {
	sum, images := 0., 0
	for _, b := range bins {
		sum += float64(b.Images) * math.Abs(b.Confidence-b.Accuracy)
		images += b.Images
	}
	return sum / float64(images)
}

// class computes the metrics of class c, except the AUC, from the confusion
// matrix.
func (m *Metrics) class(c int, name string) ClassMetrics {
	var support, predicted int
	for other := range m.ConfusionMatrix {
		support += m.ConfusionMatrix[c][other]
		predicted += m.ConfusionMatrix[other][c]
	}
	correct := m.ConfusionMatrix[c][c]
	return ClassMetrics{
		Name:      name,
		Precision: ratio(correct, predicted),
		Recall:    ratio(correct, support),
		F1:        ratio(2*correct, predicted+support),
		Support:   support,
	}
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// average returns the weighted mean of the metrics of all classes. It divides
// once: rounding then cannot lift the mean of fractions above 1.
func (m *Metrics) average(weight func(ClassMetrics) int) (a Average) {
	sum := 0.
	for _, c := range m.PerClass {
		w := float64(weight(c))
		sum += w
		a.Precision += w * c.Precision
		a.Recall += w * c.Recall
		a.F1 += w * c.F1
	}
	return Average{a.Precision / sum, a.Recall / sum, a.F1 / sum}
}

// ROC returns the receiver operating characteristic of a class against all
// others, both rates ascending from 0 to 1. Equal probabilities make one
// straight segment, and points within horizontal and vertical segments are left
// out. It returns nil where all images, or none, are of the class. The arguments
// are as of [Compute].
func ROC(labels []byte, probabilities []float32, class int) (falsePositive, truePositive []float64) {
	decisions := make([]decision, len(labels))
	for i, label := range labels {
		decisions[i] = decision{row(labels, probabilities, i)[class], int(label) == class}
	}
	return roc(decisions)
}

// MicroROC returns the [ROC] of the decisions about all classes pooled.
func MicroROC(labels []byte, probabilities []float32) (falsePositive, truePositive []float64) {
	decisions := make([]decision, 0, len(probabilities))
	for i, label := range labels {
		for class, p := range row(labels, probabilities, i) {
			decisions = append(decisions, decision{p, class == int(label)})
		}
	}
	return roc(decisions)
}

// MacroROC returns the mean over the classes of their true positive rates at
// each false positive rate: the area under it is the mean of their AUCs.
// Classes that have no [ROC] do not count; it returns nil where none has.
func MacroROC(labels []byte, probabilities []float32) (falsePositive, truePositive []float64) {
	type curve struct{ x, y []float64 }
	var curves []curve
	var rates []float64
	for class := range len(probabilities) / len(labels) {
		if x, y := ROC(labels, probabilities, class); x != nil {
			curves, rates = append(curves, curve{x, y}), append(rates, x...)
		}
	}
	slices.Sort(rates)
	for _, rate := range slices.Compact(rates) {
		var low, high float64 // of the mean's vertical step at this rate
		for _, c := range curves {
			l, h := heights(c.x, c.y, rate)
			low, high = low+l/float64(len(curves)), high+h/float64(len(curves))
		}
		falsePositive, truePositive = append(falsePositive, rate, rate), append(truePositive, low, high)
	}
	return falsePositive, truePositive
}

// heights returns the lowest and the highest y of an ascending curve at x.
func heights(xs, ys []float64, x float64) (low, high float64) {
	first, found := slices.BinarySearch(xs, x)
	if !found {
		part := (x - xs[first-1]) / (xs[first] - xs[first-1])
		y := ys[first-1] + part*(ys[first]-ys[first-1])
		return y, y
	}
	last, _ := slices.BinarySearchFunc(xs, x, func(e, target float64) int {
		if e <= target {
			return -1
		}
		return 1
	})
	return ys[first], ys[last-1]
}

// decision is a score for a class, and whether the class is the true one.
type decision struct {
	score    float32
	positive bool
}

// roc sorts decisions and returns their characteristic, nil unless there are
// positive and negative ones. It keeps the ends and corners only: with many classes
// nearly all points lie within segments, and a class with 100 of 10,000 images has at
// most 202 corners.
func roc(decisions []decision) (falsePositive, truePositive []float64) {
	slices.SortFunc(decisions, func(a, b decision) int { return cmp.Compare(b.score, a.score) })
	positives := 0
	for _, d := range decisions {
		if d.positive {
			positives++
		}
	}
	negatives := len(decisions) - positives
	if positives == 0 || negatives == 0 {
		return nil, nil
	}
	xs, ys, right := []float64{0}, []float64{0}, 0
	for i, d := range decisions {
		if d.positive {
			right++
		}
		if i+1 < len(decisions) && decisions[i+1].score == d.score {
			continue
		}
		x, y := float64(i+1-right)/float64(negatives), float64(right)/float64(positives)
		if n := len(xs); n > 1 && (xs[n-2] == x || ys[n-2] == y) {
			xs, ys = xs[:n-1], ys[:n-1]
		}
		xs, ys = append(xs, x), append(ys, y)
	}
	return xs, ys
}

// AUC returns the area under [ROC]: the probability that an image of the class
// gets a higher one than another image, equal ones counted half. It is NaN
// if all images, or none, are of the class.
func AUC(labels []byte, probabilities []float32, class int) float64 {
	falsePositive, truePositive := ROC(labels, probabilities, class)
	if falsePositive == nil {
		return math.NaN()
	}
	return Area(falsePositive, truePositive)
}

// Area returns the area under a curve of [ROC], [MicroROC] or [MacroROC], 0
// under one that is nil.
func Area(falsePositive, truePositive []float64) float64 {
	if falsePositive == nil {
		return 0
	}
	return integrate.Trapezoidal(falsePositive, truePositive)
}

// Write writes m as indented JSON to path, completely or not at all.
func (m *Metrics) Write(path string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'))
}
