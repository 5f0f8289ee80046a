package live

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// watchInterval is the time between two looks at a folder.
const watchInterval = time.Second

// Watch returns the events of the run in a folder, as [Replay] does, and a channel of
// those that follow while another process trains it. The channel is closed after the
// end event, or when ctx is cancelled. If the run starts again from the beginning, so do
// its events, with another start.
func Watch(ctx context.Context, dir string) (history []Event, next <-chan Event, err error) {
	before := stamp(dir)
	history, err = Replay(dir)
	if err != nil {
		return nil, nil, err
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		sent := history
		for sent[len(sent)-1].Type != TypeEnd {
			select {
			case <-time.After(watchInterval):
			case <-ctx.Done():
				return
			}
			now := stamp(dir)
			if now == before {
				continue
			}
			before = now
			all, err := Replay(dir)
			if err != nil {
				continue // a file is being replaced, or the folder is gone
			}
			for _, e := range added(sent, all) {
				select {
				case events <- e:
				case <-ctx.Done():
					return
				}
			}
			sent = all
		}
	}()
	return history, events, nil
}

// fileStamp tells whether files have changed.
type fileStamp [5]struct {
	size int64
	time time.Time
}

func stamp(dir string) (s fileStamp) {
	for i, name := range []string{trainer.ArgsFile, trainer.ResultsFile, trainer.StepsFile, trainer.MetricsFile, trainer.LastWeights} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			s[i].size, s[i].time = info.Size(), info.ModTime()
		}
	}
	return s
}

// added returns what to send to somebody who has the events before, so that they have
// all: what is new, or all again if the start has changed or epochs have gone.
func added(before, all []Event) []Event {
	epochs := func(list []Event) (n int) {
		for _, e := range list {
			if e.Epoch != nil {
				n++
			}
		}
		return n
	}
	if have := epochs(before); have <= epochs(all) && reflect.DeepEqual(before[0].Start, all[0].Start) {
		var list []Event
		last := lastStep(before)
		for _, e := range all {
			switch {
			case e.Epoch != nil && e.Epoch.Report.Epoch > have, e.Step != nil && e.Step.Step > last, e.End != nil:
				list = append(list, e)
			}
		}
		return list
	}
	return all
}

// lastStep returns the number of the last step, or 0.
func lastStep(list []Event) int {
	last := 0
	for _, e := range list {
		if e.Step != nil {
			last = e.Step.Step
		}
	}
	return last
}
