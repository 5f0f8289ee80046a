//go:build cgo

package gpu

import (
	"fmt"

	vk "github.com/vulkan-go/vulkan"
)

// GraphicsDesc describes how triangles are drawn.
type GraphicsDesc struct {
	Name       string      // for errors
	Vertex     []byte      // SPIR-V whose entry point is main
	Fragment   []byte      // likewise; reads Texture at binding 0 of set 0
	Attributes []Attribute // of a vertex, at locations 0, 1, …
	Stride     int         // bytes per vertex
	PushBytes  int         // push constants of the vertex shader, a multiple of 4
	Texture    *Texture
}

// Attribute is one of a vertex's values.
type Attribute struct {
	Format AttributeFormat
	Offset int // bytes from the vertex's start
}

// AttributeFormat says how an attribute is stored.
type AttributeFormat int32

// The formats of attributes.
const (
	Float32x2 = AttributeFormat(vk.FormatR32g32Sfloat)  // two float32
	Unorm8x4  = AttributeFormat(vk.FormatR8g8b8a8Unorm) // four bytes that stand for 0 to 1
)

func (f AttributeFormat) bytes() int { return map[AttributeFormat]int{Float32x2: 8, Unorm8x4: 4}[f] }

// Graphics is a compiled vertex and fragment shader that draw triangles with a
// texture. What they draw covers what is there, by its alpha.
type Graphics struct {
	device *Device
	desc   GraphicsDesc // without SPIR-V
	handle vk.Pipeline
	pass   vk.RenderPass
	layout vk.PipelineLayout
	set    vk.DescriptorSetLayout
	pool   vk.DescriptorPool
	bound  vk.DescriptorSet // the texture
}

// NewGraphics compiles shaders. The error names the description and wraps
// [ErrNoDevice] if the device's queue cannot draw.
func (d *Device) NewGraphics(desc GraphicsDesc) (*Graphics, error) {
	g, err := d.newGraphics(desc)
	if err != nil {
		return nil, fmt.Errorf("graphics %s: %w", desc.Name, err)
	}
	return g, nil
}

func (d *Device) newGraphics(desc GraphicsDesc) (*Graphics, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := desc.check(d); err != nil {
		return nil, err
	}
	vertex, fragment := spirvWords(desc.Vertex), spirvWords(desc.Fragment)
	desc.Vertex, desc.Fragment = nil, nil
	g := &Graphics{device: d, desc: desc}
	if err := g.create(vertex, fragment); err != nil {
		g.destroy()
		return nil, err
	}
	d.adopt(g)
	if err := d.instance.validation.err(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (desc GraphicsDesc) check(d *Device) error {
	if !d.physical.graphics {
		return fmt.Errorf("%w: the queue of %s cannot draw", ErrNoDevice, d.physical.info.Name)
	}
	for _, code := range [][]byte{desc.Vertex, desc.Fragment} {
		if err := checkSPIRV(code); err != nil {
			return err
		}
	}
	if desc.Texture == nil || desc.Texture.device != d || !d.alive(desc.Texture) {
		return fmt.Errorf("the texture is missing, is closed or belongs to another device")
	}
	if limit := d.physical.info.Limits.PushConstantBytes; desc.PushBytes < 0 || desc.PushBytes%4 != 0 || desc.PushBytes > limit {
		return fmt.Errorf("%d bytes of push constants: want a multiple of 4 up to the device's %d", desc.PushBytes, limit)
	}
	const maxStride, maxAttributes = 2048, 16 // what every device allows
	if desc.Stride < 4 || desc.Stride%4 != 0 || desc.Stride > maxStride || len(desc.Attributes) > maxAttributes {
		return fmt.Errorf("%d attributes in %d bytes: want at most %d in a multiple of 4 up to %d", len(desc.Attributes), desc.Stride, maxAttributes, maxStride)
	}
	for i, a := range desc.Attributes {
		if n := a.Format.bytes(); n == 0 || a.Offset < 0 || a.Offset%4 != 0 || a.Offset+n > desc.Stride {
			return fmt.Errorf("attribute %d of format %d at byte %d does not fit a vertex of %d", i, a.Format, a.Offset, desc.Stride)
		}
	}
	return nil
}

func (g *Graphics) create(vertex, fragment []uint32) (err error) {
	d := g.device
	if g.pass, err = createRenderPass(d.handle); err != nil {
		return err
	}
	if err = g.createSet(); err != nil {
		return err
	}
	if g.layout, err = createPipelineLayout(d.handle, g.set, g.desc.PushBytes, vk.ShaderStageVertexBit); err != nil {
		return err
	}
	v, err := createShaderModule(d.handle, vertex)
	if err != nil {
		return err
	}
	defer vk.DestroyShaderModule(d.handle, v, nil)
	f, err := createShaderModule(d.handle, fragment)
	if err != nil {
		return err
	}
	defer vk.DestroyShaderModule(d.handle, f, nil)
	g.handle, err = d.instance.calls.createGraphics(d.handle, d.cache.handle, v, f, g.layout, g.pass, g.desc.Stride, g.desc.Attributes)
	if err == nil && d.instance.validation != nil {
		err = d.instance.calls.namePipeline(d.handle, g.handle, g.desc.Name)
	}
	return err
}

// createSet makes the descriptor set that holds the texture.
func (g *Graphics) createSet() (err error) {
	d := g.device
	if g.set, err = createSetLayout(d.handle, 1, vk.DescriptorTypeCombinedImageSampler, vk.ShaderStageFragmentBit); err != nil {
		return err
	}
	if g.pool, err = createDescriptorPool(d.handle, 1, 1, vk.DescriptorTypeCombinedImageSampler); err != nil {
		return err
	}
	if g.bound, err = allocateDescriptorSet(d.handle, g.pool, g.set); err != nil {
		return err
	}
	d.instance.calls.writeTexture(d.handle, g.bound, g.desc.Texture.sampler, g.desc.Texture.view)
	return nil
}

// Close frees what was compiled. A second Close does nothing.
func (g *Graphics) Close() {
	g.device.idle()
	g.device.release(g)
}

func (g *Graphics) destroy() {
	d := g.device.handle
	vk.DestroyPipeline(d, g.handle, nil)
	vk.DestroyPipelineLayout(d, g.layout, nil)
	vk.DestroyDescriptorPool(d, g.pool, nil) // and the set
	vk.DestroyDescriptorSetLayout(d, g.set, nil)
	vk.DestroyRenderPass(d, g.pass, nil)
}
