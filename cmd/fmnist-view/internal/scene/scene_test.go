//go:build cgo

package scene_test

import (
	"context"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/painter"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

func TestShot(t *testing.T) {
	d, err := gpu.Open("0", gpu.Options{Validate: true, CacheDir: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := painter.New(d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := source.Open(t.Context(), source.Options{Dir: os.Getenv("SHOT_DIR"), Backend: b, Images: func(ctx context.Context, dir string) (dataset.Split, error) {
		loc, err := dataset.Find(dataset.Search{Cache: dataset.DefaultCacheDir()})
		if err != nil {
			return dataset.Split{}, err
		}
		data, err := dataset.Load(loc)
		if err != nil {
			return dataset.Split{}, err
		}
		return data.Test, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for s.State().Confusion == nil {
		time.Sleep(50 * time.Millisecond)
	}
	c := &canvas.Canvas{Atlas: canvas.NewAtlas()}
	c.Reset(1280, 800)
	scene.Draw(c, s.State(), scene.Options{Scale: 1, Drawn: "drawn by llvmpipe"})
	if _, err := p.Draw(c, scene.Background); err != nil {
		t.Fatal(err)
	}
	img, err := p.Picture()
	if err != nil {
		t.Fatal(err)
	}
	f, _ := os.Create("/tmp/viewruns/shot.png")
	png.Encode(f, img)
	f.Close()
}
