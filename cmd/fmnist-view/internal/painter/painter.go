//go:build cgo

// Package painter draws canvases with a Vulkan device.
package painter

import (
	"encoding/binary"
	"image"
	"math"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// Painter draws the frames of one canvas, to the device's window if it has one.
type Painter struct {
	screen   *gpu.Screen
	graphics *gpu.Graphics
	texture  *gpu.Texture
}

// New compiles the shaders. Everything is freed with the device.
func New(d *gpu.Device) (*Painter, error) {
	p := &Painter{}
	var err error
	if p.texture, err = d.NewTexture(canvas.AtlasSize, canvas.AtlasSize); err != nil {
		return nil, err
	}
	vertex, err := shaders.Get("view.vert")
	if err != nil {
		return nil, err
	}
	fragment, err := shaders.Get("view.frag")
	if err != nil {
		return nil, err
	}
	p.graphics, err = d.NewGraphics(gpu.GraphicsDesc{
		Name: "view", Vertex: vertex.SPIRV, Fragment: fragment.SPIRV, PushBytes: vertex.PushBytes, Texture: p.texture,
		Stride:     canvas.VertexBytes,
		Attributes: []gpu.Attribute{{Format: gpu.Float32x2}, {Format: gpu.Float32x2, Offset: 8}, {Format: gpu.Unorm8x4, Offset: 16}},
	})
	if err != nil {
		return nil, err
	}
	p.screen, err = d.NewScreen()
	return p, err
}

// Draw draws a canvas over a background; see [gpu.Screen.Draw].
func (p *Painter) Draw(c *canvas.Canvas, background canvas.Colour) (shown bool, err error) {
	if r := c.Atlas.Dirty(); !r.Empty() {
		if err := p.texture.Upload(r.Min.X, r.Min.Y, r.Dx(), r.Dy(), texels(c.Atlas.Pixels, r)); err != nil {
			return false, err
		}
	}
	f := gpu.Frame{Width: c.Width, Height: c.Height, Graphics: p.graphics, Vertices: c.Vertices,
		Clear: [4]float32{float32(background.R) / 255, float32(background.G) / 255, float32(background.B) / 255, 1}}
	for _, v := range []float64{2 / float64(max(c.Width, 1)), 2 / float64(max(c.Height, 1)), 1. / canvas.AtlasSize, 1. / canvas.AtlasSize} {
		f.Push = binary.NativeEndian.AppendUint32(f.Push, math.Float32bits(float32(v)))
	}
	return p.screen.Draw(f)
}

// texels returns the rows of a rectangle.
func texels(img *image.RGBA, r image.Rectangle) []byte {
	var rows []byte
	for y := r.Min.Y; y < r.Max.Y; y++ {
		from := img.PixOffset(r.Min.X, y)
		rows = append(rows, img.Pix[from:from+4*r.Dx()]...)
	}
	return rows
}

// Picture returns the frame drawn last.
func (p *Painter) Picture() (image.Image, error) {
	w, h, rgba, err := p.screen.Read()
	if err != nil {
		return nil, err
	}
	for i := 3; i < len(rgba); i += 4 {
		rgba[i] = 255 // a window has nothing behind it
	}
	return &image.RGBA{Pix: rgba, Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}, nil
}
