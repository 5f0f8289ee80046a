package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
)

// Load reads and verifies the four files at loc. It checks the SHA-256 of a file as
// it is, or of its content if its packing is unknown. Of several copies of a file, it
// uses the first good one. The error is [ErrBadData] and names the file, the expected
// and the actual size and hash.
func Load(loc Location) (*Dataset, error) {
	d := &Dataset{Info: FashionMNIST, Framing: picture.FrameObject, Dir: loc.Dir, SHA256: map[string]string{}}
	var idx [len(files)]IDX
	var paths [len(files)]string
	for i, r := range loadAll(loc) {
		if r.err != nil {
			return nil, r.err
		}
		x, err := ParseIDX(r.content)
		if err != nil {
			return nil, badData("%s: %v", r.path, err)
		}
		idx[i], paths[i] = x, r.path
		if damaged := loc.paths[i][0]; r.path != damaged {
			d.Notes = append(d.Notes, fmt.Sprintf("%s is damaged: %s is used instead.", damaged, r.path))
		}
		d.SHA256[files[i].name] = files[i].sha256
	}
	var errTrain, errTest error
	d.Train, errTrain = newSplit(paths[trainImages], idx[trainImages], paths[trainLabels], idx[trainLabels].Data)
	d.Test, errTest = newSplit(paths[testImages], idx[testImages], paths[testLabels], idx[testLabels].Data)
	if err := errors.Join(errTrain, errTest); err != nil {
		return nil, err
	}
	d.join()
	return d, nil
}

// join moves the test images beside the training images if there is room; see [Adjacent].
func (d *Dataset) join() {
	n, test := len(d.Train.Images), len(d.Test.Images)
	if n+test <= cap(d.Train.Images) {
		all := append(d.Train.Images, d.Test.Images...)
		d.Train.Images, d.Train.memory = all[:n:n], all
		d.Test.Images = all[n : n+test : n+test]
	}
}

// FileStatus says where one of the four files was found and whether it is good.
type FileStatus struct {
	Name   string `json:"name"`   // of the uncompressed file
	Path   string `json:"path"`   // "" if it was not found
	Bytes  int    `json:"bytes"`  // of the file as it is
	SHA256 string `json:"sha256"` // of the file as it is
	OK     bool   `json:"ok"`     // its content is Fashion-MNIST's
	// Ignored are other copies of the file that are damaged.
	Ignored []string `json:"ignored,omitempty"`
	// Problem says what is wrong, "" if the file is OK. Err is the same as an error,
	// which is [ErrBadData] and mostly a [FetchError].
	Problem string `json:"problem,omitempty"`
	Err     error  `json:"-"`
}

// Check reads and verifies the files at loc as [Load] does and reports on each.
// Unlike Load, it accepts a Location that [Find] returned with an error.
func Check(loc Location) []FileStatus {
	status := make([]FileStatus, len(files))
	for i, r := range loadAll(loc) {
		status[i] = FileStatus{Name: files[i].name, Path: r.path, Bytes: r.size, SHA256: r.sha256, OK: r.err == nil, Err: r.err}
		if r.err != nil {
			status[i].Problem = r.err.Error()
		}
		for _, path := range loc.paths[i] {
			if path != r.path && !files[i].isGood(path) {
				status[i].Ignored = append(status[i].Ignored, path)
			}
		}
	}
	return status
}

// loaded is the result of reading one file.
type loaded struct {
	path    string
	content []byte // unpacked
	size    int    // of the file as it is
	sha256  string // of the file as it is
	err     error
}

// loadAll loads the files concurrently. It begins with the largest, in both forms, since
// to hash those takes longer than everything else before the first training step.
func loadAll(loc Location) (result [len(files)]loaded) {
	var scans errgroup.Group
	scans.SetLimit(runtime.GOMAXPROCS(0))
	var unpacked [len(files)][]byte
	for _, i := range [...]int{trainImages, testImages, trainLabels, testLabels} {
		scans.Go(func() error { unpacked[i] = files[i].readUnpacked(loc.unpacked); return nil })
		if len(loc.paths[i]) > 0 {
			scans.Go(func() error { result[i] = files[i].scan(loc.paths[i][0]); return nil })
		}
	}
	_ = scans.Wait()
	var unpacks sync.WaitGroup
	for i := range files {
		unpacks.Go(func() { result[i] = loc.loadFirst(i, result[i], unpacked[i]) })
	}
	unpacks.Wait()
	return result
}

// loadFirst loads the first good copy of file n, of which the first copy and the unpacked
// one have been read. If none is good, it returns the result of the first.
func (l Location) loadFirst(n int, first loaded, unpacked []byte) loaded {
	f := files[n]
	if len(l.paths[n]) == 0 {
		return loaded{err: needFetch(l.Dir, "%s is missing", f.gzipName())}
	}
	first = f.load(first, l.unpacked, unpacked)
	if first.err == nil {
		return first
	}
	for _, path := range l.paths[n][1:] {
		if r := f.load(f.scan(path), l.unpacked, unpacked); r.err == nil {
			return r
		}
	}
	return first
}

// load verifies a file that has been read, and unpacks it unless its content is in
// unpacked. The folder copies holds unpacked copies.
func (f file) load(r loaded, copies string, unpacked []byte) loaded {
	switch {
	case r.err != nil:
		r.err = unreadable(r.path, r.err)
	case r.sha256 == f.sha256:
	case f.knowsPacking(r.sha256):
		if r.content = unpacked; r.content == nil {
			if r.content = f.repacked(r.path); r.content != nil {
				f.writeUnpacked(copies, r.content)
			}
		}
	default: // packed differently, or another file
		r.content = f.repacked(r.path)
	}
	if r.err == nil && r.content == nil {
		r.err = f.mismatch(r.path, r)
	}
	return r
}

// chunk is the number of bytes that are read at a time: while they are hashed, they are in
// the processor's cache.
const chunk = 256 << 10

// scan reads and hashes the file at path. Of a packed file it keeps no content.
func (f file) scan(path string) loaded {
	r := loaded{path: path}
	in, err := limitedfile.OpenAtMost(path, maxContent)
	if err != nil {
		r.err = err
		return r
	}
	defer in.Close()
	begin, hash := bufio.NewReaderSize(in, chunk), sha256.New()
	if two, _ := begin.Peek(2); isGzip(two) {
		var n int64
		n, r.err = begin.WriteTo(hash)
		r.size = int(n)
	} else {
		r.content, r.err = f.read(begin, int(in.Size), hash)
		r.size = len(r.content)
	}
	r.sha256 = hex.EncodeToString(hash.Sum(nil))
	return r
}

// read reads a file of about the given size. Another goroutine hashes it meanwhile.
func (f file) read(in io.Reader, size int, hash io.Writer) ([]byte, error) {
	parts, hashed := make(chan []byte, size/chunk+1), make(chan struct{})
	go func() {
		defer close(hashed)
		for part := range parts {
			hash.Write(part)
		}
	}()
	content := make([]byte, 0, size+max(f.room, 1)) // 1 to see the end
	var err error
	for err == nil {
		content = slices.Grow(content, 1)
		n := 0
		part := content[len(content):min(len(content)+chunk, cap(content))]
		n, err = in.Read(part)
		parts <- part[:n]
		content = content[:len(content)+n]
	}
	close(parts)
	<-hashed
	if err == io.EOF {
		err = nil
	}
	return content, err
}

// unreadable returns the error of a file that cannot be read.
func unreadable(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return badData("%v; make it readable, or name another folder", err)
	}
	return needFetch(filepath.Dir(path), "%v", err)
}

// repacked returns the file's content from any packing, or nil.
func (f file) repacked(path string) []byte {
	raw, err := readLimited(path)
	if err != nil || !isGzip(raw) {
		return nil
	}
	content, err := gunzip(raw, f.size+f.room, f.size)
	if err != nil || hexSHA256(content) != f.sha256 {
		return nil
	}
	return content
}

// isGood reports whether the file at path has the right content, in any packing.
func (f file) isGood(path string) bool {
	r := f.scan(path)
	return r.err == nil && (r.sha256 == f.sha256 || f.knowsPacking(r.sha256) || f.repacked(path) != nil)
}

func (f file) knowsPacking(sha256 string) bool {
	return sha256 == f.gzipSHA256 || sha256 == f.debianSHA256
}

// mismatch returns the error of a file with other content.
func (f file) mismatch(path string, r loaded) error {
	wantSize, wantSHA256 := f.size, f.sha256
	if filepath.Ext(path) == ".gz" {
		wantSize, wantSHA256 = f.gzipSize, f.gzipSHA256
	}
	return needFetch(filepath.Dir(path), "%s is damaged or not Fashion-MNIST: found %d bytes with SHA-256 %s, expected %d bytes with SHA-256 %s",
		path, r.size, r.sha256, wantSize, wantSHA256)
}

// Unpacking takes five times as long as everything else before the first training
// step, so an unpacked copy is kept in a cache folder, if there is one. It is used only in
// place of a file that is known to unpack to it, and only if its own hash is correct,
// so it does no harm if it is missing, cut short or stale.

// readUnpacked returns the content of f in the folder copies, or nil.
func (f file) readUnpacked(copies string) []byte {
	if copies == "" {
		return nil
	}
	r := f.scan(filepath.Join(copies, f.name))
	if r.err != nil || r.sha256 != f.sha256 {
		return nil
	}
	return r.content
}

// writeUnpacked stores the content of f in the folder copies. This is only an
// optimisation: if the folder is not writable, the next start takes longer, and no
// error is reported.
func (f file) writeUnpacked(copies string, content []byte) {
	if copies == "" || os.MkdirAll(copies, 0o777) != nil {
		return
	}
	path := filepath.Join(copies, f.name)
	if os.WriteFile(path, content, 0o666) != nil {
		os.Remove(path) // do not keep a partial file on a full disk
	}
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
