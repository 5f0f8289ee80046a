//go:build cgo

package gpu

import (
	"encoding/binary"
	"fmt"

	vk "github.com/vulkan-go/vulkan"
)

// PipelineDesc describes a compute pipeline.
type PipelineDesc struct {
	Name      string   // for errors
	SPIRV     []byte   // module whose entry point is main
	Bindings  int      // storage buffers, at bindings 0 … Bindings-1 of set 0
	PushBytes int      // push constants, a multiple of 4
	Spec      []uint32 // specialisation constants 0, 1, …
	LocalSize [3]int   // workgroup size after specialisation
}

// Pipeline is a compiled compute shader.
type Pipeline struct {
	device *Device
	desc   PipelineDesc // without SPIRV
	handle vk.Pipeline
	layout vk.PipelineLayout
	set    vk.DescriptorSetLayout
}

// NewPipeline compiles a shader, or takes it from the pipeline cache. Several
// goroutines may call it at the same time. The error names the pipeline and,
// if it exceeds one of the device's limits, the limit.
func (d *Device) NewPipeline(desc PipelineDesc) (*Pipeline, error) {
	p, err := d.newPipeline(desc)
	if err != nil {
		return nil, fmt.Errorf("pipeline %s: %w", desc.Name, err)
	}
	return p, nil
}

func (d *Device) newPipeline(desc PipelineDesc) (*Pipeline, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if err := desc.check(d.physical.info.Limits); err != nil {
		return nil, err
	}
	code := spirvWords(desc.SPIRV)
	desc.SPIRV = nil
	p := &Pipeline{device: d, desc: desc}
	if err := p.create(code); err != nil {
		p.destroy()
		return nil, err
	}
	d.adopt(p)
	if err := d.instance.validation.err(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// spirvWords returns a module in the machine's byte order.
func spirvWords(code []byte) []uint32 {
	words := make([]uint32, len(code)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(code[4*i:])
	}
	return words
}

const spirvMagic = 0x07230203

func checkSPIRV(code []byte) error {
	if len(code) < 20 || len(code)%4 != 0 || binary.LittleEndian.Uint32(code) != spirvMagic {
		return fmt.Errorf("%d bytes of SPIR-V are not a module", len(code))
	}
	return nil
}

func (desc PipelineDesc) check(l Limits) error {
	if err := checkSPIRV(desc.SPIRV); err != nil {
		return err
	}
	if desc.Bindings < 1 || desc.Bindings > l.StorageBuffers {
		return fmt.Errorf("%d bindings; the device allows 1 to %d", desc.Bindings, l.StorageBuffers)
	}
	if desc.PushBytes < 0 || desc.PushBytes%4 != 0 || desc.PushBytes > l.PushConstantBytes {
		return fmt.Errorf("%d bytes of push constants: want a multiple of 4 up to the device's %d", desc.PushBytes, l.PushConstantBytes)
	}
	if len(desc.Spec) > maxSpecialization {
		return fmt.Errorf("%d specialisation constants: want at most %d", len(desc.Spec), maxSpecialization)
	}
	product := 1
	for i, n := range desc.LocalSize {
		if n < 1 || n > l.MaxWorkgroupSize[i] {
			return fmt.Errorf("workgroup size %v; the device allows %v", desc.LocalSize, l.MaxWorkgroupSize)
		}
		product *= n
	}
	if product > l.MaxWorkgroupInvocations {
		return fmt.Errorf("workgroup size %v has %d invocations; the device allows %d", desc.LocalSize, product, l.MaxWorkgroupInvocations)
	}
	return nil
}

func (p *Pipeline) create(code []uint32) error {
	d := p.device
	var err error
	if p.set, err = createSetLayout(d.handle, p.desc.Bindings, vk.DescriptorTypeStorageBuffer, vk.ShaderStageComputeBit); err != nil {
		return err
	}
	if p.layout, err = createPipelineLayout(d.handle, p.set, p.desc.PushBytes, vk.ShaderStageComputeBit); err != nil {
		return err
	}
	module, err := createShaderModule(d.handle, code)
	if err != nil {
		return err
	}
	defer vk.DestroyShaderModule(d.handle, module, nil)
	p.handle, err = d.instance.calls.createPipeline(d.handle, d.cache.handle, module, p.layout, p.desc.Spec, d.inspect)
	if err == nil && d.instance.validation != nil {
		err = d.instance.calls.namePipeline(d.handle, p.handle, p.desc.Name)
	}
	return err
}

// Close frees the pipeline. Commands that use it must not run after that. A
// second Close does nothing.
func (p *Pipeline) Close() { p.device.release(p) }

func (p *Pipeline) destroy() {
	vk.DestroyPipeline(p.device.handle, p.handle, nil)
	vk.DestroyPipelineLayout(p.device.handle, p.layout, nil)
	vk.DestroyDescriptorSetLayout(p.device.handle, p.set, nil)
}
