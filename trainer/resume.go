package trainer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// The two files of a run's checkpoint. One holds the tensors that training
// changes, the best weights and the rows of steps.csv. The other, written last,
// holds the host's state; its step says which file of tensors it belongs to. All
// of a run's other results follow from these two.
const (
	checkpointDir = "checkpoint"
	stateFile     = "checkpoint/state.json"
	tensors       = "checkpoint/tensors-%d.bin"
	// A checkpoint of the same step as the one before, such as after the evaluation, has
	// other tensors. They have this name until the state refers to them.
	nextTensors = "checkpoint/tensors-%d.next.bin"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// resumable lists the tensors that an exact resume restores, except empty ones.
func (t *training) resumable() []kernels.Tensor {
	var averages, list []kernels.Tensor
	if t.recipe.EMA > 0 {
		averages = []kernels.Tensor{t.net.EvalValues, t.net.EvalRunning}
	}
	for _, x := range append(averages, t.net.Values, t.net.Running, t.net.Moment1, t.net.Moment2,
		t.net.Train.Loss, t.net.Train.Correct, t.net.Train.SampleLosses, t.net.Train.State) {
		if x.Len() > 0 {
			list = append(list, x)
		}
	}
	return list
}

// readResumable reads the resumable tensors from the device.
func (t *training) readResumable() ([][]byte, error) {
	var parts [][]byte
	for _, x := range t.resumable() {
		part := make([]byte, x.Bytes())
		if err := t.prog.Read(x, part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// writeResumable writes what readResumable has read.
func (t *training) writeResumable(parts [][]byte) error {
	for i, x := range t.resumable() {
		if err := t.prog.Write(x, parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// bestIsCurrent reports whether the weights on the device are the best epoch's.
func (s *runState) bestIsCurrent() bool { return s.Slot == 0 && s.BestEpoch == len(s.Epochs) }

// separateBest returns the best weights if a checkpoint must hold them in addition
// to those on the device, else nil.
func (t *training) separateBest() [][]float32 {
	if t.state.BestEpoch == 0 || t.state.bestIsCurrent() {
		return nil
	}
	return [][]float32{t.best.values, t.best.running}
}

// saveCheckpoint writes everything needed to continue the run bit for bit.
func (t *training) saveCheckpoint() error {
	if t.folder.dir == "" {
		return nil
	}
	if err := t.events.sync(); err != nil { // a resume does not write the events before the checkpoint again
		return err
	}
	t.state.Logged = len(t.log)
	sum := crc32.New(castagnoli)
	name := fmt.Sprintf(tensors, t.state.Step)
	written := name // of a folder in the way, that is an error; a link is followed
	if info, err := os.Lstat(t.folder.path(name)); err == nil && info.Mode().IsRegular() {
		written = fmt.Sprintf(nextTensors, t.state.Step)
	}
	err := atomicfile.WriteFunc(t.folder.path(written), func(w io.Writer) error { return t.writeTensors(io.MultiWriter(w, sum)) })
	if err != nil {
		return err // the previous state still refers to the previous tensors
	}
	t.state.Checksum = sum.Sum32()
	if err := t.folder.writeState(&t.state); err != nil {
		return err
	}
	t.saved = time.Now()
	if written != name {
		if err := atomicfile.Rename(t.folder.path(written), t.folder.path(name)); err != nil {
			return err
		}
	}
	return t.folder.removeTensors(name)
}

// writeState writes state.json.
func (f folder) writeState(s *runState) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return f.write(stateFile, text)
}

// writeTensors writes the checkpoint's tensors and log, each part preceded by its
// length in bytes. If a number is not finite, the error is [ErrDiverged].
func (t *training) writeTensors(w io.Writer) error {
	for _, x := range t.resumable() {
		words, err := t.read(x)
		if err != nil {
			return err
		}
		if i := notFinite(words); x.Type == kernels.Float32 && i >= 0 {
			return t.holds(x, i, words[i])
		}
		if err := writePart(w, kernels.AsBytes(words)); err != nil {
			return err
		}
	}
	for _, values := range t.separateBest() {
		if err := writePart(w, kernels.AsBytes(values)); err != nil {
			return err
		}
	}
	if t.sampleLosses != nil {
		if err := writePart(w, kernels.AsBytes(t.sampleLosses)); err != nil {
			return err
		}
	}
	var log bytes.Buffer
	if err := binary.Write(&log, binary.LittleEndian, t.log); err != nil {
		return err
	}
	return writePart(w, log.Bytes())
}

// tensorsBytes returns the size of what writeTensors writes at the run's state.
func (t *training) tensorsBytes() int64 {
	parts := []int{t.state.Logged * binary.Size(loggedStep{})}
	for _, x := range t.resumable() {
		parts = append(parts, x.Bytes())
	}
	if t.state.BestEpoch > 0 && !t.state.bestIsCurrent() {
		parts = append(parts, t.net.Values.Bytes(), t.net.Running.Bytes())
	}
	if t.sampleLosses != nil {
		parts = append(parts, 4*len(t.sampleLosses))
	}
	total := 0
	for _, n := range parts {
		total += lengthBytes + n
	}
	return int64(total)
}

// lengthBytes is the size of the length before each part.
const lengthBytes = 8

func writePart(w io.Writer, data []byte) error {
	if err := binary.Write(w, binary.LittleEndian, uint64(len(data))); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// removeTensors deletes all files of tensors except the given one.
func (f folder) removeTensors(keep string) error {
	entries, err := os.ReadDir(f.path(checkpointDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(checkpointDir, e.Name())
		if isTensors, _ := path.Match("tensors-*.bin", e.Name()); isTensors && name != keep {
			if err := atomicfile.Remove(f.path(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Saved returns when a run's checkpoint or results were last written, the zero time if
// they never were.
func Saved(dir string) time.Time {
	var last time.Time
	for _, name := range []string{stateFile, ResultsFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// DropCheckpoint removes the checkpoint of a finished run. The run can then no
// longer be resumed with more epochs.
func DropCheckpoint(dir string) error { return os.RemoveAll(filepath.Join(dir, checkpointDir)) }

// readState reads state.json. It returns nil if there is none, because the run
// ended before its first checkpoint.
func (f folder) readState() (*runState, error) {
	text, err := limitedfile.Read(f.path(stateFile), limitedfile.JSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, badCheckpoint("cannot read %s: %v", f.path(stateFile), cause(err))
	}
	var s runState
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, f.damaged(stateFile, err)
	}
	return &s, nil
}

// damaged returns an error that says that a file of the run cannot be used, and
// what to do.
func (f folder) damaged(file string, err error) error {
	return badCheckpoint("%s is damaged: %v; restore it from a copy, or start a new run with the settings in %s", f.path(file), err, f.path(ArgsFile))
}

// restore loads the checkpoint that belongs to the state that was found, which has been
// checked, and renames its tensors if a program that was killed had not. The error is
// [checkpoint.ErrBadCheckpoint] and names the missing or damaged file.
func (t *training) restore() error {
	s := t.found.state
	name := fmt.Sprintf(tensors, s.Step)
	if err := t.verify(name); err != nil {
		next := fmt.Sprintf(nextTensors, s.Step)
		if t.verify(next) != nil {
			return t.folder.damaged(name, err)
		}
		if err := atomicfile.Rename(t.folder.path(next), t.folder.path(name)); err != nil {
			return badCheckpoint("cannot rename %s: %v", t.folder.path(next), cause(err))
		}
	}
	t.logged = s.Step
	if err := t.load(name, func(content io.Reader) error { return t.readTensors(&parts{content: content}) }); err != nil {
		return t.folder.damaged(name, err)
	}
	before, now := s.Schedule.Steps, t.totalSteps()
	if t.state.Schedule.resize(now) {
		t.notes = append(t.notes, fmt.Sprintf("the %s schedule now spans %s steps instead of %s: the weights will differ from those of a run that had this length from the start",
			s.Schedule.Kind, humanize.Comma(int64(now)), humanize.Comma(int64(before))))
	}
	return nil
}

// verify returns an error unless a file of tensors belongs to the state that was found.
func (t *training) verify(name string) error {
	return t.load(name, func(content io.Reader) error {
		sum := crc32.New(castagnoli)
		if _, err := io.Copy(sum, content); err != nil {
			return err
		}
		if sum.Sum32() != t.found.state.Checksum {
			return fmt.Errorf("its checksum does not match %s", stateFile)
		}
		return nil
	})
}

// load lets read read a file of tensors. Nothing reads it whole: it is several times as
// large as the weights.
func (t *training) load(name string, read func(content io.Reader) error) error {
	file, err := limitedfile.OpenAtMost(t.folder.path(name), t.tensorsBytes())
	if err != nil {
		return cause(err)
	}
	defer file.Close()
	return cause(read(file))
}

// readTensors restores what writeTensors wrote.
func (t *training) readTensors(p *parts) error {
	for _, x := range t.resumable() {
		part, err := p.next(x.Bytes())
		if err != nil {
			return err
		}
		if err := t.checkDeviceState(x, part); err != nil {
			return err
		}
		if err := t.prog.Write(x, part); err != nil {
			return err
		}
		if err := t.checkTensors(x); err != nil {
			return err
		}
	}
	t.best = snapshot{make([]float32, t.net.Values.Len()), make([]float32, t.net.Running.Len()), t.state.BestEpoch * t.stepsPerEpoch()}
	for _, values := range t.separateBest() {
		part, err := p.next(4 * len(values))
		if err != nil {
			return err
		}
		copy(kernels.AsBytes(values), part)
	}
	if t.state.BestEpoch > 0 && t.state.bestIsCurrent() {
		var err error
		if t.best, err = readSnapshot(t.net, t.prog, t.state.Step); err != nil {
			return err
		}
	}
	if t.sampleLosses != nil {
		part, err := p.next(4 * len(t.sampleLosses))
		if err != nil {
			return err
		}
		t.sampleLosses = newSampleLosses(len(t.sampleLosses)) // a replay must not change those of its origin
		copy(kernels.AsBytes(t.sampleLosses), part)
		if err := t.sampleLosses.check(); err != nil {
			return err
		}
	}
	part, err := p.next(t.state.Logged * binary.Size(loggedStep{}))
	if err != nil {
		return err
	}
	t.log = make([]loggedStep, t.state.Logged)
	if err := binary.Read(bytes.NewReader(part), binary.LittleEndian, t.log); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, p.content)
	if err == nil && n > 0 {
		err = fmt.Errorf("it has %d bytes too many", n)
	}
	return err
}

// checkDeviceState checks, if x is the state tensor, that it is at the same step
// as the host's state: it decides which images the device reads next.
func (t *training) checkDeviceState(x kernels.Tensor, data []byte) error {
	is := t.net.Train.State
	if x.Buffer != is.Buffer || x.Offset != is.Offset || t.state.Slot == 0 { // in the last case it is written before the epoch
		return nil
	}
	word := func(i int) int { return int(binary.LittleEndian.Uint32(data[4*i:])) }
	step, slot, cursor := word(kernels.StateStep), word(kernels.StateSlot), word(kernels.StateCursor)
	if want := min(t.state.Slot*t.recipe.BatchSize, t.perEpoch); step != t.state.Step || slot != t.state.Slot || cursor != want {
		return fmt.Errorf("the device was at step %d, slot %d, image %d, want %d, %d, %d", step, slot, cursor, t.state.Step, t.state.Slot, want)
	}
	return nil
}

// parts is the unread rest of a file of tensors.
type parts struct {
	content io.Reader
	part    []byte // the last
}

// next returns the next part, which must have the given size. It is valid until the one
// after it.
func (p *parts) next(size int) ([]byte, error) {
	var length uint64
	if err := binary.Read(p.content, binary.LittleEndian, &length); err != nil || length != uint64(size) {
		return nil, mismatch(err)
	}
	if len(p.part) < size {
		p.part = make([]byte, size)
	}
	_, err := io.ReadFull(p.content, p.part[:size])
	if err != nil {
		return nil, mismatch(err)
	}
	return p.part[:size], nil
}

// mismatch returns an error of the device that holds a file, or else that the file is not
// as expected.
func mismatch(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it does not match the settings in %s, or another version wrote it", ArgsFile)
	}
	return err
}

func badCheckpoint(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{checkpoint.ErrBadCheckpoint}, args...)...)
}

// LostError is the error of a run that cannot continue because its checkpoint is lost.
// It is [checkpoint.ErrBadCheckpoint].
type LostError struct {
	Dir  string // the run's folder, whose weights a new run can start from
	text string // ends with that remedy
}

func (e *LostError) Error() string { return checkpoint.ErrBadCheckpoint.Error() + ": " + e.text }

// Is makes the error [checkpoint.ErrBadCheckpoint].
func (e *LostError) Is(target error) bool { return target == checkpoint.ErrBadCheckpoint }

// FinishedRun returns the result of a finished run, without its model, if the recipe
// leaves no step to train, and nil if there is something to do. If the recipe changes
// the limits of the run but its checkpoint is gone, the error is a [LostError].
func FinishedRun(dir string, r Recipe) (*Result, error) {
	f := folder{dir}
	m, err := metrics.Read(f.path(MetricsFile))
	if err != nil {
		return nil, nil // resuming from the checkpoint writes it again
	}
	result := &Result{Finished: true, Metrics: m}
	args, err := f.readArgs()
	if err != nil {
		return nil, err
	}
	had := args.Recipe
	more := had.Epochs != r.Epochs || had.Patience != r.Patience || had.MaxSteps != r.MaxSteps
	s, err := f.readState()
	if err == nil && s != nil {
		if err = s.check(had, s.stepsPerEpoch()); err != nil {
			err = f.damaged(stateFile, err)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case more && s == nil:
		return nil, &LostError{dir, fmt.Sprintf("%s is finished and its checkpoint is gone, so it cannot continue; start a new run from its weights", dir)}
	case s != nil:
		s.allow(had, r)
		why, stop := s.stop(r)
		if !stop {
			return nil, nil
		}
		result.Stopped, result.Epochs = why, s.Epochs
	}
	// The file includes an epoch that MaxSteps cut short, which the state does not.
	if epochs, err := ReadEpochs(dir); err == nil {
		result.Epochs = epochs
	}
	result.BestEpoch = BestEpoch(result.Epochs, had.NoEval)
	return result, nil
}

// allow lets a run that had stopped early continue if it is given more epochs, by
// restarting the count of its patience. It reports whether it did.
func (s *runState) allow(had, now Recipe) bool {
	if _, stopped := s.stop(had); !stopped || now.Epochs <= had.Epochs || len(s.Epochs) >= had.Epochs {
		return false
	}
	if now.Patience == 0 || s.withoutImprovement() < now.Patience {
		return false
	}
	s.PatienceFrom = len(s.Epochs)
	return true
}
