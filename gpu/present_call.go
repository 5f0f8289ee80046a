//go:build cgo

package gpu

// The calls of drawing and presentation, under the rules of call.go.

/*
#cgo CFLAGS: -std=c11 -Wall
#include "present.h"
*/
import "C"

import (
	"runtime"
	"time"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// drawingPoints are the functions of drawing that are called without vulkan-go.
type drawingPoints struct {
	pipeline, begin, viewport, scissor, copyTo, copyFrom, blit unsafe.Pointer
}

// presentationPoints are the functions of surfaces and swapchains. They are nil
// in an instance without surfaces, and vulkan-go would look them up only once,
// in whichever instance came first.
type presentationPoints struct {
	support, capabilities, formats, destroySurface unsafe.Pointer
	create, destroy, images, acquire, present      unsafe.Pointer
}

func (p *presentationPoints) load(getProc unsafe.Pointer, instance vk.Instance) {
	for name, to := range map[string]*unsafe.Pointer{
		"vkGetPhysicalDeviceSurfaceSupportKHR":      &p.support,
		"vkGetPhysicalDeviceSurfaceCapabilitiesKHR": &p.capabilities,
		"vkGetPhysicalDeviceSurfaceFormatsKHR":      &p.formats,
		"vkDestroySurfaceKHR":                       &p.destroySurface,
		"vkCreateSwapchainKHR":                      &p.create,
		"vkDestroySwapchainKHR":                     &p.destroy,
		"vkGetSwapchainImagesKHR":                   &p.images,
		"vkAcquireNextImageKHR":                     &p.acquire,
		"vkQueuePresentKHR":                         &p.present,
	} {
		*to = procAddr(getProc, instance, name)
	}
}

// surfaceSupported reports whether queues of a family can present to a surface.
func (e *entryPoints) surfaceSupported(d vk.PhysicalDevice, family int, surface uint64) (bool, error) {
	var supported C.uint32_t
	r := C.call_surface_support(e.presentation.support, object(d), C.uint32_t(family), C.uint64_t(surface), &supported)
	return supported != 0, check("vkGetPhysicalDeviceSurfaceSupportKHR", vk.Result(r))
}

// surfaceState is what a surface allows a swapchain to be at the moment.
type surfaceState struct {
	minImages, maxImages int // maxImages is 0 for no limit
	width, height        int // −1 if the swapchain's size decides
	minWidth, minHeight  int
	maxWidth, maxHeight  int
	transform            uint32
	compositeAlpha       uint32 // set of VkCompositeAlphaFlagBitsKHR
	usage                vk.ImageUsageFlagBits
}

func (e *entryPoints) surfaceState(d vk.PhysicalDevice, surface uint64) (surfaceState, error) {
	var c C.surface_capabilities
	r := C.call_surface_capabilities(e.presentation.capabilities, object(d), C.uint64_t(surface), &c)
	return surfaceState{
		minImages: int(c.min_images), maxImages: int(c.max_images),
		width: int(int32(c.width)), height: int(int32(c.height)),
		minWidth: int(c.min_extent[0]), minHeight: int(c.min_extent[1]),
		maxWidth: int(c.max_extent[0]), maxHeight: int(c.max_extent[1]),
		transform: uint32(c.transform), compositeAlpha: uint32(c.composite_alpha), usage: vk.ImageUsageFlagBits(c.usage),
	}, check("vkGetPhysicalDeviceSurfaceCapabilitiesKHR", vk.Result(r))
}

// surfaceFormat is a format of a swapchain's images, and how they are shown.
type surfaceFormat struct {
	format      vk.Format
	colourSpace int32
}

func (e *entryPoints) surfaceFormats(d vk.PhysicalDevice, surface uint64) ([]surfaceFormat, error) {
	const call = "vkGetPhysicalDeviceSurfaceFormatsKHR"
	var n C.uint32_t
	if err := check(call, vk.Result(C.call_surface_formats(e.presentation.formats, object(d), C.uint64_t(surface), &n, nil))); err != nil {
		return nil, err
	}
	raw := make([]C.surface_format, n+1)
	r := vk.Result(C.call_surface_formats(e.presentation.formats, object(d), C.uint64_t(surface), &n, &raw[0]))
	if r == vk.Incomplete {
		r = vk.Success
	}
	formats := make([]surfaceFormat, n)
	for i := range formats {
		formats[i] = surfaceFormat{vk.Format(raw[i].format), int32(raw[i].colour_space)}
	}
	return formats, check(call, r)
}

func (e *entryPoints) destroySurface(instance vk.Instance, surface uint64) {
	C.call_destroy_surface(e.presentation.destroySurface, object(instance), C.uint64_t(surface))
}

// createSwapchain replaces the swapchain old, which may be 0. Presentation
// waits for the display (FIFO, which every device has).
func (e *entryPoints) createSwapchain(d vk.Device, surface uint64, f surfaceFormat, s surfaceState, images, width, height int, alpha uint32, old uint64) (uint64, error) {
	info := C.swapchain_info{
		_type: 1000001000, surface: C.uint64_t(surface), images: C.uint32_t(images),
		format: C.int32_t(f.format), colour_space: C.int32_t(f.colourSpace),
		width: C.uint32_t(width), height: C.uint32_t(height), layers: 1, usage: C.uint32_t(vk.ImageUsageTransferDstBit),
		transform: C.uint32_t(s.transform), composite_alpha: C.uint32_t(alpha), mode: 2, clipped: 1, old: C.uint64_t(old),
	}
	var swapchain C.uint64_t
	r := vk.Result(C.call_create_swapchain(e.presentation.create, object(d), &info, &swapchain))
	return uint64(swapchain), check("vkCreateSwapchainKHR", r)
}

func (e *entryPoints) destroySwapchain(d vk.Device, swapchain uint64) {
	C.call_destroy_swapchain(e.presentation.destroy, object(d), C.uint64_t(swapchain))
}

func (e *entryPoints) swapchainImages(d vk.Device, swapchain uint64) ([]uint64, error) {
	const call = "vkGetSwapchainImagesKHR"
	var n C.uint32_t
	if err := check(call, vk.Result(C.call_swapchain_images(e.presentation.images, object(d), C.uint64_t(swapchain), &n, nil))); err != nil {
		return nil, err
	}
	raw := make([]C.uint64_t, n+1)
	err := check(call, vk.Result(C.call_swapchain_images(e.presentation.images, object(d), C.uint64_t(swapchain), &n, &raw[0])))
	images := make([]uint64, n)
	for i := range images {
		images[i] = uint64(raw[i])
	}
	return images, err
}

// acquire returns the next image of a swapchain, which may be written once the
// semaphore is signalled.
func (e *entryPoints) acquire(d vk.Device, swapchain uint64, limit time.Duration, semaphore vk.Semaphore) (int, vk.Result) {
	var image C.uint32_t
	r := C.call_acquire(e.presentation.acquire, object(d), C.uint64_t(swapchain), C.uint64_t(limit), handle(semaphore), &image)
	return int(image), vk.Result(r)
}

// present shows an image of a swapchain once the semaphore is signalled.
func (e *entryPoints) present(q vk.Queue, swapchain uint64, image int, wait vk.Semaphore) vk.Result {
	return vk.Result(C.call_present(e.presentation.present, object(q), C.uint64_t(swapchain), C.uint32_t(image), handle(wait)))
}

// submitFrame submits a command buffer whose transfers wait for one semaphore and
// that signals another at its end; both may be nil.
func (e *entryPoints) submitFrame(q vk.Queue, c vk.CommandBuffer, wait, signal vk.Semaphore, f vk.Fence) error {
	return check("vkQueueSubmit", vk.Result(C.call_submit_frame(e.submit, object(q), object(c), handle(wait), handle(signal), handle(f))))
}

// imageUse is how commands use an image: at which stages, with which accesses,
// and in which layout.
type imageUse struct {
	stages vk.PipelineStageFlagBits
	access vk.AccessFlagBits
	layout vk.ImageLayout
}

// The uses of images.
var (
	unused      = imageUse{vk.PipelineStageTopOfPipeBit, 0, vk.ImageLayoutUndefined}
	copiedTo    = imageUse{vk.PipelineStageTransferBit, vk.AccessTransferWriteBit, vk.ImageLayoutTransferDstOptimal}
	sampled     = imageUse{vk.PipelineStageFragmentShaderBit, vk.AccessShaderReadBit, vk.ImageLayoutShaderReadOnlyOptimal}
	presentable = imageUse{vk.PipelineStageBottomOfPipeBit, 0, vk.ImageLayoutPresentSrc}
	acquired    = imageUse{vk.PipelineStageTransferBit, 0, vk.ImageLayoutUndefined} // once the semaphore of acquire is signalled
)

// imageBarrier orders later uses of an image after earlier ones.
func (e *entryPoints) imageBarrier(c vk.CommandBuffer, image uint64, from, to imageUse) {
	C.call_image_barrier(e.barrier, object(c), C.uint64_t(image), C.uint32_t(from.stages), C.uint32_t(to.stages),
		C.uint32_t(from.access), C.uint32_t(to.access), C.int32_t(from.layout), C.int32_t(to.layout))
}

// area is a rectangle of an image.
type area struct{ x, y, width, height int }

func (a area) c() C.rectangle {
	return C.rectangle{C.int32_t(a.x), C.int32_t(a.y), C.uint32_t(a.width), C.uint32_t(a.height)}
}

// copyToImage copies the start of a buffer to part of an image, which is used as copiedTo.
func (e *entryPoints) copyToImage(c vk.CommandBuffer, buffer vk.Buffer, image vk.Image, a area) {
	C.call_copy_to_image(e.drawing.copyTo, object(c), handle(buffer), handle(image), a.c())
}

// copyFromImage copies part of an image in the layout of a drawn frame to the start
// of a buffer.
func (e *entryPoints) copyFromImage(c vk.CommandBuffer, image vk.Image, buffer vk.Buffer, a area) {
	C.call_copy_from_image(e.drawing.copyFrom, object(c), handle(image), handle(buffer), a.c())
}

// blit copies a drawn frame to an image of the same size, which is used as copiedTo.
func (e *entryPoints) blit(c vk.CommandBuffer, from vk.Image, to uint64, width, height int) {
	C.call_blit(e.drawing.blit, object(c), handle(from), C.uint64_t(to), C.int32_t(width), C.int32_t(height))
}

// beginPass begins to draw to a whole framebuffer, which it fills with a colour.
func (e *entryPoints) beginPass(c vk.CommandBuffer, pass vk.RenderPass, f vk.Framebuffer, width, height int, clear [4]float32) {
	C.call_begin_pass(e.drawing.begin, e.drawing.viewport, e.drawing.scissor, object(c), handle(pass), handle(f),
		C.uint32_t(width), C.uint32_t(height), (*C.float)(unsafe.Pointer(&clear[0])))
}

func (e *entryPoints) writeTexture(d vk.Device, set vk.DescriptorSet, sampler vk.Sampler, view vk.ImageView) {
	C.call_write_texture(e.write, object(d), handle(set), handle(sampler), handle(view))
}

// createGraphics builds a pipeline that draws blended triangles from one buffer
// of vertices.
func (e *entryPoints) createGraphics(d vk.Device, cache vk.PipelineCache, vertex, fragment vk.ShaderModule, layout vk.PipelineLayout,
	pass vk.RenderPass, stride int, attributes []Attribute) (vk.Pipeline, error) {
	list := make([]C.vertex_attribute, len(attributes)+1) // one more, so that list[0] exists
	for i, a := range attributes {
		list[i] = C.vertex_attribute{location: C.uint32_t(i), format: C.int32_t(a.Format), offset: C.uint32_t(a.Offset)}
	}
	var bits C.uint64_t
	r := vk.Result(C.call_create_graphics(e.drawing.pipeline, object(d), handle(cache), handle(vertex), handle(fragment), handle(layout),
		handle(pass), C.uint32_t(stride), C.uint32_t(len(attributes)), &list[0], &bits))
	p := *(*vk.Pipeline)(unsafe.Pointer(&bits))
	return p, check("vkCreateGraphicsPipelines", r)
}

// frameFormat is the format of textures and of what is drawn to.
const frameFormat = vk.FormatR8g8b8a8Unorm

func createImage(d vk.Device, width, height int, usage vk.ImageUsageFlagBits) (vk.Image, vk.MemoryRequirements, error) {
	info := vk.ImageCreateInfo{
		SType:       vk.StructureTypeImageCreateInfo,
		ImageType:   vk.ImageType2d,
		Format:      frameFormat,
		Extent:      vk.Extent3D{Width: uint32(width), Height: uint32(height), Depth: 1},
		MipLevels:   1,
		ArrayLayers: 1,
		Samples:     vk.SampleCount1Bit,
		Tiling:      vk.ImageTilingOptimal,
		Usage:       vk.ImageUsageFlags(usage),
	}
	defer info.Free()
	var i vk.Image
	if err := check("vkCreateImage", vk.CreateImage(d, &info, nil, &i)); err != nil {
		return i, vk.MemoryRequirements{}, err
	}
	var need vk.MemoryRequirements
	vk.GetImageMemoryRequirements(d, i, &need)
	need.Deref()
	need.Free()
	return i, need, nil
}

func createImageView(d vk.Device, image vk.Image) (vk.ImageView, error) {
	info := vk.ImageViewCreateInfo{
		SType:    vk.StructureTypeImageViewCreateInfo,
		Image:    image,
		ViewType: vk.ImageViewType2d,
		Format:   frameFormat,
		SubresourceRange: vk.ImageSubresourceRange{
			AspectMask: vk.ImageAspectFlags(vk.ImageAspectColorBit), LevelCount: 1, LayerCount: 1,
		},
	}
	defer info.Free()
	var v vk.ImageView
	r := vk.CreateImageView(d, &info, nil, &v)
	return v, check("vkCreateImageView", r)
}

// createSampler reads the nearest texel, at coordinates from 0 to 1.
func createSampler(d vk.Device) (vk.Sampler, error) {
	info := vk.SamplerCreateInfo{
		SType:        vk.StructureTypeSamplerCreateInfo,
		AddressModeU: vk.SamplerAddressModeClampToEdge,
		AddressModeV: vk.SamplerAddressModeClampToEdge,
		AddressModeW: vk.SamplerAddressModeClampToEdge,
	}
	defer info.Free()
	var s vk.Sampler
	r := vk.CreateSampler(d, &info, nil, &s)
	return s, check("vkCreateSampler", r)
}

// createRenderPass clears an image, draws to it, and leaves it ready to be copied
// by later transfers.
func createRenderPass(d vk.Device) (vk.RenderPass, error) {
	const external = ^uint32(0)
	info := vk.RenderPassCreateInfo{
		SType:           vk.StructureTypeRenderPassCreateInfo,
		AttachmentCount: 1,
		PAttachments: []vk.AttachmentDescription{{
			Format: frameFormat, Samples: vk.SampleCount1Bit,
			LoadOp: vk.AttachmentLoadOpClear, StoreOp: vk.AttachmentStoreOpStore,
			StencilLoadOp: vk.AttachmentLoadOpDontCare, StencilStoreOp: vk.AttachmentStoreOpDontCare,
			InitialLayout: vk.ImageLayoutUndefined, FinalLayout: vk.ImageLayoutTransferSrcOptimal,
		}},
		SubpassCount: 1,
		PSubpasses: []vk.SubpassDescription{{
			PipelineBindPoint:    vk.PipelineBindPointGraphics,
			ColorAttachmentCount: 1,
			PColorAttachments:    []vk.AttachmentReference{{Layout: vk.ImageLayoutColorAttachmentOptimal}},
		}},
		DependencyCount: 2,
		PDependencies: []vk.SubpassDependency{{
			SrcSubpass: external, SrcStageMask: vk.PipelineStageFlags(vk.PipelineStageTransferBit),
			DstStageMask:  vk.PipelineStageFlags(vk.PipelineStageColorAttachmentOutputBit),
			DstAccessMask: vk.AccessFlags(vk.AccessColorAttachmentWriteBit),
		}, {
			DstSubpass: external, SrcStageMask: vk.PipelineStageFlags(vk.PipelineStageColorAttachmentOutputBit),
			SrcAccessMask: vk.AccessFlags(vk.AccessColorAttachmentWriteBit),
			DstStageMask:  vk.PipelineStageFlags(vk.PipelineStageTransferBit),
			DstAccessMask: vk.AccessFlags(vk.AccessTransferReadBit),
		}},
	}
	defer info.Free()
	var p vk.RenderPass
	r := vk.CreateRenderPass(d, &info, nil, &p)
	return p, check("vkCreateRenderPass", r)
}

func createFramebuffer(d vk.Device, pass vk.RenderPass, view vk.ImageView, width, height int) (vk.Framebuffer, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	views := []vk.ImageView{view}
	pin.Pin(&views[0])
	info := vk.FramebufferCreateInfo{
		SType:           vk.StructureTypeFramebufferCreateInfo,
		RenderPass:      pass,
		AttachmentCount: 1,
		PAttachments:    views,
		Width:           uint32(width),
		Height:          uint32(height),
		Layers:          1,
	}
	defer info.Free()
	var f vk.Framebuffer
	r := vk.CreateFramebuffer(d, &info, nil, &f)
	return f, check("vkCreateFramebuffer", r)
}

func createSemaphore(d vk.Device) (vk.Semaphore, error) {
	info := vk.SemaphoreCreateInfo{SType: vk.StructureTypeSemaphoreCreateInfo}
	defer info.Free()
	var s vk.Semaphore
	r := vk.CreateSemaphore(d, &info, nil, &s)
	return s, check("vkCreateSemaphore", r)
}

// imageBits returns an image as those of swapchains are kept.
func imageBits(i vk.Image) uint64 { return uint64(handle(i)) }
