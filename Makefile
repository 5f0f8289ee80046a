# make train     train the original's FashionCNN on this machine
# make test      run the tests, at most 5 minutes on two cores
# make test-all  run nearly all tests
# make help      list all targets

GO      ?= go
MODULE  := github.com/fmnist-gpu/fmnist-gpu
BINARY  := fmnist-gpu
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# For training: the Vulkan loader, Mesa's drivers (AMD, Intel, and the software
# driver that tests use) and the dataset. For tests: the validation layer and the
# tools that check the shaders.
RUN_PACKAGES := libvulkan1 mesa-vulkan-drivers dataset-fashion-mnist
PACKAGES := $(RUN_PACKAGES) vulkan-validationlayers spirv-tools glslc
ifeq ($(FMNIST_REQUIRE_BROWSER),1) # for the report's tests, which are skipped without it
PACKAGES += chromium
endif

.PHONY: help setup build train test test-all test-swiftshader parity lint dependencies race random fuzz torture torture-short slurm-check check-manifests portable arm64 shader-report check-shader-report shader-report-mixed bench-cpu bench-gpu generate fresh gpu-bundle release container-cpu container-gpu view test-view clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

setup: ## install missing packages (Debian, Ubuntu), or say what to install
	@if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then \
		echo "setup: this system has no apt. Install what is missing: a Vulkan loader and driver (Linux: vulkan-loader and"; \
		echo "  mesa-vulkan-drivers or your GPU's; macOS: brew install molten-vk vulkan-loader), the Khronos validation layer"; \
		echo "  (for tests only), and the dataset: go run ./cmd/fmnist-gpu data fetch"; \
	else \
		missing=; for p in $(PACKAGES); do \
			dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
		done; \
		if [ -n "$$missing" ]; then \
			echo "setup: installing$$missing"; \
			sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
			$$sudo apt-get update -qq && \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null || \
			{ echo "setup: apt failed; run it yourself: sudo apt-get install$$missing"; exit 1; }; \
		fi; \
	fi

build: ## build ./fmnist-gpu
	$(GO) build -o $(BINARY) ./cmd/fmnist-gpu

# Training needs the dataset alone, which can be had without root.
train: build ## train FashionCNN on the best GPU, or on the CPU
	@./$(BINARY) data >/dev/null 2>&1 || ./$(BINARY) data fetch || $(MAKE) setup PACKAGES="$(RUN_PACKAGES)"
	./$(BINARY) train --preset main_no_aug

# The window needs headers of X11, which the rest of the project does without.
VIEW := fmnist-view
VIEW_PACKAGES := libvulkan1 mesa-vulkan-drivers libx11-dev libxrandr-dev libxinerama-dev libxcursor-dev libxi-dev libxxf86vm-dev libgl-dev
view: PACKAGES := $(VIEW_PACKAGES)
view: setup ## build ./fmnist-view, the live window, and open it on the newest run
	$(GO) build -tags view -o $(VIEW) ./cmd/fmnist-view
	./$(VIEW)

test-view: PACKAGES := $(VIEW_PACKAGES) vulkan-validationlayers xvfb xdotool
test-view: setup ## test the live window on a display without a screen
	$(GO) vet -tags view ./cmd/fmnist-view
	$(GO) run $(STATICCHECK) -tags view ./cmd/fmnist-view
	FMNIST_REQUIRE_WINDOW=1 $(GO) test -count=1 -tags view ./cmd/fmnist-view

# Mesa's software driver takes about a second to compile a product's shader for
# one shape. On Vulkan, make test therefore runs one of every 37 op cases, and
# leaves out the op cases planned as for a GPU, the two-pass reductions, every tile
# variant, tuning, and the trajectory against PyTorch's. On the CPU's tiers, except the fastest, it runs one of every
# three op cases. On every backend it leaves out op cases above 8 MFLOP, whole epochs
# against the oracle, FashionCNN op by op, and all but 5 of the 20 steps against
# PyTorch; trainings on machines whose GPUs do not work; pages in a browser; and two of three
# points at which a training is killed.
# make test-all runs one of every 37 op cases on Vulkan as well, but large ones too. There
# it leaves out whole networks in mixed precision and four of five tile variants, all of
# which make parity runs, and thirty of 31 op cases planned as for a GPU, whose shaders
# take longest to compile. Timeouts are there to end what hangs.
TIMEOUT := -timeout 60m

test: setup ## run the tests in 5 minutes: no large shapes, few cases on Vulkan
	$(GO) test -short $(TIMEOUT) ./...

# LONG are the packages whose tests -short shortens. For the others, the command is that
# of make test, so that its results stand if that was run before.
LONG = $(sort $(dir $(shell grep -rl --include='*_test.go' 'testing\.Short()' .)))
SHORT = $(filter-out $(LONG),$(sort $(dir $(shell find . -name '*_test.go'))))
test-all: setup ## run nearly all tests, as CI does
	$(GO) test -short $(TIMEOUT) $(SHORT)
	$(GO) test $(TIMEOUT) $(LONG)

# SwiftShader shares no code with the drivers above, and asks for the coarsest
# alignment that Vulkan allows. Chromium brings it along. The trajectory, which
# takes it half as long as everything else, is left to the other driver.
SWIFTSHADER := /usr/lib/chromium/vk_swiftshader_icd.json
ON_SWIFTSHADER := VK_DRIVER_FILES=$(SWIFTSHADER) VK_ICD_FILENAMES=$(SWIFTSHADER) FMNIST_DEVICE=SwiftShader FMNIST_REQUIRE_VULKAN=1
test-swiftshader: PACKAGES := libvulkan1 vulkan-validationlayers dataset-fashion-mnist chromium
test-swiftshader: setup ## parity, a short training and presentation on SwiftShader
	$(ON_SWIFTSHADER) $(GO) test -count=1 -short $(TIMEOUT) -run '/vulkan' -skip TestTrajectory ./cpuref/parity -args -vulkan-sample 30
	$(ON_SWIFTSHADER) $(GO) test -count=1 -short $(TIMEOUT) -run TestTrainOnVulkan ./cmd/fmnist-gpu
	$(ON_SWIFTSHADER) $(GO) test -count=1 $(TIMEOUT) -run 'Screen|Present|Graphics' ./gpu

parity: setup ## print the worst error of each op on the CPU and on Vulkan
	$(GO) test $(TIMEOUT) -count=1 -v ./cpuref/parity -args -vulkan-sample 1
	$(GO) test $(TIMEOUT) -count=1 -run TestEveryTile ./kernels/vulkan -args -every-tile

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-clean:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# The database of vulnerabilities is online: without a network, that check is left out, and says so.
dependencies: ## check that modules are as released, and without known vulnerabilities
	$(GO) mod verify
	@found=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); code=$$?; echo "$$found"; case "$$found" in \
		*"fetching vulnerabilities:"*) echo "dependencies: NOT CHECKED for vulnerabilities: the database cannot be reached" ;; \
		*) exit $$code ;; \
	esac

# ALONE are tests of arithmetic, files and pictures that take long under the race
# detector and share nothing between goroutines that other tests do not.
ALONE := Test(WinogradErrors|TrainingIsReproducible|Tiling|ConvBatchNormBits|PrecisionOfTiers|KilledAnywhere|EventsOfKilledRuns|EventsOfResumedRuns|FinishedRunGoesOn|ResumeIsExact|ResumeAfterMaxSteps|ResumeRefusesDamage|StopAfter|FindRate|NoEval|SearchSurvives|Pictures|Identify|EvaluateGivesTheRunsMetrics|FullDataset|LoadVerifies|UnpackedCopy|LoadWithoutCache)
race: setup ## test everything concurrent under the race detector
	$(GO) test -race -short $(TIMEOUT) -run AMX ./cpuref/internal/simd
	$(GO) test -race -short $(TIMEOUT) -skip '^$(ALONE)' ./cpuref ./gpu ./kernels ./kernels/hostmemory ./kernels/vulkan ./cmd/fmnist-view/... \
		./trainer ./trainer/bench ./trainer/dataset ./trainer/live/... ./trainer/study ./trainer/tensorboard
	$(GO) test -race -short $(TIMEOUT) -run '^TestOps$$/^(cpu-avx2|vulkan)$$' ./cpuref/parity

# Mesa's software driver compiles each shape: a tenth of a second for most ops, one to three
# for products. For one op on Vulkan alone: make random OPS='^ConvForward$$' CASES=1
CASES ?= 10000
VULKAN_CASES ?= 1000
CASES_SEED ?= 1
OPS ?= .
random: setup ## check OPS of random shapes, CASES=10000 on each CPU tier, VULKAN_CASES=1000 on Vulkan, for hours
	$(GO) test -count=1 -timeout 0 -v -run 'TestRandomOps/./$(OPS)' ./cpuref/parity -args \
		-random-cases $(CASES) -random-vulkan $(VULKAN_CASES) -random-seed $(CASES_SEED)

# Inputs that it finds to fail land in testdata/fuzz, where every go test runs them.
FUZZTIME ?= 20m
FUZZFLAGS ?= -fuzzminimizetime 1s # of each new input; large ones would take all the time
fuzz: ## feed the readers of files and requests with damaged input, each for FUZZTIME
	@for package in $$($(GO) list ./...); do \
		list=$$($(GO) test -list '^Fuzz' $$package) || exit 1; \
		for target in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "== $$package $$target"; \
			$(GO) test $$package -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $(FUZZFLAGS) || exit 1; \
		done; \
	done

# What can go wrong is made to go wrong: programs are killed, disks are full, every
# Vulkan call of a training and of the window fails. On Vulkan this happens under constant
# garbage collection (GOGC=1), which finds memory that Vulkan uses but Go has freed.
# README.md has what came of it. What make test-view runs of it is left out of the sample.
TORTURE := $(GO) test -count=1 -timeout 180m -v -run '^Test(Kills|VulkanFaults|Disk(Full|Quota)|SameBytes|Soak|Cycles|ServeSoak)$$' ./cmd/fmnist-gpu -args

torture: PACKAGES += btrfs-progs $(VIEW_PACKAGES) xvfb xdotool
torture: setup ## kill, fill, fail and soak for some hours
	$(TORTURE) -kills 200 -faults 3 -disk-sizes 40 -same 3 -soak 10m -cycles 1000 -requests 10000
	FMNIST_REQUIRE_WINDOW=1 GOGC=1 $(GO) test -count=1 -timeout 180m -tags view -run TestWindowFaults -v ./cmd/fmnist-view -args -faults 1

torture-short: PACKAGES += btrfs-progs
torture-short: setup ## a sample of torture, in two minutes
	GOGC=1 $(GO) test -short -count=1 $(TIMEOUT) ./gpu
	$(TORTURE) -test.short -kills 2 -faults 197 -disk-sizes 2 -same 1 -soak 3s -cycles 5 -requests 40

# On a Slurm of its own on this machine; see trainer/study/slurm/cluster.
# SLURM="-slurm-jobs 100" measures too what a job costs.
SLURM_FAULTS ?= 3
slurm-check: PACKAGES := slurm-wlm munge dataset-fashion-mnist
slurm-check: setup ## cause every fault SLURM_FAULTS=3 times in an experiment on Slurm, in half an hour
	$(GO) test -count=1 -timeout 180m -v -run '^TestSlurm' ./cmd/fmnist-gpu -args -slurm $(SLURM_FAULTS) $(SLURM)

portable: PACKAGES := qemu-user
portable: setup ## test without cgo, assembly and AVX, and build for other systems
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/fmnist-gpu
	CGO_ENABLED=0 $(GO) test -short -run 'Train|Devices|Bench|Vulkan' ./cmd/fmnist-gpu
	CGO_ENABLED=0 $(GO) test -short ./cmd/fmnist-view/... ./kernels
	$(GO) test -short -tags noasm ./cpuref
	$(GO) test -short -tags noasm -run '^TestOps$$/^cpu' ./cpuref/parity
	CGO_ENABLED=0 GOARCH=amd64 $(GO) test -exec "qemu-x86_64 -cpu kvm64" ./cpuref/internal/simd
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) vet ./cpuref/... ./trainer/... ./cmd/...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/fmnist-gpu
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/fmnist-gpu
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) vet ./cmd/fmnist-gpu

arm64: PACKAGES := qemu-user
arm64: setup ## test the NEON tier, under qemu if the processor is not arm64
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -exec qemu-aarch64 ./cpuref/internal/simd
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -short -exec qemu-aarch64 -run '^TestOps$$/^cpu-neon$$/(Conv|GEMM|Program)' ./cpuref/parity

# Needs PyTorch and ONNX Runtime in $(PYTHON), a C++ compiler for torch.compile, the
# dataset, and an otherwise idle machine for some 20 minutes. BENCH may hold
# flags of compare.py, such as --only "train fashioncnn" or --record FILE.
PYTHON ?= python3
bench-cpu: build ## compare the CPU backend with PyTorch and ONNX Runtime
	$(PYTHON) trainer/bench/compare.py --program ./$(BINARY) $(BENCH)
	./$(BINARY) bench --cpu

# In turn with PyTorch in its modes, if $(PYTHON) has a PyTorch that sees the GPU.
DEVICE ?= 0
bench-gpu: gpu-bundle ## images/s of a GPU, in turn with PyTorch
	cd gpu-bundle && ONLY=bench PYTHON=$(PYTHON) ./gpu-check $(DEVICE)

# Needs cargo, and some 20 minutes to compile burn. BACKENDS=flex is its CPU backend.
BACKENDS ?= vulkan
bench-burn: build ## images/s of DEVICE in turn with burn, a framework in Rust
	cargo build --release --manifest-path trainer/bench/burn/Cargo.toml
	./$(BINARY) bench $(if $(filter cpu,$(DEVICE)),--cpu,--device $(DEVICE)) --no-profile --seconds 10 \
		--against "trainer/bench/burn/target/release/burn-peer --seconds 10 --backends $(BACKENDS)"

# Each seed is a process of its own, one after the other, on an otherwise idle machine:
# the record holds its seconds. NAME is a preset, unless RECIPE holds other flags of
# train, such as --config FILE. DEVICE=cpu or DEVICE=0 chooses where; otherwise train
# does. An interrupted target continues; a new record needs a new folder, so remove
# runs/record-NAME first. The program names its commit.
RECORDS := trainer/report/records
SEEDS ?= 42-46
RECIPE ?= --preset $*
ON = $(if $(filter file,$(origin DEVICE)),,$(if $(filter cpu,$(DEVICE)),--cpu,--device $(DEVICE)))
record-fast: ## train the preset fast with the seeds SEEDS=42-46, one by one, and write its record
record-small: ## likewise small, and any preset NAME with record-NAME
record-best: ## likewise best
record-%:
	$(GO) build -buildvcs=true -o $(BINARY) ./cmd/fmnist-gpu
	test -f runs/audit/twins.csv || ./$(BINARY) data audit --folds 0 --out runs/audit $(ON)
	for seed in $$(seq $(firstword $(subst -, ,$(SEEDS))) $(lastword $(subst -, ,$(SEEDS)))); do \
		run=runs/record-$*/seed$$seed; \
		if [ -f $$run/args.yaml ]; then ./$(BINARY) train --resume $$run $(ON) || exit; \
		else ./$(BINARY) train $(RECIPE) --seed $$seed --out runs/record-$* --name seed$$seed $(ON) || exit; fi; \
	done
	mkdir -p $(RECORDS)
	./$(BINARY) record runs/record-$* --without runs/audit/twins.csv --out $(RECORDS)/$*

generate: ## regenerate the shaders (needs glslc), the CPU's assembly and the protobuf messages (needs protoc)
	$(GO) generate ./shaders ./cpuref/internal/simd ./trainer/export/... ./trainer/tensorboard/...

fresh: ## check that the CPU's assembly matches its generator
	$(GO) generate ./cpuref/internal/simd
	git diff --exit-code -- cpuref/internal/simd

# Mesa's driver for AMD compiles for chips that the machine lacks. Its code is judged
# only by the version that the committed table is from.
SHADER_REPORT := $(GO) run ./kernels/vulkan/report
shader-report: setup ## what AMD's chips get from the shaders: registers, spills, share of multiply-adds; writes the table
	$(SHADER_REPORT)

check-shader-report: setup ## fail if registers spill, or a share is below the committed table's
	$(SHADER_REPORT) -check

# DRIVER is the manifest of a driver that knows matrix units, if the system's does not:
# that of Mesa 25 or newer (Debian 12: package mesa-vulkan-drivers of bookworm-backports).
shader-report-mixed: ## the same of mixed precision on matrix units
	$(SHADER_REPORT) -mixed $(if $(DRIVER),-driver $(DRIVER))

# copy-data copies the dataset into a folder: the one of FMNIST_DATA, else Debian's with its
# licence, else a download.
copy-data = { cp "$${FMNIST_DATA:-/usr/share/datasets/fashion-mnist}"/*.gz $1/ || $(GO) run ./cmd/fmnist-gpu data fetch --data-dir $1; } && \
	{ test -n "$$FMNIST_DATA" || cp /usr/share/doc/dataset-fashion-mnist/copyright $1/ || true; }

gpu-bundle: PACKAGES += xz-utils
gpu-bundle: setup build ## build a folder for a bare machine with a GPU; run gpu-bundle/gpu-check there
	rm -rf gpu-bundle && mkdir -p gpu-bundle/data gpu-bundle/parity
	cp .ci/gpu-check trainer/bench/pytorch.py trainer/bench/peer.py gpu-bundle/
	$(GO) build -buildvcs=true -ldflags '-s -w' -o gpu-bundle/fmnist-gpu ./cmd/fmnist-gpu
	$(call copy-data,gpu-bundle/data)
	$(GO) test -c -ldflags '-s -w' -o gpu-bundle/parity.test ./cpuref/parity
	cp -r cpuref/parity/testdata gpu-bundle/parity/
	mkdir gpu-bundle/lib
	cp -L "$$(/sbin/ldconfig -p | awk '/libvulkan\.so\.1 /{print $$NF; exit}')" gpu-bundle/lib/libvulkan.so.1
	tar -cf - gpu-bundle | xz -T0 >gpu-bundle.tar.xz

# third-party prints the licences of all that the program contains on any system, which
# must go along with it: Go's, and those of the modules.
third-party = { set -e; list=$$(for system in linux darwin windows; do \
		GOOS=$$system CGO_ENABLED=1 $(GO) list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/fmnist-gpu || exit 1; \
	done); \
	printf '==== Go\n\n'; cat "$$($(GO) env GOROOT)/LICENSE"; \
	printf '%s\n' "$$list" "uPlot 1.6.32 trainer/internal/page/uplot" | sort -u | while read -r path version dir; do \
		files=$$(find "$$dir" -maxdepth 2 -type f -iregex '.*/\(licen[cs]e\|unlicense\|copying\|notice\|patents\|ftl\)[^/]*' | sort); \
		test -n "$$files" || { echo "$$path has no licence file" >&2; exit 1; }; \
		printf '%s\n' "$$files" | while read -r file; do printf '\n\n==== %s %s: %s\n\n' "$$path" "$$version" "$${file\#\#*/}"; cat "$$file"; done; \
	done; }

# Two builds of one commit give the same files. Programs for other systems than
# Linux are without cgo, and so without Vulkan.
VERSION := $(shell git describe --tags --always --dirty)
RELEASE_BUILD := $(GO) build -trimpath -buildvcs=true -ldflags "-s -w -buildid=" -o
RELEASES := linux-amd64 linux-arm64 darwin-arm64 windows-amd64
release: PACKAGES := gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
release: setup ## build the programs for all systems into release/, with checksums
	rm -rf release && mkdir -p release/man
	$(GO) run -buildvcs=true ./cmd/fmnist-gpu man --out release/man >/dev/null
	$(third-party) > release/THIRD-PARTY-LICENSES
	for target in $(RELEASES); do \
		folder=release/fmnist-gpu-$(VERSION)-$$target; mkdir -p $$folder; cp README.md LICENSE SECURITY.md release/THIRD-PARTY-LICENSES $$folder/; \
		program=$$folder/fmnist-gpu; cc=; cgo=0; \
		case $$target in windows-*) program=$$program.exe ;; *) cp -r release/man $$folder/ ;; esac; \
		case $$target in linux-amd64) cgo=1 cc=x86_64-linux-gnu-gcc ;; linux-arm64) cgo=1 cc=aarch64-linux-gnu-gcc ;; esac; \
		GOOS=$${target%-*} GOARCH=$${target#*-} CGO_ENABLED=$$cgo CC=$$cc $(RELEASE_BUILD) $$program ./cmd/fmnist-gpu || exit 1; \
		tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$$(git log -1 --format=%ct)" -C release -cf - $$(basename $$folder) | \
			gzip -n9 > $$folder.tar.gz || exit 1; \
		rm -r $$folder; \
	done
	rm -r release/man release/THIRD-PARTY-LICENSES
	cd release && sha256sum *.tar.gz | tee SHA256SUMS

# BUILDER is podman, buildah or docker, with its flags.
BUILDER ?= podman
BUILD ?= build
IMAGE ?= fmnist-gpu
container-cpu: CGO := 0
container-gpu: CGO := 1
container-cpu: ## build an image for clusters: static, for the CPU
container-gpu: ## likewise with Vulkan, for GPUs
container-cpu container-gpu: PACKAGES := dataset-fashion-mnist
container-cpu container-gpu: container-%: setup
	mkdir -p container/data
	cp LICENSE container/
	$(third-party) > container/THIRD-PARTY-LICENSES
	$(call copy-data,container/data)
	CGO_ENABLED=$(CGO) $(RELEASE_BUILD) container/fmnist-gpu-$* ./cmd/fmnist-gpu
	$(BUILDER) $(BUILD) --target $* -t $(IMAGE):$(VERSION)-$* -f Containerfile container

# The API server's own validation, in a module of its own: it takes some minutes to build.
check-manifests: ## validate the manifests of the tests as Kubernetes does
	cd trainer/study/kubernetes/check && $(GO) run . ../testdata/*.yaml

clean: ## remove everything that was built
	rm -rf $(BINARY) $(VIEW) gpu-bundle gpu-bundle.tar.xz release container
