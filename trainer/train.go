package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// ErrInterrupted is returned by [Train] if its context is cancelled: the current
// steps are finished and everything that a resume needs is saved.
var ErrInterrupted = errors.New("interrupted")

// ErrDiverged is returned by [Train] if the loss, a weight or a running statistic
// becomes NaN or infinite. The run keeps its last checkpoint. The message says in which
// step and tensor it began; finding out takes as long as training from that checkpoint.
// The error is a [DivergenceError].
var ErrDiverged = errors.New("training diverged")

// Options says where a training writes its files and reports its progress.
type Options struct {
	// Dir is the run's folder. Train creates it if it does not exist and locks it
	// while it runs. If Dir is "", Train writes no files.
	Dir string
	// Settings are a program's own settings, as a struct or map in YAML. They are
	// recorded in args.yaml, in place of the recipe and the network, which they
	// must contain under the same keys; else they are [ErrUsage]. nil for none.
	Settings    any
	Environment Environment // recorded in args.yaml, with the dataset
	Progress    Progress    // may be nil, or an [Observer]
	// InitFrom names a checkpoint whose weights to start from: a run's folder, or a
	// .safetensors or PyTorch .pth file. "" for random weights.
	InitFrom string
	LogEvery int // write every Nth step to steps.csv; 0 for none
	// CheckpointEvery also saves a checkpoint between the steps of an epoch, if the
	// last one is so old. 0 saves only after epochs.
	CheckpointEvery time.Duration
	// Resume continues the run in Dir from its checkpoint, or starts again from
	// the beginning if the run ended before its first checkpoint.
	Resume bool
	// Restart lets a resumed run start again, over its results, if its checkpoint
	// is missing; otherwise it is refused.
	Restart bool
	// DropCheckpoint removes the checkpoint when the run is finished. The run can
	// then no longer be resumed with more epochs.
	DropCheckpoint bool
	// StopAfter ends the training after this epoch, or earlier if nothing is left to
	// train, and leaves the run in progress: its weights are not tested, and a resume
	// goes on. 0 means no such end.
	StopAfter int
	// Threads, unless it is nil, returns how many threads of a [kernels.Threader] the
	// training may use; of replicas, the first one's counts. It is called before every
	// epoch; results do not depend on it.
	Threads func() int
	// Started is when the program began that trains this run and no other; see
	// [metrics.Metrics.SecondsToWeights]. Zero if that does not apply.
	Started time.Time
	// NoPictures leaves out the run's pictures.
	NoPictures bool
}

// check refuses options that contradict each other.
func (o Options) check() error {
	switch {
	case o.Dir == "" && (o.Resume || o.Restart):
		return usage("there is no folder of a run to resume: name it in Options.Dir")
	case o.LogEvery < 0:
		return usage("Options.LogEvery is %d: want 0 or more", o.LogEvery)
	case o.StopAfter < 0:
		return usage("Options.StopAfter is %d: want 0 or more", o.StopAfter)
	case o.CheckpointEvery < 0:
		return usage("Options.CheckpointEvery is %v: want 0 or more", o.CheckpointEvery)
	}
	return nil
}

// Progress receives reports from a training. Calls come from one goroutine.
type Progress interface {
	// Start is called once, before the first step.
	Start(Summary)
	// Step is called a few times per second with the state of the epoch.
	Step(StepReport)
	// Epoch is called after each epoch's evaluation.
	Epoch(EpochReport)
}

// Summary describes a training that is about to start.
type Summary struct {
	Recipe        Recipe
	Network       model.Network
	Parameters    int // trainable
	TrainImages   int // per epoch
	LeftOut       int // training images that each epoch leaves out; see Recipe.Prune
	SelectImages  int // evaluated after each epoch; 0 without evaluations
	StepsPerEpoch int
	DeviceBytes   int // memory allocated on the device
	FirstEpoch    int // 1, or more in a resumed training
	// Notes are sentences about what is unusual in this training: for a resumed
	// run, where it continues and what has changed.
	Notes []string
}

// StepReport is the state of the current epoch.
type StepReport struct {
	Epoch           int     // 1 is the first
	ImagesDone      int     // of this epoch
	Images          int     // in this epoch
	Loss            float64 // mean over this epoch's images so far
	Accuracy        float64 // fraction of the same images, each classified as it was trained on
	NewImages       int     // since the last report
	ImagesPerSecond float64 // of the new images
}

// Result is the outcome of a training.
type Result struct {
	Epochs    []EpochReport
	BestEpoch int
	Metrics   *metrics.Metrics // of the best epoch's weights on the test set; nil with Options.StopAfter
	Model     *Model           // the best epoch's weights; nil if the run had finished before and they cannot be read
	Stopped   string           // why it ended before its last epoch, or ""
	FirstStep time.Time        // when the first steps finished; zero if none were left to do
	Finished  bool             // the run had already finished: nothing was trained
}

// training is a run in progress.
type training struct {
	*session // nil until its group is on the device
	backend  kernels.Backend
	recipe   Recipe
	data     dataset.Info
	framing  picture.Framing
	options  Options
	partition
	classes   []byte // label of every resident image: training, validation, test
	testStart int    // index of the first test image
	testFiles []string
	folder    folder
	found     progressed // how far the run had come
	outcome   *Outcome
	state     runState
	report    EpochReport // of the current epoch, once its steps are done
	best      snapshot    // weights of the best epoch
	order     []uint32    // images of the current epoch
	events    *events     // nil until start, and without a folder

	sampleLosses sampleLosses // nil if no images are left out

	log    []loggedStep // rows of steps.csv
	logged int          // the last step considered for log
	notes  []string

	firstStep time.Time // when the first steps finished
	written   time.Time // when the latest epoch's weights were on the disk
	recent    time.Time // time of the last StepReport
	saved     time.Time // time of the last checkpoint, or of the start
	weighed   time.Time // when the weights were last checked
	scanned   []float32 // a tensor that is being checked
}

// Train trains a network on a dataset and, if Options.Dir names a folder, writes
// the run's files there. The network must take the dataset's images and have its
// classes; see [BuiltIn] and [ParseNetwork]. Nothing may write to the dataset's images
// meanwhile: a [kernels.Borrower] computes on them where they are.
//
// The error is [ErrUsage] if a setting is wrong, if the network does not fit the
// dataset, if the folder holds a run but Options.Resume is not set, or if another
// training is running in it. Data or a checkpoint that cannot be used is
// [dataset.ErrBadData] or [checkpoint.ErrBadCheckpoint], as is a dataset that is not the
// one that the resumed run was trained on; see [CheckDataset]. A loss or a weight that is
// not finite is [ErrDiverged]. If ctx is cancelled, Train ends after the current steps,
// saves everything and returns [ErrInterrupted]; before the first step it returns
// ctx.Err().
func Train(ctx context.Context, r Recipe, n model.Network, data *dataset.Dataset, backend kernels.Backend, o Options) (*Result, error) {
	outcomes, err := TrainReplicas(ctx, []Replica{{r, o}}, n, data, backend)
	if err != nil {
		return nil, err
	}
	return outcomes[0].Result, outcomes[0].Err
}

// checkArguments refuses arguments that cannot be trained with.
func checkArguments(r Recipe, n model.Network, data *dataset.Dataset, backend kernels.Backend) error {
	if backend == nil || data == nil {
		return usage("a training needs a backend and a dataset: one of them is missing")
	}
	if err := r.CheckFor(data.Shape); err != nil {
		return err
	}
	if err := fits(n, data.Info); err != nil {
		return err
	}
	if err := kernels.CheckPrecision(backend, r.precision()); err != nil {
		return err
	}
	if data.Shape.C != 1 && data.Shape.C != 3 {
		return fmt.Errorf("%w: the dataset %s has images of %v: want 1 or 3 channels", dataset.ErrBadData, data.Name, data.Shape)
	}
	err := errors.Join(checkSplit("training", data.Train, data.Info), checkSplit("test", data.Test, data.Info))
	if data.Val.N > 0 {
		err = errors.Join(err, checkSplit("validation", data.Val, data.Info))
	}
	return err
}

// checkSplit refuses a split that is empty or inconsistent, or does not belong to
// the dataset.
func checkSplit(name string, s dataset.Split, d dataset.Info) error {
	if s.N < 1 || s.Shape != d.Shape || len(s.Images) != s.N*s.Len() || len(s.Labels) != s.N || s.Files != nil && len(s.Files) != s.N {
		return fmt.Errorf("%w: the %s split has N = %d, images of %v, %d bytes of images, %d labels and %d files: want at least 1 image of %v, and per image %d bytes, 1 label and 1 file or none",
			dataset.ErrBadData, name, s.N, s.Shape, len(s.Images), len(s.Labels), len(s.Files), d.Shape, d.Len())
	}
	for i, label := range s.Labels {
		if int(label) >= len(d.Classes) {
			return fmt.Errorf("%w: label %d of the %s split is %d, want 0 to %d", dataset.ErrBadData, i, name, label, len(d.Classes)-1)
		}
	}
	return nil
}

// partition holds the indices of the images that a training uses: those to train
// on, those to evaluate after each epoch (for the scheduler, early stopping and
// the best epoch), and those to test on. The images are numbered from the training
// images through the validation images to the test images.
type partition struct {
	train, selected, test []uint32
	perEpoch              int // how many of train each epoch trains on
}

func newPartition(r Recipe, data *dataset.Dataset) (p partition, err error) {
	p.test = indices(data.Train.N+data.Val.N, data.Test.N)
	p.train = indices(0, data.Train.N)
	switch {
	case r.SelectOn == "test":
		p.selected = p.test
	case data.Val.N > 0:
		p.selected = indices(data.Train.N, data.Val.N)
	default:
		train, held, failed := dataset.StratifiedHoldout(data.Train.Labels, data.Classes, dataset.ValidationPart, r.Seed, kernels.PurposeHoldout)
		switch {
		case failed == nil:
			p.train, p.selected = train, held
		case !r.NoEval: // without evaluation, all can be trained on: none is held out
			err = fmt.Errorf("%w: no training images can be held out to select the best epoch: %v; add validation images, or set select-on to test", dataset.ErrBadData, failed)
		}
	}
	p.perEpoch = r.perEpoch(len(p.train))
	p.selected, p.test = evenly(p.selected, r.EvalImages), evenly(p.test, r.EvalImages)
	if r.NoEval {
		p.selected = nil
	}
	return p, err
}

// evenly returns at most n of the images, evenly spaced; all of them if n is 0.
func evenly(images []uint32, n int) []uint32 {
	if n == 0 || n >= len(images) {
		return images
	}
	chosen := make([]uint32, n)
	for i := range chosen {
		chosen[i] = images[i*len(images)/n]
	}
	return chosen
}

// indices returns first, first+1, … first+n−1.
func indices(first, n int) []uint32 {
	s := make([]uint32, n)
	for i := range s {
		s[i] = uint32(first + i)
	}
	return s
}

// modelConfig returns the model's configuration for a training on a backend.
func modelConfig(r Recipe, n model.Network, p partition, backend kernels.Backend) model.Config {
	full, last := model.Batches(p.perEpoch, r.BatchSize)
	var batches []int
	if full > 0 {
		batches = append(batches, r.BatchSize)
	}
	if last > 0 {
		batches = append(batches, last)
	}
	c := model.Config{Network: n, Optimizer: r.optimizer(), Smoothing: float32(r.Smoothing), EMA: r.EMA,
		Precision: r.precision(), Augment: r.augmentation(), TrainBatches: batches, TrainImages: p.perEpoch,
		SampleLosses: p.perEpoch < len(p.train)}
	return evaluating(c, backend, len(p.selected), len(p.test))
}

// newTraining returns a training that is not on the device yet, at the step that its
// run has reached.
func newTraining(r Replica, n model.Network, data *dataset.Dataset, backend kernels.Backend) (*training, error) {
	o := r.Options
	o.Environment.Data, o.Environment.SHA256 = data.Dir, data.SHA256
	t := &training{backend: backend, recipe: r.Recipe.Resolved(), data: data.Info, framing: data.Framing, options: o, folder: folder{o.Dir},
		classes: slices.Concat(data.Train.Labels, data.Val.Labels, data.Test.Labels), testStart: data.Train.N + data.Val.N, testFiles: data.Test.Files, outcome: new(Outcome)}
	var err error
	if t.found, err = t.folder.progressOf(r.Recipe, n, data, o); err != nil || t.found.finished != nil {
		return t, err
	}
	if t.partition, err = newPartition(r.Recipe, data); err != nil {
		return nil, err
	}
	if t.perEpoch < len(t.train) {
		t.sampleLosses = newSampleLosses(t.testStart)
	}
	t.notes = t.found.notes
	t.state = *t.beginning()
	if s := t.found.state; s != nil {
		if err := s.check(t.recipe, t.stepsPerEpoch()); err != nil {
			return nil, t.folder.damaged(stateFile, err)
		}
		t.state = *s
	}
	return t, nil
}

// beginning returns the state before the first step.
func (t *training) beginning() *runState {
	return &runState{Best: -1, Schedule: Schedule{Kind: t.recipe.Scheduler, Rate: t.recipe.LR, Steps: t.totalSteps(),
		Warmup: warmupSteps(t.recipe.Warmup, t.stepsPerEpoch())}}
}

// finishedBefore returns the result of a run that had finished, with its model if that
// can be read.
func (t *training) finishedBefore() *Result {
	if m, err := Load(t.folder.dir, t.backend); err == nil {
		t.found.finished.Model = m
	}
	return t.found.finished
}

// initialise writes the state that training starts from: the checkpoint if there
// is one, else initial weights.
func (t *training) initialise() error {
	if t.found.state != nil {
		return t.restore()
	}
	if t.options.InitFrom == "" {
		return t.net.WriteInit(t.prog, t.recipe.Seed)
	}
	weights, err := loadSnapshot(t.options.InitFrom, t.net)
	if err != nil {
		return err
	}
	now, was := weights.sha256(), &t.found.environment.Init
	if *was != "" && *was != now {
		return badCheckpoint("the weights of %s are others now than when the run began: restore them, or start a new run", t.options.InitFrom)
	}
	*was = now
	return errors.Join(t.net.WriteInit(t.prog, t.recipe.Seed), weights.write(t.net, t.prog))
}

func (t *training) stepsPerEpoch() int { return model.Steps(t.perEpoch, t.recipe.BatchSize) }

// totalSteps returns the number of steps in the run if nothing stops it early.
func (t *training) totalSteps() int {
	total := t.recipe.Epochs * t.stepsPerEpoch()
	if t.recipe.MaxSteps > 0 {
		total = min(total, t.recipe.MaxSteps)
	}
	return total
}

func (t *training) summary() Summary {
	return Summary{Recipe: t.recipe, Network: t.net.Config.Network, Parameters: t.net.ParameterCount(), TrainImages: t.perEpoch, LeftOut: len(t.train) - t.perEpoch,
		SelectImages: len(t.selected), StepsPerEpoch: t.stepsPerEpoch(), DeviceBytes: t.prog.MemoryBytes(),
		FirstEpoch: len(t.state.Epochs) + 1, Notes: t.notes}
}

// ended reports whether no step is left to train and no epoch to evaluate.
func (t *training) ended() bool {
	_, stop := t.state.stop(t.recipe)
	far := t.options.StopAfter > 0 && len(t.state.Epochs) >= t.options.StopAfter
	return (stop || far) && (t.state.Slot == 0 || len(t.state.Epochs) >= t.recipe.Epochs)
}

// stepsDone begins the report of an epoch whose steps are done.
func (t *training) stepsDone() error {
	if err := t.checkWeights(); err != nil {
		return err
	}
	losses, correct, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return err
	}
	if t.state.Slot < t.stepsPerEpoch() { // MaxSteps: a resume continues inside the epoch
		if err := t.saveCheckpoint(); err != nil {
			return err
		}
	}
	images := min(t.state.Slot*t.recipe.BatchSize, t.perEpoch)
	t.report = EpochReport{Epoch: len(t.state.Epochs) + 1,
		TrainLoss: weightedMean(losses, t.recipe.BatchSize, images), TrainAccuracy: float64(sum(correct)) / float64(images),
		ValLoss: math.NaN(), ValAccuracy: math.NaN(), LR: t.state.Schedule.At(t.state.Step - 1), Seconds: t.state.Seconds, Best: true}
	if t.state.Seconds > 0 {
		t.report.ImagesPerSecond = float64(images) / t.state.Seconds
	}
	return nil
}

// evaluated adds the evaluation of the weights to the epoch's report.
func (t *training) evaluated(e evaluation) error {
	if err := t.checkEvaluation("evaluated images", e, t.selected, t.state.Step); err != nil {
		return err
	}
	t.report.ValLoss, t.report.ValAccuracy, t.report.Best = e.loss, e.accuracy, e.accuracy > t.state.Best
	return t.observe()
}

// epochDone advances the host's state to the next epoch and saves it.
func (t *training) epochDone() error {
	r, whole := t.report, t.state.Slot == t.stepsPerEpoch()
	if r.Best {
		t.state.BestEpoch = r.Epoch
	}
	if !t.recipe.NoEval {
		t.state.Best = max(t.state.Best, r.ValAccuracy)
		t.state.Schedule.EpochDone(r.ValAccuracy)
	}
	t.state.Epochs = append(t.state.Epochs, r)
	t.state.Slot, t.state.Seconds = 0, 0
	last, err := readSnapshot(t.net, t.prog, t.state.Step)
	if err != nil {
		return err
	}
	if r.Best {
		t.best = last
	}
	if err := t.writeEpochEvent(r, last); err != nil {
		return err
	}
	if whole {
		if err := t.keepLosses(); err != nil {
			return err
		}
		if err := t.saveCheckpoint(); err != nil {
			return err
		}
	}
	if err := t.export(last, r.Best); err != nil {
		return err
	}
	t.written = time.Now()
	return nil
}

// prepareEpoch writes what the device needs for the epoch's steps: the order of
// the images, each step's learning rate and the first step's number.
func (t *training) prepareEpoch() error {
	epoch := len(t.state.Epochs)
	t.order = t.chosen(epoch)
	if !t.recipe.NoShuffle {
		t.order = shuffled(t.order, t.recipe.Seed, epoch)
	}
	rates := make([]float32, t.stepsPerEpoch())
	for i := range rates {
		rates[i] = float32(t.state.Schedule.At(t.state.Step - t.state.Slot + i))
	}
	if err := t.prog.Write(t.net.Train.Order, kernels.AsBytes(t.order)); err != nil {
		return err
	}
	if err := t.prog.Write(t.net.LearningRates, kernels.AsBytes(rates)); err != nil {
		return err
	}
	if t.state.Slot > 0 {
		return nil // resumed inside the epoch: the device's state was restored with the tensors
	}
	o := t.net.Config.Optimizer
	state := kernels.NewState(t.recipe.Seed, uint32(t.state.Step), o.Beta1, o.Beta2)
	state.Epoch = uint32(epoch)
	return t.prog.Write(t.net.Train.State, kernels.AsBytes(state.Words()))
}

// shuffled returns the images of an epoch in an order that depends only on the
// seed and the epoch.
func shuffled(images []uint32, seed uint64, epoch int) []uint32 {
	order := slices.Clone(images)
	rand.New(newPhiloxSource(kernels.PurposeOrder, seed, epoch)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// philoxSource is a [rand.Source] that uses the counter-based generator.
type philoxSource struct {
	purpose kernels.Purpose
	key     [2]uint32
	epoch   uint32
	draws   uint32
}

func newPhiloxSource(purpose kernels.Purpose, seed uint64, epoch int) *philoxSource {
	return &philoxSource{purpose: purpose, key: [2]uint32{uint32(seed), uint32(seed >> 32)}, epoch: uint32(epoch)}
}

// Uint64 implements [rand.Source].
func (s *philoxSource) Uint64() uint64 {
	w := kernels.Philox4x32([4]uint32{s.draws, 0, s.epoch, uint32(s.purpose)}, s.key)
	s.draws++
	return uint64(w[0])<<32 | uint64(w[1])
}

// ran records n steps, which took d.
func (t *training) ran(n int, d time.Duration) {
	if t.firstStep.IsZero() {
		t.firstStep = time.Now()
	}
	t.state.Seconds += d.Seconds()
	t.state.Slot += n
	t.state.Step += n
}

// reportSteps reads the losses of the epoch's steps, logs and reports them. Those from
// slot from on are new. A loss or a weight that is not finite ends the training.
func (t *training) reportSteps(from int) error {
	losses, correct, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return err
	}
	if err := t.checkLosses(losses, from); err != nil {
		return err
	}
	if time.Since(t.weighed) >= weighEvery {
		if err := t.checkWeights(); err != nil {
			return err
		}
	}
	if err := t.logSteps(losses); err != nil || t.options.Progress == nil {
		return err
	}
	batch := t.recipe.BatchSize
	done := min(t.state.Slot*batch, t.perEpoch)
	now := time.Now()
	t.options.Progress.Step(StepReport{Epoch: len(t.state.Epochs) + 1, ImagesDone: done, Images: t.perEpoch,
		Loss: weightedMean(losses, batch, done), Accuracy: float64(sum(correct)) / float64(done),
		NewImages: done - from*batch, ImagesPerSecond: float64(done-from*batch) / now.Sub(t.recent).Seconds()})
	t.recent = now
	return nil
}

// saveInterrupted saves a run in the middle of an epoch.
func (t *training) saveInterrupted() error {
	if err := t.checkWeights(); err != nil {
		return err
	}
	losses, _, err := t.logs(t.net.Train, 0, t.state.Slot)
	if err != nil {
		return err
	}
	logged := t.logSteps(losses)
	last, err := readSnapshot(t.net, t.prog, t.state.Step)
	if err != nil {
		return err
	}
	return errors.Join(logged, t.saveCheckpoint(), t.export(last, false))
}

// finish writes what a run has come to, with the test of its best weights.
func (t *training) finish(test dataset.Split, of tested) error {
	m := of.metrics
	t.describeTraining(m)
	if err := t.folder.writePredictions(t.testIndices(), test, of.probs); err != nil {
		return err
	}
	trained := t.model(t.best, t.state.BestEpoch)
	if err := t.draw(classified{trained, test, of.probs, m, HiResCAM}); err != nil {
		return err
	}
	if err := t.writeOutcome(m); err != nil {
		return err
	}
	// This comes last because a run with metrics.json counts as finished.
	if err := t.folder.writeMetrics(m); err != nil {
		return err
	}
	if t.options.DropCheckpoint && t.options.Dir != "" {
		if err := DropCheckpoint(t.options.Dir); err != nil {
			return err
		}
	}
	t.outcome.Result = t.result(trained, m)
	return nil
}

// result returns the outcome of a training that has ended.
func (t *training) result(trained *Model, m *metrics.Metrics) *Result {
	stopped, _ := t.state.stop(t.recipe)
	return &Result{Epochs: t.state.Epochs, BestEpoch: t.state.BestEpoch, Metrics: m, Model: trained, Stopped: stopped, FirstStep: t.firstStep}
}

// draw writes the run's pictures.
func (t *training) draw(c classified) error {
	if t.options.NoPictures {
		return nil
	}
	if err := t.folder.writeCurves(t.state.Epochs, t.recipe.SelectOn, t.state.BestEpoch); err != nil {
		return err
	}
	return t.folder.writePictures(c)
}

// describeTraining adds the training's protocol, duration and speed to metrics.
func (t *training) describeTraining(m *metrics.Metrics) {
	m.Protocol = t.recipe.protocol()
	images := 0.
	for _, e := range t.state.Epochs {
		m.TrainingSeconds += e.Seconds
		images += e.Seconds * e.ImagesPerSecond
	}
	if m.TrainingSeconds > 0 {
		m.ImagesPerSecond = images / m.TrainingSeconds
	}
	// Neither a run that was resumed nor one beside others has a time of its own.
	if o := t.options; !o.Started.IsZero() && o.Dir != "" && t.found.state == nil && o.Environment.Together <= 1 {
		m.SecondsToWeights = t.written.Sub(o.Started).Seconds()
	}
}

// noProtocol is the protocol in metrics.json if no evaluation selected the weights.
const noProtocol = "none"

// protocol names the images that select the weights.
func (r *Recipe) protocol() string {
	if r.NoEval {
		return noProtocol
	}
	return r.SelectOn
}

// model returns the weights as a model.
func (t *training) model(weights snapshot, epoch int) *Model {
	return &Model{Network: t.net.Config.Network, Normalization: t.net.Config.Normalization, Framing: t.framing,
		Origin:  Origin{Seed: t.recipe.Seed, Epoch: epoch, Protocol: t.recipe.protocol(), Version: t.options.Environment.Version},
		backend: t.backend, net: t.net, weights: weights}
}

// testIndices returns the positions in the test set of the images to test.
func (t *training) testIndices() []int {
	list := make([]int, len(t.test))
	for i, image := range t.test {
		list[i] = int(image) - t.testStart
	}
	return list
}

// testSplit reads the test images back from the device: the host may no longer
// hold the dataset.
func (t *training) testSplit() (dataset.Split, error) {
	all := t.net.Images
	all.Offset += t.testStart * t.data.Len()
	all.Shape = append([]int{len(t.classes) - t.testStart}, all.Shape[1:]...)
	test := dataset.Split{N: all.Shape[0], Shape: t.data.Shape, Images: make([]byte, all.Len()), Labels: t.classes[t.testStart:], Files: t.testFiles}
	if err := t.prog.Read(all, test.Images); err != nil || len(t.test) == test.N {
		return test, err
	}
	indices := make([]uint32, len(t.test))
	for i, index := range t.testIndices() {
		indices[i] = uint32(index)
	}
	return test.Select(indices), nil
}
