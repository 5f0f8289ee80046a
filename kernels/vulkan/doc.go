// Package vulkan runs plans on a Vulkan device: it implements
// [kernels.Backend] with compute shaders.
//
// Compiling a plan takes four steps. Buffers are laid out in a few arenas of
// device memory (layout.go). Every op is lowered to dispatches, each a shader
// variant, a grid and the memory it reads and writes (one file per op). The
// dispatches of a section are ordered in levels that need no barriers within
// (schedule.go). Pipelines are created in parallel (backend.go) and each section
// is recorded once into a command buffer (compile.go), which a [Program] then
// submits as often as needed.
//
// Results are bit-identical on every run on one device with the same tuning
// ([Backend.Tune]): reductions have a fixed order, and there are no float
// atomics.
package vulkan
