//go:build cgo

package gpu

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/fmnist-gpu/fmnist-gpu/shaders"
)

// vertex is what view.vert takes.
type vertex struct {
	x, y, u, v float32
	colour     [4]byte
}

func vertexBytes(list ...vertex) []byte {
	var b []byte
	for _, v := range list {
		for _, f := range []float32{v.x, v.y, v.u, v.v} {
			b = binary.NativeEndian.AppendUint32(b, math.Float32bits(f))
		}
		b = append(b, v.colour[:]...)
	}
	return b
}

// square is two triangles over a square of n pixels, each vertex with the texel at u, v.
func square(x, y, n, u, v float32, colour [4]byte) []byte {
	at := func(dx, dy float32) vertex { return vertex{x + dx*n, y + dy*n, u, v, colour} }
	return vertexBytes(at(0, 0), at(1, 0), at(0, 1), at(0, 1), at(1, 0), at(1, 1))
}

// testTexture is 4×4 white texels, but for a red one at 2, 1.
func testTexture(t *testing.T, d *Device) *Texture {
	t.Helper()
	texture, err := d.NewTexture(4, 4)
	must(t, err)
	white := make([]byte, 4*4*4)
	for i := range white {
		white[i] = 255
	}
	must(t, texture.Upload(0, 0, 4, 4, white))
	must(t, texture.Upload(2, 1, 1, 1, []byte{255, 0, 0, 255}))
	return texture
}

func viewDesc(t *testing.T, texture *Texture) GraphicsDesc {
	t.Helper()
	desc := GraphicsDesc{Name: "view", Stride: 20, PushBytes: 16, Texture: texture,
		Attributes: []Attribute{{Float32x2, 0}, {Float32x2, 8}, {Unorm8x4, 16}}}
	for name, to := range map[string]*[]byte{"view.vert": &desc.Vertex, "view.frag": &desc.Fragment} {
		m, err := shaders.Get(name)
		must(t, err)
		*to = m.SPIRV
	}
	return desc
}

func viewPush(width, height int) []byte {
	var b []byte
	for _, f := range []float32{2 / float32(width), 2 / float32(height), .25, .25} {
		b = binary.NativeEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// Triangles land on the right pixels, with the texture's colour times their own, blended
// over what is there; frames of other sizes follow each other.
func TestScreenDraws(t *testing.T) {
	d := testDevice(t)
	g, err := d.NewGraphics(viewDesc(t, testTexture(t, d)))
	must(t, err)
	s, err := d.NewScreen()
	must(t, err)
	for _, size := range [][2]int{{40, 30}, {40, 30}, {7, 5}, {300, 2000}, {2500, 900}} { // the last takes two reads
		w, h := size[0], size[1]
		vertices := square(0, 0, 3, .5, .5, [4]byte{0, 255, 0, 255})
		vertices = append(vertices, square(1, 2, 3, 2.5, 1.5, [4]byte{255, 255, 255, 128})...)
		vertices = append(vertices, square(float32(w-1), float32(h-1), 1, .5, .5, [4]byte{1, 2, 3, 255})...)
		shown, err := s.Draw(Frame{Width: w, Height: h, Clear: [4]float32{0, 0, 1, 1}, Graphics: g, Push: viewPush(w, h), Vertices: vertices})
		if err != nil || !shown {
			t.Fatalf("%v: %v, %v", size, shown, err)
		}
		gotW, gotH, rgba, err := s.Read()
		if err != nil || gotW != w || gotH != h || len(rgba) != 4*w*h {
			t.Fatalf("%v: read %d×%d, %d bytes, %v", size, gotW, gotH, len(rgba), err)
		}
		for p, want := range map[[2]int][4]byte{
			{0, 0}: {0, 255, 0, 255}, {2, 1}: {0, 255, 0, 255}, {3, 0}: {0, 0, 255, 255},
			{1, 2}: {128, 127, 0, 255}, {3, 3}: {128, 0, 127, 255}, {4, 3}: {0, 0, 255, 255},
			{w - 1, h - 1}: {1, 2, 3, 255},
		} {
			got := rgba[4*(p[1]*w+p[0]):][:4]
			for c := range want {
				if !(math.Abs(float64(got[c])-float64(want[c])) <= 1) {
					t.Errorf("%v: pixel %v is %v, want %v", size, p, got, want)
					break
				}
			}
		}
	}
	if shown, err := s.Draw(Frame{Graphics: g, Push: viewPush(1, 1)}); shown || err != nil {
		t.Errorf("a frame without pixels: %v, %v", shown, err)
	}
	s.Close()
	if _, err := s.Draw(Frame{Width: 1, Height: 1, Graphics: g, Push: viewPush(1, 1)}); err == nil {
		t.Error("a closed screen draws")
	}
}

// What does not fit is an error that says so.
func TestGraphicsRefuse(t *testing.T) {
	d := testDevice(t)
	texture := testTexture(t, d)
	for name, change := range map[string]func(*GraphicsDesc){
		"attribute": func(g *GraphicsDesc) { g.Attributes[2].Offset = 18 },
		"push":      func(g *GraphicsDesc) { g.PushBytes = 3 },
		"SPIR-V":    func(g *GraphicsDesc) { g.Fragment = []byte("void main() {}") },
		"texture":   func(g *GraphicsDesc) { g.Texture = nil },
	} {
		desc := viewDesc(t, texture)
		change(&desc)
		if _, err := d.NewGraphics(desc); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "view") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := texture.Upload(3, 0, 2, 1, make([]byte, 8)); err == nil {
		t.Error("an upload beyond the texture's edge")
	}
	if _, err := d.NewTexture(4097, 1); err == nil {
		t.Error("a texture of 4097 texels")
	}
	g, err := d.NewGraphics(viewDesc(t, texture))
	must(t, err)
	s, err := d.NewScreen()
	must(t, err)
	if _, err := s.Draw(Frame{Width: 9, Height: 9, Graphics: g, Push: viewPush(9, 9), Vertices: make([]byte, 40)}); err == nil {
		t.Error("two vertices are drawn")
	}
	texture.Close()
	if _, err := s.Draw(Frame{Width: 9, Height: 9, Graphics: g, Push: viewPush(9, 9)}); err == nil {
		t.Error("a closed texture is drawn")
	}
}

// A window system without presentation is ErrNoDevice, and the error names what lacks.
func TestWindowWithoutPresentation(t *testing.T) {
	requireVulkan(t)
	for says, extensions := range map[string][]string{"window system": nil, "VK_KHR_no_such_surface": {"VK_KHR_no_such_surface"}} {
		_, err := Open("0", Options{Window: &Window{Extensions: extensions}})
		if !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", extensions, err)
		}
	}
}
