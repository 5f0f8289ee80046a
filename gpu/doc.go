// Package gpu runs compute shaders on Vulkan devices, and draws textured triangles to
// windows or to memory. It handles devices, buffers, pipelines and recorded command
// lists; what they compute or draw is up to the caller.
//
// A caller opens a [Device], makes a [Buffer] for each arena it needs and a
// [Pipeline] for each shader variant, records dispatches once with a
// [Recorder], and submits the resulting [Commands] as often as it likes with
// [Device.Run]. It needs a Vulkan loader (such as libvulkan.so.1) and a driver of
// Vulkan 1.1, but neither headers nor a development package, except on macOS,
// where vulkan-go links against libMoltenVK.
//
// To draw, a caller makes a [Texture], compiles shaders to [Graphics], and gives a
// [Screen] one [Frame] after another. The screen presents them if the device was opened
// with a [Window].
//
// A Device runs one submission at a time. Several goroutines may call its
// methods, which wait for each other when they must. Only one goroutine may use
// a Recorder.
package gpu
