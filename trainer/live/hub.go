package live

import (
	"cmp"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// The largest numbers of events that a hub keeps. When there are more, it drops every
// second one of its older half, so that the curve keeps its shape.
const (
	mostSteps  = 2048
	mostEpochs = 1 << 14
)

// Hub turns the progress of one training into events. It is a [trainer.Observer], which
// a training reports to, and hands the events to its subscribers. A slow subscriber
// delays nobody and takes no memory: it reads from the hub's history, at its own pace.
// Hub's methods may be called concurrently.
type Hub struct {
	dir    string
	run    string
	device string

	lock    sync.Mutex
	steps   []numbered    // of the history
	others  []numbered    // likewise: the start, epochs and the end
	last    int           // number of the latest event
	changed chan struct{} // closed at the next event
	ended   bool

	summary   trainer.Summary
	previous  trainer.StepReport
	stepped   time.Time // when it came
	speed     Speed
	evaluated evaluated
}

var _ trainer.Observer = (*Hub)(nil)

// numbered is an event with its place in the order of all of them.
type numbered struct {
	number int
	Event
}

// NewHub returns a hub for the training whose files go to the folder dir ("" for none)
// on the named device.
func NewHub(dir, device string) *Hub {
	run := ""
	if dir != "" {
		if full, err := filepath.Abs(dir); err == nil {
			run = filepath.Base(full)
		}
	}
	return &Hub{dir: dir, run: run, device: device, changed: make(chan struct{})}
}

// publish adds an event to the history. The lock must be held.
func (h *Hub) publish(e Event) {
	h.last++
	e.Run = h.run
	n := numbered{h.last, e}
	if e.Type == TypeStep {
		h.steps = thinned(append(h.steps, n), mostSteps)
	} else {
		h.others = thinned(append(h.others, n), mostEpochs)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// thinned drops every second event of the older half if there are more than most, but
// the first one never.
func thinned(list []numbered, most int) []numbered {
	if len(list) <= most {
		return list
	}
	kept := list[:0]
	for i, n := range list {
		if i%2 == 0 || i >= len(list)/2 {
			kept = append(kept, n)
		}
	}
	clear(list[len(kept):])
	return kept
}

// after returns the first event of the history whose number is larger. The lock must
// be held.
func (h *Hub) after(number int) (first numbered, ok bool) {
	for _, list := range [][]numbered{h.steps, h.others} {
		i, _ := slices.BinarySearchFunc(list, number+1, func(n numbered, want int) int { return cmp.Compare(n.number, want) })
		if i < len(list) && (!ok || list[i].number < first.number) {
			first, ok = list[i], true
		}
	}
	return first, ok
}

// Subscribe returns the events so far and a channel of those that follow, which is
// closed after the end. Events that the subscriber is too slow for are thinned: old
// steps may be missing, and an old epoch comes without confusion matrix and samples.
// cancel ends the subscription.
func (h *Hub) Subscribe() (history []Event, next <-chan Event, cancel func()) {
	h.lock.Lock()
	defer h.lock.Unlock()
	all := slices.Concat(h.steps, h.others)
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	for _, n := range all {
		history = append(history, n.Event)
	}
	events, stop := make(chan Event), make(chan struct{})
	go h.feed(events, stop, h.last)
	return history, events, sync.OnceFunc(func() { close(stop) })
}

// feed sends the events after the given one until the end or until stop is closed.
func (h *Hub) feed(events chan<- Event, stop <-chan struct{}, number int) {
	defer close(events)
	for {
		h.lock.Lock()
		n, ok := h.after(number)
		changed, ended := h.changed, h.ended
		h.lock.Unlock()
		switch {
		case ok:
			select {
			case events <- n.Event:
				number = n.number
			case <-stop:
				return
			}
		case ended:
			return
		default:
			select {
			case <-changed:
			case <-stop:
				return
			}
		}
	}
}

// Start implements [trainer.Progress]. The history of a resumed run begins with what
// its folder holds.
func (h *Hub) Start(s trainer.Summary) {
	var before []Event
	if s.FirstEpoch > 1 && h.dir != "" {
		before, _ = Replay(h.dir) // without it, the curves just begin here
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.summary = s
	layers, _ := s.Network.Summary()
	in := s.Network.Input
	h.publish(Event{Type: TypeStart, Start: &Start{
		Network: s.Network.Name, Layers: layers, Parameters: s.Parameters, Device: h.device,
		Epochs: s.Recipe.Epochs, FirstEpoch: s.FirstEpoch, StepsPerEpoch: s.StepsPerEpoch, Steps: h.totalSteps(), BatchSize: s.Recipe.BatchSize,
		TrainImages: s.TrainImages, SelectImages: s.SelectImages, SelectOn: s.Recipe.SelectOn,
		Classes: s.Network.Classes, Shape: [3]int{in.H, in.W, in.C}, Notes: s.Notes}})
	for _, e := range before {
		if e.Epoch != nil && e.Epoch.Report.Epoch < s.FirstEpoch || e.Step != nil && e.Step.Step <= (s.FirstEpoch-1)*s.StepsPerEpoch {
			h.publish(e)
		}
	}
}

// totalSteps returns the number of steps in the run if nothing stops it early.
func (h *Hub) totalSteps() int {
	steps := h.summary.Recipe.Epochs * h.summary.StepsPerEpoch
	if most := h.summary.Recipe.MaxSteps; most > 0 {
		steps = min(steps, most)
	}
	return steps
}

// Step implements [trainer.Progress].
func (h *Hub) Step(r trainer.StepReport) {
	h.lock.Lock()
	defer h.lock.Unlock()
	recent := r.Loss
	if p := h.previous; p.Epoch == r.Epoch && r.NewImages > 0 && p.ImagesDone+r.NewImages == r.ImagesDone {
		recent = (r.Loss*float64(r.ImagesDone) - p.Loss*float64(p.ImagesDone)) / float64(r.NewImages)
	}
	h.previous, h.stepped = r, time.Now()
	h.speed.Add(r)
	if math.IsInf(r.ImagesPerSecond, 0) { // faster than the clock tells; JSON has no such number
		r.ImagesPerSecond = 0
	}
	batch := max(1, h.summary.Recipe.BatchSize)
	step := (r.Epoch-1)*h.summary.StepsPerEpoch + (r.ImagesDone+batch-1)/batch
	h.publish(Event{Type: TypeStep, Step: &Step{Epoch: r.Epoch, Step: step, ImagesDone: r.ImagesDone, Images: r.Images,
		Loss: r.Loss, RecentLoss: recent, Accuracy: r.Accuracy, ImagesPerSecond: r.ImagesPerSecond, ETASeconds: h.eta(step)}})
}

// eta returns the seconds that the rest of the run takes after a step.
func (h *Hub) eta(step int) float64 {
	speed := h.speed.Value()
	if speed == 0 || h.summary.StepsPerEpoch == 0 {
		return 0
	}
	perStep := float64(h.summary.TrainImages) / float64(h.summary.StepsPerEpoch) / speed
	left := max(0, h.totalSteps()-step)
	epochs := (left + h.summary.StepsPerEpoch - 1) / h.summary.StepsPerEpoch
	return float64(left)*perStep + float64(epochs)*h.evaluated.seconds
}

// Epoch implements [trainer.Progress].
func (h *Hub) Epoch(r trainer.EpochReport) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if !h.stepped.IsZero() {
		h.evaluated.seconds = time.Since(h.stepped).Seconds()
	}
	for i := len(h.others) - 1; i >= 0 && h.others[i].Epoch != nil; i-- {
		if old := h.others[i].Epoch; old.ConfusionMatrix != nil {
			h.others[i].Epoch = &Epoch{Report: old.Report}
			break
		}
	}
	h.publish(Event{Type: TypeEpoch, Epoch: &Epoch{Report: r, ConfusionMatrix: h.evaluated.matrix, Samples: h.evaluated.samples}})
	h.evaluated.matrix, h.evaluated.samples = nil, nil
}

// End tells the subscribers how the training ended, as [trainer.Train] returned it. The
// first call counts.
func (h *Hub) End(result *trainer.Result, err error) {
	e := &End{State: Finished}
	switch {
	case errors.Is(err, trainer.ErrInterrupted):
		e.State = Interrupted
	case err != nil:
		e.State, e.Error = Failed, err.Error()
	}
	if result != nil {
		e.Metrics, e.Stopped = result.Metrics, result.Stopped
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	if !h.ended {
		h.ended = true
		h.publish(Event{Type: TypeEnd, End: e})
	}
}

// evaluated is what the hub takes from an epoch's evaluation.
type evaluated struct {
	chosen  []int    // the samples, as indices of evaluated images
	pixels  [][]byte // theirs
	matrix  [][]int
	samples []Sample
	seconds float64 // how long an evaluation takes, with saving
}

// Evaluated implements [trainer.Observer].
func (h *Hub) Evaluated(e trainer.Evaluated) {
	classes := len(e.Probabilities) / max(1, len(e.Labels))
	row := func(i int) []float32 { return e.Probabilities[i*classes:][:classes] }
	matrix := make([][]int, classes)
	for c := range matrix {
		matrix[c] = make([]int, classes)
	}
	for i, label := range e.Labels {
		matrix[label][metrics.Predicted(row(i))]++
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	v := &h.evaluated
	if v.chosen == nil {
		chosen := chooseSamples(e.Labels, classes, h.summary.Network.Input.Len())
		if pixels, err := e.Images(chosen); err == nil { // without pixels there are no samples
			v.chosen, v.pixels = chosen, pixels
		}
	}
	v.matrix, v.samples = matrix, nil
	for k, i := range v.chosen {
		v.samples = append(v.samples, Sample{Index: i, Label: int(e.Labels[i]), Pixels: v.pixels[k], Probabilities: slices.Clone(row(i))})
	}
}

// The samples are at most so many, and their pixels at most so many bytes.
const (
	mostSamples     = 20
	mostSampleBytes = 1 << 16
)

// chooseSamples returns indices of images, the first ones of each class in turn.
func chooseSamples(labels []byte, classes, bytes int) []int {
	most := min(mostSamples, max(1, mostSampleBytes/max(1, bytes)))
	byClass := make([][]int, classes)
	for i, label := range labels {
		byClass[label] = append(byClass[label], i)
	}
	var chosen []int
	for round := 0; len(chosen) < min(most, len(labels)); round++ {
		for _, images := range byClass {
			if round < len(images) && len(chosen) < most {
				chosen = append(chosen, images[round])
			}
		}
	}
	return chosen
}
