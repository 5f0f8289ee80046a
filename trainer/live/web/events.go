package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
)

const (
	heartbeat = 15 * time.Second       // between signs of life
	lastWords = 100 * time.Millisecond // to wait for the end event when the server shuts down
)

var slowest = 10 * time.Second // that a client may take to receive what is sent at a time; tests shorten it

// events answers GET /api/events?run=NAME with a run's events as server-sent events:
// those so far, then those that follow.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if !s.streams.TryAcquire(1) {
		answer(w, fail(http.StatusServiceUnavailable, "%d pages follow runs already: close one", mostStreams))
		return
	}
	defer s.streams.Release(1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	history, next, err := s.subscribe(ctx, r.URL.Query().Get("run"))
	if err != nil {
		answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w: bufio.NewWriter(w), control: http.NewResponseController(w)}
	out.control.SetReadDeadline(time.Time{}) // the request is read; a stream has no end
	if r.Method == http.MethodHead || out.send(history...) != nil || ended(history) {
		return
	}
	var closed <-chan time.Time
	closing, beat := s.closing, time.NewTicker(heartbeat)
	defer beat.Stop()
	for err == nil {
		select {
		case e, ok := <-next:
			if !ok {
				return
			}
			err = out.send(e)
		case <-beat.C:
			err = out.alive()
		case <-closing:
			closing, closed = nil, time.After(lastWords)
		case <-closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

func ended(list []live.Event) bool { return len(list) > 0 && list[len(list)-1].End != nil }

// subscribe returns the events of a run, of this process or another, until ctx is
// cancelled.
func (s *Server) subscribe(ctx context.Context, run string) (history []live.Event, next <-chan live.Event, err error) {
	if s.options.Hub != nil && run == s.options.Run {
		history, next, cancel := s.options.Hub.Subscribe()
		context.AfterFunc(ctx, cancel)
		return history, next, nil
	}
	dir, err := s.runFolder(run)
	if err != nil {
		return nil, nil, err
	}
	history, next, err = live.Watch(ctx, dir)
	if err != nil {
		err = fail(http.StatusNotFound, "%v", err)
	}
	return history, next, err
}

// stream writes server-sent events.
type stream struct {
	w       *bufio.Writer
	control *http.ResponseController
}

// send sends events. A client that takes too long to receive them is given up.
func (s *stream) send(list ...live.Event) error {
	for _, e := range list {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		s.control.SetWriteDeadline(time.Now().Add(slowest))
		s.w.WriteString("data: ") // a bufio.Writer keeps its first error for Flush
		s.w.Write(text)
		s.w.WriteString("\n\n")
	}
	return s.flush()
}

// alive sends a comment, so that both sides notice a dead connection.
func (s *stream) alive() error {
	s.w.WriteString(":\n\n")
	return s.flush()
}

func (s *stream) flush() error {
	s.control.SetWriteDeadline(time.Now().Add(slowest))
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.control.Flush()
}
