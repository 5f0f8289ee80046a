// Package tensorboardtest reads event files in tests, without the code that writes
// them.
package tensorboardtest

import (
	"encoding/binary"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/tensorboard/internal/eventpb"
)

// Value is a value of an event.
type Value struct {
	Step    int64
	Time    float64
	Tag     string
	Message *eventpb.Summary_Value
}

// Folder reads the event files in a folder in TensorBoard's order. Each must begin with
// its version and the start of a session, and hold whole records only.
func Folder(t testing.TB, dir string) []Value {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	var list []Value
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		events, rest := Events(t, data)
		if len(rest) > 0 {
			t.Errorf("%s: the last %d bytes are no whole record", path, len(rest))
		}
		if len(events) < 2 || events[0].GetFileVersion() != "brain.Event:2" || events[1].GetSessionLog().GetStatus() != eventpb.SessionLog_START {
			t.Fatalf("%s does not begin with its version and a start: %v", path, events)
		}
		for _, e := range events[2:] {
			for _, v := range e.GetSummary().GetValue() {
				list = append(list, Value{e.Step, e.WallTime, v.Tag, v})
			}
		}
	}
	return list
}

// Events decodes the records of an event file up to its last whole one, and returns
// what follows that. A record with a wrong checksum is an error.
func Events(t testing.TB, data []byte) (events []*eventpb.Event, rest []byte) {
	t.Helper()
	for {
		if len(data) < 12 {
			return events, data
		}
		n := int(binary.LittleEndian.Uint64(data))
		if len(data) < 12+n+4 {
			return events, data
		}
		if got, want := binary.LittleEndian.Uint32(data[8:]), masked(data[:8]); got != want {
			t.Fatalf("the checksum of the length of event %d is %x, want %x", len(events), got, want)
		}
		content := data[12:][:n]
		if got, want := binary.LittleEndian.Uint32(data[12+n:]), masked(content); got != want {
			t.Fatalf("the checksum of event %d is %x, want %x", len(events), got, want)
		}
		e := &eventpb.Event{}
		if err := proto.Unmarshal(content, e); err != nil {
			t.Fatal(err)
		}
		if unknown := e.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			t.Fatalf("event %d has unknown fields", len(events))
		}
		events, data = append(events, e), data[12+n+4:]
	}
}

// masked computes the CRC-32C of data bit by bit, and masks it as TensorFlow does.
func masked(data []byte) uint32 {
	c := ^uint32(0)
	for _, b := range data {
		c ^= uint32(b)
		for range 8 {
			c = c>>1 ^ 0x82f63b78&-(c&1)
		}
	}
	return bits.RotateLeft32(^c, 17) + 0xa282ead8
}

// HParams decodes what the value tells TensorBoard's plugin for hyperparameters.
func (v Value) HParams(t testing.TB) *eventpb.HParamsPluginData {
	t.Helper()
	data := &eventpb.HParamsPluginData{}
	plugin := v.Message.GetMetadata().GetPluginData()
	if err := proto.Unmarshal(plugin.GetContent(), data); err != nil || plugin.GetPluginName() != "hparams" {
		t.Errorf("%s: plugin %q, %v", v.Tag, plugin.GetPluginName(), err)
	}
	return data
}
