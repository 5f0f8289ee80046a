package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// ErrInterrupted is returned by [Train] when its context was cancelled: the
// step was finished and everything saved.
var ErrInterrupted = errors.New("interrupted")

// ErrDiverged is returned by [Train] when the loss is no longer a number.
var ErrDiverged = errors.New("training diverged")

// holdoutPerClass is the number of training images of each class that
// selecting on "val" holds out: 5,000 of 60,000 in all.
const holdoutPerClass = 500

// Options says where a training's files go and who watches it.
type Options struct {
	Dir         string      // the run's folder, which exists; "" writes no files
	Environment Environment // recorded in args.yaml
	Progress    Progress    // may be nil
	Resume      bool        // continue the run of Dir from its checkpoint
}

// Progress is told how a training goes. Calls come from one goroutine.
type Progress interface {
	// Start is called once, before the first step.
	Start(Summary)
	// Step is called a few times a second with the state of the epoch.
	Step(StepReport)
	// Epoch is called after each epoch's evaluation.
	Epoch(EpochReport)
}

// Summary describes a training that is about to start.
type Summary struct {
	Config        Config
	Parameters    int // trainable
	TrainImages   int // an epoch's
	SelectImages  int // evaluated after each epoch
	StepsPerEpoch int
	DeviceBytes   int // allocated on the device
	FirstEpoch    int // 1, or more in a training that is resumed
}

// StepReport is the state of an epoch under way.
type StepReport struct {
	Epoch           int     // 1 is the first
	ImagesDone      int     // of this epoch
	Images          int     // in this epoch
	Loss            float64 // mean of the steps since the last report
	Accuracy        float64 // of the same steps, on training images
	ImagesPerSecond float64
}

// EpochReport is a row of results.csv.
type EpochReport struct {
	Epoch           int     `json:"epoch"`
	TrainLoss       float64 `json:"train_loss"`
	TrainAccuracy   float64 `json:"train_accuracy"`
	ValLoss         float64 `json:"val_loss"`     // on what SelectOn names
	ValAccuracy     float64 `json:"val_accuracy"` // likewise
	LR              float64 `json:"lr"`           // of the epoch's last step
	Seconds         float64 `json:"seconds"`      // of training, without the evaluation
	ImagesPerSecond float64 `json:"images_per_second"`
	Best            bool    `json:"best"` // the highest ValAccuracy so far
}

// Result is the outcome of a training.
type Result struct {
	Epochs    []EpochReport
	BestEpoch int
	Metrics   *metrics.Metrics // of the best epoch's weights on the test set
	Stopped   string           // why it ended before its last epoch, or ""
	FirstStep time.Time        // when the first step had finished; zero where none was left to do
}

// training is a run in progress.
type training struct {
	*session
	backend  kernels.Backend
	config   Config
	options  Options
	classes  []byte // label of every resident image, training then test
	train    []uint32
	selected []uint32
	test     []uint32
	folder   folder
	state    runState
	best     snapshot // weights of the best epoch

	firstStep time.Time // when it had finished
	recent    time.Time // of the last StepReport
}

// runState is what varies over a run on the host; with the tensors of the
// device it is all that an exact resume needs.
type runState struct {
	Step      int           `json:"step"` // optimiser steps finished
	Slot      int           `json:"slot"` // of them in the epoch under way
	Epochs    []EpochReport `json:"epochs"`
	Schedule  Schedule      `json:"schedule"`
	Best      float64       `json:"best"` // highest ValAccuracy, -1 before the first epoch
	BestEpoch int           `json:"best_epoch"`
	Seconds   float64       `json:"seconds"` // of the epoch under way
}

// Train trains a network on the backend and writes the run's files. The
// configuration must have passed [Config.Check]. Cancelling ctx ends it after
// the step under way: everything is saved and the error is [ErrInterrupted].
func Train(ctx context.Context, c Config, backend kernels.Backend, data *dataset.Dataset, o Options) (*Result, error) {
	t, err := newTraining(c, backend, data, o)
	if err != nil {
		return nil, err
	}
	defer t.close()
	// The images are on the device now: unless the caller keeps data, its
	// 55 MB can go back before checkpoints claim theirs.
	debug.FreeOSMemory()
	if err := t.folder.start(c, o.Environment); err != nil {
		return nil, err
	}
	if o.Progress != nil {
		o.Progress.Start(t.summary())
	}
	stopped, err := t.epochs(ctx)
	if err != nil {
		return nil, err
	}
	return t.finish(stopped)
}

// partition returns the indices of the images to train on and of those that
// scheduler, early stop and best epoch look at; test images are numbered
// behind the training images.
func partition(c Config, data *dataset.Dataset) (train, selected []uint32, err error) {
	if c.SelectOn == "test" {
		return indices(0, data.Train.N), indices(data.Train.N, data.Test.N), nil
	}
	return dataset.StratifiedHoldout(data.Train.Labels, holdoutPerClass, c.Seed)
}

// indices returns first, first+1, … first+n−1.
func indices(first, n int) []uint32 {
	s := make([]uint32, n)
	for i := range s {
		s[i] = uint32(first + i)
	}
	return s
}

// modelConfig sizes a network for a training.
func modelConfig(c Config, train, selected, test int) model.Config {
	full, last := model.Batches(train, c.BatchSize)
	var batches []int
	if full > 0 {
		batches = append(batches, c.BatchSize)
	}
	if last > 0 {
		batches = append(batches, last)
	}
	return model.Config{Model: c.Model, Dropout: float32(c.Dropout), Optimizer: c.optimizer(), Smoothing: float32(c.Smoothing),
		Precision: c.precision(), Augment: c.augmentation(), TrainBatches: batches, TrainImages: train, EvalBatches: evalBatches(selected, test), EvalImages: max(selected, test)}
}

func newTraining(c Config, backend kernels.Backend, data *dataset.Dataset, o Options) (*training, error) {
	train, selected, err := partition(c, data)
	if err != nil {
		return nil, err
	}
	s, err := open(backend, modelConfig(c, len(train), len(selected), data.Test.N), data.Train, data.Test)
	if err != nil {
		return nil, err
	}
	labels := slices.Concat(data.Train.Labels, data.Test.Labels)
	t := &training{session: s, backend: backend, config: c, options: o, folder: folder{o.Dir}, classes: labels,
		train: train, selected: selected, test: indices(data.Train.N, data.Test.N)}
	t.state = runState{Best: -1, Schedule: Schedule{Kind: c.Scheduler, Rate: c.LR, Steps: t.totalSteps()}}
	if err := t.initialise(); err != nil {
		s.close()
		return nil, err
	}
	return t, nil
}

// initialise writes the weights that training starts from.
func (t *training) initialise() error {
	if err := t.net.WriteInit(t.prog, t.config.Seed); err != nil {
		return err
	}
	if t.options.Resume {
		return t.restore()
	}
	if t.config.InitFrom == "" {
		return nil
	}
	weights, err := loadSnapshot(t.config.InitFrom, t.net)
	if err != nil {
		return err
	}
	return weights.write(t.net, t.prog)
}

func (t *training) stepsPerEpoch() int { return model.Steps(len(t.train), t.config.BatchSize) }

// totalSteps is the length of the run if nothing stops it early.
func (t *training) totalSteps() int {
	total := t.config.Epochs * t.stepsPerEpoch()
	if t.config.MaxSteps > 0 {
		total = min(total, t.config.MaxSteps)
	}
	return total
}

func (t *training) summary() Summary {
	return Summary{Config: t.config, Parameters: t.net.ParameterCount(), TrainImages: len(t.train),
		SelectImages: len(t.selected), StepsPerEpoch: t.stepsPerEpoch(), DeviceBytes: t.prog.MemoryBytes(),
		FirstEpoch: len(t.state.Epochs) + 1}
}

// epochs trains until the last epoch, the last step or an early stop, and
// returns why it ended before the last epoch.
func (t *training) epochs(ctx context.Context) (stopped string, err error) {
	for len(t.state.Epochs) < t.config.Epochs {
		if t.config.MaxSteps > 0 && t.state.Step >= t.config.MaxSteps {
			if len(t.state.Epochs) == 0 {
				return "", usage("the run has done %d steps, and --max-steps %d allows no more: raise it, or 0 for no limit", t.state.Step, t.config.MaxSteps)
			}
			return fmt.Sprintf("after %d steps, as --max-steps asks", t.state.Step), nil
		}
		done := len(t.state.Epochs)
		if without := done - t.state.BestEpoch; t.config.Patience > 0 && without >= t.config.Patience {
			return fmt.Sprintf("after epoch %d: no improvement for %d epochs", done, without), nil
		}
		report, err := t.epoch(ctx)
		if err != nil {
			return "", err
		}
		if t.options.Progress != nil {
			t.options.Progress.Epoch(report)
		}
	}
	return "", nil
}

// epoch trains one epoch, or what is left of it, evaluates and saves.
func (t *training) epoch(ctx context.Context) (EpochReport, error) {
	if err := t.prepareEpoch(); err != nil {
		return EpochReport{}, err
	}
	trainLoss, trainAccuracy, err := t.steps(ctx)
	if err != nil {
		return EpochReport{}, err
	}
	if t.state.Slot < t.stepsPerEpoch() { // --max-steps: a resume goes on inside the epoch
		if err := t.saveCheckpoint(); err != nil {
			return EpochReport{}, err
		}
	}
	images := min(t.state.Slot*t.config.BatchSize, len(t.train))
	eval, err := t.evaluate(context.WithoutCancel(ctx), t.selected)
	if err != nil {
		return EpochReport{}, err
	}
	if math.IsNaN(eval.loss) || math.IsInf(eval.loss, 0) {
		return EpochReport{}, t.diverged(eval.loss, t.state.Step)
	}
	report := EpochReport{Epoch: len(t.state.Epochs) + 1, TrainLoss: trainLoss, TrainAccuracy: trainAccuracy,
		ValLoss: eval.loss, ValAccuracy: eval.accuracy, LR: t.state.Schedule.At(t.state.Step - 1),
		Seconds: t.state.Seconds, ImagesPerSecond: float64(images) / t.state.Seconds, Best: eval.accuracy > t.state.Best}
	return report, t.epochDone(report)
}

// epochDone moves the host's state on to the next epoch and saves.
func (t *training) epochDone(r EpochReport) error {
	whole := t.state.Slot == t.stepsPerEpoch()
	if r.Best {
		t.state.Best, t.state.BestEpoch = r.ValAccuracy, r.Epoch
	}
	t.state.Epochs = append(t.state.Epochs, r)
	t.state.Slot, t.state.Seconds = 0, 0
	t.state.Schedule.EpochDone(r.ValAccuracy)
	if err := t.save(r.Best); err != nil || !whole {
		return err
	}
	err := t.saveCheckpoint()
	// Files are written from copies of the weights: the epochs' copies would
	// pile up to some 100 MB before Go collects them by itself.
	debug.FreeOSMemory()
	return err
}

// prepareEpoch writes what the device needs for the steps of the epoch: the
// order of the images, each step's learning rate, and where to start.
func (t *training) prepareEpoch() error {
	epoch := len(t.state.Epochs)
	order := t.train
	if !t.config.NoShuffle {
		order = shuffled(t.train, t.config.Seed, epoch)
	}
	rates := make([]float32, t.stepsPerEpoch())
	for i := range rates {
		rates[i] = float32(t.state.Schedule.At(t.state.Step - t.state.Slot + i))
	}
	if err := t.prog.Write(t.net.Train.Order, kernels.AsBytes(order)); err != nil {
		return err
	}
	if err := t.prog.Write(t.net.LearningRates, kernels.AsBytes(rates)); err != nil {
		return err
	}
	if t.state.Slot > 0 {
		return nil // resumed inside the epoch: the device's state was restored with the tensors
	}
	o := t.net.Config.Optimizer
	state := kernels.NewState(t.config.Seed, uint32(t.state.Step), o.Beta1, o.Beta2)
	state.Epoch = uint32(epoch)
	return t.prog.Write(t.net.Train.State, kernels.AsBytes(state.Words()))
}

// shuffled returns the images of an epoch in an order that only the seed and
// the epoch decide.
func shuffled(images []uint32, seed uint64, epoch int) []uint32 {
	order := slices.Clone(images)
	source := &philoxSource{key: [2]uint32{uint32(seed), uint32(seed >> 32)}, epoch: uint32(epoch)}
	rand.New(source).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// philoxSource makes the counter-based generator a [rand.Source].
type philoxSource struct {
	key   [2]uint32
	epoch uint32
	draws uint32
}

// Uint64 implements [rand.Source].
func (s *philoxSource) Uint64() uint64 {
	w := kernels.Philox4x32([4]uint32{s.draws, 0, s.epoch, uint32(kernels.PurposeOrder)}, s.key)
	s.draws++
	return uint64(w[0])<<32 | uint64(w[1])
}

// steps runs the epoch's steps and returns their mean loss and accuracy. On
// cancellation it saves and returns ErrInterrupted.
func (t *training) steps(ctx context.Context) (loss, accuracy float64, err error) {
	end := t.stepsPerEpoch()
	if t.config.MaxSteps > 0 {
		end = min(end, t.state.Slot+t.config.MaxSteps-t.state.Step)
	}
	t.recent = time.Now()
	for t.state.Slot < end {
		from := t.state.Slot
		if err := t.someSteps(end); err != nil {
			return 0, 0, err
		}
		if err := t.reportSteps(from); err != nil {
			return 0, 0, err
		}
		if ctx.Err() != nil && t.state.Slot < end {
			return 0, 0, t.interrupted()
		}
	}
	losses, correct, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return 0, 0, err
	}
	images := min(t.state.Slot*t.config.BatchSize, len(t.train))
	if err := t.logSteps(losses); err != nil {
		return 0, 0, err
	}
	return weightedMean(losses, t.config.BatchSize, images), float64(sum(correct)) / float64(images), nil
}

// someSteps submits the next steps: full batches for about a quarter of a
// second, or the epoch's last, smaller batch.
func (t *training) someSteps(end int) error {
	full, last := model.Batches(len(t.train), t.config.BatchSize)
	section, n := model.TrainSection(t.config.BatchSize), t.pace.next(min(full, end)-t.state.Slot)
	if t.state.Slot >= full {
		section, n = model.TrainSection(last), 1
	}
	start := time.Now()
	if err := t.run(section, n); err != nil {
		return err
	}
	if t.firstStep.IsZero() {
		t.firstStep = time.Now()
	}
	t.state.Seconds += time.Since(start).Seconds()
	t.state.Slot += n
	t.state.Step += n
	return nil
}

// reportSteps reads the losses of the steps since from and passes them on; a
// loss that is not finite ends the training.
func (t *training) reportSteps(from int) error {
	losses, correct, err := t.logs(t.net.Train, from, t.state.Slot)
	if err != nil {
		return err
	}
	for i, l := range losses {
		if math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) {
			return t.diverged(float64(l), t.state.Step-len(losses)+i+1)
		}
	}
	if t.options.Progress == nil {
		return nil
	}
	batch := t.config.BatchSize
	done := min(t.state.Slot*batch, len(t.train))
	images := done - from*batch
	t.options.Progress.Step(StepReport{Epoch: len(t.state.Epochs) + 1, ImagesDone: done, Images: len(t.train),
		Loss: weightedMean(losses, batch, images), Accuracy: float64(sum(correct)) / float64(images),
		ImagesPerSecond: float64(images) / time.Since(t.recent).Seconds()})
	t.recent = time.Now()
	return nil
}

func (t *training) diverged(loss float64, step int) error {
	return fmt.Errorf("%w: the loss is %v at step %d; try a lower --lr than %v", ErrDiverged, loss, step, t.config.LR)
}

// interrupted saves a run in the middle of an epoch. It returns
// ErrInterrupted only if everything is saved.
func (t *training) interrupted() error {
	losses, _, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return err
	}
	if err := errors.Join(t.logSteps(losses), t.save(false), t.saveCheckpoint()); err != nil {
		return fmt.Errorf("interrupted, and not all could be saved: %w", err)
	}
	return ErrInterrupted
}

// finish evaluates the best epoch's weights on the test set.
func (t *training) finish(stopped string) (*Result, error) {
	if err := t.best.write(t.net, t.prog); err != nil {
		return nil, err
	}
	seconds, images := 0., 0.
	for _, e := range t.state.Epochs {
		seconds += e.Seconds
		images += e.Seconds * e.ImagesPerSecond
	}
	debug.FreeOSMemory() // what the last checkpoint took makes room for the images
	test, err := t.testSplit()
	if err != nil {
		return nil, err
	}
	m, probs, err := t.measure(context.Background(), t.test, test.Labels)
	if err != nil {
		return nil, err
	}
	m.Protocol, m.TrainingSeconds, m.ImagesPerSecond = t.config.SelectOn, seconds, images/seconds
	if err := t.folder.writePredictions(test.Labels, probs); err != nil {
		return nil, err
	}
	// Drawing is all that is left: what training took goes back first, or the
	// pictures would add to the peak.
	if err := t.close(); err != nil {
		return nil, err
	}
	debug.FreeOSMemory()
	if err := t.folder.writeCurves(t.state.Epochs, t.config.SelectOn, t.state.BestEpoch); err != nil {
		return nil, err
	}
	if err := t.folder.writePictures(classified{t.backend, t.net, t.best, test, probs, m, HiResCAM}); err != nil {
		return nil, err
	}
	// Last of all, since a run that has it counts as finished.
	if err := t.folder.writeMetrics(m); err != nil {
		return nil, err
	}
	return &Result{Epochs: t.state.Epochs, BestEpoch: t.state.BestEpoch, Metrics: m, Stopped: stopped, FirstStep: t.firstStep}, nil
}

// testSplit reads the test images back from the device: the dataset they came
// from may be gone from the host.
func (t *training) testSplit() (dataset.Split, error) {
	images := t.net.Images
	images.Offset += int(t.test[0]) * model.Side * model.Side
	images.Shape = []int{len(t.test), model.Side, model.Side}
	test := dataset.Split{N: len(t.test), Images: make([]byte, images.Len()), Labels: t.classes[int(t.test[0]):]}
	return test, t.prog.Read(images, test.Images)
}
