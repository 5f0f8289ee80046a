package trainer

import (
	"encoding/json"
	"math"
	"testing"
)

// Figures that JSON cannot hold are left out, and come back as NaN.
func TestEpochReportJSON(t *testing.T) {
	text, err := json.Marshal(EpochReport{Epoch: 2, TrainLoss: math.Inf(1), TrainAccuracy: math.NaN(), ValLoss: .5,
		ValAccuracy: math.NaN(), LR: math.Inf(-1), Seconds: 3, ImagesPerSecond: math.NaN()})
	if want := `{"epoch":2,"val_loss":0.5,"seconds":3,"best":false}`; err != nil || string(text) != want {
		t.Fatalf("%s (%v), want %s", text, err, want)
	}
	var r EpochReport
	if err := json.Unmarshal(text, &r); err != nil || r.ValLoss != .5 || r.Seconds != 3 || !math.IsNaN(r.TrainLoss) || !math.IsNaN(r.LR) {
		t.Errorf("%+v (%v)", r, err)
	}
}
