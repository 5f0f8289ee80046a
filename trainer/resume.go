package trainer

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
)

// The files of a run's checkpoint: the raw bytes of the tensors that
// training changes, and the host's state, which is written last and says by
// its step which tensors it belongs to.
const (
	stateFile = "checkpoint/state.json"
	tensors   = "checkpoint/tensors-%d.bin"
)

// resumable lists the tensors that an exact resume restores, absent ones left
// out.
func (t *training) resumable() []kernels.Tensor {
	var list []kernels.Tensor
	for _, x := range []kernels.Tensor{t.net.Values, t.net.Running, t.net.Moment1, t.net.Moment2,
		t.net.Train.Loss, t.net.Train.Correct, t.net.Train.State} {
		if x.Len() > 0 {
			list = append(list, x)
		}
	}
	return list
}

// saveCheckpoint writes all that continues the run bit for bit.
func (t *training) saveCheckpoint() error {
	if t.folder.dir == "" {
		return nil
	}
	size := 0
	for _, x := range t.resumable() {
		size += 8 + x.Bytes()
	}
	data := make([]byte, 0, size)
	for _, x := range t.resumable() {
		data = binary.LittleEndian.AppendUint64(data, uint64(x.Bytes()))
		start := len(data)
		data = data[:start+x.Bytes()]
		if err := t.prog.Read(x, data[start:]); err != nil {
			return err
		}
	}
	state, err := json.MarshalIndent(t.state, "", "  ")
	if err != nil {
		return err
	}
	name := fmt.Sprintf(tensors, t.state.Step)
	if err := t.folder.write(name, data); err != nil {
		return err // the former state still names the former tensors
	}
	if err := t.folder.write(stateFile, state); err != nil {
		return err
	}
	return t.removeOldCheckpoints(name)
}

// removeOldCheckpoints deletes all tensor files but the given one.
func (t *training) removeOldCheckpoints(keep string) error {
	files, err := filepath.Glob(t.folder.path("checkpoint/tensors-*.bin"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if f != t.folder.path(keep) {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// restore loads the checkpoint of the run's folder. The error, which is
// [checkpoint.ErrBadCheckpoint], names the file that is missing or damaged.
func (t *training) restore() error {
	text, err := os.ReadFile(t.folder.path(stateFile))
	if err != nil {
		return badCheckpoint("%s cannot be resumed: %v", t.folder.dir, err)
	}
	if err := json.Unmarshal(text, &t.state); err != nil {
		return badCheckpoint("%s is damaged: %v", t.folder.path(stateFile), err)
	}
	path := t.folder.path(fmt.Sprintf(tensors, t.state.Step))
	data, err := os.ReadFile(path)
	if err != nil {
		return badCheckpoint("%s cannot be resumed: %v", t.folder.dir, err)
	}
	for _, x := range t.resumable() {
		if len(data) < 8+x.Bytes() || binary.LittleEndian.Uint64(data) != uint64(x.Bytes()) {
			return badCheckpoint("%s is damaged, or of other settings than %s", path, ArgsFile)
		}
		if err := t.prog.Write(x, data[8:8+x.Bytes()]); err != nil {
			return err
		}
		data = data[8+x.Bytes():]
	}
	if len(data) > 0 {
		return badCheckpoint("%s has %d bytes too many", path, len(data))
	}
	t.state.Schedule.Steps = t.totalSteps() // the number of epochs may be another now
	if t.state.BestEpoch > 0 {
		t.best, err = loadSnapshot(t.folder.path(bestWeights), t.net)
	}
	return err
}

func badCheckpoint(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{checkpoint.ErrBadCheckpoint}, args...)...)
}

// save writes what a finished or interrupted epoch leaves: results, and last
// and best weights.
func (t *training) save(best bool) error {
	last, err := readSnapshot(t.net, t.prog, t.state.Step)
	if err != nil {
		return err
	}
	if best {
		t.best = last
	}
	if t.folder.dir == "" {
		return nil
	}
	about := metadata(t.config, len(t.state.Epochs), t.options.Environment.Version)
	if best {
		if err := last.save(t.folder.path(bestWeights), t.net, about); err != nil {
			return err
		}
	}
	if err := last.save(t.folder.path(lastWeights), t.net, about); err != nil {
		return err
	}
	return t.folder.writeResults(t.state.Epochs)
}

// logSteps adds the epoch's steps to steps.csv, each --log-every'th, given
// the losses of all its steps so far.
func (t *training) logSteps(losses []float32) error {
	if t.config.LogEvery == 0 {
		return nil
	}
	var rows [][]string
	for i, loss := range losses {
		step := t.state.Step - len(losses) + i + 1
		if step%t.config.LogEvery == 0 {
			rows = append(rows, []string{strconv.Itoa(step), number(float64(loss)), number(t.state.Schedule.At(step - 1))})
		}
	}
	return t.folder.appendSteps(rows)
}
