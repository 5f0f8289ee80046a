package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// content is the content of the file fetched, which the tests download.
var content = append([]byte(gzipMagic), bytes.Repeat([]byte("0123456789abcdef"), 1000)...)

var fetched = file{name: "numbers", gzipSize: len(content), gzipSHA256: hexSHA256(content)}

// server is a mirror that records the Range header of each request.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

// serve starts a mirror that answers request number i by handle.
func serve(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, i int)) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/data/numbers.gz" {
			t.Errorf("request for %s", r.URL.Path)
		}
		s.mu.Lock()
		i := len(s.ranges)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		handle(w, r, i)
	}))
	t.Cleanup(s.Close)
	return s
}

// good serves the file with ranges.
func good(w http.ResponseWriter, r *http.Request, _ int) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// withoutRange serves the whole file for any range.
func withoutRange(w http.ResponseWriter, _ *http.Request, _ int) { w.Write(content) }

// status returns a mirror that answers with an HTTP status.
func status(code int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
}

// fetchFrom fetches the file from mirrors, of which each gets two rounds, and
// returns its path.
func fetchFrom(ctx context.Context, dir string, mirrors ...*server) (string, error) {
	f := fetcher{client: &http.Client{}, answer: 5 * time.Second, stall: 5 * time.Second, pause: time.Millisecond, rounds: 2}
	f.Progress = func(string, int64, int64) {}
	f.Log = func(string) {}
	for _, m := range mirrors {
		f.Mirrors = append(f.Mirrors, m.URL+"/data/")
	}
	return filepath.Join(dir, "numbers.gz"), f.fetch(ctx, dir, fetched)
}

// checkFetched fails the test unless the file is right, and its folder holds no other
// files than those named.
func checkFetched(t *testing.T, path string, err error, others ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, content) {
		t.Fatalf("%d bytes, %v; want %d", len(b), err, len(content))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1+len(others) {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil {
			t.Error(err)
		}
	}
}

// checkRequests fails the test unless the mirror got requests with these
// ranges.
func checkRequests(t *testing.T, s *server, ranges ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprintf("%q", s.ranges) != fmt.Sprintf("%q", ranges) {
		t.Errorf("requests with the ranges %q, want %q", s.ranges, ranges)
	}
}

// putPart leaves a part of a download in a new folder.
func putPart(t *testing.T, b []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "numbers.gz.part"), b, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFetch(t *testing.T) {
	s := serve(t, good)
	path, err := fetchFrom(t.Context(), t.TempDir(), s)
	checkFetched(t, path, err)
	checkRequests(t, s, "")
	// A second time: the file is already there.
	path, err = fetchFrom(t.Context(), filepath.Dir(path), s)
	checkFetched(t, path, err)
	checkRequests(t, s, "")
}

// A file with other content, perhaps MNIST's, is kept under another name, but only
// after a good file was downloaded.
func TestFetchKeepsOtherContentAside(t *testing.T) {
	s, offline := serve(t, good), serve(t, status(http.StatusNotFound))
	dir := t.TempDir()
	path := filepath.Join(dir, "numbers.gz")
	for i, name := range []string{"numbers.gz.bad", "numbers.gz.bad2"} {
		if err := os.WriteFile(path, []byte("MNIST"), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := fetchFrom(t.Context(), dir, offline); err == nil {
			t.Error("no error")
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "MNIST" {
			t.Errorf("after a failure the file holds %q (%v)", b, err)
		}
		path, err := fetchFrom(t.Context(), dir, s)
		checkFetched(t, path, err, []string{"numbers.gz.bad", "numbers.gz.bad2"}[:i+1]...)
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "MNIST" {
			t.Errorf("%s holds %q (%v)", name, b, err)
		}
	}
}

// useSmallFiles makes the dataset four small files for a test, and returns their
// content by name, as published and packed.
func useSmallFiles(t *testing.T) (plain, packed map[string][]byte) {
	t.Helper()
	before := files
	t.Cleanup(func() { files = before })
	plain, packed = map[string][]byte{}, map[string][]byte{}
	for i := range files {
		f := &files[i]
		plain[f.name] = bytes.Repeat([]byte(f.name), 1000)
		packed[f.name] = packWith(t, gzip.BestCompression, plain[f.name])
		f.size, f.sha256 = len(plain[f.name]), hexSHA256(plain[f.name])
		f.gzipSize, f.gzipSHA256 = len(packed[f.name]), hexSHA256(packed[f.name])
	}
	return plain, packed
}

func packWith(t *testing.T, level int, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// mirror serves packed files and counts the requests.
func mirror(t *testing.T, packed map[string][]byte) (url string, requests *atomic.Int32) {
	t.Helper()
	requests = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".gz")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(packed[name]))
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

// quick returns a fetcher that does not wait long.
func quick(url string) *fetcher {
	f := newFetcher(FetchOptions{Mirrors: []string{url}})
	f.pause, f.rounds = time.Millisecond, 2
	return f
}

// snapshotOf returns the files under dir with their content.
func snapshotOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Files that Check finds good are neither downloaded nor changed, in any layout, name
// and packing.
func TestFetchKeepsWhatIsGood(t *testing.T) {
	plain, packed := useSmallFiles(t)
	for name, put := range map[string]func(name string) (path string, content []byte){
		"published":       func(n string) (string, []byte) { return n + ".gz", packed[n] },
		"unpacked":        func(n string) (string, []byte) { return n, plain[n] },
		"repacked":        func(n string) (string, []byte) { return n + ".gz", packWith(t, gzip.BestSpeed, plain[n]) },
		"plain as gz":     func(n string) (string, []byte) { return n + ".gz", plain[n] },
		"torchvision":     func(n string) (string, []byte) { return "FashionMNIST/raw/" + n, plain[n] },
		"clone":           func(n string) (string, []byte) { return "data/fashion/" + n + ".gz", packed[n] },
		"dots":            func(n string) (string, []byte) { return strings.Replace(n, "-idx", ".idx", 1), plain[n] },
		"beside a broken": func(n string) (string, []byte) { return n, plain[n] },
	} {
		dir := t.TempDir()
		for _, f := range files {
			path, content := put(f.name)
			path = filepath.Join(dir, path)
			touch(t, filepath.Dir(path))
			if err := os.WriteFile(path, content, 0o666); err != nil {
				t.Fatal(err)
			}
			if name == "beside a broken" {
				touch(t, dir, f.gzipName())
			}
		}
		before := snapshotOf(t, dir)
		url, requests := mirror(t, packed)
		if _, err := quick(url).fetchTo(t.Context(), dir); err != nil || requests.Load() != 0 {
			t.Errorf("%s: %v after %d requests", name, err, requests.Load())
		}
		if after := snapshotOf(t, dir); !maps.Equal(before, after) {
			t.Errorf("%s: the folder changed", name)
		}
		loc, err := Find(Search{Dir: dir})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range Check(loc) {
			if !s.OK || (len(s.Ignored) > 0) != (name == "beside a broken") {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

// Missing and damaged files are downloaded next to the other files; without a
// connection, nothing changes.
func TestFetchMends(t *testing.T) {
	plain, packed := useSmallFiles(t)
	root := t.TempDir()
	raw := filepath.Join(root, "FashionMNIST", "raw")
	touch(t, raw, files[0].gzipName()) // empty
	for _, f := range files[1:3] {
		if err := os.WriteFile(filepath.Join(raw, f.name), plain[f.name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshotOf(t, root)
	if _, err := quick("http://127.0.0.1:9").fetchTo(t.Context(), root); err == nil || !maps.Equal(before, snapshotOf(t, root)) {
		t.Errorf("offline: %v; the folder holds %v", err, slices.Collect(maps.Keys(snapshotOf(t, root))))
	}
	url, requests := mirror(t, packed)
	dir, err := quick(url).fetchTo(t.Context(), root)
	if err != nil || dir != raw || requests.Load() != 2 {
		t.Errorf("%s, %v after %d requests, want %s after 2", dir, err, requests.Load(), raw)
	}
	want := maps.Clone(before)
	want[filepath.Join(raw, files[0].gzipName())] = string(packed[files[0].name])
	want[filepath.Join(raw, files[0].gzipName()+".bad")] = ""
	want[filepath.Join(raw, files[3].gzipName())] = string(packed[files[3].name])
	if after := snapshotOf(t, root); !maps.Equal(want, after) {
		t.Errorf("the folder holds %v", slices.Collect(maps.Keys(after)))
	}
}

// Of several downloads to one folder at once, one downloads and the others wait.
func TestFetchAtOnce(t *testing.T) {
	_, packed := useSmallFiles(t)
	url, requests := mirror(t, packed)
	dir := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := quick(url).fetchTo(t.Context(), dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := requests.Load(); n != 4 {
		t.Errorf("%d requests, want one for each file", n)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 4 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

func TestFetchResumes(t *testing.T) {
	s := serve(t, good)
	path, err := fetchFrom(t.Context(), putPart(t, content[:10000]), s)
	checkFetched(t, path, err)
	checkRequests(t, s, "bytes=10000-")
}

func TestFetchFinishedPart(t *testing.T) {
	s := serve(t, good)
	path, err := fetchFrom(t.Context(), putPart(t, content), s)
	checkFetched(t, path, err)
	checkRequests(t, s)
}

func TestFetchWrongPart(t *testing.T) {
	for name, part := range map[string][]byte{
		"other bytes": make([]byte, 10000), "as long": make([]byte, len(content)), "longer": make([]byte, len(content)+5),
	} {
		s := serve(t, good)
		path, err := fetchFrom(t.Context(), putPart(t, part), s)
		checkFetched(t, path, err)
		if last := s.ranges[len(s.ranges)-1]; last != "" {
			t.Errorf("%s: the last request has the range %s, want all", name, last)
		}
	}
}

func TestFetchServerWithoutRange(t *testing.T) {
	s := serve(t, withoutRange)
	path, err := fetchFrom(t.Context(), putPart(t, content[:10000]), s)
	checkFetched(t, path, err)
	checkRequests(t, s, "bytes=10000-")
}

// The page of a network that wants a login, in place of the file, costs no earlier bytes.
func TestFetchPage(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.(http.Flusher).Flush() // a page of unknown length
		w.Write([]byte("<html>sign in</html>"))
	}
	bad, s := serve(t, page), serve(t, good)
	dir := putPart(t, content[:10000])
	if _, err := fetchFrom(t.Context(), dir, bad); err == nil || !strings.Contains(err.Error(), "did not send a gzip file") {
		t.Errorf("error %v", err)
	}
	path, err := fetchFrom(t.Context(), dir, bad, s)
	checkFetched(t, path, err)
	checkRequests(t, s, "bytes=10000-")
}

// Messages do not show the password of a mirror.
func TestFetchHidesPassword(t *testing.T) {
	s := serve(t, status(http.StatusNotFound))
	var log []string
	f := newFetcher(FetchOptions{Mirrors: []string{strings.Replace(s.URL, "://", "://user:secret@", 1) + "/data"}, Log: func(line string) { log = append(log, line) }})
	f.rounds = 1
	err := f.fetch(t.Context(), t.TempDir(), fetched)
	const redacted = "user:xxxxx@" // as url.URL.Redacted shows a password
	if text := fmt.Sprint(log, err); strings.Contains(text, "secret") || strings.Count(text, redacted) != 2 {
		t.Errorf("%s", text)
	}
}

// A mirror whose file became shorter answers 416, one that became longer
// another total in Content-Range: start over.
func TestFetchServerCannotContinue(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"416": func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
		"other size": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 10000-10001/10002")
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte{1, 2})
		},
		"other start": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 9000-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[9000:])
		},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request, i int) {
			if r.Header.Get("Range") != "" {
				refuse(w)
				return
			}
			good(w, r, i)
		})
		path, err := fetchFrom(t.Context(), putPart(t, content[:10000]), s)
		t.Log(name)
		checkFetched(t, path, err)
		checkRequests(t, s, "bytes=10000-", "")
	}
}

func TestFetchNextMirror(t *testing.T) {
	wrong := bytes.Clone(content)
	wrong[5] ^= 1
	for name, handle := range map[string]func(http.ResponseWriter, *http.Request, int){
		"404":       status(http.StatusNotFound),
		"wrong":     func(w http.ResponseWriter, _ *http.Request, _ int) { w.Write(wrong) },
		"page":      func(w http.ResponseWriter, _ *http.Request, _ int) { w.Write([]byte("<html>sign in</html>")) },
		"longer":    func(w http.ResponseWriter, _ *http.Request, _ int) { w.Write(append(wrong, wrong...)) },
		"500":       status(http.StatusInternalServerError),
		"cut short": cut(3000),
	} {
		bad, s := serve(t, handle), serve(t, good)
		path, err := fetchFrom(t.Context(), t.TempDir(), bad, s)
		t.Log(name)
		checkFetched(t, path, err)
		checkRequests(t, bad, "")
		if name == "cut short" { // what came before is not lost
			checkRequests(t, s, "bytes=3000-")
		} else {
			checkRequests(t, s, "")
		}
	}
}

// cut returns a mirror that breaks the connection n bytes after the offset
// asked for.
func cut(n int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, r *http.Request, _ int) {
		var offset int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &offset)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-offset))
		if offset > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(content[offset:min(offset+n, len(content))])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestFetchTriesAgain(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, i int) {
		if i == 0 {
			cut(5000)(w, r, i)
		}
		good(w, r, i)
	})
	path, err := fetchFrom(t.Context(), t.TempDir(), s)
	checkFetched(t, path, err)
	checkRequests(t, s, "", "bytes=5000-")
}

func TestFetchFails(t *testing.T) {
	gone, broken := serve(t, status(http.StatusGone)), serve(t, status(http.StatusServiceUnavailable))
	path, err := fetchFrom(t.Context(), t.TempDir(), gone, broken)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"cannot download numbers.gz", gone.URL, "410 Gone", broken.URL, "503 Service Unavailable", "name another mirror"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has several lines", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
	checkRequests(t, gone, "") // no use to ask again
	checkRequests(t, broken, "", "")
}

// Fetch itself, with its defaults, stops at the first file that no mirror has.
func TestFetchFirstFileMissing(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	var lines []string
	_, err := Fetch(t.Context(), dir, FetchOptions{Mirrors: []string{s.URL}, Log: func(line string) { lines = append(lines, line) }})
	if err == nil || !strings.Contains(err.Error(), "cannot download train-images-idx3-ubyte.gz: "+s.URL+"/train-images-idx3-ubyte.gz: 404 Not Found") {
		t.Errorf("error %v", err)
	}
	if len(lines) != 1 || !strings.HasSuffix(lines[0], "404 Not Found") {
		t.Errorf("log %q", lines)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made for nothing (%v)", err)
	}
}

func TestFetchStall(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:100])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	f := fetcher{client: &http.Client{}, answer: 5 * time.Second, stall: 50 * time.Millisecond, rounds: 1}
	f.Mirrors, f.Progress, f.Log = []string{s.URL + "/data"}, func(string, int64, int64) {}, func(string) {}
	dir := t.TempDir()
	if err := f.fetch(t.Context(), dir, fetched); err == nil || !strings.Contains(err.Error(), "no data for 50ms") {
		t.Errorf("error %v", err)
	}
	if n := sizeOf(filepath.Join(dir, "numbers.gz.part")); n != 100 {
		t.Errorf("the part has %d bytes, want 100", n)
	}
}

func TestFetchWithoutAnswer(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	f := fetcher{client: &http.Client{}, answer: 50 * time.Millisecond, stall: 5 * time.Second, rounds: 2}
	var log []string
	f.Mirrors, f.Progress, f.Log = []string{s.URL + "/data"}, func(string, int64, int64) {}, func(line string) { log = append(log, line) }
	if err := f.fetch(t.Context(), t.TempDir(), fetched); err == nil || !strings.Contains(err.Error(), "no answer for 50ms") {
		t.Errorf("error %v", err)
	}
	if len(log) != 2 || !strings.Contains(log[1], "trying again, attempt 2 of 2") {
		t.Errorf("log %q", log)
	}
}

func TestFetchInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	dir := t.TempDir()
	s := serve(t, func(w http.ResponseWriter, r *http.Request, i int) {
		if i == 0 {
			w.Write(content[:7000])
			w.(http.Flusher).Flush()
			for sizeOf(filepath.Join(dir, "numbers.gz.part")) == 0 && r.Context().Err() == nil {
				time.Sleep(time.Millisecond) // until the client has taken some of it
			}
			interrupt()
			<-r.Context().Done()
			return
		}
		good(w, r, i)
	})
	if _, err := fetchFrom(ctx, dir, s); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "continues it") {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if n := sizeOf(filepath.Join(dir, "numbers.gz.part")); n == 0 {
		t.Fatal("what was downloaded is lost")
	}
	path, err := fetchFrom(t.Context(), dir, s)
	checkFetched(t, path, err)
	if s.ranges[1] == "" {
		t.Error("the second download starts over")
	}
}

func TestFetchLocalFailureIsFinal(t *testing.T) {
	s := serve(t, good)
	dir := t.TempDir()
	// A folder in the place of the part cannot be written.
	if err := os.Mkdir(filepath.Join(dir, "numbers.gz.part"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := fetchFrom(t.Context(), dir, s); err == nil || !strings.Contains(err.Error(), "numbers.gz.part") || len(s.ranges) > 1 {
		t.Errorf("error %v after %d requests", err, len(s.ranges))
	}
}

// The error of a full disk says what to do, and the part is removed.
func TestFetchDiskFull(t *testing.T) {
	part := filepath.Join(t.TempDir(), "numbers.gz.part")
	touch(t, filepath.Dir(part), filepath.Base(part))
	full := fmt.Errorf("http://example.org: %w", &fs.PathError{Op: "write", Path: part, Err: syscall.ENOSPC})
	if !isLocal(full) {
		t.Error("a full disk is taken for a mirror's failure")
	}
	err := localFailure(full, part)
	if err == nil || !strings.HasPrefix(err.Error(), "write "+part) || !strings.Contains(err.Error(), "30 MB") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(part); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part is still there (%v)", err)
	}
}

func TestFetchProgress(t *testing.T) {
	s := serve(t, good)
	f := fetcher{client: &http.Client{}, answer: 5 * time.Second, stall: 5 * time.Second, rounds: 1}
	var first, last int64
	f.Progress = func(name string, done, total int64) {
		if first == 0 {
			first = done
		}
		if name != "numbers" || done < last || total != int64(len(content)) {
			t.Errorf("progress %s %d of %d after %d", name, done, total, last)
		}
		last = done
	}
	f.Mirrors, f.Log = []string{s.URL + "/data"}, func(string) {}
	if err := f.fetch(t.Context(), putPart(t, content[:10000]), fetched); err != nil {
		t.Fatal(err)
	}
	if first < 10000 || last != int64(len(content)) {
		t.Errorf("progress from %d to %d, want from above 10000 to %d", first, last, len(content))
	}
}

func TestFetchDir(t *testing.T) {
	useSmallFiles(t) // which no folder of the system has
	for _, c := range []struct {
		search Search
		want   string
	}{
		{Search{Dir: "/a", Cache: "/c"}, "/a"},
		{Search{Cache: "/c"}, filepath.Join("/c", "data")},
	} {
		if got, err := FetchDir(c.search); err != nil || got != c.want {
			t.Errorf("FetchDir(%+v) is %q, %v; want %q", c.search, got, err, c.want)
		}
	}
	if got, err := FetchDir(Search{}); err == nil {
		t.Errorf("no error without any folder, but %q", got)
	}
}
