package trainer

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// FuzzResults checks that a results.csv gives numbered epochs or an error.
func FuzzResults(f *testing.F) {
	for _, text := range []string{"epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second,train_accuracy\n1,0.5,0.4,0.8,0.001,1.5,1000.0,0.7\n2,0.4,,,0.001,1.5,NaN,Inf\n",
		"epoch\n1\n", "", "\"", "a,a\n1,2\n", "val_accuracy\n1e999\n", "val_accuracy,train_accuracy\n4e15,-1\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		epochs, err := parseEpochs(bytes.NewReader(text))
		if err != nil {
			return
		}
		for i, e := range epochs {
			if e.Epoch != i+1 {
				t.Fatalf("row %d is epoch %d", i, e.Epoch)
			}
			for _, accuracy := range []float64{e.ValAccuracy, e.TrainAccuracy} {
				if accuracy < 0 || accuracy > 1 {
					t.Errorf("row %d has the accuracy %v", i, accuracy)
				}
			}
		}
		if best := BestEpoch(epochs, false); best < 0 || best > len(epochs) {
			t.Errorf("epoch %d of %d is the best", best, len(epochs))
		}
	})
}

// FuzzState checks that a state that is accepted is one that the training can go on from.
func FuzzState(f *testing.F) {
	r := DefaultRecipe()
	const good = `{"step": 45, "slot": 1, "epochs": [{"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.83, "lr": 0.001, "seconds": 0.2, "images_per_second": 310730.2, "best": true},
		{"epoch": 2, "train_loss": 0.5, "train_accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.8, "lr": 0.001, "seconds": 0.2, "images_per_second": 310730.2, "best": false}],
		"schedule": {"kind": "plateau", "rate": 0.001, "steps": 220, "best": 0.83, "bad_epochs": 1}, "best": 0.83, "best_epoch": 1, "seconds": 0.03, "logged": 45, "checksum": 7}`
	var s runState
	if err := json.Unmarshal([]byte(good), &s); err != nil {
		f.Fatal(err)
	}
	if err := s.check(r, 22); err != nil {
		f.Fatal("the seed is not accepted: ", err)
	}
	f.Add([]byte(good), 22)
	f.Add([]byte(`{"step": 22, "slot": 22, "schedule": {"kind": "plateau", "rate": 0.001, "steps": 220}, "best": -1}`), 22)
	f.Add([]byte(`{"slot": 4611686018427387904}`), 22)
	f.Fuzz(func(t *testing.T, text []byte, stepsPerEpoch int) {
		var s runState
		if json.Unmarshal(text, &s) != nil || stepsPerEpoch < 1 || s.check(r, stepsPerEpoch) != nil {
			return
		}
		if s.Step < 0 || s.Step > math.MaxInt32 || s.Slot < 0 || s.Slot > stepsPerEpoch || s.BestEpoch < 0 || s.BestEpoch > len(s.Epochs) || s.Logged < 0 {
			t.Fatalf("accepted %+v", s)
		}
		s.stop(r)
		s.allow(r, r)
		if rate := s.Schedule.At(s.Step); !(rate >= 0 && rate <= 2*r.LR) {
			t.Errorf("a learning rate of %v", rate)
		}
		if _, err := json.Marshal(&s); err != nil {
			t.Errorf("the state cannot be saved again: %v", err)
		}
	})
}

// FuzzTensors checks that of a file of tensors only what the training can go on from is
// restored.
func FuzzTensors(f *testing.F) {
	r, n, data := onTiny(f)
	t, err := newTraining(Replica{r, Options{}}, n, data, openBackend(f))
	if err != nil {
		f.Fatal(err)
	}
	g, err := newGroup([]*training{t}, n, data, t.backend)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { g.close() })
	const steps = 3
	section, _ := t.nextSection(steps)
	if err := errors.Join(t.prepareEpoch(), t.prog.Run(section, steps)); err != nil {
		f.Fatal(err)
	}
	t.state.Step, t.state.Slot, t.state.Logged, t.log = steps, steps, 1, make([]loggedStep, 1)
	var file bytes.Buffer
	if err := t.writeTensors(&file); err != nil {
		f.Fatal(err)
	}
	good := file.Bytes()
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good), 0))
	f.Fuzz(func(ft *testing.T, data []byte) {
		if t.readTensors(&parts{content: bytes.NewReader(data)}) != nil {
			return
		}
		if len(data) != len(good) || int64(len(data)) != t.tensorsBytes() || len(t.log) != t.state.Logged {
			ft.Errorf("%d bytes were read, want %d", len(data), len(good))
		}
		for _, x := range t.resumable() {
			if i, value, err := t.firstBad(x); err != nil || i >= 0 {
				ft.Errorf("%s is %v, %v", t.net.NameOf(x, i), value, err)
			}
		}
	})
}

// FuzzArgs checks that the recipe of an args.yaml that is accepted is a valid one.
func FuzzArgs(f *testing.F) {
	for _, text := range []string{"model: fashioncnn\nepochs: 3\nlr: 0.01\nseed: 7\nenvironment:\n  go: go1.26\n", "network: |\n  layers: [flatten, linear: {out: classes}]\nmodel: x\n",
		"rotate: 1e400", "epochs: &a 3\nbatch-size: *a", "<<: {epochs: 3}", "dropout: 0.5\nflip: none\n"} {
		f.Add([]byte(text))
	}
	like, err := BuiltIn("logistic", dataset.FashionMNIST)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a := args{Recipe: DefaultRecipe()}
		if a.parse("args.yaml", text) != nil || a.Recipe.Check() != nil {
			return
		}
		if n, err := a.network(like); err == nil {
			if err := n.Check(); err != nil {
				t.Errorf("a network that is not valid: %v", err)
			}
		}
	})
}

// FuzzMetadata checks that the network and normalisation in a checkpoint's metadata are
// valid or refused.
func FuzzMetadata(f *testing.F) {
	f.Add("layers: [flatten, linear: {out: classes}]", `["a","b"]`, "8x6", "3", `{"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}`)
	f.Add("layers: [conv: {out: 2000000000, kernel: 3}]", `[]`, "9999x9999", "1", `{"mean":[0],"std":[1e-300]}`)
	f.Fuzz(func(t *testing.T, network, classes, size, channels, normalization string) {
		n, err := networkOf(map[string]string{networkKey: network, classesKey: classes, imageSizeKey: size, channelsKey: channels})
		if err != nil {
			return
		}
		if err := n.Check(); err != nil {
			t.Errorf("a network that is not valid: %v", err)
		}
		if m, err := parseNormalization(normalization, n.Input.C); err == nil && len(m.Table()) != 256*n.Input.C {
			t.Errorf("a table of %d", len(m.Table()))
		}
	})
}
