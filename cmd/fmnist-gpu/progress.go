package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/cupwriter"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// screen is where trainings print: lines on standard output and, if standard error
// is a terminal, a bar for each training below them.
type screen struct {
	out     io.Writer
	bars    *mpb.Progress // nil without bars
	console *cupwriter.Writer
}

// barInterval is the time between two frames.
const barInterval = 100 * time.Millisecond

// newScreen returns a screen, which must be closed.
func newScreen(out, err io.Writer, withBars bool) *screen {
	s := &screen{out: out}
	if withBars && isTerminal(err) {
		s.console = cupwriter.New(err, false)
		s.bars = mpb.New(mpb.WithConsoleWriter(s.console), mpb.WithRefreshRate(barInterval))
	}
	return s
}

// isTerminal reports whether w is a terminal, where a bar can be drawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Write prints lines, above the bars if both are on a terminal.
func (s *screen) Write(lines []byte) (int, error) {
	if s.bars != nil && isTerminal(s.out) {
		if n, err := s.bars.Write(lines); err == nil {
			return n, nil
		}
	}
	return s.out.Write(lines)
}

// close removes the bars and prints pending lines.
func (s *screen) close() {
	if s.bars != nil {
		s.bars.Shutdown()
		_ = s.console.Flush(0) // lines since the last frame; a closed terminal is not an error
	}
}

// progress prints the progress of a training: a line for each finished epoch and,
// on a screen with bars, a bar for the current epoch.
type progress struct {
	screen *screen
	out    io.Writer // the screen, or a writer that puts the training's name before each line
	name   string    // of the training if there are several, else ""
	config study.Config
	dir    string

	started  time.Time // when the first epoch began
	summary  trainer.Summary
	lastStep time.Time // when the last step was reported
	bar      *mpb.Bar

	lock      sync.Mutex // guards the fields below, from which frames are drawn
	now       trainer.StepReport
	speed     live.Speed
	evaluated time.Duration // how long the last epoch's evaluation took
}

var _ trainer.Progress = (*progress)(nil)

// Start implements [trainer.Progress].
func (p *progress) Start(s trainer.Summary) {
	saving.Add(1)
	p.summary, p.started = s, time.Now()
	if p.config.Quiet {
		return
	}
	selecting := fmt.Sprintf("selecting on %s (%s images)", s.Recipe.SelectOn, humanize.Comma(int64(s.SelectImages)))
	if s.Recipe.NoEval {
		selecting = "no evaluation after epochs"
	}
	fmt.Fprintf(p.out, "%s, %s parameters; %s, batch %s; %s; run in %s\n",
		s.Network.Name, humanize.Comma(int64(s.Parameters)), trainImages(s),
		humanize.Comma(int64(s.Recipe.BatchSize)), selecting, p.dir)
	if dropout := p.config.Dropout; dropout != nil && *dropout > 0 && !s.Network.HasDropout() {
		printNote(p.out, "the network %s has no dropout: the setting dropout, %g, changes nothing", s.Network.Name, *dropout)
	}
	for _, note := range s.Notes {
		printNote(p.out, "%s", note)
	}
}

// trainImages returns the number of training images per epoch as text, such as "34,800 of
// 60,000 training images" if some are left out.
func trainImages(s trainer.Summary) string {
	images := humanize.Comma(int64(s.TrainImages))
	if s.LeftOut > 0 {
		images += " of " + humanize.Comma(int64(s.TrainImages+s.LeftOut))
	}
	return images + " training images"
}

// Step implements [trainer.Progress].
func (p *progress) Step(r trainer.StepReport) {
	p.lastStep = time.Now()
	if p.screen.bars == nil || p.config.Quiet || p.config.NoProgress {
		return
	}
	p.lock.Lock()
	p.now = r
	p.speed.Add(r)
	p.lock.Unlock()
	if p.bar == nil {
		// On an error (the screen is closed) training continues without a bar.
		p.bar, _ = p.screen.bars.Add(0, p.filler(frame.progress), mpb.BarFillerTrim(),
			mpb.BarBtmExtender(p.filler(func(f frame, width int) string { return f.figures(width) + "\n" })))
	}
}

// filler draws one line of the present frame.
func (p *progress) filler(line func(f frame, width int) string) mpb.BarFiller {
	return mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		p.lock.Lock()
		f := frame{name: p.name, StepReport: p.now, epochs: p.config.Epochs, noEval: p.config.NoEval, speed: p.speed.Value()}
		f.left, f.leftInRun = p.eta(f)
		p.lock.Unlock()
		_, err := io.WriteString(w, line(f, s.AvailableWidth-1)) // some terminals wrap after the last column
		return err
	})
}

// eta returns how long the epoch's steps and the whole run will take.
func (p *progress) eta(f frame) (epoch, run time.Duration) {
	if f.speed == 0 {
		return 0, 0
	}
	seconds := func(images int) time.Duration {
		return time.Duration(float64(images) / f.speed * float64(time.Second))
	}
	epochs, inEpoch := p.config.Epochs, f.Images
	total := epochs * f.Images
	if steps := p.config.MaxSteps; steps > 0 && steps < epochs*p.summary.StepsPerEpoch {
		whole, rest := steps/p.summary.StepsPerEpoch, steps%p.summary.StepsPerEpoch*p.config.BatchSize
		total = whole*f.Images + min(rest, f.Images)
		if f.Epoch > whole {
			inEpoch = min(rest, f.Images)
		}
		epochs = whole + min(rest, 1)
	}
	return seconds(max(0, inEpoch-f.ImagesDone)),
		seconds(max(0, total-(f.Epoch-1)*f.Images-f.ImagesDone)) + time.Duration(max(1, epochs-f.Epoch+1))*p.evaluated
}

// Epoch implements [trainer.Progress].
func (p *progress) Epoch(r trainer.EpochReport) {
	p.lock.Lock()
	p.evaluated = time.Since(p.lastStep)
	p.lock.Unlock()
	if p.config.Quiet {
		return
	}
	evaluation, mark := fmt.Sprintf("train accuracy %.2f %%", 100*r.TrainAccuracy), ""
	if !math.IsNaN(r.ValAccuracy) {
		evaluation = fmt.Sprintf("%s loss %.4f  %s accuracy %.2f %%", p.config.SelectOn, r.ValLoss, p.config.SelectOn, 100*r.ValAccuracy)
		if r.Best {
			mark = "  best"
		}
	}
	fmt.Fprintf(p.out, "epoch %*d/%d  train loss %.4f  %s  lr %.2g  %.1f s  %s images/s%s%s\n",
		len(fmt.Sprint(p.config.Epochs)), r.Epoch, p.config.Epochs, r.TrainLoss, evaluation, r.LR, r.Seconds,
		humanize.Comma(int64(r.ImagesPerSecond)), p.left(r.Epoch), mark)
}

// left says how long the epochs after the given one will take.
func (p *progress) left(epoch int) string {
	if epoch >= p.config.Epochs || p.config.MaxSteps > 0 {
		return ""
	}
	done := epoch - p.summary.FirstEpoch + 1
	left := time.Since(p.started) / time.Duration(done) * time.Duration(p.config.Epochs-epoch)
	if left < time.Second {
		return ""
	}
	return "  " + clock(left) + " left"
}

// end removes the bar, and records that this training has nothing more to save.
func (p *progress) end() {
	if p.bar != nil {
		p.bar.Abort(true)
	}
	if !p.started.IsZero() {
		saving.Add(-1)
	}
}

// meter is a bar for work other than training; a nil meter shows nothing.
type meter struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

// newMeter returns a bar for work of the given name and amount, which the
// counter shows, or nil if w is not a terminal.
func newMeter(w io.Writer, name string, total int64, counter decor.Decorator) *meter {
	if !isTerminal(w) {
		return nil
	}
	bars := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(barInterval))
	bar, err := bars.Add(total, mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding("─").Rbound("").Build(),
		mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(name+gap)), mpb.AppendDecorators(counter, decor.OnComplete(decor.AverageETA(decor.ET_STYLE_MMSS, decor.WC{C: decor.DextraSpace}), "")))
	if err != nil {
		return nil
	}
	return &meter{bars, bar}
}

// set shows how much is done, of a total that may have changed.
func (m *meter) set(done, total int64) {
	if m != nil {
		m.bar.SetTotal(total, false)
		m.bar.SetCurrent(min(done, total))
	}
}

// end removes the bar.
func (m *meter) end() {
	if m != nil {
		m.bar.Abort(true)
		m.bars.Shutdown()
	}
}

// frame is what a bar shows.
type frame struct {
	trainer.StepReport
	name            string
	epochs          int
	noEval          bool
	speed           float64       // images per second; 0 for unknown
	left, leftInRun time.Duration // of the epoch and of the run
}

// The length of the bar itself, and the gap between the parts of its line.
const (
	shortestBar, longestBar = 10, 40
	gap                     = "  "
)

// progress returns the first line, of at most width columns: how far the epoch is.
func (f frame) progress(width int) string {
	head := fmt.Sprintf("epoch %d/%d", f.Epoch, f.epochs)
	if f.name != "" {
		head = shorten(f.name, max(8, width/3)) + gap + head
	}
	share := min(1, float64(f.ImagesDone)/float64(max(1, f.Images)))
	percent := fmt.Sprintf("%3.0f %%", 100*share)
	room := width - len([]rune(head)) - len([]rune(percent)) - 2*len(gap)
	switch {
	case room >= shortestBar:
		n := min(longestBar, room)
		full := int(share * float64(n))
		return head + gap + strings.Repeat("━", full) + strings.Repeat("─", n-full) + gap + percent
	case room+len(gap) >= 0:
		return head + gap + percent
	}
	return shorten(head, width)
}

// figures returns the second line, of at most width columns; a wider one shows more.
func (f frame) figures(width int) string {
	loss, accuracy := fmt.Sprintf("loss %.4f", f.Loss), fmt.Sprintf("acc %.1f %%", 100*f.Accuracy)
	layouts := [][]string{{loss, accuracy}, {loss}}
	switch {
	case !f.noEval && (f.ImagesDone >= f.Images || f.speed > 0 && f.left == 0):
		layouts = append([][]string{{loss, accuracy, "evaluating"}, {loss, "evaluating"}}, layouts...)
	case f.speed > 0:
		speed := humanize.Comma(int64(math.Round(f.speed))) + " images/s"
		eta, run := "ETA epoch "+clock(f.left)+" run "+clock(f.leftInRun), "ETA run "+clock(f.leftInRun)
		layouts = append([][]string{{loss, accuracy, speed, eta}, {loss, accuracy, speed, run}, {loss, speed, run}, {loss, run}}, layouts...)
	}
	for _, parts := range layouts {
		if text := strings.Join(parts, gap); len([]rune(text)) <= width {
			return text
		}
	}
	return shorten(loss, width)
}

// shorten cuts text to at most n runes.
func shorten(text string, n int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= n:
		return text
	case n <= 0:
		return ""
	}
	return string(runes[:n-1]) + "…"
}

// clock formats a duration as 0:12 or 1:02:03.
func clock(d time.Duration) string {
	s := int64(math.Round(d.Seconds()))
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
