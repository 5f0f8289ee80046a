package trainer

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// evalBatch is the batch size of evaluation. It divides the sizes of the
// validation and test sets, and its activations take less memory than those of a
// training step with a batch of 64.
const evalBatch = 100

// session is a network compiled on a backend, with images resident.
type session struct {
	net  *model.Net
	prog kernels.Program
	pace pace
}

// open compiles the network and uploads the images and labels of the splits, one
// split after the other.
func open(backend kernels.Backend, c model.Config, splits ...dataset.Split) (*session, error) {
	for _, s := range splits {
		c.Images += s.N
	}
	net, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // otherwise the garbage of reading the dataset would add to the peak
	prog, err := backend.Compile(net.Plan)
	if err != nil {
		return nil, err
	}
	s := &session{net: net, prog: prog}
	if err := s.upload(splits); err != nil {
		prog.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) upload(splits []dataset.Split) error {
	images, labels := s.net.Images, s.net.Labels
	for _, split := range splits {
		images.Shape = append([]int{split.N}, s.net.Images.Shape[1:]...)
		labels.Shape = []int{split.N}
		if err := s.prog.Write(images, split.Images); err != nil {
			return err
		}
		if err := s.prog.Write(labels, split.Labels); err != nil {
			return err
		}
		images.Offset += images.Len()
		labels.Offset += labels.Len()
	}
	return s.net.WriteTables(s.prog) // a checkpoint does not hold them
}

func (s *session) close() error { return s.prog.Close() }

// evalBatches lists the batch sizes needed to evaluate each of the given numbers
// of images.
func evalBatches(counts ...int) []int {
	var sizes []int
	for _, n := range counts {
		full, last := model.Batches(n, evalBatch)
		if full > 0 {
			sizes = append(sizes, evalBatch)
		}
		if last > 0 {
			sizes = append(sizes, last)
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// evaluation is the outcome of classifying some images.
type evaluation struct {
	loss     float64 // mean cross-entropy
	accuracy float64 // fraction
}

// evaluate classifies the images with the given indices. Afterwards net.Probs
// holds their probabilities.
func (s *session) evaluate(ctx context.Context, indices []uint32) (evaluation, error) {
	loop := s.net.Eval
	if err := s.prog.Write(loop.Order.First(len(indices)), kernels.AsBytes(indices)); err != nil {
		return evaluation{}, err
	}
	if err := s.prog.Write(loop.State, kernels.AsBytes(kernels.State{}.Words())); err != nil {
		return evaluation{}, err
	}
	full, last := model.Batches(len(indices), evalBatch)
	for done := 0; done < full; {
		n := s.pace.next(full - done)
		if err := s.run(model.EvalSection(evalBatch), n); err != nil {
			return evaluation{}, err
		}
		done += n
		if err := ctx.Err(); err != nil {
			return evaluation{}, err
		}
	}
	if last > 0 {
		if err := s.run(model.EvalSection(last), 1); err != nil {
			return evaluation{}, err
		}
	}
	loss, correct, err := s.logs(loop, 0, model.Steps(len(indices), evalBatch))
	if err != nil {
		return evaluation{}, err
	}
	return evaluation{
		loss:     weightedMean(loss, evalBatch, len(indices)),
		accuracy: float64(sum(correct)) / float64(len(indices)),
	}, nil
}

// run executes a section and records in pace how long it took.
func (s *session) run(section string, times int) error {
	start := time.Now()
	err := s.prog.Run(section, times)
	s.pace.took(times, time.Since(start))
	return err
}

// logs reads the losses and numbers of correct predictions of a loop's steps
// [from, to).
func (s *session) logs(loop model.Loop, from, to int) (loss []float32, correct []uint32, err error) {
	loss, correct = make([]float32, to), make([]uint32, to)
	if err := s.prog.Read(loop.Loss.First(to), kernels.AsBytes(loss)); err != nil {
		return nil, nil, err
	}
	if err := s.prog.Read(loop.Correct.First(to), kernels.AsBytes(correct)); err != nil {
		return nil, nil, err
	}
	return loss[from:], correct[from:], nil
}

// weightedMean returns the mean loss over all images, given the mean loss of each
// batch. All batches have the given size except the last, which holds the rest.
func weightedMean(losses []float32, batch, images int) float64 {
	total := 0.
	for i, l := range losses {
		total += float64(l) * float64(min(batch, images-i*batch))
	}
	return total / float64(images)
}

func sum(counts []uint32) int {
	total := 0
	for _, c := range counts {
		total += int(c)
	}
	return total
}

// pace decides how many steps to submit at a time: as many as take about a
// quarter of a second, so that the device stays busy but interruptions and
// progress reports are not delayed.
type pace struct{ perStep time.Duration }

var paceTarget = 250 * time.Millisecond // tests shorten it

func (p *pace) next(left int) int {
	if p.perStep == 0 {
		return 1
	}
	return max(1, min(left, int(paceTarget/p.perStep)))
}

func (p *pace) took(steps int, d time.Duration) {
	p.perStep = max(d/time.Duration(steps), 1)
}
