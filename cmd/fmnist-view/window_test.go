//go:build view && cgo

package main

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/cpuref"
	"github.com/fmnist-gpu/fmnist-gpu/gpu/gputest"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset/datasettest"
)

// childVariable makes this test program be fmnist-view.
const childVariable = "FMNIST_VIEW_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// need skips the test if the machine lacks a program, or fails it if
// FMNIST_REQUIRE_WINDOW is 1.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("FMNIST_REQUIRE_WINDOW") == "1" {
		t.Fatalf("FMNIST_REQUIRE_WINDOW is 1, but there is no %s", program)
	}
	t.Skipf("skipped: this test needs %s", program)
}

// display starts an X server without a screen, for the test's children.
func display(t *testing.T) {
	t.Helper()
	need(t, "Xvfb")
	need(t, "xdotool")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	// Without -noreset, the server resets whenever its last client disconnects, as xdotool
	// does while it looks for the window, and refuses connections meanwhile.
	x := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-noreset")
	x.ExtraFiles = []*os.File{write}
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() { x.Process.Kill(); x.Wait() })
	var number int
	if _, err := fmt.Fscan(read, &number); err != nil {
		t.Fatalf("Xvfb does not start: %v", err)
	}
	t.Setenv("DISPLAY", fmt.Sprint(":", number))
}

// view is a running fmnist-view.
type view struct {
	*testing.T
	process *exec.Cmd
	out     bytes.Buffer
	id      string // of the window
	dir     string // where it saves pictures
}

// start runs fmnist-view with the validation layer on.
func start(t *testing.T, args ...string) *view {
	t.Helper()
	return startAs(t, append([]string{"--validate"}, args...)...)
}

// startAs runs fmnist-view.
func startAs(t *testing.T, args ...string) *view {
	t.Helper()
	v := &view{T: t, process: exec.Command(os.Args[0], args...), dir: t.TempDir()}
	v.process.Env = append(os.Environ(), childVariable+"=1")
	v.process.Dir, v.process.Stdout, v.process.Stderr = v.dir, &v.out, &v.out
	if err := v.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.process.Process.Kill() })
	return v
}

// await waits until f succeeds.
func (v *view) await(what string, f func() bool) {
	v.Helper()
	for end := time.Now().Add(60 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			v.Fatalf("%s does not come: %s", what, v.out.String())
		}
	}
}

// do runs xdotool on the window.
func (v *view) do(command string, args ...string) {
	v.Helper()
	if out, err := exec.Command("xdotool", append([]string{command}, args...)...).CombinedOutput(); err != nil {
		v.Fatalf("xdotool %s: %v\n%s\n%s", command, err, out, v.out.String())
	}
}

// key types a key, as at the keyboard: there is no window manager to give the focus.
func (v *view) key(name string) {
	v.Helper()
	v.do("windowfocus", "--sync", v.id, "key", name)
}

// end waits for the end of the program and returns its exit code and all that it wrote.
func (v *view) end() (code int, out string) {
	done := time.AfterFunc(60*time.Second, func() { v.process.Process.Kill() })
	defer done.Stop()
	v.process.Wait()
	return v.process.ProcessState.ExitCode(), v.out.String()
}

// open waits for the window.
func (v *view) open() {
	v.Helper()
	v.await("the window", func() bool {
		out, _ := exec.Command("xdotool", "search", "--onlyvisible", "--name", "a-run").Output()
		v.id = strings.TrimSpace(string(out))
		return v.id != ""
	})
}

// resize resizes the window and waits for a picture of that size.
func (v *view) resize(width, height int) {
	v.Helper()
	v.do("windowsize", v.id, fmt.Sprint(width), fmt.Sprint(height))
	v.await(fmt.Sprintf("a picture of %d×%d", width, height), func() bool {
		w, h := v.picture()
		return w == width && h == height
	})
}

// picture saves a picture and returns its size.
func (v *view) picture() (width, height int) {
	v.Helper()
	v.key("s")
	v.await("a picture", func() bool {
		files, _ := filepath.Glob(filepath.Join(v.dir, "*.png"))
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				v.Fatal(err)
			}
			c, err := png.DecodeConfig(f)
			f.Close()
			if err != nil {
				return false // not written yet
			}
			width, height = c.Width, c.Height
			os.Remove(name)
		}
		return len(files) > 0
	})
	return width, height
}

// run trains a small network and returns its folder.
func trained(t *testing.T) string {
	t.Helper()
	b, err := cpuref.Open(cpuref.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data := datasettest.Subset(t)
	r := trainer.DefaultRecipe()
	r.Epochs = 1
	n, err := trainer.BuiltIn("logistic", data.Info)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a-run")
	if _, err := trainer.Train(t.Context(), r, n, data, b, trainer.Options{Dir: dir, LogEvery: 1}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The window lives through everything that a user does to it, and Vulkan's validation
// layer has nothing to say.
func TestWindow(t *testing.T) {
	display(t)
	dir := trained(t)
	v := start(t, dir, "--size", "900x600")
	v.open()
	if w, h := v.picture(); w != 900 || h != 600 {
		t.Errorf("the picture is %d×%d, want 900×600", w, h)
	}
	v.resize(1500, 950)
	v.resize(320, 200)
	v.do("windowsize", v.id, "1", "1")
	v.resize(700, 500)
	for range 20 { // faster than it draws
		v.do("windowsize", v.id, "640", "480", "windowsize", v.id, "1000", "700")
	}
	v.resize(800, 520)
	for _, key := range []string{"Right", "Left", "space", "Right", "space", "space", "x"} {
		v.key(key)
	}
	v.do("windowunmap", v.id) // as a minimised window is
	time.Sleep(300 * time.Millisecond)
	v.do("windowmap", v.id)
	v.resize(810, 530)
	v.key("q")
	if code, out := v.end(); code != 0 || out != "" {
		t.Errorf("exit code %d: %s", code, out)
	}
	for name, close := range map[string]func(*view){
		"Escape":  func(v *view) { v.key("Escape") },
		"SIGTERM": func(v *view) { v.process.Process.Signal(syscall.SIGTERM) },
	} {
		v := start(t, dir, "--device", "0")
		v.open()
		close(v)
		if code, out := v.end(); code != 0 || out != "" {
			t.Errorf("%s: exit code %d: %s", name, code, out)
		}
	}
	v = start(t, dir, "--measure", ".5")
	code, out := v.end()
	if code != 0 || !strings.Contains(out, "frames/s, 1280×800") {
		t.Errorf("--measure: exit code %d: %s", code, out)
	}
	t.Log(out)
}

// What cannot be shown is one line, and the exit code says what kind of problem it is.
func TestWindowErrors(t *testing.T) {
	display(t)
	blind := gputest.Driver{Name: "blind", Type: "discrete", Faults: map[string]int32{"vkGetPhysicalDeviceSurfaceSupportKHR": 0}}.Build(t) // says no
	for says, c := range map[string]struct {
		code int
		env  string
		args []string
	}{
		"display":                           {3, "DISPLAY=", []string{"RUN"}},
		"Vulkan":                            {3, "VK_DRIVER_FILES=/nonexistent", []string{"RUN"}},
		"Failed to retrieve vkEnumerate":    {3, "LD_LIBRARY_PATH=" + gputest.EmptyLoader(t), []string{"RUN"}},
		"no queue of it draws and presents": {3, "VK_DRIVER_FILES=" + blind, []string{"RUN"}},
		`no device has the index`:           {3, "", []string{"RUN", "--device", "99"}},
		"not a run's folder":                {4, "", []string{"."}},
		"there is no run in runs":           {2, "", nil},
		"unknown flag":                      {2, "", []string{"--no-such-flag"}},
		"want WIDTHxHEIGHT":                 {2, "", []string{"--size", "big"}},
		"no training is served":             {1, "", []string{"--attach", "127.0.0.1:1"}},
		"is not the address":                {2, "", []string{"--attach", "http://"}},
		"want at most the folder":           {2, "", []string{"a", "b"}},
	} {
		t.Run(says, func(t *testing.T) {
			for i, a := range c.args {
				if a == "RUN" {
					c.args[i] = t.TempDir()
				}
			}
			if name, value, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(name, value)
				if name == "VK_DRIVER_FILES" {
					t.Setenv("VK_ICD_FILENAMES", value)
				}
			}
			code, out := start(t, c.args...).end()
			if code != c.code || !strings.Contains(out, says) || strings.Count(out, "\n") != 1 {
				t.Errorf("exit code %d, want %d, and one line with %q: %s", code, c.code, says, out)
			}
		})
	}
}
