package live

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// FuzzReceive checks that no stream of events of another program stops this one.
func FuzzReceive(f *testing.F) {
	for _, text := range []string{"data: {\"type\":\"step\",\"step\":{\"step\":3,\"loss\":0.5}}\n\n:\n\ndata: {\"type\":\"end\",\"end\":{\"state\":\"finished\"}}\n\n", "data: {}\n", "data: [", "id: 3\n\ndata: null\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		events := make(chan Event, strings.Count(text, "\n")+1)
		receive(context.Background(), io.NopCloser(strings.NewReader(text)), events)
		if len(events) > strings.Count(text, "data: ") {
			t.Errorf("%d events of %d", len(events), strings.Count(text, "data: "))
		}
	})
}

// FuzzSteps checks that a steps.csv gives numbers or an error.
func FuzzSteps(f *testing.F) {
	for _, text := range []string{"step,loss,lr\n1,2.3,0.001\n2,NaN,0.001\n", "step\n1\n", "step,loss\n1e3,x\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		steps, err := parseSteps(bytes.NewReader(text))
		if err == nil && len(steps) > len(text) {
			t.Errorf("%d steps of %d bytes", len(steps), len(text))
		}
	})
}
