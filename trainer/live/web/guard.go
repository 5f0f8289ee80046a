package web

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// guard decides who may ask. It stands before every handler.
type guard struct {
	next     http.Handler
	token    string // "" for none
	host     string // that the user gave to listen on; "" for all addresses
	loopback bool   // listening on this machine alone
	cookie   string // name of the cookie that holds the token
	crossing *http.CrossOriginProtection
}

// newGuard guards a handler behind a listener on the address.
func newGuard(next http.Handler, host string, address *net.TCPAddr, token string) *guard {
	return &guard{next: next, token: token, host: host, loopback: address.IP.IsLoopback(),
		cookie:   "fmnist-gpu-" + strconv.Itoa(address.Port), // browsers share cookies between ports
		crossing: http.NewCrossOriginProtection()}
}

// newToken returns 128 random bits as text.
func newToken() string { return rand.Text() }

// The policies of what a page may load and do. The report has its scripts, styles and
// pictures in itself; it is sandboxed, since a run's folder may be another person's work.
const (
	pagePolicy = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

	reportPolicy = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// ServeHTTP implements [http.Handler].
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	switch {
	case !g.knows(r.Host):
		refuse(w, "this server does not go by that name: use the address that it printed", http.StatusMisdirectedRequest)
	case g.crossing.Check(r) != nil || foreign(r):
		refuse(w, "requests from other sites are refused", http.StatusForbidden)
	case !g.admits(w, r):
		h.Set("WWW-Authenticate", "Bearer")
		refuse(w, "this address needs the token that the program printed: open the whole address, with ?token=", http.StatusUnauthorized)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// refuse answers with an error and closes the connection, so that strangers cannot hold
// all of them.
func refuse(w http.ResponseWriter, why string, status int) {
	w.Header().Set("Connection", "close")
	http.Error(w, why, status)
}

// knows reports whether a Host header names this server. A site that gives its own name
// the address of this machine (DNS rebinding) is found out by that name.
func (g *guard) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name // any port, since a tunnel may have another
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || !g.loopback
	}
	if host == "localhost" || host != "" && host == strings.ToLower(g.host) {
		return true
	}
	own, err := os.Hostname()
	return !g.loopback && err == nil && host == strings.ToLower(own)
}

// foreign reports whether a page of another site asks for data, which its browser would
// not let it read, but which costs this server work. Links to the page itself are fine.
// Browsers that send no Sec-Fetch-Site name the other site in Origin.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if origin := r.Header.Get("Origin"); site == "" && origin != "" {
		from, err := url.Parse(origin)
		return err != nil || from.Host != r.Host
	}
	navigates := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
	return site != "" && site != "same-origin" && site != "none" && !navigates
}

// admits checks the token: in the header Authorization, in the cookie, or in the query
// of the address that was printed, which sets the cookie.
func (g *guard) admits(w http.ResponseWriter, r *http.Request) bool {
	if g.token == "" {
		return true
	}
	if g.matches(r.URL.Query().Get("token")) {
		http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		return true
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && g.matches(bearer) {
		return true
	}
	cookie, err := r.Cookie(g.cookie)
	return err == nil && g.matches(cookie.Value)
}

// matches compares in constant time.
func (g *guard) matches(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}
