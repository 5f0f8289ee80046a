package trainer

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// What the settings allow, the plan takes: numbers that are extreme in 64 bits
// are still allowed in its 32.
func TestPlanTakesExtremes(t *testing.T) {
	const least, most = "1.18e-38", "0.9999999"
	for _, extreme := range []map[string]string{
		{"lr": least, "weight-decay": least, "momentum": least, "dropout": least, "label-smoothing": least, "ema": least, "rotate": least, "erase": least},
		{"lr": "1000", "weight-decay": "1000", "momentum": most, "dropout": most, "label-smoothing": most, "ema": most, "rotate": "180", "erase": "1", "crop": "28", "batch-size": "16384", "warmup": "10"},
		{"weight-decay": "0", "momentum": "0", "dropout": "0", "label-smoothing": "0", "rotate": "0", "erase": "0", "crop": "0", "batch-size": "1"},
	} {
		for _, optimizer := range []string{"adam", "adamw", "sgd", "muon"} {
			c := args{Model: "fashioncnn", Recipe: DefaultRecipe()}
			c.Optimizer = optimizer
			for name, value := range extreme {
				if err := argsSettings.Assign(&c, setting.Assignment{Name: name, Value: value}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.CheckFor(dataset.FashionMNIST.Shape); err != nil {
				t.Fatal(err)
			}
			_, err := model.Build(model.Config{Network: mustNetwork(t, c.Model).WithDropout(*c.Dropout), Optimizer: c.optimizer(), Smoothing: float32(c.Smoothing), EMA: c.EMA,
				Precision: c.precision(), Augment: c.augmentation(), TrainBatches: []int{c.BatchSize}, TrainImages: 55000, Images: 55000})
			if err != nil {
				t.Errorf("%s with %v: %v", optimizer, extreme, err)
			}
		}
	}
}

// Every field of a run's recorded settings has a setting, and every setting a field.
func TestSettingsAreRecorded(t *testing.T) {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[args]()) {
		if !f.Anonymous {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			keys = append(keys, key)
		}
	}
	if names := argsSettings.Names(); !slices.Equal(names, keys) {
		t.Errorf("settings %v, fields %v", names, keys)
	}
	if err := DefaultRecipe().Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// Each optimizer has its weight decay unless one is set.
func TestDefaultWeightDecay(t *testing.T) {
	for optimizer, want := range map[string]float64{"adam": 0, "adamw": .01, "sgd": 0, "muon": .01} {
		r := DefaultRecipe()
		r.Optimizer = optimizer
		if got := r.Resolved(); got.WeightDecay == nil || *got.WeightDecay != want || r.optimizer().WeightDecay != want {
			t.Errorf("%s: %v and %v, want %v", optimizer, got.WeightDecay, r.optimizer().WeightDecay, want)
		}
		r.WeightDecay = new(.25)
		if got := r.Resolved(); *got.WeightDecay != .25 || r.optimizer().WeightDecay != .25 {
			t.Errorf("%s with .25: %v and %v", optimizer, *got.WeightDecay, r.optimizer().WeightDecay)
		}
	}
	r := DefaultRecipe()
	if r.Optimizer = "lion"; r.Check() == nil || r.Resolved().WeightDecay != nil {
		t.Error("an optimizer that does not exist has a weight decay")
	}
}

// A warm-up may last as long as the training, but not longer.
func TestWarmupFitsEpochs(t *testing.T) {
	r := DefaultRecipe()
	r.Epochs = 3
	for warmup, right := range map[float64]bool{0: true, .5: true, 3: true, 3.01: false, -1: false} {
		r.Warmup = warmup
		if err := r.Check(); (err == nil) != right || err != nil && !strings.Contains(err.Error(), "warmup is") {
			t.Errorf("%v: %v", warmup, err)
		}
	}
}
