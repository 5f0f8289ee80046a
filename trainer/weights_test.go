package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
)

// Two operations for each weight and place where it is used.
func TestFLOPsPerImage(t *testing.T) {
	for name, want := range map[string]int{
		"logistic":    2 * 7840,
		"alternative": 2 * (28*28*16*25 + 14*14*32*25*16 + 1568*128 + 128*10),
		"fashioncnn":  2 * (28*28*32*9 + 14*14*64*9*32 + 7*7*128*9*64 + 6272*256 + 256*10),
		"resnet20":    2 * (28*28*16*9*(1+6*16) + 14*14*32*(9*16+5*9*32+16) + 7*7*64*(9*32+5*9*64+32) + 64*10),
	} {
		if got := flopsPerImage(mustNetwork(t, name)); got != want {
			t.Errorf("%s takes %d operations, want %d", name, got, want)
		}
	}
}

// saved returns a file of tensors as checkpoint.Load reads it.
func saved(t *testing.T, tensors []checkpoint.Tensor) *checkpoint.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.safetensors")
	if err := checkpoint.Save(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// zeros returns a tensor of a shape.
func zeros(name string, shape ...int) checkpoint.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
}

// A negative variance is no weight: its square root would be NaN.
func TestNegativeVariance(t *testing.T) {
	net, err := model.Build(model.Config{Network: mustNetwork(t, "alternative")})
	if err != nil {
		t.Fatal(err)
	}
	s := snapshot{values: make([]float32, net.Values.Len()), running: make([]float32, net.Running.Len())}
	for _, p := range net.Stats {
		if p.Name == "bn2.running_var" {
			s.part(net, p)[3] = -1
		}
	}
	_, err = parseSnapshot(net, saved(t, s.tensors(net)))
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), "element 3 of bn2.running_var is -1") {
		t.Errorf("error %v, want ErrBadCheckpoint that names the element", err)
	}
}

// A file that fits no model is compared with the nearest model.
func TestIdentify(t *testing.T) {
	for _, name := range model.Names() {
		net, err := model.Build(model.Config{Network: mustNetwork(t, name)})
		if err != nil {
			t.Fatal(err)
		}
		var tensors []checkpoint.Tensor
		for _, s := range specs(net) {
			if s.Count {
				tensors = append(tensors, checkpoint.Scalar(s.Name, 0))
				continue
			}
			tensors = append(tensors, zeros(s.Name, s.Shape...))
		}
		if got, err := identify(saved(t, tensors)); got.Name != name || err != nil {
			t.Errorf("%s is taken for %q (%v)", name, got.Name, err)
		}
		tensors[0] = zeros(tensors[0].Name, 10, 3)
		tensors = append(tensors, zeros("head.weight", 2, 2))
		_, err = identify(saved(t, tensors))
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), "the nearest is "+name+": ") ||
			!strings.Contains(err.Error(), tensors[0].Name+" has shape (10, 3), expected (") ||
			!strings.HasSuffix(err.Error(), "; head.weight (2, 2) is unknown") || strings.Contains(err.Error(), "missing") {
			t.Errorf("%s with another first tensor: %v", name, err)
		}
	}
	_, err := identify(saved(t, []checkpoint.Tensor{zeros("fc.weight", 10, 784), zeros("fc.bias", 10)}))
	if err == nil || !strings.Contains(err.Error(), "the nearest is logistic: ") ||
		!strings.Contains(err.Error(), "fc.weight (10, 784) is unknown (rename it to linear.weight?)") {
		t.Errorf("the tensors of logistic under other names: %v", err)
	}
}

func TestWeightsFile(t *testing.T) {
	dir := t.TempDir()
	_, err := WeightsFile(dir)
	if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), BestWeights) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "weights"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{LastWeights, "model.pth"} { // the latter is nearer
		other := filepath.Join(dir, name)
		if err := os.WriteFile(other, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err = WeightsFile(dir)
		if !errors.Is(err, checkpoint.ErrBadCheckpoint) || !strings.Contains(err.Error(), "such as "+other) {
			t.Errorf("a folder that holds %s: %v", name, err)
		}
	}
}

// Only a protocol that this program writes is taken from a file's metadata: the
// text of a file from elsewhere would reach the terminal.
func TestOriginOf(t *testing.T) {
	for text, want := range map[string]string{"val": "val", "test": "test", "none": "none", "": "unknown", "<b>\n\x1b[31m": "unknown", "Val": "unknown"} {
		if got := originOf(map[string]string{"select_on": text}).Protocol; got != want {
			t.Errorf("select_on %q gives %q, want %q", text, got, want)
		}
	}
}
