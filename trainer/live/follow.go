package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Pauses between the attempts of [Follow] to connect again.
const (
	firstPause = 250 * time.Millisecond
	longPause  = 5 * time.Second
)

// maxEvent is the largest event that [Follow] takes, in bytes.
const maxEvent = 16 << 20

// Follow receives the events of a run from a server: url names its stream of
// server-sent events, with the token if the server asks for one. If the connection is
// lost, Follow connects again, and the new history begins with another start event. The
// channel is closed after the end event, or when ctx is cancelled. An error means that
// the first connection failed.
func Follow(ctx context.Context, url string) (<-chan Event, error) {
	body, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		for pause := firstPause; ; pause = min(2*pause, longPause) {
			if body != nil {
				pause = firstPause
				if receive(ctx, body, events) {
					return
				}
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			if body, err = connect(ctx, url); err != nil {
				body = nil
			}
		}
	}()
	return events, nil
}

func connect(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		response.Body.Close()
		return nil, fmt.Errorf("%s answers %s %q: want a stream of events", url, response.Status, strings.TrimSpace(string(text)))
	}
	return response.Body, nil
}

// receive sends on the events of a connection. It reports whether that was all: the
// run has ended, or ctx is cancelled.
func receive(ctx context.Context, body io.ReadCloser, events chan<- Event) (done bool) {
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue // an event's name or number, a comment, or the blank line after an event
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return false
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return true
		}
		if e.Type == TypeEnd {
			return true
		}
	}
	return errors.Is(ctx.Err(), context.Canceled)
}
