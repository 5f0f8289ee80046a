package source_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// FuzzEvents checks that what another program says of its run can be shown.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{`[{"type":"start","run":"r","start":{"network":"n","epochs":3,"classes":["a"]}},{"type":"step","step":{"step":1,"images":2}},{"type":"epoch","epoch":{"report":{"epoch":1},"confusion_matrix":[[1]]}},{"type":"end","end":{"state":"finished","metrics":{"confusion_matrix":[[1]]}}}]`,
		`[{"type":"epoch","epoch":{"confusion_matrix":[[1],[2,3]]}}]`, `[{"type":"end","end":{"metrics":{"confusion_matrix":[[],[]]}}}]`,
		sampled("28,28,1", "AAA=", 0), sampled("1099511627776,1099511627776,1", "AAA=", 0), sampled("4294967296,4294967296,1", "", 0), sampled("1,1,2", "AAA=", 0),
		sampled("1,2,1", "AAA=", -1), sampled("1,2,1", "AAA=", 2), sampled("1,2,1", "AAA=", 0),
		`[{"start":{"epochs":-3,"batch_size":-1,"steps":-9,"classes":["a"]}},{"step":{"step":9223372036854775807,"images":2,"images_done":-1}},{"epoch":{"report":{"epoch":-1}}}]`,
		`[{"start":{"epochs":2,"batch_size":1}},{"epoch":{"report":{"epoch":1,"val_accuracy":4e15,"train_accuracy":4e15,"train_loss":1.7e308,"val_loss":-1e308,"seconds":1e300,"images_per_second":1e300}}}]`,
		`[{"start":{"epochs":2,"steps_per_epoch":1}},{"step":{"step":1,"epoch":1,"images":2,"recent_loss":4e15,"accuracy":4e15}},{"step":{"step":2,"epoch":1,"images":2,"recent_loss":4000000000000000.5}}]`,
		`[{"run":"` + strings.Repeat("r", 5000) + `","start":{"epochs":2}},{"end":{"state":"` + strings.Repeat("s", 5000) + `"}}]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var events []live.Event
		if json.Unmarshal(text, &events) != nil {
			return
		}
		s, err := source.After(events)
		if err != nil || !metrics.IsSquare(s.Confusion) {
			t.Errorf("the matrix %v, %v", s.Confusion, err)
		}
		c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
		c.Reset(1280, 800)
		scene.Draw(c, s, scene.Options{Scale: 1})
		if len(c.Vertices) > 4<<20 {
			t.Errorf("%d bytes of triangles", len(c.Vertices))
		}
	})
}

// sampled returns the events of a run of two classes with a sample.
func sampled(shape, pixels string, label int) string {
	return fmt.Sprintf(`[{"start":{"epochs":1,"classes":["a","b"],"shape":[%s]}},{"epoch":{"report":{"epoch":1},"samples":[{"label":%d,"pixels":%q,"probabilities":[1,0]}]}}]`, shape, label, pixels)
}

// Samples are shown if they are images of the run, and are of the start that they followed.
func TestSamplesOfEvents(t *testing.T) {
	good := sampled("1,2,1", base64.StdEncoding.EncodeToString([]byte{1, 2}), 1)
	for text, want := range map[string]int{good: 1, strings.ReplaceAll(good, "[1,2,1]", "[2,2,1]"): 0, strings.ReplaceAll(good, "[1,0]", "[]"): 0,
		strings.TrimSuffix(good, "]") + `,{"start":{"shape":[28,28,1]}}]`: 0} {
		var events []live.Event
		if err := json.Unmarshal([]byte(text), &events); err != nil {
			t.Fatal(err)
		}
		if s, err := source.After(events); err != nil || s.Inside.Samples != want {
			t.Errorf("%s: %d samples (%v), want %d", text, s.Inside.Samples, err, want)
		}
	}
}
