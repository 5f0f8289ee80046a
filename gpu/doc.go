// Package gpu runs compute shaders on Vulkan devices. It knows devices,
// buffers, pipelines and recorded command lists, and nothing of what they
// compute.
//
// A caller opens a [Device], makes a [Buffer] for each arena it needs and a
// [Pipeline] for each shader variant, records dispatches once with a
// [Recorder], and submits the resulting [Commands] as often as it likes with
// [Device.Run]. It needs a Vulkan loader (such as libvulkan.so.1) and a driver of
// Vulkan 1.1, but neither headers nor a development package, except on macOS,
// where vulkan-go links against libMoltenVK.
//
// A Device runs one thing at a time: its methods may be called from several
// goroutines and wait for each other where they must. A Recorder belongs to
// one goroutine.
package gpu
