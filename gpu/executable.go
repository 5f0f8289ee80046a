//go:build cgo

package gpu

/*
#include "executable.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// Executable is what a driver made of a shader. The names of statistics and
// representations are the driver's own.
type Executable struct {
	SubgroupSize    int
	Statistics      map[string]uint64
	Representations map[string]string // texts, such as the disassembly
}

var errNotInspected = errors.New("the device was not opened for inspection")

// Executable tells what the driver made of the pipeline's shader, on a device
// opened with [Options.Inspect].
func (p *Pipeline) Executable() (Executable, error) {
	if !p.device.inspect {
		return Executable{}, errNotInspected
	}
	e := p.device.instance.calls.executables
	x := Executable{SubgroupSize: int(C.executable_subgroup_size(e.properties, object(p.device.handle), handle(p.handle)))}
	var err error
	if x.Statistics, err = e.statisticsOf(p); err != nil {
		return x, fmt.Errorf("pipeline %s: %w", p.desc.Name, err)
	}
	if x.Representations, err = e.representationsOf(p); err != nil {
		return x, fmt.Errorf("pipeline %s: %w", p.desc.Name, err)
	}
	return x, nil
}

// executableCalls are the functions of VK_KHR_pipeline_executable_properties,
// which are called only on devices that have it.
type executableCalls struct{ properties, statistics, representations unsafe.Pointer }

func loadExecutableCalls(getProc unsafe.Pointer, instance vk.Instance) executableCalls {
	return executableCalls{
		properties:      procAddr(getProc, instance, "vkGetPipelineExecutablePropertiesKHR"),
		statistics:      procAddr(getProc, instance, "vkGetPipelineExecutableStatisticsKHR"),
		representations: procAddr(getProc, instance, "vkGetPipelineExecutableInternalRepresentationsKHR"),
	}
}

func (e executableCalls) statisticsOf(p *Pipeline) (map[string]uint64, error) {
	const call = "vkGetPipelineExecutableStatisticsKHR"
	device, pipeline := object(p.device.handle), handle(p.handle)
	var n C.uint32_t
	if err := check(call, vk.Result(C.executable_statistics(e.statistics, device, pipeline, &n, nil))); err != nil || n == 0 {
		return nil, err
	}
	list := make([]C.executable_statistic, n)
	if err := check(call, vk.Result(C.executable_statistics(e.statistics, device, pipeline, &n, &list[0]))); err != nil {
		return nil, err
	}
	of := map[string]uint64{}
	for i := range list {
		of[C.GoString(&list[i].name[0])] = uint64(list[i].value)
	}
	return of, nil
}

func (e executableCalls) representationsOf(p *Pipeline) (map[string]string, error) {
	const call = "vkGetPipelineExecutableInternalRepresentationsKHR"
	device, pipeline := object(p.device.handle), handle(p.handle)
	var n C.uint32_t
	if err := check(call, vk.Result(C.executable_representations(e.representations, device, pipeline, &n, nil))); err != nil || n == 0 {
		return nil, err
	}
	first := (*C.executable_representation)(cAlloc(uintptr(n) * unsafe.Sizeof(C.executable_representation{})))
	defer cFree(unsafe.Pointer(first))
	if err := check(call, vk.Result(C.executable_representations(e.representations, device, pipeline, &n, first))); err != nil {
		return nil, err
	}
	list := unsafe.Slice(first, n)
	for i := range list {
		list[i].data = cAlloc(uintptr(list[i].size) + 1)
		defer cFree(list[i].data)
	}
	if err := check(call, vk.Result(C.executable_representations(e.representations, device, pipeline, &n, first))); err != nil {
		return nil, err
	}
	of := map[string]string{}
	for i := range list {
		if list[i].is_text != 0 {
			text := C.GoBytes(list[i].data, C.int(list[i].size))
			of[C.GoString(&list[i].name[0])] = strings.TrimRight(string(text), "\x00")
		}
	}
	return of, nil
}
