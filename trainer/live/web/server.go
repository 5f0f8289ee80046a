// Package web serves one page that shows trainings while they run, the runs of a
// folder side by side, their reports, and what a trained model says of a picture that
// the user draws, uploads or takes.
//
// The server is made for one person's browser, on the same machine: see [Listen] for
// other machines. It reads only files of runs inside the folder that it is given.
package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Options says what a server shows.
type Options struct {
	// Folder holds runs, or folders of runs such as experiments', or is a run itself.
	Folder string
	// Hub is that of a training in this process, nil for none, and Run is the training's
	// folder relative to Folder.
	Hub *live.Hub
	Run string
	// OpenBackend opens the backend that classifies pictures. It is called once, before
	// the first picture. nil for a server that does not classify.
	OpenBackend func() (kernels.Backend, error)
}

// The limits that keep a server's use of memory and processor small, whatever its
// clients do.
const (
	mostStreams  = 32       // of events, at a time
	mostUploads  = 8        // pictures being received, at a time
	mostDecoding = 2        // pictures being decoded and classified, at a time
	mostBytes    = 16 << 20 // of a picture's file
	mostPixels   = 16_000_000
	uploadRate   = 10 // pictures per second
	uploadBurst  = 20
	patience     = 30 * time.Second // for a picture that has arrived
)

// Server is a handler of HTTP requests. It must be closed.
type Server struct {
	options Options
	root    *os.Root
	handler http.Handler
	closing chan struct{} // closed when streams must end

	streams   *semaphore.Weighted
	uploads   *semaphore.Weighted
	decoding  *semaphore.Weighted
	patience  time.Duration // that a client has until its picture is classified
	rate      *rate.Limiter
	summaries cache[summary]
	titles    cache[string] // of experiments
	models    models
}

// New returns a server. A folder that does not exist is [trainer.ErrUsage].
func New(o Options) (*Server, error) {
	root, err := os.OpenRoot(o.Folder)
	if err != nil {
		return nil, setting.Errorf("cannot read the folder of runs %s: %v; train first, or name another folder", o.Folder, cause(err))
	}
	s := &Server{options: o, root: root, closing: make(chan struct{}),
		streams: semaphore.NewWeighted(mostStreams), uploads: semaphore.NewWeighted(mostUploads), decoding: semaphore.NewWeighted(mostDecoding),
		rate: rate.NewLimiter(uploadRate, uploadBurst), patience: patience, models: models{open: o.OpenBackend, lock: semaphore.NewWeighted(1)}}
	s.handler = s.routes()
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asset("text/html; charset=utf-8", pageHTML))
	mux.Handle("GET /style.css", asset("text/css; charset=utf-8", styleCSS))
	mux.Handle("GET /app.js", asset("text/javascript; charset=utf-8", appJS))
	mux.Handle("GET /icon.svg", asset("image/svg+xml", iconSVG))
	mux.HandleFunc("GET /report", s.report)
	mux.HandleFunc("GET /api/runs", s.runs)
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("POST /api/classify", s.classify)
	return mux
}

// ServeHTTP implements [http.Handler]. It does not check who asks: [Serve] does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close frees what the server holds. [Serve] must have returned.
func (s *Server) Close() error { return errors.Join(s.models.close(), s.root.Close()) }

// cause strips the operation and the path from an error of package os: the message
// names them already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// failure is an error with the status to answer.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func fail(status int, format string, values ...any) error {
	return &failure{status, fmt.Sprintf(format, values...)}
}

// answer sends an error as text. What is not a [failure] is the server's own trouble:
// its text names files on this machine, but those are the user's.
func answer(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if f, ok := errors.AsType[*failure](err); ok {
		status = f.status
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
}
