package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// pollEvery is how often a run's folder is looked at.
const pollEvery = 500 * time.Millisecond

// Options say which run to follow.
type Options struct {
	// Dir is the run's folder, for its weights and, without URL, for everything
	// else. It may be empty with URL.
	Dir string
	// URL is the stream of a running training's events.
	URL string
	// Backend computes activations. It must stay open until Close returns.
	Backend kernels.Backend
	// Images returns the images of which samples are taken, or an error that says why
	// there are none. The run's own few samples are used then.
	Images func(ctx context.Context, dir string) (dataset.Split, error)
}

// Source follows a run until it is closed.
type Source struct {
	options Options
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{} // the wanted sample has changed, or the weights may have

	lock   sync.Mutex
	state  State
	own    []live.Sample // the run's samples
	wanted int           // sample
}

// Open begins to follow a run. An error means that there is no such run.
func Open(ctx context.Context, o Options) (*Source, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &Source{options: o, stop: stop, wake: make(chan struct{}, 1)}
	follow := s.poll
	if o.URL != "" {
		events, err := live.Follow(ctx, o.URL)
		if err != nil {
			stop()
			return nil, err
		}
		follow = func(ctx context.Context) { s.receive(ctx, events) }
	} else if err := s.replay(); err != nil {
		stop()
		return nil, err
	}
	s.running.Go(func() { follow(ctx) })
	s.running.Go(func() { s.compute(ctx) })
	return s, nil
}

// Close stops following.
func (s *Source) Close() {
	s.stop()
	s.running.Wait()
}

// State returns what is known now.
func (s *Source) State() State {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.state
}

// Move steps through the samples.
func (s *Source) Move(by int) {
	s.lock.Lock()
	if n := s.state.Inside.Samples; n > 0 {
		s.wanted = ((s.wanted+by)%n + n) % n
	}
	s.lock.Unlock()
	s.nudge()
}

// nudge makes compute look for something to do.
func (s *Source) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// receive takes in the events of a running training.
func (s *Source) receive(ctx context.Context, events <-chan live.Event) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			s.lock.Lock()
			s.state.add(e)
			if e.Epoch != nil && e.Epoch.Samples != nil {
				s.own = e.Epoch.Samples
			}
			s.lock.Unlock()
			if e.Step == nil {
				s.nudge()
			}
		case <-ctx.Done():
			return
		}
	}
}

// poll takes in what the files of the run's folder say, whenever they change.
func (s *Source) poll(ctx context.Context) {
	before := s.stamp()
	for sleep(ctx, pollEvery) {
		if now := s.stamp(); now != before {
			if s.replay() == nil { // else a file is being written: again later
				before = now
			}
			s.nudge()
		}
	}
}

// sleep reports whether ctx is still alive after a time.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// stamp changes whenever one of the run's files does.
func (s *Source) stamp() string {
	stamp := ""
	for _, name := range []string{trainer.ArgsFile, trainer.ResultsFile, trainer.StepsFile, trainer.MetricsFile, trainer.LastWeights} {
		stamp += fileStamp(filepath.Join(s.options.Dir, name)) + " "
	}
	return stamp
}

// fileStamp changes whenever a file does.
func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

// replay reads the run's folder.
func (s *Source) replay() error {
	events, err := live.Replay(s.options.Dir)
	if err != nil {
		return err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	confusion, label := s.state.Confusion, s.state.ConfusionLabel
	for _, e := range events {
		s.state.add(e)
	}
	if s.state.Confusion == nil {
		s.state.Confusion, s.state.ConfusionLabel = confusion, label
	}
	return nil
}
