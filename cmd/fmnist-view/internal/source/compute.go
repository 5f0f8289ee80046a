package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// mostCounted is the number of images that are classified for a confusion matrix.
const mostCounted = 1000

// inspector looks into the run's latest weights.
type inspector struct {
	*Source
	dir     string         // of the run, "" if unknown
	loaded  string         // stamp of the weights in model
	model   *trainer.Model // nil before there are weights
	images  dataset.Split  // to take samples from
	read    bool           // images has been asked for
	counted string         // stamp of the weights of the last confusion matrix
	shown   shown          // what is in the state
}

// shown is all that decides what an Inside is.
type shown struct {
	weights        string
	images, wanted int
	own            *live.Sample // the first one, new with each epoch
}

// compute keeps the state's Inside up to date.
func (s *Source) compute(ctx context.Context) {
	i := &inspector{Source: s, dir: s.options.Dir}
	defer i.forget()
	for ctx.Err() == nil {
		if err := i.update(ctx); err != nil && ctx.Err() == nil {
			i.note(err.Error())
		}
		select {
		case <-s.wake:
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// note tells the user what cannot be shown.
func (i *inspector) note(text string) {
	i.lock.Lock()
	defer i.lock.Unlock()
	for _, old := range i.state.Notes {
		if old == text {
			return
		}
	}
	i.state.Version++
	i.state.Notes = append(i.state.Notes[:len(i.state.Notes):len(i.state.Notes)], text)
}

func (i *inspector) forget() {
	if i.model != nil {
		i.model.Close()
		i.model = nil
	}
}

// update does what there is to do.
func (i *inspector) update(ctx context.Context) error {
	if err := i.load(); err != nil {
		return err
	}
	if !i.read && i.dir != "" {
		i.read = true
		images, err := i.options.Images(ctx, i.dir)
		if err != nil {
			i.note(fmt.Sprintf("no samples: %v", err))
		} else {
			i.images = images
		}
	}
	if err := i.inspect(); err != nil {
		return err
	}
	return i.count(ctx)
}

// load reads the latest weights if they are others than before.
func (i *inspector) load() error {
	path := filepath.Join(i.dir, trainer.LastWeights)
	stamp := fileStamp(path)
	if i.dir == "" || stamp == "" || stamp == i.loaded {
		return nil
	}
	m, err := trainer.Load(path, i.options.Backend)
	if os.IsNotExist(err) {
		return nil // removed in the meantime
	}
	if err != nil {
		return err
	}
	i.forget()
	i.model, i.loaded = m, stamp
	return nil
}

// inspect looks at the filters, and at what the weights make of the wanted sample.
func (i *inspector) inspect() error {
	i.lock.Lock()
	in, own, wanted := i.state.Inside, i.own, i.wanted
	start := i.state.Start
	i.lock.Unlock()
	now := shown{weights: i.loaded, images: i.images.N, wanted: wanted}
	if len(own) > 0 {
		now.own = &own[0]
	}
	if now == i.shown {
		return nil
	}
	i.shown = now
	next := Inside{Version: in.Version + 1, Sample: wanted}
	switch {
	case i.images.N > 0:
		next.Samples, next.Pixels, next.Label = i.images.N, i.images.Image(wanted), int(i.images.Labels[wanted])
		next.Shape = [3]int{i.images.H, i.images.W, i.images.C}
	case len(own) > 0 && start != nil:
		wanted %= len(own)
		next.Sample, next.Samples = wanted, len(own)
		next.Pixels, next.Label, next.Shape = own[wanted].Pixels, own[wanted].Label, start.Shape
		next.Probabilities = own[wanted].Probabilities
	}
	if i.model != nil {
		next.Epoch = i.model.Origin.Epoch
		next.Filters, next.FilterShape = i.model.FirstFilters()
		if next.Pixels != nil {
			var err error
			if next.Activations, next.Probabilities, err = i.model.Activations(next.Pixels); err != nil {
				return err
			}
		}
	}
	i.lock.Lock()
	defer i.lock.Unlock()
	i.state.Inside = next
	i.state.Version++
	return nil
}

// count classifies some images for a confusion matrix if nothing else gives one.
func (i *inspector) count(ctx context.Context) error {
	i.lock.Lock()
	done := i.options.URL != "" || i.state.End != nil && i.state.End.Metrics != nil
	i.lock.Unlock()
	if done || i.model == nil || i.images.N == 0 || i.counted == i.loaded {
		return nil
	}
	some := i.images
	some.N = min(some.N, mostCounted)
	some.Images, some.Labels, some.Files = some.Images[:some.N*some.Len()], some.Labels[:some.N], nil
	predictions, err := i.model.Classify(ctx, some)
	if err != nil {
		return err
	}
	matrix := make([][]int, len(i.model.Network.Classes))
	for c := range matrix {
		matrix[c] = make([]int, len(matrix))
	}
	for k, p := range predictions {
		if label := int(some.Labels[k]); label < len(matrix) { // a run that does not know its dataset's hashes may have another now
			matrix[label][p.Best().Label]++
		}
	}
	i.counted = i.loaded
	i.lock.Lock()
	defer i.lock.Unlock()
	i.state.Version++
	i.state.Confusion = matrix
	i.state.ConfusionLabel = fmt.Sprintf("epoch %d, first %d test images", i.model.Origin.Epoch, some.N)
	return nil
}

// fileStamp changes whenever a file does.
func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}
