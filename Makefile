# make train   train the original's FashionCNN on this machine
# make test    run all tests, the Vulkan path included
# make help    everything else

GO      ?= go
MODULE  := github.com/fmnist-gpu/fmnist-gpu
BINARY  := fmnist-gpu
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# To train: the Vulkan loader, Mesa's drivers (AMD, Intel, and the software one
# that tests use) and the dataset. To test: the validation layer, and what
# checks the shaders.
RUN_PACKAGES := libvulkan1 mesa-vulkan-drivers dataset-fashion-mnist
PACKAGES := $(RUN_PACKAGES) vulkan-validationlayers spirv-tools glslc
ifeq ($(FMNIST_REQUIRE_BROWSER),1) # the report's tests, which otherwise skip without one
PACKAGES += chromium
endif

.PHONY: help setup build train test test-swiftshader parity lint race stress portable arm64 bench-cpu bench-gpu generate fresh gpu-bundle clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: ## install what is missing (Debian, Ubuntu), or say what to install
	@if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then \
		echo "setup: no apt here; install by hand what you lack: a Vulkan loader and driver (Linux: vulkan-loader and"; \
		echo "  mesa-vulkan-drivers or your GPU's; macOS: brew install molten-vk vulkan-loader), for the tests the Khronos"; \
		echo "  validation layer, and the dataset: go run ./cmd/fmnist-gpu data fetch"; \
	else \
		missing=; for p in $(PACKAGES); do \
			dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
		done; \
		if [ -n "$$missing" ]; then \
			echo "setup: installing$$missing"; \
			sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
			$$sudo apt-get update -qq && \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null || \
			{ echo "setup: apt failed; run yourself: sudo apt-get install$$missing"; exit 1; }; \
		fi; \
	fi

build: ## build ./fmnist-gpu
	$(GO) build -o $(BINARY) ./cmd/fmnist-gpu

train: PACKAGES := $(RUN_PACKAGES)
train: setup build ## train FashionCNN on the best GPU, or on the CPU
	./$(BINARY) train --preset main_no_aug

test: setup ## run all tests
	$(GO) test -timeout 15m ./...

# SwiftShader shares no code with the drivers above, and asks for the coarsest
# alignment that Vulkan allows. Chromium brings it along. The trajectory, which
# takes it half as long as everything else, is left to the other driver.
SWIFTSHADER := /usr/lib/chromium/vk_swiftshader_icd.json
ON_SWIFTSHADER := VK_DRIVER_FILES=$(SWIFTSHADER) VK_ICD_FILENAMES=$(SWIFTSHADER) FMNIST_DEVICE=SwiftShader FMNIST_REQUIRE_VULKAN=1
test-swiftshader: PACKAGES := libvulkan1 vulkan-validationlayers dataset-fashion-mnist chromium
test-swiftshader: setup ## parity and a short training on SwiftShader
	$(ON_SWIFTSHADER) $(GO) test -count=1 -short -timeout 30m -run '/vulkan' -skip TestTrajectory ./cpuref/parity
	$(ON_SWIFTSHADER) $(GO) test -count=1 -run TestTrainOnVulkan ./cmd/fmnist-gpu

parity: setup ## print each op's worst error on the CPU and on Vulkan
	$(GO) test -timeout 15m -count=1 -v ./cpuref/parity

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-clean:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

race: setup ## the tests of everything concurrent, under the race detector
	$(GO) test -race -short -timeout 15m ./cpuref ./cpuref/internal/... ./gpu ./kernels/... ./trainer/...

stress: setup ## the Vulkan layer under constant garbage collection
	GOGC=1 $(GO) test -short -count=1 -timeout 15m ./gpu ./kernels/vulkan

portable: ## what must build and run without cgo, without assembly, and elsewhere
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/fmnist-gpu
	CGO_ENABLED=0 $(GO) test -short ./cmd/... ./kernels
	$(GO) test -short -tags noasm ./cpuref
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) vet ./cpuref/... ./trainer/... ./cmd/...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/fmnist-gpu
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/fmnist-gpu

arm64: PACKAGES := qemu-user
arm64: setup ## the NEON tier, under qemu where the processor is another
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -exec qemu-aarch64 ./cpuref/internal/simd
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -short -exec qemu-aarch64 -run '/^neon/(Conv|GEMM|Program)' ./cpuref

# Needs PyTorch in $(PYTHON); leave the machine idle. Each line of bench-cpu is
# one run of 5 rounds in turn with PyTorch, in fp32 and, where the processor
# has bfloat16, in mixed precision; then with both held to AVX2.
PYTHON ?= python3
BENCH_CPU := ./$(BINARY) bench --cpu --no-profile
PYTORCH := $(PYTHON) trainer/bench/pytorch.py
bench-cpu: build ## images/s of the CPU backend beside PyTorch's, in turn
	@mixed=; ! ./$(BINARY) devices | grep -q 'BF16 yes' || mixed=1; \
	for threads in 1 $$(nproc); do \
		for args in "--model fashioncnn" "--model alternative" "--model logistic" "--model fashioncnn --infer --batch-size 256"; do \
			args="--threads $$threads $$args"; \
			$(BENCH_CPU) $$args --against "$(PYTORCH) $$args" || exit 1; echo; \
			test -z "$$mixed" || \
				$(BENCH_CPU) $$args --precision mixed --against "$(PYTORCH) $$args --configs bf16,bf16-channels-last" || exit 1; echo; \
		done; \
		FMNIST_CPU=avx2 $(BENCH_CPU) --threads $$threads \
			--against "env ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(PYTORCH) --threads $$threads" || exit 1; echo; \
	done
	@./$(BINARY) bench --cpu

# In turn with PyTorch in its modes, if $(PYTHON) has one that sees the GPU.
DEVICE ?= 0
bench-gpu: gpu-bundle ## images/s of a GPU beside PyTorch's, in turn
	cd gpu-bundle && ONLY=bench PYTHON=$(PYTHON) ./gpu-check $(DEVICE)

generate: ## rebuild the shaders (needs glslc) and the CPU's assembly
	$(GO) generate ./shaders ./cpuref/internal/simd

fresh: ## the CPU's assembly is what its generator makes
	$(GO) generate ./cpuref/internal/simd
	git diff --exit-code -- cpuref/internal/simd

gpu-bundle: setup build ## a folder to carry to a bare machine with a GPU; there run gpu-bundle/gpu-check
	rm -rf gpu-bundle && mkdir -p gpu-bundle/data gpu-bundle/parity
	cp $(BINARY) .ci/gpu-check trainer/bench/pytorch.py gpu-bundle/
	cp /usr/share/datasets/fashion-mnist/*.gz gpu-bundle/data/
	$(GO) test -c -o gpu-bundle/parity.test ./cpuref/parity
	cp -r cpuref/parity/testdata gpu-bundle/parity/

clean: ## remove what was built
	rm -rf $(BINARY) gpu-bundle
