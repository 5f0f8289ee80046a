package dataset

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/filelock"
)

// Mirrors are the public base URLs of the four gzip files, in the order in which
// [Fetch] tries them: the authors' bucket, their repository, and the copy
// that Keras downloads.
var Mirrors = []string{
	"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
	"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
	"https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
}

// FetchOptions adjusts [Fetch].
type FetchOptions struct {
	// Mirrors are base URLs to try in order; none means [Mirrors].
	Mirrors []string
	// Progress, if not nil, is called as bytes arrive, with a file's name, the
	// number of bytes downloaded and the file's size.
	Progress func(name string, done, total int64)
	// Log, if not nil, is called with a line for each finished file and each
	// failure of a mirror.
	Log func(line string)
}

// FetchDir returns the folder to give to [Fetch]: s.Dir or, if that is empty, the
// folder in which [Find] finds the whole dataset, or else the folder of downloads in
// s.Cache. It is an error if all are empty.
func FetchDir(s Search) (string, error) {
	if s.Dir != "" {
		return s.Dir, nil
	}
	if loc, err := Find(s); err == nil {
		if _, err := Load(loc); err == nil {
			return loc.Dir, nil
		}
	}
	if dir := s.downloads(); dir != "" {
		return dir, nil
	}
	return "", errors.New("no folder to download to: none is named, and the system has no cache folder for this user")
}

// Fetch downloads the gzip files that the folder dir lacks, next to the files that
// are there, and returns the folder that they are in. It neither changes nor
// downloads files that [Check] finds good, whatever their layout, name and packing.
//
// A download is NAME.part until its SHA-256 is verified. Only then is a damaged file
// of the same name renamed to NAME.bad. A later call continues a NAME.part, so a
// cancelled context or a lost connection wastes nothing. If nothing is downloaded, no
// folder is left behind. A second Fetch to the same folder waits for the first.
//
// Mirrors with temporary failures (a lost connection, no answer for 10 s, no
// data for 30 s, a server error) are tried four times in all, with growing pauses. The error names the file
// and the last failure of each mirror.
func Fetch(ctx context.Context, dir string, options FetchOptions) (string, error) {
	return newFetcher(options).fetchTo(ctx, dir)
}

// newFetcher returns a fetcher with defaults for the options that are not set.
func newFetcher(options FetchOptions) *fetcher {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // otherwise .gz files might arrive unpacked
	f := &fetcher{
		FetchOptions: options,
		client:       &http.Client{Transport: transport},
		answer:       10 * time.Second,
		stall:        30 * time.Second,
		pause:        time.Second,
		rounds:       4,
	}
	if len(f.Mirrors) == 0 {
		f.Mirrors = Mirrors
	}
	if f.Progress == nil {
		f.Progress = func(string, int64, int64) {}
	}
	if f.Log == nil {
		f.Log = func(string) {}
	}
	return f
}

// fetchTo is [Fetch].
func (f *fetcher) fetchTo(ctx context.Context, dir string) (string, error) {
	if isFile(dir) {
		return dir, badData("%s is a file, not a folder; name a folder to download to", dir)
	}
	loc, _ := look(Search{}, dir)
	var lacking []file
	for i, r := range loadAll(loc) {
		if r.err != nil {
			lacking = append(lacking, files[i])
		} else {
			f.Log(r.path + ": already there")
		}
	}
	return loc.Dir, f.fetchAll(ctx, loc.Dir, lacking)
}

// fetchAll downloads files to dir, which it creates if necessary and leaves
// unchanged if nothing is downloaded.
func (f *fetcher) fetchAll(ctx context.Context, dir string, list []file) error {
	if len(list) == 0 {
		return nil
	}
	defer removeEmpty(missingDirs(dir))
	unlock, err := f.lock(ctx, dir)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("cannot write to the folder %s (%w): name another folder", dir, err)
	}
	if err != nil {
		return err
	}
	defer unlock()
	for _, file := range list {
		if err := f.fetch(ctx, dir, file); err != nil {
			return err
		}
	}
	return nil
}

// missingDirs returns dir and the folders above it that do not exist, the
// innermost first.
func missingDirs(dir string) []string {
	var missing []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			return missing
		}
		missing = append(missing, d)
	}
}

// removeEmpty removes those of the folders that are empty.
func removeEmpty(dirs []string) {
	for _, d := range dirs {
		_ = os.Remove(d) // fails if it is not empty, as it should
	}
}

// lockName is a file that exists while files are downloaded to its folder.
const lockName = ".fetch.lock"

// lock creates dir and waits until no other Fetch is running in it.
func (f *fetcher) lock(ctx context.Context, dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	for waited := false; ; waited = true {
		if err := os.MkdirAll(dir, 0o777); err != nil { // another Fetch that failed may have removed it
			return nil, err
		}
		lock := flock.New(path, flock.SetPermissions(0o666)) // another user may be next
		locked, err := lock.TryLock()
		switch {
		case errors.Is(err, fs.ErrNotExist): // just removed by another
		case isLocal(err):
			return nil, err
		case err != nil, locked && filelock.Current(lock, path): // some network drives have no locks
			return func() { filelock.Remove(lock, path) }, nil
		}
		_ = lock.Close() // held by another, or of a file that another removed
		if !waited {
			f.Log(dir + ": another download is running; waiting for it")
		}
		if err := sleep(ctx, max(f.pause/4, time.Millisecond)); err != nil {
			return nil, interrupted(dir, err)
		}
	}
}

// fetcher downloads files. No suitable library was found: cavaliergopher/grab
// appends the whole file to the part if a server ignores Range, and has no time
// limit for a server that stalls.
type fetcher struct {
	FetchOptions
	client *http.Client
	answer time.Duration // time without an answer after which a request is abandoned
	stall  time.Duration // time without data, after the answer began, after which it is abandoned
	pause  time.Duration // before the second round, then doubled
	rounds int           // number of times that the mirrors are tried
}

// permanent is a failure that another attempt at the mirror cannot fix.
type permanent struct{ error }

func isPermanent(err error) bool { return errors.As(err, &permanent{}) }

func allPermanent(errs []error) bool {
	return !slices.ContainsFunc(errs, func(err error) bool { return !isPermanent(err) })
}

// fetch makes sure that dir holds the file.
func (f *fetcher) fetch(ctx context.Context, dir string, file file) error {
	path := filepath.Join(dir, file.gzipName())
	if file.isGood(path) { // downloaded by another Fetch that this one waited for
		f.Log(path + ": already there")
		return nil
	}
	pause := f.pause
	failures := make([]error, len(f.Mirrors)) // the last one of each mirror
	for round := range f.rounds {
		if round > 0 && allPermanent(failures) {
			break
		}
		if round > 0 {
			f.Log(fmt.Sprintf("%s: trying again, attempt %d of %d", file.gzipName(), round+1, f.rounds))
			if err := sleep(ctx, pause); err != nil {
				return interrupted(path, err)
			}
			pause *= 2
		}
		for i, mirror := range f.Mirrors {
			if isPermanent(failures[i]) {
				continue
			}
			url := strings.TrimSuffix(mirror, "/") + "/" + file.gzipName()
			err := f.download(ctx, url, path, file)
			switch {
			case err == nil:
				f.Log(path + ": downloaded from " + shown(url))
				return nil
			case ctx.Err() != nil:
				return interrupted(path, ctx.Err())
			case isLocal(err):
				return localFailure(err, path+".part")
			case failures[i] == nil || failures[i].Error() != err.Error():
				f.Log(err.Error())
			}
			failures[i] = err
		}
	}
	return fmt.Errorf("cannot download %s: %v; try again later, name another mirror, or copy the file to %s",
		file.gzipName(), joinLine(failures), dir)
}

// shown returns a URL as messages show it: without its password.
func shown(url string) string {
	u, err := neturl.Parse(url)
	if err != nil {
		return "the mirror's URL"
	}
	return u.Redacted()
}

func interrupted(path string, err error) error {
	return fmt.Errorf("download of %s interrupted (%w); the next one continues it", path, err)
}

// download completes path.part from url, verifies it and renames it to path.
func (f *fetcher) download(ctx context.Context, url, path string, file file) error {
	part := path + ".part"
	offset := sizeOf(part)
	resumed := offset > 0
	if offset < int64(file.gzipSize) {
		var err error
		if resumed, err = f.transfer(ctx, url, part, offset, file); err != nil {
			return fmt.Errorf("%s: %w", shown(url), err)
		}
	}
	wrong := file.verifyPart(part)
	if wrong == nil {
		return f.install(part, path)
	}
	if err := os.Remove(part); err != nil {
		return err
	}
	if resumed { // its first bytes may be those of another file
		return f.download(ctx, url, path, file)
	}
	return permanent{fmt.Errorf("%s: %w", shown(url), wrong)}
}

// install renames a verified file to path. A file that is already there, perhaps
// one of MNIST, is kept under another name.
func (f *fetcher) install(part, path string) error {
	if _, err := os.Lstat(path); err == nil {
		aside := freeName(path + ".bad")
		if err := os.Rename(path, aside); err != nil {
			return err
		}
		f.Log(fmt.Sprintf("%s: damaged or not Fashion-MNIST, kept as %s", path, filepath.Base(aside)))
		if err := os.Rename(part, path); err != nil {
			return errors.Join(err, os.Rename(aside, path))
		}
		return nil
	}
	return os.Rename(part, path)
}

// freeName returns path, with a number appended if a file has that name.
func freeName(path string) string {
	name := path
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s%d", path, i)
	}
}

// isLocal reports whether err concerns a local file: other mirrors would not help.
func isLocal(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &link)
}

// localFailure returns the error to report if part cannot be written. On a full disk
// it removes part: other programs need the space too.
func localFailure(err error, part string) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at // without the URL, which is not the cause
	}
	if errors.Is(err, syscall.ENOSPC) {
		return errors.Join(fmt.Errorf("%w; the dataset needs 30 MB: free some space, or name another folder", err), os.Remove(part))
	}
	return err
}

// sizeOf returns the size of the file at path, 0 if there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// verifyPart checks a finished part's size and hash.
func (f file) verifyPart(part string) error {
	raw, err := readLimited(part)
	if err != nil {
		return err
	}
	if sum := hexSHA256(raw); sum != f.gzipSHA256 {
		return fmt.Errorf("downloaded %d bytes with SHA-256 %s, expected %d bytes with SHA-256 %s", len(raw), sum, f.gzipSize, f.gzipSHA256)
	}
	return nil
}

// transfer requests the file from offset on and appends it to part, or replaces
// part if the server sends the whole file. It reports whether earlier bytes were
// kept.
func (f *fetcher) transfer(ctx context.Context, url, part string, offset int64, file file) (resumed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answering := time.AfterFunc(f.answer, func() { cancel(fmt.Errorf("no answer for %v", f.answer)) })
	defer answering.Stop()
	defer func() { // the reason, not "context canceled"
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}()

	size := int64(file.gzipSize)
	response, offset, err := f.request(ctx, url, offset, size)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	answering.Stop()
	watchdog := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("no data for %v", f.stall)) })
	defer watchdog.Stop()
	body := &progressReader{Reader: response.Body, done: offset, report: func(done int64) {
		watchdog.Reset(f.stall)
		f.Progress(file.name, done, size)
	}}
	content := bufio.NewReader(body)
	if offset == 0 { // part may hold earlier bytes, which an error page must not replace
		start, err := content.Peek(len(gzipMagic))
		switch {
		case err == io.EOF:
			return false, fmt.Errorf("the connection ended after %d of %d bytes", len(start), size)
		case err != nil:
			return false, err
		case string(start) != gzipMagic:
			return false, permanent{errors.New("the server did not send a gzip file" + loginPage)}
		}
	}
	// One byte more than expected, so that verification detects a longer file.
	n, err := writeFrom(part, offset, io.LimitReader(content, size-offset+1))
	if err == nil && offset+n < size {
		err = fmt.Errorf("the connection ended after %d of %d bytes", offset+n, size)
	}
	return offset > 0, err
}

// loginPage ends the error about a response that is not the file.
const loginPage = "; if this network has a login page, log in with a browser and try again"

// gzipMagic is how a gzip file begins (RFC 1952, 2.3.1).
const gzipMagic = "\x1f\x8b"

// writeFrom replaces the file at path from offset on, creating it if necessary, and
// flushes it to the disk. It returns the number of bytes written.
func writeFrom(path string, offset int64, r io.Reader) (n int64, err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(offset); err != nil {
		return 0, err
	}
	if _, err := out.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err = io.Copy(out, r)
	return n, errors.Join(err, out.Sync())
}

// request requests the file from offset on and returns the response with the offset
// at which its body starts: the one requested, or 0.
func (f *fetcher) request(ctx context.Context, url string, offset, size int64) (*http.Response, int64, error) {
	response, err := f.get(ctx, url, offset)
	if err != nil {
		return nil, 0, err
	}
	accepted, err := acceptedOffset(response, offset, size)
	if err == nil {
		return response, accepted, nil
	}
	response.Body.Close()
	if errors.Is(err, errRange) { // the server's file is different: start over
		return f.request(ctx, url, 0, size)
	}
	return nil, 0, err
}

// get sends the request for the file from offset on.
func (f *fetcher) get(ctx context.Context, url string, offset int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, permanent{withoutURL(err)}
	}
	request.Header.Set("User-Agent", "fmnist-gpu")
	request.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := f.client.Do(request)
	return response, withoutURL(err)
}

// withoutURL returns the cause of an error of net/http, whose text repeats the URL.
func withoutURL(err error) error {
	var urlError *neturl.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}

// errRange is a server's failure to continue at an offset.
var errRange = errors.New("the server does not continue the file")

// acceptedOffset returns the offset in the file at which the response's body starts.
// The error is errRange if another request, from 0, may succeed.
func acceptedOffset(r *http.Response, offset, size int64) (int64, error) {
	switch code := r.StatusCode; {
	case code == http.StatusOK:
		offset = 0
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return 0, errRange
	case code == http.StatusPartialContent && offset > 0:
		if !isRange(r.Header.Get("Content-Range"), offset, size) {
			return 0, errRange
		}
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return 0, errors.New(r.Status)
	default:
		return 0, permanent{errors.New(r.Status)}
	}
	if r.ContentLength >= 0 && r.ContentLength != size-offset {
		return 0, permanent{fmt.Errorf("the server has %d bytes to send, expected %d"+loginPage, r.ContentLength, size-offset)}
	}
	return offset, nil
}

// isRange reports whether a Content-Range header, "bytes FIRST-LAST/SIZE" with
// SIZE possibly "*", starts at offset in a file of the right size.
func isRange(header string, offset, size int64) bool {
	span, total, _ := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	return first == strconv.FormatInt(offset, 10) && (total == "*" || total == strconv.FormatInt(size, 10))
}

// progressReader reports how far reading has come.
type progressReader struct {
	io.Reader
	done   int64
	report func(done int64)
}

func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.done += int64(n)
	r.report(r.done)
	return n, err
}

// sleep waits for d, or returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// joinLine joins errors on one line.
func joinLine(errs []error) string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}
