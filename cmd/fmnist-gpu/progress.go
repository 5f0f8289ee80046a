package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// progress prints how a training goes: a bar for the epoch under way where
// standard error is a terminal, and a line for each finished epoch.
type progress struct {
	out, err io.Writer
	config   trainer.Config
	dir      string
	withBar  bool
	bar      *progressbar.ProgressBar // of the epoch under way
	summary  trainer.Summary
	started  time.Time // of the first epoch
}

var _ trainer.Progress = (*progress)(nil)

func newProgress(out, err io.Writer, c trainer.Config, dir string) *progress {
	return &progress{out: out, err: err, config: c, dir: dir, withBar: isTerminal(err) && !c.NoProgress && !c.Quiet}
}

// isTerminal reports whether w is a terminal, where a bar can be drawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Start implements [trainer.Progress].
func (p *progress) Start(s trainer.Summary) {
	p.summary, p.started = s, time.Now()
	if p.config.Quiet {
		return
	}
	fmt.Fprintf(p.out, "%s, %s parameters; %s training images, batch %d; selecting on %s (%s images); run in %s\n",
		s.Config.Model, humanize.Comma(int64(s.Parameters)), humanize.Comma(int64(s.TrainImages)), s.Config.BatchSize,
		s.Config.SelectOn, humanize.Comma(int64(s.SelectImages)), p.dir)
}

// Step implements [trainer.Progress].
func (p *progress) Step(r trainer.StepReport) {
	if !p.withBar {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(r.Images, progressbar.OptionSetWriter(p.err), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("images"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionThrottle(0))
	}
	p.bar.Describe(fmt.Sprintf("epoch %d/%d  loss %.4f  accuracy %.1f %%", r.Epoch, p.config.Epochs, r.Loss, 100*r.Accuracy))
	_ = p.bar.Set(r.ImagesDone) // a terminal that is gone is no reason to stop training
}

// Epoch implements [trainer.Progress].
func (p *progress) Epoch(r trainer.EpochReport) {
	p.finish()
	if p.config.Quiet {
		return
	}
	mark := ""
	if r.Best {
		mark = "  best"
	}
	fmt.Fprintf(p.out, "epoch %*d/%d  train loss %.4f  %s loss %.4f  %s accuracy %.2f %%  lr %.2g  %.1f s  %s images/s%s%s\n",
		len(fmt.Sprint(p.config.Epochs)), r.Epoch, p.config.Epochs, r.TrainLoss, p.config.SelectOn, r.ValLoss,
		p.config.SelectOn, 100*r.ValAccuracy, r.LR, r.Seconds, humanize.Comma(int64(r.ImagesPerSecond)),
		p.left(r.Epoch), mark)
}

// left says how long the epochs after the given one will take.
func (p *progress) left(epoch int) string {
	if epoch == p.config.Epochs || p.config.MaxSteps > 0 {
		return ""
	}
	done := epoch - p.summary.FirstEpoch + 1
	left := time.Since(p.started) / time.Duration(done) * time.Duration(p.config.Epochs-epoch)
	return "  left " + left.Round(time.Second).String()
}

// finish clears the bar.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish() // as in Step
		p.bar = nil
	}
}
