package web

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
)

// A panic while a model is loaded leaves the lock free for the next request.
func TestModelsAfterPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last.safetensors")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	m := &models{open: func() (kernels.Backend, error) { panic("a fault") }, lock: semaphore.NewWeighted(1)}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		m.get(t.Context(), path)
	}()
	if !m.lock.TryAcquire(1) {
		t.Error("the models are still locked")
	}
}

// A picture that waits for a slow network is put off after a while, and so is one whose
// own network is slow.
func TestClassifyInTime(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	late := func(why string) {
		t.Helper()
		r := ask(s, "POST", "/api/classify?run=conv", bytes.NewReader(boot(t, 1)))
		if said := text(t, r); r.StatusCode != http.StatusServiceUnavailable || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "classifying took more than") {
			t.Errorf("%s: status %d, %q; want 503 in one line", why, r.StatusCode, said)
		}
	}
	s.patience = time.Millisecond
	if !s.models.lock.TryAcquire(1) {
		t.Fatal("a new server uses a model")
	}
	late("another picture is being classified")
	s.models.lock.Release(1)
	s.patience = 0
	late("its own takes long")
	s.patience = patience
	if _, status := classifyPNG(t, s, "run=conv", boot(t, 1)); status != http.StatusOK {
		t.Errorf("in time: status %d", status)
	}
}

// A picture that has waited longer than an answer may take is still answered.
func TestClassifyLateAnswer(t *testing.T) {
	shorten(t, &writeTimeout, time.Second)
	s := newServer(t, Options{Folder: runs(t)})
	s.patience = 1500 * time.Millisecond
	if !s.models.lock.TryAcquire(1) {
		t.Fatal("a new server uses a model")
	}
	defer s.models.lock.Release(1)
	l, stop := start(t, s, "127.0.0.1:0")
	defer stop()
	r, err := http.Post(l.URL()+"api/classify?run=conv", "image/png", bytes.NewReader(boot(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if said := text(t, r); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, %q; want 503", r.StatusCode, said)
	}
}
