// Package tensorboard writes the event files that TensorBoard shows: scalars,
// histograms, images and hyperparameters.
//
// An event file is a sequence of records. A program that is killed leaves at most its
// last record incomplete; readers ignore that one.
package tensorboard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

// prefix begins the name of every event file. The time of creation follows, in
// seconds: TensorBoard reads a folder's files in the order of their names.
const prefix = "events.out.tfevents."

// version is the format of event files, which each of them names first.
const version = "brain.Event:2"

// Writer appends to an event file. Its methods must not be called concurrently.
type Writer struct{ file *os.File }

// Event is what a training logs at a step. Its values are written as one record.
type Event struct {
	Step   int64
	Values []Value
}

// Value is a [Scalar], [Histogram] or [Image], or what [Started] or [Finished] says.
type Value struct{ message *eventpb.Summary_Value }

// Create creates an event file that continues those of the folder at a step, 1 for a
// new training. A TensorBoard that is running forgets what it has read of this step
// and later ones.
func Create(dir string, step int64) (*Writer, error) {
	names, err := files(dir)
	if err != nil {
		return nil, err
	}
	seconds := time.Now().Unix()
	if len(names) > 0 { // also after a clock that was ahead
		seconds = max(seconds, created(names[len(names)-1])+1)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := fmt.Sprintf("%s%010d.%s.%d.%d", prefix, seconds, host, os.Getpid(), len(names))
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	w := &Writer{f}
	start := &eventpb.SessionLog{Status: eventpb.SessionLog_START}
	err = w.append(&eventpb.Event{What: &eventpb.Event_FileVersion{FileVersion: version}},
		&eventpb.Event{Step: step, What: &eventpb.Event_SessionLog{SessionLog: start}})
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// Write appends events, which get the current time.
func (w *Writer) Write(events ...Event) error {
	messages := make([]*eventpb.Event, len(events))
	for i, e := range events {
		summary := &eventpb.Summary{Value: make([]*eventpb.Summary_Value, len(e.Values))}
		for j, v := range e.Values {
			summary.Value[j] = v.message
		}
		messages[i] = &eventpb.Event{Step: e.Step, What: &eventpb.Event_Summary{Summary: summary}}
	}
	return w.append(messages...)
}

// append writes the events' records at once.
func (w *Writer) append(events ...*eventpb.Event) error {
	now := seconds()
	var records []byte
	for _, e := range events {
		e.WallTime = now
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			return fmt.Errorf("cannot encode an event for %s: %w", w.file.Name(), err)
		}
		records = appendRecord(records, data)
	}
	_, err := w.file.Write(records)
	return err
}

// Sync makes what was written survive a power failure.
func (w *Writer) Sync() error { return w.file.Sync() }

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// Keep removes from a folder's event files all values of the events for which keep
// returns false, and an incomplete last record. It removes files that would hold no
// values. No file may be in use by a [Writer].
func Keep(dir string, keep func(step int64, tags []string) bool) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := keepOf(filepath.Join(dir, name), keep); err != nil {
			return err
		}
	}
	return nil
}

// keepOf is Keep for one file. One that is too large or damaged stays as it is: curves
// must not stand in a training's way.
func keepOf(path string, keep func(step int64, tags []string) bool) error {
	data, err := limitedfile.Read(path, limitedfile.Table)
	if errors.Is(err, limitedfile.ErrRefused) {
		return nil
	}
	if err != nil {
		return err
	}
	kept, values, err := keptOf(data, keep)
	switch {
	case err != nil:
		return nil
	case !values:
		return atomicfile.Remove(path)
	case len(kept) < len(data):
		return atomicfile.Write(path, kept)
	}
	return nil
}

// keptOf returns the records to keep, and whether there are values among them.
func keptOf(data []byte, keep func(step int64, tags []string) bool) (kept []byte, values bool, err error) {
	for rest := data; ; {
		payload, record, ok := nextRecord(rest)
		if !ok {
			break
		}
		rest = rest[len(record):]
		var e eventpb.Event
		if err := proto.Unmarshal(payload, &e); err != nil {
			return nil, false, err
		}
		if tags := tagsOf(&e); len(tags) > 0 {
			if !keep(e.Step, tags) {
				continue
			}
			values = true
		}
		kept = append(kept, record...)
	}
	return kept, values, nil
}

// tagsOf lists the names of an event's values.
func tagsOf(e *eventpb.Event) []string {
	var tags []string
	for _, v := range e.GetSummary().GetValue() {
		tags = append(tags, v.Tag)
	}
	return tags
}

// files lists the names of a folder's event files in TensorBoard's order.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// created returns the time in an event file's name, or 0.
func created(name string) int64 {
	text, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), ".")
	seconds, _ := strconv.ParseInt(text, 10, 64)
	return seconds
}
