package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/sync/semaphore"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// classified answers POST /api/classify.
type classified struct {
	Run          string             `json:"run"`
	Network      string             `json:"network"`
	Epoch        int                `json:"epoch"` // of the weights; 0 if unknown
	Predictions  trainer.Prediction `json:"predictions"`
	Explained    string             `json:"explained"` // the class whose map Heat is
	Input        string             `json:"input"`     // what the network sees: a PNG as a data URL
	Heat         string             `json:"heat"`      // where it sees the class; "" for a network without convolutions
	Milliseconds float64            `json:"milliseconds"`
}

// classify answers POST /api/classify?run=NAME, whose body is a picture's file, with what
// the run's model says of it. The class with the number label, or else the most probable
// one, is explained.
func (s *Server) classify(w http.ResponseWriter, r *http.Request) {
	answered, err := s.classifyBody(w, r)
	if err != nil {
		answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answered) // an error is the client's, who has gone
}

func (s *Server) classifyBody(w http.ResponseWriter, r *http.Request) (*classified, error) {
	if s.models.open == nil {
		return nil, fail(http.StatusNotFound, "this server does not classify")
	}
	if !s.rate.Allow() {
		return nil, fail(http.StatusTooManyRequests, "more than %d pictures per second: wait a moment", uploadRate)
	}
	if !s.uploads.TryAcquire(1) {
		return nil, fail(http.StatusServiceUnavailable, "%d pictures are being classified: wait a moment", mostUploads)
	}
	defer s.uploads.Release(1)
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	// The picture may have arrived slowly, and may wait for others: the answer's time begins later.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.patience + writeTimeout))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, fail(http.StatusRequestEntityTooLarge, "the picture's file has more than %d MiB", mostBytes>>20)
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, "the picture did not arrive: %v", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.patience)
	defer cancel()
	c, err := s.classifyFile(ctx, file, r)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fail(http.StatusServiceUnavailable, "classifying took more than %v: the network or the pictures before this one are too large", s.patience)
	}
	return c, err
}

// classifyFile classifies a picture's file as the request says.
func (s *Server) classifyFile(ctx context.Context, file []byte, r *http.Request) (c *classified, err error) {
	if err := s.decoding.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.decoding.Release(1)
	query := r.URL.Query()
	label := -1 // the most probable
	if text := query.Get("label"); text != "" {
		if label, err = strconv.Atoi(text); err != nil || label < 0 {
			return nil, fail(http.StatusBadRequest, "label is %q: want the number of a class", text)
		}
	}
	start := time.Now()
	img, err := picture.DecodeUpTo(bytes.NewReader(file), mostPixels)
	if err != nil {
		return nil, fail(http.StatusUnprocessableEntity, "%v", err)
	}
	c, err = s.classifyPicture(ctx, query.Get("run"), img, label)
	if err != nil {
		return nil, err
	}
	c.Milliseconds = float64(time.Since(start).Microseconds()) / 1e3
	return c, nil
}

// classifyPicture classifies a picture with the best weights of a finished run, or the
// latest of another.
func (s *Server) classifyPicture(ctx context.Context, run string, img image.Image, label int) (*classified, error) {
	dir, err := s.runFolder(run)
	if err != nil {
		return nil, err
	}
	weights := trainer.LastWeights
	if s.has(run, trainer.MetricsFile) {
		weights = trainer.BestWeights
	}
	m, release, err := s.models.get(ctx, filepath.Join(dir, filepath.FromSlash(weights)))
	if err != nil {
		return nil, err
	}
	defer release()
	in := m.Network.Input
	if label >= len(m.Network.Classes) {
		return nil, fail(http.StatusBadRequest, "label is %d: want the number of a class, 0 to %d", label, len(m.Network.Classes)-1)
	}
	input := m.Input(img, picture.InvertAuto)
	shape := dataset.Shape{H: in.H, W: in.W, C: in.C}
	list, err := m.Classify(ctx, dataset.Split{N: 1, Shape: shape, Images: input, Labels: []byte{0}})
	if err != nil {
		return nil, err
	}
	c := &classified{Run: run, Network: m.Network.Name, Epoch: m.Origin.Epoch, Predictions: list[0]}
	if label < 0 {
		label = list[0].Best().Label
	}
	c.Explained = m.Network.Classes[label]
	if c.Input, err = dataURL(dataset.Picture(input, shape)); err != nil || !m.Network.HasFeatures() {
		return c, err
	}
	if err := ctx.Err(); err != nil { // of the time; nothing ends what has begun
		return nil, err
	}
	heat, err := m.Explain(input, label, trainer.HiResCAM)
	if err == nil {
		c.Heat, err = dataURL(heat)
	}
	return c, err
}

// shownSize is the least height and width of a picture in an answer.
const shownSize = 224

// dataURL returns a picture, enlarged if it is small, as a PNG in a data URL.
func dataURL(img image.Image) (string, error) {
	b := img.Bounds()
	scale := max(1, shownSize/max(b.Dx(), b.Dy()))
	large := image.NewRGBA(image.Rect(0, 0, scale*b.Dx(), scale*b.Dy()))
	draw.NearestNeighbor.Scale(large, large.Rect, img, b, draw.Src, nil)
	var file bytes.Buffer
	if err := png.Encode(&file, large); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(file.Bytes()), nil
}

// models holds the model that was asked for last, and the backend of all.
type models struct {
	open    func() (kernels.Backend, error)
	lock    *semaphore.Weighted // of one, held while a model is in use
	backend kernels.Backend
	model   *trainer.Model
	path    string // of its weights
	stamp   fileStamp
}

// get returns the model of a file of weights, which is loaded again when it has changed,
// for use until release is called. It waits for others that use a model until the context
// ends.
func (m *models) get(ctx context.Context, path string) (model *trainer.Model, release func(), err error) {
	if err := m.lock.Acquire(ctx, 1); err != nil {
		return nil, nil, err
	}
	unlock := func() { m.lock.Release(1) }
	defer func() {
		if model == nil { // also after a panic
			unlock()
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fail(http.StatusConflict, "the run has no weights yet: wait for its first epoch")
	}
	if m.backend == nil {
		if m.backend, err = m.open(); err != nil {
			return nil, nil, err
		}
	}
	if now := (fileStamp{info.Size(), info.ModTime()}); m.model == nil || m.path != path || m.stamp != now {
		loaded, err := trainer.Load(path, m.backend)
		if err != nil {
			return nil, nil, err
		}
		if err := m.closeModel(); err != nil {
			return nil, nil, err
		}
		m.model, m.path, m.stamp = loaded, path, now
	}
	return m.model, unlock, nil
}

func (m *models) closeModel() error {
	if m.model == nil {
		return nil
	}
	old := m.model
	m.model = nil
	return old.Close()
}

// close frees the model and the backend.
func (m *models) close() error {
	_ = m.lock.Acquire(context.Background(), 1) // which does not end
	defer m.lock.Release(1)
	err := m.closeModel()
	if m.backend != nil {
		err = errors.Join(err, m.backend.Close())
		m.backend = nil
	}
	return err
}
