package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study/kubernetes"
)

// kubernetesFlags are the values of the flags for Kubernetes.
type kubernetesFlags struct {
	image, claim, name, gpu, cpus, memory string
}

// noGPU is the value of --gpu that asks for none.
const noGPU = "none"

func addKubernetesFlags(flags *pflag.FlagSet, f *kubernetesFlags) {
	f.gpu, f.memory = "nvidia.com/gpu", "2Gi"
	g := flagGroup{flags, groupKubernetes}
	bind(g, &f.image, "image", setting.Text("IMAGE", "an image with this program"), "image of this version of the program; see Containerfile")
	bind(g, &f.claim, "claim", setting.Text("CLAIM[:FOLDER]", "the name of a PersistentVolumeClaim"), "PersistentVolumeClaim whose volume holds --out, and the path of --out within that volume (default: its root)")
	bind(g, &f.name, "job-name", setting.Text("NAME", "a name for the Job"), "name of the Job (default: the experiment's)")
	bind(g, &f.gpu, "gpu", setting.Text("RESOURCE", "the name of a GPU's resource"), "resource of which each training requests one, such as amd.com/gpu; with \"none\", or with --cpu, it requests no GPU")
	bind(g, &f.cpus, "cpus", setting.Text("QUANTITY", "a quantity such as 2 or 500m"), "CPUs that each training asks for (default: --threads, or 1)")
	bind(g, &f.memory, "memory", setting.Text("QUANTITY", "a quantity such as 2Gi"), "memory that each training asks for, and its limit")
}

// mostPods is the default number of Pods at a time: those that wait for a node are a
// burden on the cluster.
const mostPods = 100

// manifestFile is the name of the manifest in an experiment's folder.
const manifestFile = "kubernetes.yaml"

// writeManifest describes an experiment's runs as jobs, writes the manifest of their
// Indexed Job and says how to start it.
func writeManifest(cmd *cobra.Command, f experimentFlags, e study.Experiment) error {
	if f.replicas > 1 || len(f.devices) > 0 || f.asJSON {
		return &commandLineError{"--replicas, --device and --json are for other executors: on Kubernetes, each training has the GPU that its Pod gets"}
	}
	job, folder, err := f.kubernetesJob(e)
	if err != nil {
		return err
	}
	if err := job.Check(); err != nil { // before there is a folder
		return err
	}
	jobs, err := prepareJobs(f.out, e)
	if err != nil {
		return err
	}
	job.Jobs = len(jobs.Names)
	job.AtOnce = min(cmp.Or(f.parallel, mostPods), job.Jobs)
	file := filepath.Join(f.out, manifestFile)
	if err := job.Write(file); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `%s in %s, which must be %s of the volume of the claim %s
the image %s must hold version %s
start:            kubectl apply -f %s
start once more:  kubectl replace --force -f %[7]s
follow:           fmnist-gpu experiment status %[8]s
end:              kubectl delete job %[9]s
compare:          fmnist-gpu experiment collect %[8]s
`, english.Plural(job.Jobs, "job", ""), f.out, folder, job.Claim, job.Image, version(), quoted(file), quoted(f.out), job.Name)
	return err
}

// kubernetesJob returns the Job that the flags describe, and words for its folder.
func (f experimentFlags) kubernetesJob(e study.Experiment) (job kubernetes.Job, folder string, err error) {
	k := f.kubernetes
	if k.image == "" || k.claim == "" {
		return job, "", &commandLineError{"--executor kubernetes needs --image and --claim"}
	}
	if f.dataDir != "" && !path.IsAbs(f.dataDir) {
		return job, "", &commandLineError{fmt.Sprintf("--data-dir is %s: want its path in Pods, such as /volume/fashion-mnist", setting.Shown(f.dataDir))}
	}
	claim, inVolume, _ := strings.Cut(k.claim, ":")
	dir, err := kubernetes.InVolume(inVolume)
	if err != nil {
		return job, "", err
	}
	folder = "the root"
	if inVolume != "" {
		folder = "the folder " + inVolume
	}
	worker := []string{"experiment", "run-job", "--no-progress", "--dir", dir}
	if f.dataDir != "" {
		worker = append(worker, "--data-dir", f.dataDir)
	}
	if f.device.validate {
		worker = append(worker, "--validate")
	}
	threads := max(1, f.device.threads)
	switch {
	case f.device.cpu:
		worker, k.gpu = append(worker, "--cpu", fmt.Sprintf("--threads=%d", threads)), ""
	case k.gpu == noGPU: // the Pod may find one all the same; else the CPU trains
		worker, k.gpu = append(worker, fmt.Sprintf("--threads=%d", threads)), ""
	default:
		worker = append(worker, "--gpu-only")
	}
	return kubernetes.Job{
		Name: cmp.Or(k.name, kubernetes.Name(e.Name)), Image: k.image, Claim: claim, Arguments: worker,
		GPU: k.gpu, CPU: cmp.Or(k.cpus, fmt.Sprint(threads)), Memory: k.memory, User: os.Getuid(), Group: os.Getgid(),
	}, folder, nil
}
