package trainer

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// session is a network compiled on a backend, with images resident. The sessions of
// replicas share a program: what one runs, all run.
type session struct {
	net  *model.Net
	prog kernels.Program
	pace *pace // of the program
}

// open compiles the network and uploads the images and labels of the splits, one
// split after the other.
func open(backend kernels.Backend, c model.Config, splits ...dataset.Split) (*session, error) {
	replicas, err := openReplicas(backend, c, 1, splits...)
	if err != nil {
		return nil, err
	}
	return replicas[0], nil
}

// openReplicas does what open does, for several replicas of the network.
func openReplicas(backend kernels.Backend, c model.Config, n int, splits ...dataset.Split) ([]*session, error) {
	nets, err := build(c, n, splits)
	if err != nil {
		return nil, err
	}
	prog, lent, err := compile(backend, nets[0], splits)
	if err != nil {
		return nil, err
	}
	if n > 1 {
		prog = &lockedProgram{Program: prog}
	}
	var replicas []*session
	shared := new(pace)
	for _, net := range nets {
		replicas = append(replicas, &session{net, prog, shared})
	}
	if err := replicas[0].upload(splits, lent); err != nil {
		prog.Close()
		return nil, err
	}
	return replicas, nil
}

// copies is how many copies of the weights a training keeps on the host, at most: the
// best, the last, what was read last and, while they are saved, those in PyTorch's layout
// and their bytes.
const copies = 5

// build writes the plan of replicas of a network, for the images of the splits.
func build(c model.Config, replicas int, splits []dataset.Split) ([]*model.Net, error) {
	for _, s := range splits {
		c.Images += s.N
	}
	nets, err := model.BuildReplicas(c, replicas)
	if err == nil && len(c.TrainBatches) > 0 {
		nets[0].Plan.HostBytes = copies * replicas * (nets[0].Values.Bytes() + nets[0].Running.Bytes())
	}
	return nets, err
}

// compile compiles the plan of a network. If the backend can, and the splits' images lie
// beside each other, these are lent to the program: it does not need a copy.
func compile(b kernels.Backend, net *model.Net, splits []dataset.Split) (prog kernels.Program, lent bool, err error) {
	images := dataset.Adjacent(splits...)
	if borrower, ok := b.(kernels.Borrower); ok && images != nil {
		prog, err = borrower.CompileOn(net.Plan, map[int][]byte{net.Images.Buffer: images})
		return prog, true, err
	}
	debug.FreeOSMemory() // otherwise the garbage of reading the dataset would add to the peak
	prog, err = b.Compile(net.Plan)
	return prog, false, err
}

// lockedProgram is a program from which several goroutines may read: replicas write
// their files at the same time.
type lockedProgram struct {
	lock sync.Mutex
	kernels.Program
}

// Read implements [kernels.Program].
func (p *lockedProgram) Read(t kernels.Tensor, dst []byte) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.Program.Read(t, dst)
}

// upload writes the splits' labels and, unless the program has them, images.
func (s *session) upload(splits []dataset.Split, lent bool) error {
	images, labels := s.net.Images, s.net.Labels
	for _, split := range splits {
		images.Shape = append([]int{split.N}, s.net.Images.Shape[1:]...)
		labels.Shape = []int{split.N}
		if !lent {
			if err := s.prog.Write(images, split.Images); err != nil {
				return err
			}
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

// largest returns the size of the largest batch that can be classified.
func (s *session) largest() int { return slices.Max(s.net.Config.EvalBatches) }

// evaluation is the outcome of classifying some images.
type evaluation struct {
	loss     float64 // mean cross-entropy
	accuracy float64 // fraction
}

// evaluate classifies the images with the given indices. Afterwards net.Probs
// holds their probabilities.
func (s *session) evaluate(ctx context.Context, indices []uint32) (evaluation, error) {
	evals, err := evaluateTogether(ctx, []*session{s}, [][]uint32{indices})
	if err != nil {
		return evaluation{}, err
	}
	return evals[0], nil
}

// evaluateTogether does what evaluate does for all replicas of a program, each with
// indices of its own, as many as the others.
func evaluateTogether(ctx context.Context, replicas []*session, indices [][]uint32) ([]evaluation, error) {
	for i, s := range replicas {
		if err := s.prepareEvaluation(indices[i]); err != nil {
			return nil, err
		}
	}
	s, n := replicas[0], len(indices[0])
	batch := s.largest()
	full, last := model.Batches(n, batch)
	for done := 0; done < full; {
		n := s.pace.next(full - done)
		if err := s.run(model.EvalSection(batch), n); err != nil {
			return nil, err
		}
		done += n
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if last > 0 {
		if err := s.run(model.EvalSection(last), 1); err != nil {
			return nil, err
		}
	}
	evals := make([]evaluation, len(replicas))
	for i, s := range replicas {
		loss, correct, err := s.logs(s.net.Eval, 0, model.Steps(n, batch))
		if err != nil {
			return nil, err
		}
		evals[i] = evaluation{loss: weightedMean(loss, batch, n), accuracy: float64(sum(correct)) / float64(n)}
	}
	return evals, nil
}

// prepareEvaluation writes what the device needs to classify the images with the
// given indices.
func (s *session) prepareEvaluation(indices []uint32) error {
	loop := s.net.Eval
	if err := s.prog.Write(loop.Order.First(len(indices)), kernels.AsBytes(indices)); err != nil {
		return err
	}
	return s.prog.Write(loop.State, kernels.AsBytes(kernels.State{}.Words()))
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
