package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/live"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/report"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

var (
	loopbackAddress = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8601}
	openAddress     = &net.TCPAddr{IP: net.IPv4zero, Port: 8601}
)

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func header(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

// DNS rebinding: a site that gives its name this machine's address is refused.
func TestAttackRebinding(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	for _, c := range []struct {
		address *net.TCPAddr
		host    string
		want    int
	}{
		{loopbackAddress, "localhost:8601", 200},
		{loopbackAddress, "LOCALHOST", 200},
		{loopbackAddress, "127.0.0.1:9000", 200}, // through a tunnel
		{loopbackAddress, "[::1]:8601", 200},
		{loopbackAddress, "evil.example", 421},
		{loopbackAddress, "evil.example:8601", 421},
		{loopbackAddress, "localhost.evil.example:8601", 421},
		{loopbackAddress, "127.0.0.1.evil.example", 421},
		{loopbackAddress, "192.168.1.2:8601", 421},
		{loopbackAddress, "", 421},
		{openAddress, "192.168.1.2:8601", 200},
		{openAddress, "box.example:8601", 200},
		{openAddress, "evil.example:8601", 421},
	} {
		g := newGuard(s, "box.example", c.address, "")
		if c.address == loopbackAddress {
			g = newGuard(s, "", c.address, "")
		}
		if r := ask(g, "GET", "/api/runs", nil, host(c.host)); r.StatusCode != c.want {
			t.Errorf("host %q at %v: status %d, want %d", c.host, c.address, r.StatusCode, c.want)
		}
	}
}

// Another site's page can neither have pictures classified nor read anything.
func TestAttackOtherSite(t *testing.T) {
	g := newGuard(newServer(t, Options{Folder: runs(t)}), "", loopbackAddress, "")
	for _, c := range []struct {
		method, target string
		headers        []string
		want           int
	}{
		{"POST", "/api/classify?run=conv", []string{"Origin", "https://evil.example"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Origin", "null"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Origin", "http://localhost:3000"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		{"POST", "/api/classify?run=conv", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8601"}, 200},
		{"POST", "/api/classify?run=conv", nil, 200}, // a program
		{"GET", "/api/runs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"GET", "/api/events?run=conv", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403},
		{"GET", "/app.js", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"GET", "/api/runs", []string{"Origin", "http://evil.example"}, 403},
		{"GET", "/api/runs", []string{"Origin", "null"}, 403},
		{"GET", "/api/runs", []string{"Origin", "http://localhost:8601"}, 200},
		{"HEAD", "/api/events?run=conv", nil, 200},                                                // and ends
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200}, // a link
		{"OPTIONS", "/api/classify?run=conv", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 403},
	} {
		r := ask(g, c.method, c.target, bytes.NewReader(boot(t, 1)), func(r *http.Request) {
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
		})
		if r.StatusCode != c.want {
			t.Errorf("%s %s with %v: status %d, want %d", c.method, c.target, c.headers, r.StatusCode, c.want)
		}
		if closes := r.Header.Get("Connection") == "close"; closes != (c.want == 403) {
			t.Errorf("%s %s with %v: gives up the connection: %v", c.method, c.target, c.headers, closes)
		}
		for key := range r.Header {
			if strings.HasPrefix(key, "Access-Control-") {
				t.Errorf("%s %s answers %s", c.method, c.target, key)
			}
		}
	}
}

// Every answer has the headers that confine it, also a refusal.
func TestHeaders(t *testing.T) {
	g := newGuard(newServer(t, Options{Folder: runs(t)}), "", loopbackAddress, "")
	for _, target := range []string{"/", "/app.js", "/api/runs", "/absent", "/report?run=conv"} {
		for _, name := range []string{"localhost", "evil.example"} {
			h := ask(g, "GET", target, nil, host(name)).Header
			policy := h.Get("Content-Security-Policy")
			if !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src '") {
				t.Errorf("%s at %s: the policy is %q", target, name, policy)
			}
			for key, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
				if h.Get(key) != want {
					t.Errorf("%s at %s: %s is %q, want %q", target, name, key, h.Get(key), want)
				}
			}
		}
	}
}

// On an address that others can reach, nobody gets anything without the token.
func TestAttackWithoutToken(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	l, err := Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	token := address.Query().Get("token")
	if len(token) < 26 || token != l.token {
		t.Fatalf("the token is %q", token)
	}
	g := newGuard(s, l.host, l.address(), l.token)
	var cookie *http.Cookie
	for _, c := range []struct {
		name, target string
		change       func(*http.Request)
		want         int
	}{
		{"none", "/", nil, 401},
		{"none", "/app.js", nil, 401},
		{"none", "/api/runs", nil, 401},
		{"empty", "/?token=", nil, 401},
		{"wrong", "/?token=" + token[1:], nil, 401},
		{"longer", "/?token=" + token + "A", nil, 401},
		{"wrong header", "/", header("Authorization", "Bearer x"), 401},
		{"wrong cookie", "/", header("Cookie", g.cookie+"=x"), 401},
		{"header", "/api/runs", header("Authorization", "Bearer "+token), 200},
		{"query", "/?token=" + token, nil, 200},
		{"cookie", "/api/runs", func(r *http.Request) { r.AddCookie(cookie) }, 200},
	} {
		if c.change == nil {
			c.change = func(*http.Request) {}
		}
		r := ask(g, "GET", c.target, nil, c.change)
		if r.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", c.name, r.StatusCode, c.want)
		}
		if list := r.Cookies(); len(list) > 0 {
			cookie = list[0]
		}
		if c.want == 401 && len(r.Cookies()) > 0 {
			t.Errorf("%s: a refusal sets a cookie", c.name)
		}
	}
	if cookie == nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %v", cookie)
	}
}

// By default nobody but this machine can connect, and another program on the port is
// no hindrance.
func TestListen(t *testing.T) {
	for range 2 { // the second time, the port is taken
		l, err := Listen("")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if !l.address().IP.IsLoopback() || l.token != "" {
			t.Errorf("it listens on %v with the token %q", l.address(), l.token)
		}
	}
	for address, open := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, ":0": true, "0.0.0.0:0": true} {
		l, err := Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if (l.token != "") != open {
			t.Errorf("%s: the token is %q", address, l.token)
		}
	}
	for _, address := range []string{"192.0.2.1:8601", "localhost:99999", "no such host:1"} {
		if _, err := Listen(address); !errors.Is(err, trainer.ErrUsage) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v, want ErrUsage", address, err)
		}
	}
}

// Names of runs do not lead out of the folder.
func TestAttackTraversal(t *testing.T) {
	dir := runs(t)
	s := newServer(t, Options{Folder: filepath.Join(dir, "more")}) // conv is outside
	for _, name := range []string{"../conv", "linear/../../conv", "..", "/etc", filepath.Join(dir, "conv"), `..\conv`, "linear/../../../..", "conv\x00", "./../conv", "%2e%2e/conv"} {
		query := "?run=" + url.QueryEscape(name)
		for _, target := range []string{"/api/events", "/report"} {
			if r := ask(s, "GET", target+query, nil); r.StatusCode != http.StatusNotFound {
				t.Errorf("%s of %q: status %d, want 404", target, name, r.StatusCode)
			}
		}
		if r := ask(s, "POST", "/api/classify"+query, bytes.NewReader(boot(t, 1))); r.StatusCode != http.StatusNotFound {
			t.Errorf("classify with %q: status %d, want 404", name, r.StatusCode)
		}
	}
}

// Links that lead out of the folder are not followed: not a run's, nor a file's.
func TestAttackLinks(t *testing.T) {
	dir := runs(t)
	inside := filepath.Join(dir, "more")
	s := newServer(t, Options{Folder: inside})
	if err := os.Symlink(filepath.Join(dir, "conv"), filepath.Join(inside, "link")); err != nil {
		t.Skip("this system has no links:", err)
	}
	for _, target := range []string{"/api/events?run=link", "/report?run=link"} {
		if r := ask(s, "GET", target, nil); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, r.StatusCode)
		}
	}
	if list := text(t, ask(s, "GET", "/api/runs", nil)); strings.Contains(list, "link") {
		t.Errorf("the list has it: %s", list)
	}
	for _, file := range []string{trainer.ArgsFile, trainer.ResultsFile, trainer.MetricsFile, report.File, trainer.LastWeights, trainer.BestWeights} {
		run := filepath.Join(inside, "run-"+strings.ReplaceAll(file, "/", "-"))
		if err := os.CopyFS(run, os.DirFS(filepath.Join(inside, "linear"))); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(filepath.Join(run, file)), os.Symlink(filepath.Join(dir, "conv", file), filepath.Join(run, file))); err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(run)
		if file == report.File {
			if r := ask(s, "GET", "/report?run="+name, nil); r.StatusCode != http.StatusNotFound {
				t.Errorf("a linked %s: status %d, want 404", file, r.StatusCode)
			}
			continue
		}
		if r := ask(s, "GET", "/api/events?run="+name, nil); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusForbidden {
			t.Errorf("a linked %s: status %d, want 403 or 404", file, r.StatusCode)
		}
		if _, status := classifyPNG(t, s, "run="+name, boot(t, 1)); status != http.StatusNotFound && status != http.StatusForbidden {
			t.Errorf("classify with a linked %s: status %d, want 403 or 404", file, status)
		}
	}
}

// A run's file, or an experiment's, that reads as much more than it has bytes takes no such
// memory, and is answered in a line.
func TestAttackFiles(t *testing.T) {
	same := "{" + strings.Repeat("a: ,", 3000) + "}"
	for _, c := range []struct{ file, content string }{
		{"conv/" + trainer.ArgsFile, "environment: " + same},
		{"conv/" + trainer.ResultsFile, strings.Repeat(",", 1<<20)},
		{"conv/" + trainer.StepsFile, strings.Repeat(",", 1<<20)},
		{"conv/" + trainer.StepsFile, "step,loss\n\"" + strings.Repeat("\n", 60<<10) + "\",x"},
		{"conv/" + trainer.ResultsFile, "epoch,train_loss\n1,2,3\n"},
		{"conv/" + trainer.MetricsFile, `{"accuracy":0.5,"per_class":[` + strings.Repeat("{},", 1<<20) + "{}]}"},
		{"conv/" + trainer.MetricsFile, `{"accuracy":0.5,"per_class":[` + strings.Repeat("{},", 1000) + "{}]}"},
		{"more/" + study.ExperimentFile, "name: " + same},
	} {
		dir := runs(t)
		s := newServer(t, Options{Folder: dir})
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"/api/runs", "/api/events?run=conv"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := ask(s, "GET", target, nil)
			said := text(t, r)
			runtime.ReadMemStats(&after)
			if took, most := after.TotalAlloc-before.TotalAlloc, uint64(16<<20+20*len(c.content)); took > most {
				t.Errorf("%s with %.40q in %s took %d bytes, want at most %d", target, c.content, c.file, took, most)
			}
			if target == "/api/runs" && strings.Contains(said, ":null,\"train_loss") {
				t.Errorf("%s with %.40q in %s: the page cannot read %s", target, c.content, c.file, said)
			}
			if len(said) > 64<<10 || r.StatusCode != http.StatusOK && (len(said) > 1000 || strings.Count(said, "\n") > 1) {
				t.Errorf("%s with %.40q in %s: an answer of %d bytes: %.200q", target, c.content, c.file, len(said), said)
			}
		}
	}
}

func TestAttackLargeFile(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	r := ask(s, "POST", "/api/classify?run=conv", io.LimitReader(zeros{}, mostBytes+1))
	if r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", r.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A picture that announces many pixels is refused before memory is taken for it.
func TestAttackLargePicture(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	bomb := boot(t, 1)
	binary.BigEndian.PutUint32(bomb[16:], 40_000) // width and height of the header
	binary.BigEndian.PutUint32(bomb[20:], 40_000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := ask(s, "POST", "/api/classify?run=conv", bytes.NewReader(bomb))
	runtime.ReadMemStats(&after)
	if said := text(t, r); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(said, "40000×40000") {
		t.Errorf("status %d, %q", r.StatusCode, said)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("it took %d bytes", took)
	}
}

// Many pictures at once are put off.
func TestAttackManyPictures(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	statuses := map[int]int{}
	for range 3 * uploadBurst {
		r := ask(s, "POST", "/api/classify?run=conv", strings.NewReader("no picture"))
		statuses[r.StatusCode]++
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
			t.Fatal("a refusal does not say when to try again")
		}
	}
	if statuses[http.StatusTooManyRequests] < uploadBurst || statuses[http.StatusUnprocessableEntity] < uploadBurst {
		t.Errorf("the statuses are %v, want at least %d of 429 and of 422", statuses, uploadBurst)
	}
}

// Pictures that arrive slowly take up few places, and memory only for those.
func TestAttackSlowUploads(t *testing.T) {
	s := newServer(t, Options{Folder: runs(t)})
	answers := make(chan int, mostUploads)
	var writers []*io.PipeWriter
	for range mostUploads {
		body, writer := io.Pipe()
		writers = append(writers, writer)
		go func() { answers <- ask(s, "POST", "/api/classify?run=conv", body).StatusCode }()
		writer.Write([]byte("x")) // returns when the server reads
	}
	if r := ask(s, "POST", "/api/classify?run=conv", bytes.NewReader(boot(t, 1))); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("with %d uploads under way: status %d, want 503", mostUploads, r.StatusCode)
	}
	for _, w := range writers {
		w.CloseWithError(io.ErrUnexpectedEOF)
	}
	for range mostUploads {
		if status := <-answers; status != http.StatusBadRequest {
			t.Errorf("an upload that breaks off: status %d, want 400", status)
		}
	}
	if r := ask(s, "POST", "/api/classify?run=conv", bytes.NewReader(boot(t, 1))); r.StatusCode != http.StatusOK {
		t.Errorf("afterwards: status %d, want 200", r.StatusCode)
	}
}

// openStream opens a stream of events and reads its first bytes.
func openStream(t *testing.T, l *Listener, run string) (response *http.Response, cancel func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", l.URL()+"api/events?run="+run, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return r, cancel
}

// Streams are limited in number, and a page that is closed makes room.
func TestAttackManyStreams(t *testing.T) {
	hub := live.NewHub("", "")
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe()})
	l, _ := start(t, newServer(t, Options{Folder: runs(t), Hub: hub, Run: "now"}), "127.0.0.1:0")
	var cancels []func()
	for range mostStreams {
		r, cancel := openStream(t, l, "now")
		defer cancel()
		cancels = append(cancels, cancel)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("status %d", r.StatusCode)
		}
	}
	r, cancel := openStream(t, l, "now")
	cancel()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: status %d, want 503", r.StatusCode)
	}
	cancels[0]()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, cancel := openStream(t, l, "now")
		cancel()
		if r.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a closed page makes no room")
		}
	}
}

// shorten sets a time for the test.
func shorten(t *testing.T, what *time.Duration, to time.Duration) {
	t.Helper()
	was := *what
	*what = to
	t.Cleanup(func() { *what = was })
}

// A client that reads nothing is given up, and delays nobody.
func TestAttackSlowReader(t *testing.T) {
	shorten(t, &slowest, 200*time.Millisecond)
	hub := live.NewHub("", "")
	s := newServer(t, Options{Folder: runs(t), Hub: hub, Run: "now"})
	l, stop := start(t, s, "127.0.0.1:0")
	defer stop()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(1 << 10)
	fmt.Fprint(c, "GET /api/events?run=now HTTP/1.1\r\nHost: localhost\r\n\r\n")
	notes := []string{strings.Repeat("x", 1<<20)}
	begin := time.Now()
	for i := 0; ; i++ { // fills the buffers of both ends
		hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe(), Notes: notes})
		time.Sleep(5 * time.Millisecond)
		if i > 5 && s.streams.TryAcquire(mostStreams) { // nobody is being served any more
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the client still has its stream")
		}
	}
	s.streams.Release(mostStreams)
}

// A client that never finishes its request is dropped.
func TestAttackSlowHeader(t *testing.T) {
	shorten(t, &headerTimeout, 200*time.Millisecond)
	l, stop := start(t, newServer(t, Options{Folder: runs(t)}), "127.0.0.1:0")
	defer stop()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: loc")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}

// A header that is too long is refused.
func TestAttackLongHeader(t *testing.T) {
	l, _ := start(t, newServer(t, Options{Folder: runs(t)}), "127.0.0.1:0")
	request, err := http.NewRequest("GET", l.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 1<<20))
	switch r, err := http.DefaultClient.Do(request); {
	case err == nil && r.StatusCode != http.StatusRequestHeaderFieldsTooLarge:
		t.Errorf("status %d, want 431", r.StatusCode)
	case err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("%v, want status 431 or a connection that is broken off", err)
	}
	if r, err := http.Get(l.URL()); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("the next request: %v (%v)", r, err)
	}
}

// At the end, pages that follow a training get its last event, and nobody keeps the
// server from ending.
func TestShutdown(t *testing.T) {
	dir := runs(t)
	if err := os.Remove(filepath.Join(dir, "conv", trainer.MetricsFile)); err != nil { // whose stream goes on
		t.Fatal(err)
	}
	hub := live.NewHub("", "")
	l, stop := start(t, newServer(t, Options{Folder: dir, Hub: hub, Run: "now"}), "127.0.0.1:0")
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe()})
	next, err := live.Follow(t.Context(), l.URL()+"api/events?run=now")
	if err != nil {
		t.Fatal(err)
	}
	if e := <-next; e.Type != live.TypeStart {
		t.Fatalf("the first event is %+v", e)
	}
	watching, cancel := openStream(t, l, "conv")
	defer cancel()
	hub.End(nil, trainer.ErrInterrupted)
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > readTimeout/3 {
		t.Errorf("it took %v to end", took)
	}
	if e, ok := <-next; !ok || e.End == nil || e.End.State != live.Interrupted {
		t.Errorf("the last event is %+v", e)
	}
	if _, err := io.ReadAll(watching.Body); err != nil {
		t.Errorf("the other stream was broken off: %v", err)
	}
	if _, err := http.Get(l.URL()); err == nil {
		t.Error("the server still answers")
	}
}

// A client in the middle of a request does not keep the server from ending: it is
// broken off.
func TestShutdownSlowClient(t *testing.T) {
	l, stop := start(t, newServer(t, Options{Folder: runs(t)}), "127.0.0.1:0")
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /api/classify?run=conv HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 100)); err != nil { // the server now waits for the picture
		t.Fatal(err)
	}
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > readTimeout/3 {
		t.Errorf("it took %v to end", took)
	}
	c.SetReadDeadline(time.Now().Add(readTimeout / 3))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// Follow connects again when the server comes back.
func TestFollowAgain(t *testing.T) {
	hub := live.NewHub("", "")
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe()})
	s := newServer(t, Options{Folder: runs(t), Hub: hub, Run: "now"})
	broken := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !broken {
			broken = true
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"type\":\"start\",\"run\":\"first\",\"start\":{}}\n\ndata: {")
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	next, err := live.Follow(t.Context(), front.URL+"/api/events?run=now")
	if err != nil {
		t.Fatal(err)
	}
	if e := <-next; e.Run != "first" {
		t.Fatalf("the first event is %+v", e)
	}
	if e := <-next; e.Type != live.TypeStart || e.Run != "" {
		t.Fatalf("after the break comes %+v, want the start again", e)
	}
	hub.End(nil, nil)
	for e := range next {
		if e.End == nil {
			t.Errorf("then comes %+v, want the end", e)
		}
	}
}

// Thousands of requests leave nothing behind.
func TestMemory(t *testing.T) {
	dir := runs(t)
	hub := live.NewHub(filepath.Join(dir, "now"), "")
	hub.Start(trainer.Summary{Recipe: trainer.DefaultRecipe()})
	s := newServer(t, Options{Folder: dir, Hub: hub, Run: "now"})
	l, _ := start(t, s, "127.0.0.1:0")
	requests := 5000
	if testing.Short() {
		requests = 500
	}
	use := func() (uint64, int) {
		http.DefaultClient.CloseIdleConnections()
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	picture := encoded(t, grey(300, 30))
	some := func(n int) {
		for i := range n {
			method, target, body := "GET", []string{"", "app.js", "api/runs", "api/events?run=conv", "report?run=conv", "api/events?run=" + fmt.Sprint(i)}[i%6], io.Reader(nil)
			if i%10 == 0 {
				method, target, body = "POST", "api/classify?run=conv", bytes.NewReader(picture)
			}
			r, err := http.NewRequest(method, l.URL()+target, body)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
	some(100)
	heap, goroutines := use()
	some(requests)
	heapAfter, goroutinesAfter := use()
	grown := func() bool { return heapAfter > heap+4<<20 || goroutinesAfter > goroutines+5 }
	for end := time.Now().Add(10 * time.Second); grown() && time.Now().Before(end); {
		heapAfter, goroutinesAfter = use() // connections may still be ending
	}
	t.Logf("after %d requests: heap %.1f MB, before %.1f MB; %d goroutines, before %d", requests, float64(heapAfter)/1e6, float64(heap)/1e6, goroutinesAfter, goroutines)
	if grown() {
		t.Errorf("the heap grew from %d to %d bytes, goroutines from %d to %d", heap, heapAfter, goroutines, goroutinesAfter)
	}
}
