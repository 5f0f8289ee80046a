package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/bench"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

func newBenchCommand() *cobra.Command {
	network := "fashioncnn"
	o := bench.Options{Batch: 64, Dropout: .25, Rounds: 5, Seconds: 1}
	var f deviceFlags
	precision := kernels.FP32.String()
	var against string
	var asJSON, noProfile, tune bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure a model's throughput, overall and op by op",
		Long: `Measure how many images per second a device trains on (with --infer: classifies),
and how the time of a step and of the start-up is spent. The images are random, so
no dataset is needed.

--against runs another program after each round and compares the medians. That
program must print one line of JSON for each of its configurations:

    {"name": "torch 2.1 fp32", "images_per_second": 1234.5}`,
		Example: `  fmnist-gpu bench --cpu
  fmnist-gpu bench --device 0 --batch-size 256 --json
  fmnist-gpu bench --device 0 --tune
  fmnist-gpu bench --cpu --threads 2 \
      --against "python3 trainer/bench/pytorch.py --threads 2"`,
		Args: noArguments(benchHint),
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Precision, err = kernels.ParsePrecision(precision); err != nil {
				return err
			}
			f.precision = o.Precision
			if o.Network, err = findNetwork(c, network, dataset.FashionMNIST); err != nil {
				return err
			}
			announcement := c.OutOrStdout()
			if asJSON {
				announcement = io.Discard
			}
			r, peers, err := runBench(c, announcement, f, o, against, !noProfile, tune)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), map[string]any{"result": r, "peers": peers})
			}
			return printBench(c.OutOrStdout(), r, peers)
		},
	}
	g := flagGroup{c.Flags(), groupModel}
	bind(g, &network, "model", kindOf("model"), "network: "+kindOf("model").Want)
	bind(g, &o.Batch, "batch-size", kindOf("batch-size"), batchSizeUsage)
	bind(g, &o.Infer, "infer", setting.Bool(), "classify instead of train")
	g = flagGroup{c.Flags(), groupDevice}
	addDeviceFlags(g, &f)
	bind(g, &precision, "precision", kindOf("precision"), precisionUsage)
	bind(g, &tune, "tune", setting.Bool(), "first find the fastest shader variants for this device, and use them from now on")
	g = flagGroup{c.Flags(), "Measurement"}
	bind(g, &o.Rounds, "rounds", setting.Whole(1, 1000), "timed rounds; the result is their median")
	bind(g, &o.Seconds, "seconds", roundLength, "length of a round in seconds")
	bind(g, &against, "against", setting.Text("COMMAND", "a command to run"), "command to run after each round")
	bind(g, &noProfile, "no-profile", setting.Bool(), "leave out the table of ops")
	bind(flagGroup{c.Flags(), groupOutput}, &asJSON, "json", setting.Bool(), "print JSON")
	return c
}

var roundLength = setting.Number("a positive number of seconds up to 3600", func(x float64) bool { return x > 0 && x <= 3600 })

// benchHint says which flag an argument was probably meant for.
func benchHint(_ *cobra.Command, argument string) string {
	if slices.Contains(model.Names(), argument) {
		return "did you mean --model " + argument + "?"
	}
	return ""
}

// peer is a configuration of the program that --against runs.
type peer struct {
	Name            string    `json:"name"`
	ImagesPerSecond float64   `json:"images_per_second"` // median
	Rounds          []float64 `json:"rounds"`
	Ratio           float64   `json:"ratio"` // ours / theirs, of the medians
}

func runBench(c *cobra.Command, announcement io.Writer, f deviceFlags, o bench.Options, against string, profile, tune bool) (r bench.Result, peers []peer, err error) {
	d, err := openDevice(f)
	if err != nil {
		return r, nil, err
	}
	defer func() { err = closeDevice(d, err) }()
	fmt.Fprintln(announcement, d.announce())
	if tune { // compiles more than a start does, so the start-up is not measured
		if err := tuneDevice(c, d, o); err != nil {
			return r, nil, err
		}
	} else {
		o.Started = started
	}
	s, err := bench.Open(d.Backend, o)
	if err != nil {
		return r, nil, err
	}
	defer s.Close()
	rounds, peers, err := alternate(c, s, o.Rounds, against)
	if err != nil {
		return r, nil, err
	}
	var p bench.Profile
	if profile {
		if p, err = s.Profile(); err != nil {
			return r, nil, err
		}
	}
	r = s.Result(rounds, p)
	if m, ok := d.Backend.(kernels.PeakMeasurer); ok && profile {
		peak, err := m.MeasurePeak()
		if err != nil {
			return r, nil, err
		}
		r.Peak = &peak
	}
	for i := range peers {
		peers[i].ImagesPerSecond = bench.Median(peers[i].Rounds)
		peers[i].Ratio = r.ImagesPerSecond / peers[i].ImagesPerSecond
	}
	return r, peers, nil
}

// tuneDevice finds the fastest variants and shows a progress bar.
func tuneDevice(c *cobra.Command, d *device, o bench.Options) error {
	if _, ok := d.Backend.(kernels.Tuner); !ok {
		return &commandLineError{fmt.Sprintf("--tune: %s cannot be tuned; only Vulkan devices can", d.Name())}
	}
	bar := newMeter(c.ErrOrStderr(), "tuning", 1, decor.CountersNoUnit("  %d / %d"))
	defer bar.end()
	return bench.Tune(d.Backend, o, func(done, of int) { bar.set(int64(done), int64(of)) })
}

// alternate runs our rounds and those of the other program in turn.
func alternate(c *cobra.Command, s *bench.Session, rounds int, against string) (ours []float64, peers []peer, err error) {
	for range rounds {
		if err := c.Context().Err(); err != nil {
			return nil, nil, err
		}
		speed, err := s.Round()
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, speed)
		if against != "" {
			if peers, err = runPeer(c, against, peers); err != nil {
				return nil, nil, err
			}
		}
	}
	return ours, peers, nil
}

// runPeer runs the other program once and adds its figures to peers.
func runPeer(c *cobra.Command, against string, peers []peer) ([]peer, error) {
	words := strings.Fields(against)
	cmd := exec.CommandContext(c.Context(), words[0], words[1:]...)
	cmd.Stderr = c.ErrOrStderr()
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("--against %q: %w", against, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var p peer
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil || !(p.ImagesPerSecond > 0) {
			return nil, fmt.Errorf("--against %q printed %q, want a line such as {\"name\": \"x\", \"images_per_second\": 1}", against, lines.Text())
		}
		i := slices.IndexFunc(peers, func(q peer) bool { return q.Name == p.Name })
		if i < 0 {
			i = len(peers)
			peers = append(peers, peer{Name: p.Name})
		}
		peers[i].Rounds = append(peers[i].Rounds, p.ImagesPerSecond)
	}
	return peers, nil
}

func printBench(w io.Writer, r bench.Result, peers []peer) error {
	fmt.Fprintf(w, "%s: %s %s, %s, batch %d\n%s images/s  %.3f ms per step  %.0f GFLOP/s  (median of %d rounds, %s to %s)  %s on the device\n",
		r.Device, r.Mode, r.Model, r.Precision, r.Batch, humanize.Comma(int64(r.ImagesPerSecond)), r.StepMillis, r.GFLOPs, len(r.Rounds),
		humanize.Comma(int64(slices.Min(r.Rounds))), humanize.Comma(int64(slices.Max(r.Rounds))), humanize.IBytes(uint64(r.DeviceBytes)))
	if r.DeviceMicros > 0 {
		fmt.Fprintf(w, "%.1f steps/s: %.1f µs on the device, of which %.1f µs between dispatches (ops run one by one: %.1f µs), %.1f µs between steps\n",
			r.StepsPerSecond, r.DeviceMicros, r.BetweenMicros, r.OpsMicros, r.GapMicros)
	}
	if r.HostCores > 0 {
		fmt.Fprintf(w, "host: %.2f cores busy\n", r.HostCores)
	}
	if u := r.StartUp; u != nil {
		cache := ""
		if u.PipelineCache != "" {
			cache = fmt.Sprintf(" (pipeline cache %s)", u.PipelineCache)
		}
		fmt.Fprintf(w, "start-up: first step completed after %.1f ms: open device %.1f, draw images %.1f, compile program %.1f%s, upload %.1f, step %.1f\n",
			u.Total, u.Backend, u.Images, u.Program, cache, u.Upload, u.Step)
	}
	if r.Peak != nil {
		mixed := ""
		if r.Peak.MixedFLOPs > 0 {
			mixed = fmt.Sprintf(", mixed %.0f", r.Peak.MixedFLOPs/1e9)
		}
		fmt.Fprintf(w, "peak: %.0f GFLOP/s%s, %.1f GB/s\n", r.Peak.FLOPs/1e9, mixed, r.Peak.Bytes/1e9)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(peers) > 0 {
		fmt.Fprint(t, "\nAGAINST\tIMAGES/S\tROUNDS\tOURS / THEIRS\n")
	}
	for _, p := range peers {
		fmt.Fprintf(t, "%s\t%s\t%s to %s\t%.2f\n", p.Name, humanize.Comma(int64(p.ImagesPerSecond)),
			humanize.Comma(int64(slices.Min(p.Rounds))), humanize.Comma(int64(slices.Max(p.Rounds))), p.Ratio)
	}
	if len(r.Ops) > 0 {
		fmt.Fprint(t, "\nOP\tOUTPUT\tµS\tSHARE\tGFLOP/S\tOF PEAK\tGB/S\tOF PEAK\n")
	}
	for _, op := range r.Ops {
		if op.Joined {
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\t\tcomputed by the op above\n", op.Kind, op.Shape)
			continue
		}
		ofPeak, ofCopy := "", ""
		if r.Peak != nil {
			ofCopy = fmt.Sprintf("%.0f %%", 100*op.GBs*1e9/r.Peak.Bytes)
			ofPeak = fmt.Sprintf("%.0f %%", 100*op.GFLOPs*1e9/r.Peak.Ceiling(op.Precision))
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f %%\t%.1f\t%s\t%.1f\t%s\n", op.Kind, op.Shape, op.Micros, 100*op.Share, op.GFLOPs, ofPeak, op.GBs, ofCopy)
	}
	return t.Flush()
}
