// Package bench measures how fast a backend trains and classifies, in total and
// op by op. It uses random images, so it needs no dataset.
package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Options describe what to measure.
type Options struct {
	Network   model.Network
	Dropout   float32 // probability
	Batch     int     // images per step
	Infer     bool    // classify instead of training
	Precision kernels.Precision
	Rounds    int       // timed runs; their median counts
	Seconds   float64   // per round
	Started   time.Time // start of the process, to measure the start-up; zero: do not measure it
}

// Result holds the measurements.
type Result struct {
	Device    string            `json:"device"`
	Model     string            `json:"model"`
	Mode      string            `json:"mode"` // train or infer
	Precision kernels.Precision `json:"precision"`
	Batch     int               `json:"batch"`
	Summary
	StepMillis     float64 `json:"step_ms"`          // at the median
	StepsPerSecond float64 `json:"steps_per_second"` // at the median
	// On a device with its own clock: the median time of a step, including
	// barriers; the part of it when no dispatch runs, which is barriers; the sum
	// of the times of its ops run one by one; and the gap between steps, the
	// difference between a step of the rounds and DeviceMicros.
	DeviceMicros  float64 `json:"device_us,omitempty"`
	BetweenMicros float64 `json:"between_dispatches_us,omitempty"`
	OpsMicros     float64 `json:"ops_us,omitempty"`
	GapMicros     float64 `json:"gap_us,omitempty"`
	// HostCores is the mean number of the host's cores that the process kept
	// busy during the rounds; 0 if the system does not report it. It is high
	// with a software driver and close to 0 with a real GPU.
	HostCores   float64  `json:"host_cores"`
	GFLOPs      float64  `json:"gflops"`         // 10⁹ operations per second at the median
	DeviceBytes int      `json:"device_bytes"`   // allocated by the program
	Peak        *Peak    `json:"peak,omitempty"` // if the backend can measure it
	Ops         []Op     `json:"ops"`            // in the order of a step
	StartUp     *StartUp `json:"start_up,omitempty"`
}

// Round holds the measurements of one round.
type Round struct {
	ImagesPerSecond float64  `json:"images_per_second"`
	Latency         *Latency `json:"latency_ms,omitempty"` // with Infer
}

// Latency describes the times of steps of which each starts when the one before
// has ended, in milliseconds.
type Latency struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99"` // the 99th percentile
}

// Summary combines rounds.
type Summary struct {
	ImagesPerSecond float64   `json:"images_per_second"` // median over the rounds
	Rounds          []float64 `json:"rounds"`            // images per second of each round
	Latency         *Latency  `json:"latency_ms,omitempty"`
}

// Summarise takes the median of each measurement over the rounds.
func Summarise(rounds []Round) Summary {
	var speeds, medians, p99s []float64
	for _, r := range rounds {
		speeds = append(speeds, r.ImagesPerSecond)
		if r.Latency != nil {
			medians, p99s = append(medians, r.Latency.Median), append(p99s, r.Latency.P99)
		}
	}
	s := Summary{ImagesPerSecond: Median(speeds), Rounds: speeds}
	if len(medians) > 0 {
		s.Latency = &Latency{Median(medians), Median(p99s)}
	}
	return s
}

// StartUp breaks down the time from the start of the process to the end of its
// first step, in milliseconds.
type StartUp struct {
	Total   float64 `json:"total_ms"`
	Backend float64 `json:"backend_ms"` // from the start of the process to an open device
	Images  float64 `json:"images_ms"`  // drawing random images; training reads the dataset instead
	Program float64 `json:"program_ms"` // writing the plan and compiling it: shader modules, pipelines, memory, command buffers
	Upload  float64 `json:"upload_ms"`  // initial weights, images, labels
	Step    float64 `json:"first_step_ms"`
	// PipelineCache is "warm" if the device started with pipelines cached by an
	// earlier process, else "cold"; "" if the backend has no such cache.
	PipelineCache string `json:"pipeline_cache,omitempty"`
}

// finish adds up the stages.
func (u *StartUp) finish(backend kernels.Backend) {
	u.Total = u.Backend + u.Images + u.Program + u.Upload + u.Step
	if b, ok := backend.(interface{ PipelineCacheWarm() bool }); ok {
		u.PipelineCache = "cold"
		if b.PipelineCacheWarm() {
			u.PipelineCache = "warm"
		}
	}
}

// stopwatch returns a function that returns the milliseconds since its last call,
// or since from on the first call.
func stopwatch(from time.Time) (lap func() float64) {
	return func() float64 {
		now := time.Now()
		d := now.Sub(from)
		from = now
		return 1e3 * d.Seconds()
	}
}

// Peak holds the device's arithmetic throughput and memory bandwidth.
type Peak = kernels.Peak

// Op is one op's share of a step: the median of several profiled steps.
type Op struct {
	Kind       string            `json:"kind"`
	Shape      string            `json:"shape"`     // of its first output
	Precision  kernels.Precision `json:"precision"` // of its products; fp32 if it has none
	Micros     float64           `json:"us"`
	Share      float64           `json:"share"`            // of the sum over all ops
	GFLOPs     float64           `json:"gflops"`           // 10⁹ operations per second
	GBs        float64           `json:"gbs"`              // 10⁹ bytes of operands per second
	Joined     bool              `json:"joined,omitempty"` // computed by an earlier op's dispatch
	Dispatches int               `json:"dispatches,omitempty"`
}

// profiledSteps is the number of steps whose median an [Op] reports.
const profiledSteps = 15

// Session is a compiled network, ready to be timed.
type Session struct {
	options Options
	device  string
	net     *model.Net
	prog    kernels.Program
	section string
	images  int // in device memory
	perStep time.Duration
	startUp StartUp
	timed   time.Duration // of all rounds
	busy    time.Duration // CPU time of the process in them
}

// residentImages bounds the random dataset; it is too large for caches.
const residentImages = 10_000

// Tune lets the backend find its fastest way to compute the step that o
// describes. It returns an error if the backend cannot tune.
func Tune(backend kernels.Backend, o Options, progress func(done, of int)) error {
	tuner, ok := backend.(kernels.Tuner)
	if !ok {
		return fmt.Errorf("%s cannot be tuned", backend.Name())
	}
	s := newSession(backend, o)
	if err := s.build(); err != nil {
		return err
	}
	return tuner.Tune(s.net.Plan, s.section, progress)
}

// Open compiles the network, uploads random images and runs a first step. The
// caller must close the session.
func Open(backend kernels.Backend, o Options) (*Session, error) {
	s := newSession(backend, o)
	lap := stopwatch(o.Started)
	s.startUp.Backend = lap()
	data := s.draw()
	s.startUp.Images = lap()
	err := s.build()
	if err != nil {
		return nil, err
	}
	if s.prog, err = backend.Compile(s.net.Plan); err != nil {
		return nil, tooLarge(backend, o, err)
	}
	s.startUp.Program = lap()
	if err := s.prepare(data, lap); err != nil {
		s.prog.Close()
		return nil, err
	}
	s.startUp.finish(backend)
	return s, nil
}

// tooLarge adds to an error of compiling which batch would fit, if the backend can tell that
// the batch is the cause.
func tooLarge(backend kernels.Backend, o Options, err error) error {
	budget, tells := backend.(kernels.Budgeter)
	build := func(batch int) *kernels.Plan {
		with := o
		with.Batch = batch
		s := newSession(backend, with)
		if s.build() != nil {
			return nil
		}
		return s.net.Plan
	}
	mayFit := func(batch int) bool {
		p := build(batch)
		return p != nil && budget.Fits(p) == nil
	}
	if !tells || mayFit(o.Batch) {
		return err
	}
	fit := trainer.FittingBatch(o.Batch, mayFit, func(batch int) bool {
		p, err := backend.Compile(build(batch))
		return err == nil && p.Close() == nil
	})
	if fit == 0 {
		return err
	}
	return &trainer.BatchError{Wanted: o.Batch, Fit: fit, Err: err}
}

func newSession(backend kernels.Backend, o Options) *Session {
	return &Session{options: o, device: backend.Name(), images: max(residentImages/o.Batch, 1) * o.Batch}
}

// build writes the network's plan.
func (s *Session) build() error {
	o := s.options
	c := model.Config{Network: o.Network.WithDropout(float64(o.Dropout)), Optimizer: model.DefaultAdam(), Images: s.images, Precision: o.Precision}
	s.section = model.EvalSection(o.Batch)
	if o.Infer {
		c.EvalBatches, c.EvalImages = []int{o.Batch}, s.images
	} else {
		s.section = model.TrainSection(o.Batch)
		c.TrainBatches, c.TrainImages = []int{o.Batch}, s.images
	}
	var err error
	s.net, err = model.Build(c)
	return err
}

// Close frees the program.
func (s *Session) Close() error { return s.prog.Close() }

// loop returns the tensors of the measured section.
func (s *Session) loop() model.Loop {
	if s.options.Infer {
		return s.net.Eval
	}
	return s.net.Train
}

// sample is the dataset of a session.
type sample struct {
	images, labels []byte
	order          []uint32 // of the images
}

// draw draws random images and labels.
func (s *Session) draw() sample {
	r := rand.New(rand.NewPCG(1, 2))
	d := sample{make([]byte, s.images*s.options.Network.Input.Len()), make([]byte, s.images), make([]uint32, s.images)}
	for i := range d.images {
		d.images[i] = byte(r.Uint32())
	}
	for i := range d.labels {
		d.labels[i], d.order[i] = byte(r.IntN(len(s.options.Network.Classes))), uint32(i)
	}
	return d
}

// prepare uploads the inputs of a step and runs the first step.
func (s *Session) prepare(d sample, lap func() float64) error {
	if err := s.upload(d); err != nil {
		return err
	}
	s.startUp.Upload = lap()
	if _, err := s.epoch(1); err != nil {
		return err
	}
	s.startUp.Step = lap()
	_, err := s.epoch(1) // sets s.perStep; the first step may have included set-up work
	return err
}

// upload writes weights, images, labels, their order and learning rates.
func (s *Session) upload(d sample) error {
	if err := s.net.WriteInit(s.prog, 42); err != nil {
		return err
	}
	for _, w := range []struct {
		to   kernels.Tensor
		data []byte
	}{{s.net.Images, d.images}, {s.net.Labels, d.labels}, {s.loop().Order, kernels.AsBytes(d.order)}} {
		if err := s.prog.Write(w.to, w.data); err != nil {
			return err
		}
	}
	if s.options.Infer {
		return nil
	}
	rates := slices.Repeat([]float32{1e-3}, s.net.LearningRates.Len())
	return s.prog.Write(s.net.LearningRates, kernels.AsBytes(rates))
}

// epoch runs the given number of steps, at most one epoch, from the first image.
func (s *Session) epoch(steps int) (time.Duration, error) {
	if err := s.rewind(); err != nil {
		return 0, err
	}
	start := time.Now()
	err := s.prog.Run(s.section, steps)
	d := time.Since(start)
	s.perStep = max(d/time.Duration(steps), 1)
	return d, err
}

// rewind resets the section's state to the first image.
func (s *Session) rewind() error {
	o := s.net.Config.Optimizer
	return s.prog.Write(s.loop().State, kernels.AsBytes(kernels.NewState(42, 0, o.Beta1, o.Beta2).Words()))
}

// Round measures for about as long as the options say; with Infer it measures
// latencies for as long again.
func (s *Session) Round() (r Round, err error) {
	if r.ImagesPerSecond, err = s.throughput(); err == nil && s.options.Infer {
		r.Latency, err = s.latency()
	}
	return r, err
}

// throughput returns the images per second of a run of many steps.
func (s *Session) throughput() (float64, error) {
	limit := s.images / s.options.Batch
	var steps int
	var total time.Duration
	start, busy := time.Now(), CPUTime()
	defer func() {
		s.timed += time.Since(start)
		s.busy += CPUTime() - busy
	}()
	for total.Seconds() < s.options.Seconds {
		n := min(limit, max(1, int((s.options.Seconds-total.Seconds())/s.perStep.Seconds())))
		d, err := s.epoch(n)
		if err != nil {
			return 0, err
		}
		steps += n
		total += d
	}
	return float64(steps*s.options.Batch) / total.Seconds(), nil
}

// latency times runs of a single step.
func (s *Session) latency() (*Latency, error) {
	var times []float64 // milliseconds
	for total := 0.; total < 1e3*s.options.Seconds; {
		if len(times)%(s.images/s.options.Batch) == 0 {
			if err := s.rewind(); err != nil {
				return nil, err
			}
		}
		start := time.Now()
		if err := s.prog.Run(s.section, 1); err != nil {
			return nil, err
		}
		d := 1e3 * time.Since(start).Seconds()
		times = append(times, d)
		total += d
	}
	slices.Sort(times)
	return &Latency{Median(times), times[(99*len(times)-1)/100]}, nil
}

// Profile breaks down the time of a step; it holds medians of several steps.
type Profile struct {
	Ops []Op
	// The time of a step, and of its gaps between dispatches, on the device's
	// own clock; 0 if it has none.
	DeviceMicros, BetweenMicros float64
}

// Profile measures the parts of a step.
func (s *Session) Profile() (p Profile, err error) {
	if p.Ops, err = s.profileOps(); err != nil {
		return p, err
	}
	if t, ok := s.prog.(kernels.StepTimer); ok {
		if p.DeviceMicros, err = s.medianMicros(t.TimeStep); err != nil {
			return p, err
		}
		p.BetweenMicros, err = s.medianMicros(t.TimeBetweenDispatches)
	}
	return p, err
}

func (s *Session) profileOps() ([]Op, error) {
	var runs [][]kernels.OpTime
	for range profiledSteps {
		if err := s.rewind(); err != nil {
			return nil, err
		}
		times, err := s.prog.Profile(s.section)
		if err != nil {
			return nil, err
		}
		runs = append(runs, times)
	}
	ops := make([]Op, len(runs[0]))
	total := 0.
	for i := range ops {
		ops[i] = medianOp(i, runs)
		total += ops[i].Micros
	}
	for i := range ops {
		ops[i].Share = ops[i].Micros / total
	}
	return ops, nil
}

// medianMicros returns the median of several measurements with the device's
// clock.
func (s *Session) medianMicros(measure func(section string) (time.Duration, error)) (float64, error) {
	var times []float64
	for range profiledSteps {
		if err := s.rewind(); err != nil {
			return 0, err
		}
		d, err := measure(s.section)
		if err != nil {
			return 0, err
		}
		times = append(times, float64(d.Nanoseconds())/1e3)
	}
	return Median(times), nil
}

// medianOp returns op i with its median time over the runs.
func medianOp(i int, runs [][]kernels.OpTime) Op {
	var ns []float64
	for _, r := range runs {
		ns = append(ns, float64(r[i].Nanoseconds))
	}
	op, shape := runs[0][i].Op, ""
	for _, o := range op.Operands() {
		if shape == "" && o.Access&kernels.Write != 0 {
			shape = fmt.Sprint(o.Tensor.Shape)
		}
	}
	median := max(Median(ns), 1)
	return Op{Kind: op.Kind(), Shape: shape, Precision: kernels.PrecisionOf(op), Micros: median / 1e3, GFLOPs: float64(op.FLOPs()) / median,
		GBs: float64(kernels.Traffic(op)) / median, Dispatches: runs[0][i].Dispatches, Joined: runs[0][i].Joined}
}

// Result combines the rounds with the profile.
func (s *Session) Result(rounds []Round, profile Profile) Result {
	mode := "train"
	if s.options.Infer {
		mode = "infer"
	}
	r := Result{Device: s.device, Model: s.options.Network.Name, Mode: mode, Precision: s.options.Precision, Batch: s.options.Batch,
		Summary: Summarise(rounds), DeviceBytes: s.prog.MemoryBytes(), Ops: profile.Ops,
		DeviceMicros: profile.DeviceMicros, BetweenMicros: profile.BetweenMicros}
	if !s.options.Started.IsZero() {
		r.StartUp = &s.startUp
	}
	if s.timed > 0 {
		r.HostCores = s.busy.Seconds() / s.timed.Seconds()
	}
	r.StepMillis = 1e3 * float64(r.Batch) / r.ImagesPerSecond
	r.StepsPerSecond = r.ImagesPerSecond / float64(r.Batch)
	if r.DeviceMicros > 0 {
		r.GapMicros = 1e3*r.StepMillis - r.DeviceMicros
		for _, op := range r.Ops {
			r.OpsMicros += op.Micros
		}
	}
	flops := 0
	for _, op := range s.net.Plan.Find(s.section).Ops {
		flops += op.FLOPs()
	}
	r.GFLOPs = float64(flops) / r.StepMillis / 1e6
	return r
}

// Median returns the median of x, for an even number the mean of the middle two.
// It does not change x.
func Median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
