package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live/web"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

const listenUsage = "address of the page, such as 0.0.0.0:8601 for all of this machine's (default: port 8601 of this machine alone)"

// listenKind is the kind of the flag --listen.
func listenKind() setting.Kind {
	return setting.Text("ADDRESS", "an address of this machine, HOST:PORT or HOST")
}

func newServeCommand() *cobra.Command {
	var listen string
	var device deviceFlags
	c := &cobra.Command{
		Use:   "serve [FOLDER]",
		Short: "Show runs in a browser, and classify drawings and pictures",
		Long: `Serve a page that shows the runs in a folder (default: runs) and classifies what you
draw, upload or photograph with the model of any of them: classes, probabilities, and
where the network sees the class. The page follows a run that another process trains;
"train --serve" shows one step by step. Ctrl-C ends the program.

The page is for this machine alone unless --listen says otherwise. Then it needs the
token that is part of the address printed, which crosses the network unencrypted: use
it in networks that you trust, or reach this machine through ssh -L instead.

Pictures are classified on the CPU unless --device names a GPU.`,
		Example: `  fmnist-gpu serve
  fmnist-gpu serve runs/original --device 0
  fmnist-gpu serve --listen 0.0.0.0:8601`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return oneArgument("one folder of runs")(c, args)
			}
			return nil
		},
		ValidArgsFunction: completeRunFolders,
		RunE: func(c *cobra.Command, args []string) error {
			folder := study.DefaultConfig().Out
			if len(args) > 0 {
				folder = args[0]
			}
			p, err := openPage(listen, web.Options{Folder: folder, OpenBackend: device.openClassifier})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "the runs of %s: %s (Ctrl-C ends)\n", folder, p.listener.URL())
			<-c.Context().Done()
			return p.close()
		},
	}
	bind(flagGroup{c.Flags(), groupRun}, &listen, "listen", listenKind(), listenUsage)
	addDeviceFlags(flagGroup{c.Flags(), groupDevice}, &device)
	return c
}

// openClassifier opens the device for classifying pictures: the CPU unless the flags
// name another.
func (f deviceFlags) openClassifier() (kernels.Backend, error) {
	f.cpu = f.selector == ""
	d, err := openDevice(f)
	if err != nil {
		return nil, err
	}
	return d.Backend, nil
}

// servedPage is a page that is being served.
type servedPage struct {
	listener *web.Listener
	stop     context.CancelFunc
	done     chan error
}

// openPage begins to serve a page.
func openPage(listen string, o web.Options) (*servedPage, error) {
	server, err := web.New(o)
	if err != nil {
		return nil, err
	}
	listener, err := web.Listen(listen)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &servedPage{listener: listener, stop: stop, done: make(chan error, 1)}
	go func() { p.done <- errors.Join(web.Serve(ctx, listener, server), server.Close()) }()
	return p, nil
}

// close stops serving.
func (p *servedPage) close() error {
	p.stop()
	return <-p.done
}

// The formats of --log-format.
const (
	logText = "text"
	logJSON = "json"
)

// trainingPage is where a training's events go besides the terminal: to a page, if the
// flag --serve asks for one, and to standard output as JSON, if --log-format does.
type trainingPage struct {
	wanted    bool
	listen    string
	logFormat string

	served *servedPage   // nil before open
	hub    *live.Hub     // nil if nothing is left to train, or if nobody wants events
	log    io.Writer     // gets the events as JSON, one per line; nil for none
	logged chan struct{} // closed when all are written
}

// add adds the flags.
func (p *trainingPage) add(g, output flagGroup) {
	bind(g, &p.wanted, "serve", setting.Bool(), "show the training in a browser, and classify with it, until Ctrl-C")
	bind(g, &p.listen, "listen", listenKind(), listenUsage)
	bind(output, &p.logFormat, "log-format", setting.Choice(logText, logJSON), "text, or json: one event per line, and everything else to standard error")
}

// logTo makes room for JSON on standard output, if that is the format.
func (p *trainingPage) logTo(cmd *cobra.Command) {
	if p.logFormat == logJSON {
		p.log = cmd.OutOrStdout()
		cmd.SetOut(cmd.ErrOrStderr())
	}
}

// writeLog writes the hub's events until the last one.
func (p *trainingPage) writeLog() {
	p.logged = make(chan struct{})
	_, events, _ := p.hub.Subscribe()
	go func() {
		defer close(p.logged)
		encoder := json.NewEncoder(p.log)
		for e := range events {
			if e.Epoch != nil {
				e.Epoch = &live.Epoch{Report: e.Epoch.Report, ConfusionMatrix: e.Epoch.ConfusionMatrix} // without pictures
			}
			_ = encoder.Encode(e) // if nobody reads any more, standard output interrupts the command
		}
	}()
}

// check refuses an address without a page.
func (p *trainingPage) check() error {
	if p.listen != "" && !p.wanted {
		return &commandLineError{"--listen is the address of the page of --serve: add --serve"}
	}
	return nil
}

// open begins to serve the page of the run in a folder, if it is wanted. hub is nil for
// a run that is finished.
func (p *trainingPage) open(cmd *cobra.Command, dir string, hub *live.Hub) (err error) {
	if p.log != nil && hub != nil {
		p.hub = hub
		p.writeLog()
	}
	if !p.wanted {
		return nil
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	classifier := deviceFlags{threads: 1} // leaves the processor to the training
	p.hub = hub
	p.served, err = openPage(p.listen, web.Options{Folder: filepath.Dir(full), Hub: hub, Run: filepath.Base(full), OpenBackend: classifier.openClassifier})
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "page: %s\n", p.served.listener.URL())
	}
	return err
}

// progress returns what reports to the page too.
func (p *trainingPage) progress(other *progress) trainer.Progress {
	if p.hub == nil {
		return other
	}
	return shownProgress{other, p.hub}
}

// ended tells the page how the training ended.
func (p *trainingPage) ended(result *trainer.Result, err error) {
	if p.hub != nil {
		p.hub.End(result, err)
	}
	if p.logged != nil {
		<-p.logged
	}
}

// close stops serving. If all went well, the page stays until the command is
// interrupted: a training may end while its user looks at it.
func (p *trainingPage) close(cmd *cobra.Command, err error) error {
	if p.served == nil {
		return err
	}
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "the page stays at %s until Ctrl-C\n", p.served.listener.URL())
		<-cmd.Context().Done()
	}
	return errors.Join(err, p.served.close())
}

// shownProgress reports to the terminal and to a page.
type shownProgress struct {
	*progress
	hub *live.Hub
}

var _ trainer.Observer = shownProgress{}

// Start implements [trainer.Progress].
func (p shownProgress) Start(s trainer.Summary) {
	p.progress.Start(s)
	p.hub.Start(s)
}

// Step implements [trainer.Progress].
func (p shownProgress) Step(r trainer.StepReport) {
	p.progress.Step(r)
	p.hub.Step(r)
}

// Epoch implements [trainer.Progress].
func (p shownProgress) Epoch(r trainer.EpochReport) {
	p.progress.Epoch(r)
	p.hub.Epoch(r)
}

// Evaluated implements [trainer.Observer].
func (p shownProgress) Evaluated(e trainer.Evaluated) { p.hub.Evaluated(e) }
