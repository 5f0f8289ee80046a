package main

import (
	"context"
	"errors"
	"fmt"
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
func listenKind() setting.Kind { return setting.Text("ADDRESS", "an address of this machine, HOST:PORT or HOST") }

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

// servedPage is a page that is being served. A nil one is none.
type servedPage struct {
	listener *web.Listener
	hub      *live.Hub // of the training that it shows; nil for none
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
	p := &servedPage{listener: listener, hub: o.Hub, stop: stop, done: make(chan error, 1)}
	go func() { p.done <- errors.Join(web.Serve(ctx, listener, server), server.Close()) }()
	return p, nil
}

// close stops serving.
func (p *servedPage) close() error {
	if p == nil {
		return nil
	}
	p.stop()
	return <-p.done
}

// openTrainingPage begins to serve the page of the training in a folder, if serve is
// set.
func openTrainingPage(cmd *cobra.Command, f serveFlags, dir, device string) (*servedPage, error) {
	if !f.serve {
		return nil, nil
	}
	folder, err := filepath.Abs(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	hub := live.NewHub(dir, device)
	classifier := deviceFlags{threads: 1} // leaves the processor to the training
	p, err := openPage(f.listen, web.Options{Folder: folder, Hub: hub, Run: filepath.Base(dir), OpenBackend: classifier.openClassifier})
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "the training's page:", p.listener.URL())
	}
	return p, err
}

// linger keeps the page of a finished training until the command is interrupted.
func (p *servedPage) linger(cmd *cobra.Command) {
	if p == nil {
		return
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the page stays at %s until Ctrl-C\n", p.listener.URL())
	<-cmd.Context().Done()
}

// serveFlags are the flags of train that open a page.
type serveFlags struct {
	serve  bool
	listen string
}

func (f *serveFlags) add(g flagGroup) {
	bind(g, &f.serve, "serve", setting.Bool(), "show the training in a browser, and classify with it, until Ctrl-C")
	bind(g, &f.listen, "listen", listenKind(), listenUsage)
}

// check refuses --listen without --serve.
func (f serveFlags) check() error {
	if f.listen != "" && !f.serve {
		return &commandLineError{"--listen is the address of the page of --serve: add --serve"}
	}
	return nil
}

// shownProgress is the progress on the terminal and on a page.
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

