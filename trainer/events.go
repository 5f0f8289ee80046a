package trainer

import (
	"math"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard"
)

// The scalars that TensorBoard shows of a run, all by optimiser step.
const (
	trainLossTag       = "loss/train" // the first value of every epoch
	valLossTag         = "loss/val"
	testLossTag        = "loss/test"
	stepLossTag        = "loss/step" // the first value of every logged step
	trainAccuracyTag   = "accuracy/train"
	valAccuracyTag     = "accuracy/val"
	testAccuracyTag    = "accuracy/test"
	testF1Tag          = "f1/test"
	rateTag            = "learning_rate"
	stepRateTag        = "learning_rate/step"
	imagesPerSecondTag = "images_per_second"
)

// events writes a run's file for TensorBoard. If it is nil, it writes nothing.
//
// What a resume does not write again is on the disk before the checkpoint, and the
// resume removes what it writes again: the curves are those of a run that was never
// interrupted.
type events struct{ file *tensorboard.Writer }

// openEvents begins an event file, in a folder that has been locked.
func (t *training) openEvents() error {
	if t.options.Resume {
		if err := t.dropEvents(); err != nil {
			return err
		}
	}
	settings, err := t.hyperparameters()
	if err != nil {
		return err
	}
	started, err := tensorboard.Started(settings)
	if err != nil {
		return err
	}
	file, err := tensorboard.Create(t.folder.dir, int64(t.state.Step+1))
	if err != nil {
		return err
	}
	t.events = &events{file}
	return file.Write(tensorboard.Event{Values: []tensorboard.Value{started}})
}

// dropEvents removes the events that a resumed run writes again: what came after the
// checkpoint, the hyperparameters and the outcome.
func (t *training) dropEvents() error {
	epochs := len(t.state.Epochs) * t.stepsPerEpoch()
	return tensorboard.Keep(t.folder.dir, func(step int64, tags []string) bool {
		switch tags[0] {
		case stepLossTag:
			return step <= int64(t.state.Step)
		case trainLossTag: // also of an epoch that MaxSteps cut short, which the checkpoint lacks
			return step <= int64(epochs)
		}
		return false
	})
}

// hyperparameters returns the settings that tell trainings apart: the name of the network
// and its dropout, the dataset and the shape of its images, the weights that the training
// starts from, and those of the recipe, with the augmentation as it is, however it was
// chosen.
func (t *training) hyperparameters() (map[string]any, error) {
	r := t.recipe
	a := r.augmentation()
	r.Rotate, r.Crop, r.Erase = &a.Rotate, &a.Crop, &a.Erase
	for name, flip := range flips {
		if flip == a.Flip {
			r.Flip = &name
		}
	}
	named := args{Model: t.net.Config.Network.Name, Recipe: r}
	if t.options.Settings != nil {
		own := args{Recipe: DefaultRecipe()}
		text, err := yaml.Marshal(t.options.Settings)
		if err == nil {
			err = own.parse("Options.Settings", text)
		}
		if err != nil {
			return nil, err
		}
		named.Dropout = own.Dropout
	}
	text, err := yaml.Marshal(named)
	if err != nil {
		return nil, err
	}
	settings := map[string]any{"dataset": t.data.Name, "images": t.data.Shape.String(), "init": t.options.InitFrom}
	return settings, setting.Decode("the settings", text, &settings)
}

// steps writes logged steps.
func (e *events) steps(log []loggedStep) error {
	if e == nil || len(log) == 0 {
		return nil
	}
	list := make([]tensorboard.Event, len(log))
	for i, l := range log {
		list[i] = tensorboard.Event{Step: l.Step, Values: []tensorboard.Value{
			tensorboard.Scalar(stepLossTag, float64(l.Loss)), tensorboard.Scalar(stepRateTag, l.Rate)}}
	}
	return e.file.Write(list...)
}

// writeEpochEvent writes an epoch's figures and the distribution of each parameter.
func (t *training) writeEpochEvent(r EpochReport, weights snapshot) error {
	if t.events == nil {
		return nil
	}
	values := []tensorboard.Value{tensorboard.Scalar(trainLossTag, r.TrainLoss), tensorboard.Scalar(trainAccuracyTag, r.TrainAccuracy),
		tensorboard.Scalar(rateTag, r.LR), tensorboard.Scalar(imagesPerSecondTag, r.ImagesPerSecond)}
	if !math.IsNaN(r.ValLoss) {
		values = append(values, tensorboard.Scalar(valLossTag, r.ValLoss), tensorboard.Scalar(valAccuracyTag, r.ValAccuracy))
	}
	for _, p := range t.net.Params {
		values = append(values, tensorboard.Histogram(parameterTag(p.Name), weights.part(t.net, p)))
	}
	return t.events.file.Write(tensorboard.Event{Step: int64(t.state.Step), Values: values})
}

// parameterTag returns the tag of a parameter: TensorBoard shows those of a layer
// together.
func parameterTag(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i] + "/" + name[i+1:]
	}
	return name
}

// sync makes what was written survive a power failure.
func (e *events) sync() error {
	if e == nil {
		return nil
	}
	return e.file.Sync()
}

// writeOutcome writes a finished run's metrics and pictures.
func (t *training) writeOutcome(m *metrics.Metrics) error {
	if t.events == nil {
		return nil
	}
	finished, err := tensorboard.Finished()
	if err != nil {
		return err
	}
	values := []tensorboard.Value{tensorboard.Scalar(testAccuracyTag, m.Accuracy), tensorboard.Scalar(testLossTag, m.Loss),
		tensorboard.Scalar(testF1Tag, m.Macro.F1), finished}
	for _, name := range []string{MatrixPicture, SamplesPicture} {
		if t.options.NoPictures {
			break
		}
		png, err := os.ReadFile(t.folder.path(name))
		if err != nil {
			return err
		}
		picture, err := tensorboard.Image(strings.TrimSuffix(name, ".png"), png)
		if err != nil {
			return err
		}
		values = append(values, picture)
	}
	if err := t.events.file.Write(tensorboard.Event{Step: int64(t.state.Step), Values: values}); err != nil {
		return err
	}
	return t.events.sync()
}

// close closes the file.
func (e *events) close() {
	if e != nil {
		e.file.Close() // whoever needs what was written has called sync
	}
}
