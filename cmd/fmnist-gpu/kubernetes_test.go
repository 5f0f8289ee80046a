package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The manifest is in the folder, beside the jobs, and what is printed says how to start it.
func TestExecutorKubernetes(t *testing.T) {
	file, dir := filepath.Join(t.TempDir(), "My Rates.yaml"), filepath.Join(t.TempDir(), "rates")
	writeFile(t, file, "grid: {lr: [0.1, 0.2], seed: 0-9}\n")
	args := []string{"experiment", file, "--executor", "kubernetes", "--out", dir}
	wantFailure(t, args, exitUsage, "needs --image and --claim")
	args = append(args, "--image", "registry/fmnist-gpu:v1", "--claim", "studies:a/rates", "--data-dir", "/volume/fashion", "--parallel", "7")
	wantFailure(t, append(args, "--memory", "much"), exitUsage, `the memory request is "much": want a quantity`)
	wantFailure(t, append(args, "--claim", "studies:../rates"), exitUsage, "the folder in the volume is \"../rates\"")
	wantFailure(t, append(args, "--replicas", "2"), exitUsage, "--replicas, --device and --json are for other executors")
	wantFailure(t, append(args, "--data-dir", "fashion"), exitUsage, "--data-dir is \"fashion\": want its path in Pods")
	wantFailure(t, append(args, "--sbatch", "mem=1G"), exitUsage, "--sbatch is for --executor slurm")
	wantFailure(t, []string{"experiment", file, "--out", dir, "--claim", "studies"}, exitUsage, "--claim is for --executor kubernetes")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a command that failed has left a folder")
	}
	for device, want := range map[string][]string{
		"--gpu=amd.com/gpu": {"amd.com/gpu: \"1\"", "- --gpu-only\n", "cpu: \"3\""},
		"--gpu=none":        {"- --threads=3\n", "cpu: \"3\""},
		"--cpu":             {"- --cpu\n", "- --threads=3\n", "cpu: \"3\""},
	} {
		got := wantSuccess(t, append(args, device, "--threads", "3")...)
		if !strings.Contains(got, "20 jobs in "+dir+", which must be the folder a/rates of the volume of the claim studies\n") || !strings.Contains(got, "kubectl apply -f "+filepath.Join(dir, "kubernetes.yaml")+"\n") {
			t.Error(got)
		}
		text, err := os.ReadFile(filepath.Join(dir, "kubernetes.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range append(want, "name: my-rates\n", "completions: 20\n", "parallelism: 7\n", "- /volume/a/rates\n", "- /volume/fashion\n") {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: no %q in\n%s", device, w, text)
			}
		}
		if gpu := strings.Contains(string(text), "/gpu:"); gpu != (device == "--gpu=amd.com/gpu") {
			t.Errorf("%s asks for a GPU: %v\n%s", device, gpu, text)
		}
	}
}
