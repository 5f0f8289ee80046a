package source

import (
	"context"
	"sync"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

// lookEvery is how often the weights are looked for.
const lookEvery = 500 * time.Millisecond

// Options say which run to follow.
type Options struct {
	// Dir is the run's folder, for its weights and, without URL, for its events. It
	// may be empty with URL.
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
	wake    chan struct{} // the wanted sample has changed, or an epoch has ended

	lock   sync.Mutex
	state  State
	own    []live.Sample // the run's samples
	wanted int           // sample
}

// Open begins to follow a run. An error means that there is no such run.
func Open(ctx context.Context, o Options) (*Source, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &Source{options: o, stop: stop, wake: make(chan struct{}, 1)}
	history, next, err := s.follow(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	for _, e := range history {
		s.add(e)
	}
	s.running.Go(func() { s.receive(ctx, next) })
	s.running.Go(func() { s.compute(ctx) })
	return s, nil
}

func (s *Source) follow(ctx context.Context) (history []live.Event, next <-chan live.Event, err error) {
	if s.options.URL == "" {
		return live.Watch(ctx, s.options.Dir)
	}
	next, err = live.Follow(ctx, s.options.URL)
	return nil, next, err
}

// Close stops following.
func (s *Source) Close() {
	s.stop()
	s.running.Wait()
}

// resumed waits until another process goes on with the run, and returns the events that
// follow; nil if that cannot be found out.
func (s *Source) resumed(ctx context.Context) <-chan live.Event {
	if s.options.URL != "" {
		return nil
	}
	for ended := lastChange(s.options.Dir); ; {
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil
		}
		if lastChange(s.options.Dir).Equal(ended) {
			continue
		}
		history, next, err := live.Watch(ctx, s.options.Dir)
		if err != nil {
			continue // a file is being replaced, or the folder is gone
		}
		for _, e := range history {
			s.add(e)
		}
		return next
	}
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

// add takes in an event.
func (s *Source) add(e live.Event) {
	s.lock.Lock()
	s.state.add(e)
	switch {
	case e.Start != nil:
		s.own = nil // they have that start's shape
	case e.Epoch != nil && e.Epoch.Samples != nil:
		s.own = checkedSamples(e.Epoch.Samples, s.state.Start)
	}
	s.lock.Unlock()
	if e.Step == nil {
		s.nudge()
	}
}

// receive takes in the events that follow, also those of a run that is resumed after its
// end, if its folder tells.
func (s *Source) receive(ctx context.Context, events <-chan live.Event) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				if events = s.resumed(ctx); events == nil {
					return
				}
				continue
			}
			s.add(e)
		case <-ctx.Done():
			return
		}
	}
}
