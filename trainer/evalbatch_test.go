package trainer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// estimator is a device that takes launch for a section and image for each of its images.
type estimator struct {
	kernels.Backend
	launch, image time.Duration
	memory        int64
	fails         int // batch size that cannot be estimated
}

func (e estimator) DeviceMemory() int64 { return e.memory }

func (e estimator) Estimate(p *kernels.Plan, section string) (time.Duration, error) {
	var batch int
	if _, err := fmt.Sscanf(section, "eval/%d", &batch); err != nil || p.Find(section) == nil {
		return 0, fmt.Errorf("no section %q", section)
	}
	if batch == e.fails {
		return 0, errors.New("unknown")
	}
	return e.launch + time.Duration(batch)*e.image, nil
}

func TestEvaluationBatch(t *testing.T) {
	const large = 80 << 30
	for _, c := range []struct {
		name   string
		on     kernels.Backend
		counts []int
		want   []int
	}{
		{"no estimator", nil, []int{5000, 10000}, []int{100}},
		{"nothing known", estimator{memory: large}, []int{5000, 10000}, []int{100}},
		{"as fast in any batch", estimator{image: 10, memory: large}, []int{5000, 10000}, []int{100}},
		{"50 images a launch", estimator{launch: 500, image: 10, memory: large}, []int{5000, 10000}, []int{500}},
		{"1,000 images a launch", estimator{launch: 10000, image: 10, memory: large}, []int{5000, 10000}, []int{2500}},
		{"little memory", estimator{launch: 10000, image: 10, memory: 2 << 30}, []int{5000, 10000}, []int{250}},
		{"less memory", estimator{launch: 10000, image: 10, memory: 1 << 20}, []int{5000, 10000}, []int{100}},
		{"unknown from 500", estimator{launch: 10000, image: 10, memory: large, fails: 500}, []int{5000, 10000}, []int{250}},
		{"one batch would do", estimator{launch: 10000, image: 10, memory: large}, []int{700, 80}, []int{80, 700}},
		{"few images", estimator{launch: 10000, image: 10, memory: large}, []int{80, 0}, []int{80}},
	} {
		got := evaluating(model.Config{Network: mustNetwork(t, "fashioncnn")}, c.on, c.counts...)
		if !slices.Equal(got.EvalBatches, c.want) || got.EvalImages != slices.Max(c.counts) {
			t.Errorf("%s: batches of %v for %d images, want %v", c.name, got.EvalBatches, got.EvalImages, c.want)
		}
	}
}

// Large images are evaluated, classified and explained in smaller batches, Fashion-MNIST's
// are not.
func TestBatchOfLargeImages(t *testing.T) {
	const layers = "layers: [conv: {out: 16, kernel: 3, padding: 1}, relu, avgpool: global, flatten, linear: {out: classes}]"
	for _, c := range []struct{ side, evaluated, classified, explained int }{{28, 100, 32, 30}, {256, 25, 8, 1}, {2048, 1, 1, 1}} {
		n, err := ParseNetwork("n.yaml", []byte(layers), dataset.Info{Classes: []string{"a", "b"}, Shape: dataset.Shape{H: c.side, W: c.side, C: 1}})
		if err != nil {
			t.Fatal(err)
		}
		plain := model.Config{Network: n}
		for _, b := range []struct {
			name      string
			got, want int
		}{
			{"evaluated", slices.Max(evaluating(plain, nil, 1000).EvalBatches), c.evaluated},
			{"classified", halved(plain, predictBatch, predictBytes), c.classified},
			{"explained", halved(model.Config{Network: n, Explain: 1}, 30, explainBytes), c.explained},
		} {
			if b.got != b.want {
				t.Errorf("%d images of %d×%d are %s at a time, want %d", b.got, c.side, c.side, b.name, b.want)
			}
		}
	}
	for _, name := range model.Names() {
		plain := model.Config{Network: mustNetwork(t, name)}
		if e, p := halved(plain, 100, evalBytes), halved(plain, predictBatch, predictBytes); e != 100 || p != predictBatch {
			t.Errorf("%s evaluates %d images at a time and classifies %d, want 100 and %d", name, e, p, predictBatch)
		}
	}
}
