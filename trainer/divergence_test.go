package trainer

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// poisoning is a backend whose programs change an element after a step, as a network
// that diverges does, or memory that fails.
type poisoning struct {
	kernels.Backend
	step     uint32
	buffer   string
	element  int
	value    float32
	programs int  // to poison at most
	alone    bool // no program fits beside a poisoned one
	open     int  // poisoned programs
}

// poisonedProgram runs one step at a time.
type poisonedProgram struct {
	kernels.Program
	by            *poisoning
	state, target kernels.Tensor
}

func (b *poisoning) Compile(p *kernels.Plan) (kernels.Program, error) {
	if b.alone && b.open > 0 {
		return nil, errors.New("out of memory")
	}
	program, err := b.Backend.Compile(p)
	at := func(name string) int {
		return slices.IndexFunc(p.Buffers, func(x kernels.Buffer) bool { return x.Name == name })
	}
	if err != nil || at("train.state") < 0 || b.programs == 0 {
		return program, err
	}
	b.programs--
	b.open++
	return &poisonedProgram{program, b,
		kernels.Tensor{Buffer: at("train.state"), Type: kernels.Uint32, Shape: []int{kernels.StateWords}},
		kernels.Tensor{Buffer: at(b.buffer), Offset: b.element, Type: kernels.Float32, Shape: []int{1}}}, nil
}

func (p *poisonedProgram) Close() error {
	p.by.open--
	return p.Program.Close()
}

func (p *poisonedProgram) Run(section string, times int) error {
	for range times {
		before := p.step()
		if err := p.Program.Run(section, 1); err != nil {
			return err
		}
		if before < p.by.step && p.step() == p.by.step {
			if err := p.Program.Write(p.target, kernels.AsBytes([]float32{p.by.value})); err != nil {
				return err
			}
		}
	}
	return nil
}

// step returns the number of steps that the device has done.
func (p *poisonedProgram) step() uint32 {
	state := make([]byte, p.state.Bytes())
	if err := p.Program.Read(p.state, state); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint32(state[4*kernels.StateStep:])
}

// checkOften makes trainings check their weights at each report.
func checkOften(t *testing.T) {
	before := weighEvery
	weighEvery = 0
	t.Cleanup(func() { weighEvery = before })
}

// A divergence ends the training, with the step and the tensor in which it began and
// the last checkpoint as it was.
func TestDivergenceIsLocated(t *testing.T) {
	checkOften(t)
	r, n, data := onTiny(t)
	whole := folders(t, 1)[0]
	if _, err := Train(t.Context(), r, n, data, openBackend(t), Options{Dir: whole, NoPictures: true}); err != nil {
		t.Fatal(err)
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		poisoning
		want []string
	}{
		"weight, after the first epoch": {poisoning{step: 9, buffer: "parameters", value: nan, programs: 2, alone: true},
			[]string{"it began at step 9: conv1.weight holds NaN", "the checkpoint of step 6 is kept", "lower learning rate (lr) than 0.01"}},
		"weight, before any checkpoint": {poisoning{step: 3, buffer: "parameters", value: inf, programs: 2},
			[]string{"it began at step 3: conv1.weight holds +Inf"}},
		"running statistic, which no training step reads": {poisoning{step: 14, buffer: "running", value: nan, programs: 2},
			[]string{"it began at step 14: bn1.running_mean holds NaN", "the checkpoint of step 12 is kept"}},
		"huge weight, whose square becomes infinite": {poisoning{step: 8, buffer: "parameters", value: 1e30, programs: 2},
			[]string{"it began at step 9: ", "of ConvForward) holds", "the checkpoint of step 6 is kept"}},
		"negative variance, at which only an evaluation fails": {poisoning{step: 12, buffer: "running", element: 64, value: -1e9, programs: 2},
			[]string{"the loss of the evaluated images is NaN", "it began at step 12: ", "Inference) holds NaN"}},
		"only an evaluation, once": {poisoning{step: 12, buffer: "running", element: 64, value: -1e9, programs: 1},
			[]string{"the loss of the evaluated images is NaN", "it began at step 12: the loss"}},
		"once, as memory fails": {poisoning{step: 9, buffer: "parameters", value: nan, programs: 1},
			[]string{"steps 7 to ", ", repeated, stay finite; the checkpoint of step 6 is kept; suspect the device's memory, and resume the run"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folders(t, 1)[0]
			c.Backend = openBackend(t)
			repeats := c.programs > 1
			_, err := Train(t.Context(), r, n, data, &c.poisoning, Options{Dir: dir, NoPictures: true})
			if !errors.Is(err, ErrDiverged) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want ErrDiverged in one line", err)
			}
			t.Log(err)
			if d, ok := errors.AsType[*DivergenceError](err); !ok || d.Repeats != repeats {
				t.Errorf("%#v, want one that repeats: %v", err, repeats)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q", err, want)
				}
			}
			// It was no fault of the training's: from the checkpoint it goes on as if nothing had happened.
			if _, err := Train(t.Context(), r, n, data, openBackend(t), Options{Dir: dir, Resume: true, NoPictures: true}); err != nil {
				t.Fatal(err)
			}
			wantSameRun(t, dir, whole)
		})
	}
}

// What really diverges is located too: at the step whose loss is not finite, or before.
func TestRealDivergenceIsLocated(t *testing.T) {
	checkOften(t)
	r, n, data := onTiny(t)
	r.Optimizer, r.LR, r.WeightDecay, r.Epochs = "sgd", 1000, new(1000.), 20
	for _, precision := range []string{"fp32", "mixed"} {
		r.Precision = precision
		err := kernels.CheckPrecision(openBackend(t), r.precision())
		if err == nil {
			_, err = Train(t.Context(), r, n, data, openBackend(t), Options{})
		} else if precision == "mixed" {
			t.Skip(err)
		}
		if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "; it began at step ") ||
			strings.Contains(err.Error(), "or precision fp32") != (precision == "mixed") {
			t.Errorf("%s: %v", precision, err)
		}
		t.Log(err)
	}
}

// What only the first epoch's checkpoint shows is found by repeating that epoch, on the
// same images.
func TestDivergenceInFirstCheckpoint(t *testing.T) {
	r, n, data := onTiny(t)
	r.Prune, r.EMA, r.NoEval = .1, .9, true
	inf := float32(math.Inf(1))
	for buffer, want := range map[string]string{
		"moment2": "the optimiser's moment of conv1.weight ",
		"average": "the average of conv1.weight ",
	} {
		backend := &poisoning{Backend: openBackend(t), step: 5, buffer: buffer, value: inf, programs: 2}
		_, err := Train(t.Context(), r, n, data, backend, Options{Dir: folders(t, 1)[0], NoPictures: true})
		if d, ok := errors.AsType[*DivergenceError](err); !ok || !d.Repeats || !strings.Contains(err.Error(), "it began at step 5: "+want) {
			t.Errorf("%s: error %v, want that it began at step 5: %s", buffer, err, want)
		}
	}
}

// A replica of which only the test diverges says where, and leaves the others what they
// are alone.
func TestTestDiverges(t *testing.T) {
	r, n, data := onTiny(t)
	r.NoEval = true
	alone := trainedAlone(t, r, n, data, 2)
	dirs := folders(t, 2)
	backend := &poisoning{Backend: openBackend(t), step: 24, buffer: "running", element: 64, value: -1e9, programs: 2}
	outcomes, err := TrainReplicas(t.Context(), seeded(r, dirs), n, data, backend)
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := errors.AsType[*DivergenceError](outcomes[0].Err); !ok || !d.Repeats ||
		!strings.Contains(d.Text, "the loss of the test images is NaN at step 24; it began at step 24: bn1 (Y of ") {
		t.Errorf("the poisoned replica: %v", outcomes[0].Err)
	}
	if outcomes[1].Err != nil {
		t.Fatal(outcomes[1].Err)
	}
	wantSameRun(t, dirs[1], alone[1])
}

// A replica that diverges leaves the others what they are alone.
func TestReplicaDiverges(t *testing.T) {
	checkOften(t)
	r, n, data := onTiny(t)
	alone := trainedAlone(t, r, n, data, 2)
	dirs := folders(t, 2)
	backend := &poisoning{Backend: openBackend(t), step: 9, buffer: "parameters", value: float32(math.NaN()), programs: 2}
	outcomes, err := TrainReplicas(t.Context(), seeded(r, dirs), n, data, backend) // the first has the first buffer of that name
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes[0].Err; !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "it began at step 9: conv1.weight holds NaN") {
		t.Errorf("the poisoned replica: %v", err)
	}
	if outcomes[1].Err != nil {
		t.Fatal(outcomes[1].Err)
	}
	wantSameRun(t, dirs[1], alone[1])
}

// Checkpoints within an epoch are replayed from, too.
func TestDivergenceAfterCheckpointInEpoch(t *testing.T) {
	checkOften(t)
	defer func(d time.Duration) { paceTarget = d }(paceTarget)
	paceTarget = 1 // one step at a time
	r, n, data := onTiny(t)
	r.Prune = .2 // 5 steps per epoch
	backend := &poisoning{Backend: openBackend(t), step: 9, buffer: "parameters", value: float32(math.NaN()), programs: 2}
	_, err := Train(t.Context(), r, n, data, backend, Options{Dir: folders(t, 1)[0], CheckpointEvery: 1, NoPictures: true})
	if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "it began at step 9: conv1.weight holds NaN; the checkpoint of step 8 is kept") {
		t.Errorf("error %v", err)
	}
}

// A checkpoint never holds what is not finite, nor is one read that does.
func TestCheckpointsAreFinite(t *testing.T) {
	r, n, data := onTiny(t)
	dir := folders(t, 1)[0]
	backend := &poisoning{Backend: openBackend(t), step: 6, buffer: "moment2", value: float32(math.Inf(1)), programs: 1}
	if _, err := Train(t.Context(), r, n, data, backend, Options{Dir: dir, NoPictures: true}); !errors.Is(err, ErrDiverged) ||
		!strings.Contains(err.Error(), "the optimiser's moment of conv1.weight holds +Inf at step 6") {
		t.Errorf("error %v, want ErrDiverged", err)
	}
	if s, err := (folder{dir}).readState(); err != nil || s != nil {
		t.Errorf("state %v, %v: want no checkpoint", s, err)
	}
}

// Cancelled while it looks for the beginning, a training ends without it.
func TestDivergenceIsNotLocatedWhenCancelled(t *testing.T) {
	checkOften(t)
	r, n, data := onTiny(t)
	ctx, cancel := context.WithCancel(t.Context())
	backend := &poisoning{Backend: openBackend(t), step: 3, buffer: "parameters", value: float32(math.NaN()), programs: 2}
	_, err := Train(ctx, r, n, data, cancelling{backend, cancel}, Options{})
	if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "where it began is unknown: context canceled") {
		t.Errorf("error %v", err)
	}
}

// cancelling cancels when the second program is compiled.
type cancelling struct {
	*poisoning
	cancel func()
}

func (b cancelling) Compile(p *kernels.Plan) (kernels.Program, error) {
	if b.programs == 1 {
		b.cancel()
	}
	return b.poisoning.Compile(p)
}

// What cannot be read is not taken for what was read before it.
func TestUnreadTensorIsNotBad(t *testing.T) {
	lost := errors.New("lost")
	r := &training{session: &session{prog: unreadable{err: lost}}, scanned: []float32{float32(math.NaN())}}
	if i, _, err := r.firstBad(kernels.Tensor{Type: kernels.Float32, Shape: []int{1}}); i >= 0 || !errors.Is(err, lost) {
		t.Errorf("element %d, error %v", i, err)
	}
}

// unreadable is a program that cannot be read.
type unreadable struct {
	kernels.Program
	err error
}

func (p unreadable) Read(kernels.Tensor, []byte) error { return p.err }
