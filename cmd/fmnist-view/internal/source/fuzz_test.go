package source

import (
	"encoding/json"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/metrics"
)

// FuzzEvents checks that what another program says of its run can be shown.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{`[{"type":"start","run":"r","start":{"network":"n","epochs":3,"classes":["a"]}},{"type":"step","step":{"step":1,"images":2}},{"type":"epoch","epoch":{"report":{"epoch":1},"confusion_matrix":[[1]]}},{"type":"end","end":{"state":"finished","metrics":{"confusion_matrix":[[1]]}}}]`,
		`[{"type":"epoch","epoch":{"confusion_matrix":[[1],[2,3]]}}]`, `[{"type":"end","end":{"metrics":{"confusion_matrix":[[],[]]}}}]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var events []live.Event
		if json.Unmarshal(text, &events) != nil {
			return
		}
		var s State
		for _, e := range events {
			s.add(e)
		}
		if !metrics.IsSquare(s.Confusion) {
			t.Errorf("the matrix %v", s.Confusion)
		}
	})
}
