package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
)

// FuzzRequest sends whole requests, of which the body is a picture to classify. None
// makes the server panic, fail, or show what lies outside its folder.
func FuzzRequest(f *testing.F) {
	const secret = "what lies outside"
	dir := runs(f)
	for _, name := range []string{trainer.ArgsFile, trainer.ResultsFile, report.File, trainer.BestWeights} {
		path := filepath.Join(filepath.Dir(dir), "private", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(secret), 0o666); err != nil {
			f.Fatal(err)
		}
	}
	s := newServer(f, Options{Folder: dir})
	s.rate = rate.NewLimiter(rate.Inf, 1)
	guarded := newGuard(s, "", loopbackAddress, "")
	add := func(method, target string, body []byte, headers string) {
		f.Add([]byte(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost:8601\r\n%sContent-Length: %d\r\n\r\n%s", method, target, headers, len(body), body)))
	}
	picture := boot(f, 1)
	add("POST", "/api/classify?run=more/linear", picture, "")
	add("POST", "/api/classify?run=more/linear&label=9", picture, "Content-Type: image/png\r\n")
	add("POST", "/api/classify?run=more/linear&label=-1", picture[:40], "")
	add("POST", "/api/classify?run=../private", picture, "Origin: http://localhost:8601\r\n")
	for _, target := range []string{"/", "/app.js", "/api/runs", "/api/events?run=more/linear", "/report?run=more/linear", "/report?run=../private", "/report?run=..%2fprivate%00",
		"/report?run=more/linear/../../private", "/../private/report.html", "//private", "/api/events?run=%2e%2e/private"} {
		add("GET", target, nil, "")
	}
	add("GET", "/report?run=more/linear", nil, "Range: bytes=0-1,5-,-3\r\nIf-Modified-Since: x\r\n")
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // of a stream of events
		defer cancel()
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r.WithContext(ctx))
		if ctx.Err() == nil && w.Code >= 500 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte(secret)) {
			t.Errorf("%q answers what lies outside", r.URL)
		}
	})
}
