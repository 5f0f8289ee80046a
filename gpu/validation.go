//go:build cgo

package gpu

/*
#include "call.h"

uint32_t gpuValidationMessage(uint32_t severity, uint32_t types, message_data *data, uintptr_t user);
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"strings"
	"sync"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

const (
	validationLayer    = "VK_LAYER_KHRONOS_validation"
	debugUtils         = "VK_EXT_debug_utils"
	validationFeatures = "VK_EXT_validation_features"
)

// Values of VK_EXT_debug_utils and VK_EXT_validation_features.
const (
	typeMessenger          = 1000128004 // VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT
	typeValidationFeatures = 1000247000 // VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT
	severityWarning        = 0x0100
	severityError          = 0x1000
	messageValidation      = 2 // the other types are performance advice and, from
	messagePerformance     = 4 // the loader, remarks on the machine's set-up
	enableSynchronization  = 4 // VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
)

// validation collects what the validation layer reports on an instance. It is
// nil for an instance without the layer.
type validation struct {
	self cgo.Handle // identifies v in the callback

	// The create infos are in C memory because they point to each other, and
	// some live as long as the instance.
	messenger *C.messenger_info
	features  *C.validation_features
	enabled   *C.int32_t

	handle C.uint64_t // VkDebugUtilsMessengerEXT, once there is an instance

	mu       sync.Mutex
	messages []string
	told     int // messages that an error has already returned
}

// newValidation prepares for an instance with the layer. The error says if the
// machine lacks the layer.
func newValidation(getProc unsafe.Pointer) (*validation, error) {
	layers, err := instanceLayers(getProc)
	if err != nil {
		return nil, err
	}
	if !layers[validationLayer] {
		return nil, fmt.Errorf("%w: %s is not installed; install it (Debian and Ubuntu: vulkan-validationlayers) or run without validation", ErrValidation, validationLayer)
	}
	extensions, err := instanceExtensions(getProc, validationLayer)
	if err != nil {
		return nil, err
	}
	if !extensions[debugUtils] || !extensions[validationFeatures] {
		return nil, fmt.Errorf("%w: %s lacks %s or %s; install another version", ErrValidation, validationLayer, debugUtils, validationFeatures)
	}
	v := &validation{
		messenger: (*C.messenger_info)(cAlloc(unsafe.Sizeof(C.messenger_info{}))),
		features:  (*C.validation_features)(cAlloc(unsafe.Sizeof(C.validation_features{}))),
		enabled:   (*C.int32_t)(cAlloc(unsafe.Sizeof(C.int32_t(0)))),
	}
	v.self = cgo.NewHandle(v)
	*v.enabled = enableSynchronization
	*v.features = C.validation_features{_type: typeValidationFeatures, enabled_count: 1, enabled: v.enabled}
	*v.messenger = C.messenger_info{
		_type:      typeMessenger,
		next:       unsafe.Pointer(v.features),
		severities: severityWarning | severityError,
		types:      messageValidation | messagePerformance,
		callback:   C.message_callback(C.gpuValidationMessage),
		user:       C.uintptr_t(v.self),
	}
	return v, nil
}

// chain returns the pNext chain for the instance's create info. It makes the
// layer also report on the instance's creation and destruction.
func (v *validation) chain() unsafe.Pointer {
	if v == nil {
		return nil
	}
	return unsafe.Pointer(v.messenger)
}

// attach makes the layer report on every use of the instance.
func (v *validation) attach(e *entryPoints, instance vk.Instance) error {
	info := *v.messenger
	info.next = nil
	var handle C.uint64_t
	r := vk.Result(C.call_create_messenger(e.createMessenger, object(instance), &info, &handle))
	v.handle = handle
	return check("vkCreateDebugUtilsMessengerEXT", r)
}

func (v *validation) detach(e *entryPoints, instance vk.Instance) {
	C.call_destroy_messenger(e.destroyMessenger, object(instance), v.handle)
}

// free stops collecting messages; those collected stay readable.
func (v *validation) free() {
	v.self.Delete()
	cFree(unsafe.Pointer(v.messenger))
	cFree(unsafe.Pointer(v.features))
	cFree(unsafe.Pointer(v.enabled))
}

// list returns all messages so far.
func (v *validation) list() []string {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.messages...)
}

// err returns, as an error, the messages that no earlier error has returned.
func (v *validation) err() error {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	fresh := v.messages[v.told:]
	v.told = len(v.messages)
	if len(fresh) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrValidation, strings.Join(fresh, " | "))
}

func (v *validation) add(message string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, message)
}

// gpuValidationMessage is called by the validation layer, on any thread. It
// returns false, so that the faulty Vulkan call continues.
//
//export gpuValidationMessage
func gpuValidationMessage(severity, types C.uint32_t, data *C.message_data, user C.uintptr_t) C.uint32_t {
	v := cgo.Handle(user).Value().(*validation)
	v.add(strings.Join(strings.Fields(C.GoString(data.message)), " "))
	return 0
}
