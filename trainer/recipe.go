package trainer

import (
	"fmt"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// ErrUsage marks a wrong setting or argument; the message names it and says what
// is right.
var ErrUsage = setting.ErrWrong

// usage returns an error that is [ErrUsage] but whose text is only the message.
var usage = setting.Errorf

// Recipe holds what decides a training's weights, besides the network and the
// dataset, and nothing else. Start from [DefaultRecipe]: zero values mean zero.
type Recipe struct {
	Epochs    int     `yaml:"epochs"`
	BatchSize int     `yaml:"batch-size"`
	LR        float64 `yaml:"lr"`
	Optimizer string  `yaml:"optimizer"` // adam, adamw, sgd or muon
	Momentum  float64 `yaml:"momentum"`  // Nesterov's, of sgd; muon has its own
	// WeightDecay of adam applies to all parameters, that of the others not to biases
	// and the parameters of batch-norm. nil for the optimizer's default: .01 for adamw
	// and muon, 0 for the others.
	WeightDecay *float64 `yaml:"weight-decay,omitempty"`
	Scheduler   string   `yaml:"scheduler"` // plateau, none, onecycle or cosine
	// Warmup is the number of epochs, which may be a fraction, that raise the learning
	// rate from near 0: see [Schedule].
	Warmup  float64 `yaml:"warmup"`
	Augment string  `yaml:"augment"` // none, original or light
	// Each of these four overrides one of Augment's transforms.
	Rotate    *float64 `yaml:"rotate,omitempty"` // degrees
	Flip      *string  `yaml:"flip,omitempty"`   // none, random or alternating
	Crop      *int     `yaml:"crop,omitempty"`   // pixels
	Erase     *float64 `yaml:"erase,omitempty"`  // probability
	Smoothing float64  `yaml:"label-smoothing"`
	// EMA is the decay of an exponential moving average of the weights, one step of
	// which follows each of the optimizer's. The averaged weights are those that are
	// evaluated and kept. 0 for none.
	EMA float64 `yaml:"ema"`
	// Prune is the share of the training images that each epoch leaves out, to the nearest
	// image: at random among all but the fifth with the highest losses. A loss is that of
	// the last step that trained on the image. Training losses and accuracies are those of
	// the images trained on, so those of hard ones count for more. 0 for none.
	Prune float64 `yaml:"prune"`
	Seed  uint64  `yaml:"seed"`
	// SelectOn names the images that select the best epoch: val (the dataset's
	// validation images, or held-out training images) or test.
	SelectOn  string `yaml:"select-on"`
	Patience  int    `yaml:"patience"`  // epochs without improvement before the training stops; 0 means never
	Precision string `yaml:"precision"` // fp32 or mixed
	NoShuffle bool   `yaml:"no-shuffle"`
	MaxSteps  int    `yaml:"max-steps"` // 0 for no limit
	// NoEval skips evaluation: the last epoch's weights are kept; the plateau
	// scheduler and Patience have no effect.
	NoEval     bool `yaml:"no-eval"`
	EvalImages int  `yaml:"eval-images"` // the largest number of images of each split to evaluate; 0 for all
}

// DefaultRecipe returns the recipe of the original study's best run, except that
// held-out images select the best epoch.
func DefaultRecipe() Recipe {
	return Recipe{Epochs: 10, BatchSize: 64, LR: 1e-3, Optimizer: "adam", Momentum: .9, Scheduler: "plateau",
		Augment: "none", Seed: 42, SelectOn: "val", Patience: 5, Precision: "fp32"}
}

// mostEpochs is the largest number of epochs.
const mostEpochs = 1 << 20

// maxCrop is the largest shift of a random crop, in pixels.
const maxCrop = 512

// RecipeSettings lists the settings of a [Recipe] and the values that they take.
func RecipeSettings() setting.Table { return recipeSettings }

var recipeSettings = setting.Table{
	{Name: "epochs", Kind: setting.Whole(1, mostEpochs)},
	{Name: "batch-size", Kind: setting.Whole(1, 1<<14)},
	{Name: "lr", Kind: setting.Number("a positive number up to 1000, such as 0.001", func(x float64) bool { return x > 0 && x <= 1000 })},
	{Name: "optimizer", Kind: setting.Choice(names(optimizers)...)},
	{Name: "momentum", Kind: setting.Fraction()},
	{Name: "weight-decay", Kind: setting.Number("0 or a positive number up to 1000", within(0, 1000))},
	{Name: "scheduler", Kind: setting.Choice("plateau", "none", "onecycle", "cosine")},
	{Name: "warmup", Kind: setting.Number("0 or a positive number of epochs", within(0, 1<<20))},
	{Name: "augment", Kind: setting.Choice(names(augmentations)...)},
	{Name: "rotate", Kind: setting.Number("a number of degrees from 0 to 180", within(0, 180))},
	{Name: "flip", Kind: setting.Choice(names(flips)...)},
	{Name: "crop", Kind: setting.Whole(0, maxCrop)},
	{Name: "erase", Kind: setting.Number("a probability from 0 to 1", within(0, 1))},
	{Name: "label-smoothing", Kind: setting.Fraction()},
	{Name: "ema", Kind: setting.Fraction()},
	{Name: "prune", Kind: setting.Number(fmt.Sprintf("a share from 0 to %v", mostPruned), within(0, mostPruned))},
	{Name: "seed", Kind: setting.Unsigned()},
	{Name: "select-on", Kind: setting.Choice("val", "test")},
	{Name: "patience", Kind: setting.Whole(0, 1<<20)},
	{Name: "precision", Kind: setting.Choice("fp32", "mixed")},
	{Name: "no-shuffle", Kind: setting.Bool()},
	{Name: "max-steps", Kind: setting.Whole(0, math.MaxInt32)},
	{Name: "no-eval", Kind: setting.Bool()},
	{Name: "eval-images", Kind: setting.Whole(0, math.MaxInt32)},
}

func within(low, high float64) func(x float64) bool {
	return func(x float64) bool { return low <= x && x <= high }
}

// Check returns an error ([ErrUsage]) that names the first wrong setting and says
// what would be right.
func (r Recipe) Check() error {
	if err := recipeSettings.Check(&r); err != nil {
		return err
	}
	if r.Warmup > float64(r.Epochs) {
		return usage("warmup is %v: want at most the number of epochs, %d", r.Warmup, r.Epochs)
	}
	return nil
}

// Resolved returns the recipe with the optimizer's default weight decay if it has
// none.
func (r Recipe) Resolved() Recipe {
	if optimizer, ok := optimizers[r.Optimizer]; ok && r.WeightDecay == nil {
		r.WeightDecay = new(optimizer(&r).WeightDecay)
	}
	return r
}

// CheckFor is [Recipe.Check] for a training on images of the given shape.
func (r Recipe) CheckFor(s dataset.Shape) error {
	if err := r.Check(); err != nil {
		return err
	}
	if crop, most := r.augmentation().Crop, min(s.H, s.W); crop > most {
		return usage("crop is %d: want a whole number from 0 to %d for images of %v", crop, most, s)
	}
	return nil
}

// precision returns the precision that Precision names. Check has validated it.
func (r *Recipe) precision() kernels.Precision {
	p, _ := kernels.ParsePrecision(r.Precision)
	return p
}

// optimizers are the values of the setting optimizer.
var optimizers = map[string]func(r *Recipe) model.Optimizer{
	"adam":  func(*Recipe) model.Optimizer { return model.DefaultAdam() },
	"adamw": func(*Recipe) model.Optimizer { return model.DefaultAdamW() },
	"sgd": func(r *Recipe) model.Optimizer {
		o := model.DefaultSGD()
		o.Momentum = float32(r.Momentum)
		o.Nesterov = o.Momentum > 0
		return o
	},
	"muon": func(*Recipe) model.Optimizer { return model.DefaultMuon() },
}

// optimizer returns the optimiser settings in the form that package model takes.
// Check has validated them.
func (r *Recipe) optimizer() model.Optimizer {
	o := optimizers[r.Optimizer](r)
	if r.WeightDecay != nil {
		o.WeightDecay = *r.WeightDecay
	}
	return o
}
