package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
)

// Each of the status's two lines fits any width; a wider one shows more.
func TestFrameFits(t *testing.T) {
	f := frame{StepReport: trainer.StepReport{Epoch: 7, ImagesDone: 27_500, Images: 55_000, Loss: .4123, Accuracy: .851},
		epochs: 10, speed: 12_345, left: 2 * time.Second, leftInRun: 83 * time.Second}
	named, unknown, evaluating := f, f, f
	named.name = "main_no_aug-seed42"
	unknown.speed = 0
	evaluating.ImagesDone = 55_000
	for _, f := range []frame{f, named, unknown, evaluating} {
		for width := range 300 {
			for _, line := range []string{f.progress(width), f.figures(width)} {
				if n := utf8.RuneCountInString(line); n > width || strings.Contains(line, "\n") {
					t.Fatalf("at %d columns, %d: %q", width, n, line)
				}
			}
		}
	}
	for _, c := range []struct {
		frame
		width         int
		first, second string
	}{
		{f, 4, "epo…", "los…"},
		{f, 20, "epoch 7/10   50 %", "loss 0.4123"},
		{f, 39, "epoch 7/10  ━━━━━━━━━━──────────   50 %", "loss 0.4123  ETA run 1:23"},
		{f, 79, "epoch 7/10  " + strings.Repeat("━", 20) + strings.Repeat("─", 20) + "   50 %", "loss 0.4123  acc 85.1 %  12,345 images/s  ETA epoch 0:02 run 1:23"},
		{named, 39, "main_no_aug-…  epoch 7/10   50 %", "loss 0.4123  ETA run 1:23"},
		{unknown, 39, "epoch 7/10  ━━━━━━━━━━──────────   50 %", "loss 0.4123  acc 85.1 %"},
		{evaluating, 60, "epoch 7/10  " + strings.Repeat("━", 40), "loss 0.4123  acc 85.1 %  evaluating"},
	} {
		if first, second := c.progress(c.width), c.figures(c.width); !strings.HasPrefix(first, c.first) || second != c.second {
			t.Errorf("at %d columns: %q and %q, want %q and %q", c.width, first, second, c.first, c.second)
		}
	}
}

// The time left counts the steps left and the evaluations to come.
func TestETA(t *testing.T) {
	p := &progress{evaluated: time.Second, summary: trainer.Summary{StepsPerEpoch: 10}}
	p.config.Epochs, p.config.BatchSize = 4, 100
	f := frame{StepReport: trainer.StepReport{Epoch: 2, ImagesDone: 500, Images: 1000}, speed: 100}
	for _, c := range []struct {
		maxSteps   int
		epoch, run time.Duration
	}{
		{0, 5 * time.Second, 28 * time.Second},  // 500 + 2 × 1,000 images, 3 evaluations
		{25, 5 * time.Second, 12 * time.Second}, // 500 + 500, 2
		{18, 3 * time.Second, 4 * time.Second},
		{12, 0, time.Second},
		{99, 5 * time.Second, 28 * time.Second},
	} {
		p.config.MaxSteps = c.maxSteps
		if epoch, run := p.eta(f); epoch != c.epoch || run != c.run {
			t.Errorf("--max-steps %d: %v and %v, want %v and %v", c.maxSteps, epoch, run, c.epoch, c.run)
		}
	}
	f.speed = 0
	if epoch, run := p.eta(f); epoch != 0 || run != 0 {
		t.Errorf("without a speed: %v and %v", epoch, run)
	}
}

func TestClock(t *testing.T) {
	for seconds, want := range map[float64]string{.4: "0:00", 59.6: "1:00", 3599: "59:59", 3723: "1:02:03", 360000: "100:00:00"} {
		if got := clock(time.Duration(seconds * 1e9)); got != want {
			t.Errorf("%v s: %s, want %s", seconds, got, want)
		}
	}
}
