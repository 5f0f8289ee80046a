package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// DefaultPort is where the server listens unless told otherwise.
const DefaultPort = 8601

// The limits of a connection.
const (
	mostConnections = 256
	mostHeader      = 16 << 10         // bytes
	readTimeout     = 30 * time.Second // of a whole request
	idleTimeout     = time.Minute
	shutdownTime    = 300 * time.Millisecond
)

var ( // tests shorten them
	headerTimeout = 5 * time.Second  // of a request's header
	writeTimeout  = 30 * time.Second // of an answer other than a stream
)

// Listener is where a server listens, and what its clients need to reach it.
type Listener struct {
	net.Listener
	host  string // that was asked for
	token string // "" for none
}

// Listen listens on an address, HOST:PORT or HOST. For "", it is the default port of
// this machine alone or, if that is taken, any free port. On an address that other
// machines can reach, clients need a token, which is part of [Listener.URL]. An address
// that cannot be listened on is [trainer.ErrUsage].
func Listen(address string) (*Listener, error) {
	usual := strconv.Itoa(DefaultPort)
	if address == "" {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", usual))
		if errors.Is(err, syscall.EADDRINUSE) {
			l, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen on this machine: %w", err)
		}
		return &Listener{Listener: l}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil { // without a port
		host, port = address, usual
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, setting.Errorf("cannot listen on %s: %v: want an address of this machine, such as 0.0.0.0:%s", address, reason(err), usual)
	}
	listener := &Listener{Listener: l, host: host}
	if !listener.address().IP.IsLoopback() {
		listener.token = newToken()
	}
	return listener, nil
}

// reason strips what the message says already from a network error.
func reason(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}

func (l *Listener) address() *net.TCPAddr { return l.Addr().(*net.TCPAddr) }

// URL returns the address to open in a browser, with the token if there is one.
func (l *Listener) URL() string {
	address := l.address()
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = outward()
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(address.Port)), Path: "/"}
	if l.token != "" {
		u.RawQuery = url.Values{"token": {l.token}}.Encode()
	}
	return u.String()
}

// outward returns an address by which other machines reach this one.
func outward() string {
	addresses, _ := net.InterfaceAddrs() // without them, this machine's own is left
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// Serve answers requests until ctx is cancelled. Then streams of events end with what
// is still to be sent, and Serve closes the listener and returns.
func Serve(ctx context.Context, l *Listener, s *Server) error {
	h := &http.Server{
		Handler:           newGuard(s, l.host, l.address(), l.token),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: mostHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that break off
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(netutil.LimitListener(l.Listener, mostConnections)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	close(s.closing)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if h.Shutdown(limited) != nil {
		h.Close() // breaks off slow clients
	}
	return nil
}
