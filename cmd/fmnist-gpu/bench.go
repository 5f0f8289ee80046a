package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
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
	var against []string
	var asJSON, noProfile, tune bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure a model's throughput, overall and op by op",
		Long: `Measure how many images per second a device trains on (with --infer: classifies),
and how the time of a step and of the start-up is spent. The images are random, so
no dataset is needed.

--infer also times single steps, each of which starts when the one before has ended:
with --batch-size 1 that is the time to classify one image in the device's memory.

--against starts another program, takes turns with it, and compares the medians. For
each round the program gets an empty line on its standard input. It answers with a
line of JSON for each of its configurations, and an empty line. A program that ends
instead is started again for the next round.

    {"name": "torch 2.1 fp32", "images_per_second": 1234.5}

"latency_ms": {"median": 0.8, "p99": 0.9} may follow: of its steps, in milliseconds.`,
		Example: `  fmnist-gpu bench --cpu
  fmnist-gpu bench --device 0 --batch-size 256 --json
  fmnist-gpu bench --device 0 --tune
  fmnist-gpu bench --cpu --infer --batch-size 1
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
			if err != nil && !tuned(err) {
				return err
			}
			if asJSON {
				return cmp.Or(printJSON(c.OutOrStdout(), map[string]any{"result": r, "peers": peers}), err)
			}
			return cmp.Or(printBench(c.OutOrStdout(), r, peers), err)
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
	bindEach(g, &against, "against", setting.Text("COMMAND", "a command to run"), "program to take turns with; may be repeated")
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

func runBench(c *cobra.Command, announcement io.Writer, f deviceFlags, o bench.Options, against []string, profile, tune bool) (r bench.Result, peers []peer, err error) {
	d, err := openDevice(f)
	if err != nil {
		return r, nil, err
	}
	defer func() { err = closeDevice(d, err) }()
	fmt.Fprintln(announcement, d.announce())
	return benchDevice(c, d, o, against, profile, tune)
}

// benchDevice returns what it has measured even if the results of a tuning could not be
// kept.
func benchDevice(c *cobra.Command, d *device, o bench.Options, against []string, profile, tune bool) (r bench.Result, peers []peer, err error) {
	var keeping error
	if tune { // compiles more than a start does, so the start-up is not measured
		if keeping = tuneDevice(c, d, o); keeping != nil && !tuned(keeping) {
			return r, nil, keeping
		}
	} else {
		o.Started = started
	}
	s, err := bench.Open(d.Backend, o)
	if err != nil {
		return r, nil, err
	}
	defer s.Close()
	rounds, programs, err := alternate(c, s, o.Rounds, against)
	if err != nil {
		return r, nil, err
	}
	var p bench.Profile
	if profile {
		if p, profile, err = profileOps(c.ErrOrStderr(), s); err != nil {
			return r, nil, err
		}
	}
	r = s.Result(rounds, p)
	if m, ok := d.Backend.(kernels.PeakMeasurer); ok && profile {
		if peak, err := m.MeasurePeak(); err == nil {
			r.Peak = &peak
		} else { // which loses nothing of what has been measured
			printNote(c.ErrOrStderr(), "the peak rates of the device could not be measured: %s", oneLine(err))
		}
	}
	return r, comparePeers(r, programs), keeping
}

// profileOps measures the ops, unless the device cannot: it then says so, because that
// loses nothing of what has been measured.
func profileOps(w io.Writer, s *bench.Session) (p bench.Profile, done bool, err error) {
	p, err = s.Profile()
	if errors.Is(err, kernels.ErrNoTimestamps) {
		printNote(w, "no table of ops: %s", oneLine(err))
		return bench.Profile{}, false, nil
	}
	return p, err == nil, err
}

// tuneDevice finds the fastest variants and shows a progress bar.
func tuneDevice(c *cobra.Command, d *device, o bench.Options) error {
	if _, ok := d.Backend.(kernels.Tuner); !ok {
		return &commandLineError{fmt.Sprintf("--tune: %s cannot be tuned; only Vulkan devices can", d.Name())}
	}
	if dataset.DefaultCacheDir() == "" {
		return errors.New("--tune has no folder to keep its results in: the system names none for this user's caches" + cacheRemedy())
	}
	bar := newMeter(c.ErrOrStderr(), "tuning", 1, decor.CountersNoUnit("  %d / %d"))
	defer bar.end()
	return bench.Tune(d.Backend, o, func(done, of int) { bar.set(int64(done), int64(of)) })
}

// tuned reports whether an error is only that of keeping a device's tuning.
func tuned(err error) bool {
	var keep *kernels.KeepError
	return errors.As(err, &keep) && keep.Found
}

// cacheRemedy says how to name another folder for caches, where a variable does.
func cacheRemedy() string {
	switch runtime.GOOS {
	case "windows", "darwin", "ios", "plan9":
		return ""
	}
	return "; name another folder for caches with $XDG_CACHE_HOME"
}

func printBench(w io.Writer, r bench.Result, peers []peer) error {
	fmt.Fprintf(w, "%s: %s %s, %s, batch %d\n%s images/s  %.3f ms per step  %.0f GFLOP/s  (median of %d rounds, %s to %s)  %s on the device\n",
		r.Device, r.Mode, r.Model, r.Precision, r.Batch, humanize.Comma(int64(r.ImagesPerSecond)), r.StepMillis, r.GFLOPs, len(r.Rounds),
		humanize.Comma(int64(slices.Min(r.Rounds))), humanize.Comma(int64(slices.Max(r.Rounds))), humanize.IBytes(uint64(r.DeviceBytes)))
	if r.Latency != nil {
		fmt.Fprintf(w, "latency of single steps: median %.3f ms, 99th percentile %.3f ms\n", r.Latency.Median, r.Latency.P99)
	}
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
	printPeers(t, peers)
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
			if ceiling := r.Peak.Ceiling(op.Precision); ceiling > 0 {
				ofPeak = fmt.Sprintf("%.0f %%", 100*op.GFLOPs*1e9/ceiling)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f %%\t%.1f\t%s\t%.1f\t%s\n", op.Kind, op.Shape, op.Micros, 100*op.Share, op.GFLOPs, ofPeak, op.GBs, ofCopy)
	}
	return t.Flush()
}
