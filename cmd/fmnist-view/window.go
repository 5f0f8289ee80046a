//go:build view && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"log"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/go-gl/glfw/v3.3/glfw"

	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/canvas"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/painter"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/scene"
	"github.com/fmnist-gpu/fmnist-gpu/cmd/fmnist-view/internal/source"
	"github.com/fmnist-gpu/fmnist-gpu/gpu"
)

// framePause is the shortest time between two frames, unless the user does something:
// drawing must not slow down a training on the same device.
const framePause = 50 * time.Millisecond

// messageTime is how long a message is shown.
const messageTime = 5 * time.Second

// window is the window and what the user has done in it.
type window struct {
	glfw    *glfw.Window
	device  *gpu.Device
	painter *painter.Painter
	canvas  *canvas.Canvas

	source   *source.Source
	state    source.State // what is shown; held while paused
	inside   int          // version of the pictures in the atlas
	drawn    drawn
	paused   bool
	dirty    bool // the window must be drawn again
	message  string
	until    time.Time // end of the message
	restored [4]int    // place and size before full screen
	failed   error     // of a key
}

// drawn is what the last frame showed.
type drawn struct{ version, width, height int }

// openWindow opens the window and the device that draws it.
func openWindow(f flags, width, height int) (*window, error) {
	if err := initialise(); err != nil {
		return nil, fmt.Errorf("%w: there is no display to open a window on: %v", gpu.ErrNoDevice, err)
	}
	w := &window{canvas: &canvas.Canvas{Atlas: canvas.NewAtlas()}}
	err := callGLFW(func() (err error) {
		if w.glfw, err = glfw.CreateWindow(width, height, "fmnist-view", nil, nil); err == nil && w.glfw == nil {
			err = errors.New("GLFW does not say why")
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: cannot open a window: %v", gpu.ErrNoDevice, err), w.close())
	}
	var extensions []string
	err = callGLFW(func() error {
		if extensions = w.glfw.GetRequiredInstanceExtensions(); len(extensions) == 0 {
			return errors.New("the window system knows no way to do it with Vulkan")
		}
		return nil
	})
	if err != nil { // GLFW may have freed the Vulkan loader, and would crash if it did so again in close
		return nil, fmt.Errorf("%w: cannot present to a window: %v", gpu.ErrNoDevice, err)
	}
	g := w.glfw
	w.device, err = gpu.Open(f.device, gpu.Options{Validate: f.validate, Software: true,
		Window: &gpu.Window{Extensions: extensions, Surface: w.surface}})
	if err == nil {
		w.painter, err = painter.New(w.device)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	g.SetKeyCallback(w.key)
	g.SetRefreshCallback(func(*glfw.Window) { w.dirty = true })
	return w, nil
}

// initialise connects to the window system.
func initialise() error {
	return callGLFW(func() error {
		err := glfw.Init()
		if err == nil {
			glfw.WindowHint(glfw.ClientAPI, glfw.NoAPI) // panics if the bindings took a failure for success
		}
		return err
	})
}

// callGLFW calls f, which calls GLFW, and if that fails, returns GLFW's own reason where it
// gave one: its bindings log the reason, or keep it for the next call, which then logs it
// or panics.
func callGLFW(f func() error) (err error) {
	var said strings.Builder
	log.SetOutput(&said)
	log.SetFlags(0)
	defer func() {
		log.SetOutput(os.Stderr)
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("%v", panicked)
		}
		if err != nil && said.Len() > 0 {
			err = errors.New(strings.TrimSpace(said.String()))
		}
	}()
	err = f()
	if kept := glfw.Init(); err != nil && kept != nil { // initialised before, it only returns what was kept
		err = kept
	}
	return err
}

// surface makes the window's surface on a Vulkan instance.
func (w *window) surface(instance unsafe.Pointer) (surface uint64, err error) {
	err = callGLFW(func() error {
		address, err := w.glfw.CreateWindowSurface((*byte)(instance), nil)
		if err == nil {
			// The address is that of a variable that holds the surface. Nothing keeps the
			// variable alive, so it must be read at once.
			surface = **(**uint64)(unsafe.Pointer(&address))
		}
		return err
	})
	return surface, err
}

// close closes the window and frees the device.
func (w *window) close() error {
	var err error
	if w.device != nil {
		err = w.device.Close()
	}
	if w.glfw != nil {
		w.glfw.Destroy()
	}
	glfw.Terminate()
	return err
}

// show shows a run until the window is closed or ctx is cancelled; for a measurement, for
// so many seconds.
func (w *window) show(ctx context.Context, s *source.Source, measure float64) error {
	w.source = s
	w.state = s.State()
	if measure > 0 {
		return w.measure(time.Duration(measure * float64(time.Second)))
	}
	for !w.glfw.ShouldClose() && ctx.Err() == nil && w.failed == nil {
		if err := w.refresh(); err != nil {
			return err
		}
		glfw.WaitEventsTimeout(framePause.Seconds())
	}
	return w.failed
}

// refresh draws the window if it would look different.
func (w *window) refresh() error {
	if !w.paused {
		w.state = w.source.State()
	}
	if w.message != "" && time.Now().After(w.until) {
		w.message, w.dirty = "", true
	}
	width, height := w.glfw.GetFramebufferSize()
	if now := (drawn{w.state.Version, width, height}); w.dirty || now != w.drawn {
		shown, err := w.draw(width, height)
		if err != nil {
			return err
		}
		if shown { // else again
			w.drawn, w.dirty = now, false
		}
	}
	return nil
}

func (w *window) draw(width, height int) (shown bool, err error) {
	if w.inside != w.state.Inside.Version {
		w.inside = w.state.Inside.Version
		w.canvas.Atlas.Forget()
	}
	scale, _ := w.glfw.GetContentScale()
	w.canvas.Reset(width, height)
	scene.Draw(w.canvas, w.state, scene.Options{Scale: max(float64(scale), .5), Paused: w.paused, Message: w.message,
		Drawn: "drawn by " + w.device.Info().Name})
	if w.state.Run != "" {
		w.glfw.SetTitle(w.state.Run + " – fmnist-view")
	}
	return w.painter.Draw(w.canvas, scene.Background)
}

// measure draws frame after frame, at least ten. The first, for which letters are drawn and
// the swapchain is made, does not count.
func (w *window) measure(d time.Duration) error {
	if _, err := w.draw(w.glfw.GetFramebufferSize()); err != nil {
		return err
	}
	frames, start := 0, time.Now()
	for i := 0; (i < 10 || time.Since(start) < d) && !w.glfw.ShouldClose(); i++ {
		glfw.PollEvents()
		w.state = w.source.State()
		shown, err := w.draw(w.glfw.GetFramebufferSize())
		if err != nil {
			return err
		}
		if shown {
			frames++
		}
	}
	width, height := w.glfw.GetFramebufferSize()
	fmt.Printf("%.1f frames/s, %d×%d, %s\n", float64(frames)/time.Since(start).Seconds(), width, height, w.device.Info().Name)
	return nil
}

// key is called for every key.
func (w *window) key(_ *glfw.Window, key glfw.Key, _ int, action glfw.Action, _ glfw.ModifierKey) {
	if action == glfw.Release {
		return
	}
	w.dirty = true
	switch key {
	case glfw.KeyQ, glfw.KeyEscape:
		w.glfw.SetShouldClose(true)
	case glfw.KeySpace:
		w.paused = !w.paused
	case glfw.KeyLeft, glfw.KeyRight:
		if w.paused {
			w.paused = false // a sample of the present is not one of the moment held
		}
		w.source.Move(map[glfw.Key]int{glfw.KeyLeft: -1, glfw.KeyRight: 1}[key])
	case glfw.KeyS:
		name, err := w.save()
		if err != nil {
			w.say(fmt.Sprintf("the picture cannot be saved: %v", err))
			return
		}
		w.say("saved " + name)
	case glfw.KeyF:
		w.fullScreen()
	}
}

func (w *window) say(message string) { w.message, w.until = message, time.Now().Add(messageTime) }

// save writes the frame drawn last to a new file in the current folder.
func (w *window) save() (name string, err error) {
	img, err := w.painter.Picture()
	if err != nil {
		return "", err
	}
	base := "fmnist-view-" + time.Now().Format("20060102-150405")
	name = base + ".png"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	for i := 2; errors.Is(err, os.ErrExist); i++ {
		name = fmt.Sprintf("%s-%d.png", base, i)
		f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return "", err
	}
	if err = errors.Join(png.Encode(f, img), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return name, err
}

// fullScreen fills the screen, or goes back.
func (w *window) fullScreen() {
	if w.glfw.GetMonitor() != nil {
		w.glfw.SetMonitor(nil, w.restored[0], w.restored[1], w.restored[2], w.restored[3], 0)
		return
	}
	monitor := glfw.GetPrimaryMonitor()
	if monitor == nil {
		w.say("there is no screen to fill")
		return
	}
	w.restored[0], w.restored[1] = w.glfw.GetPos()
	w.restored[2], w.restored[3] = w.glfw.GetSize()
	mode := monitor.GetVideoMode()
	w.glfw.SetMonitor(monitor, 0, 0, mode.Width, mode.Height, mode.RefreshRate)
}
