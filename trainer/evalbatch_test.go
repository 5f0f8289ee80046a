package trainer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
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
