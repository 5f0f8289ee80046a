package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"hash/crc32"
	"net/http"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/page"
)

var (
	//go:embed assets/page.html
	pageHTML string
	//go:embed assets/app.js
	app string
	//go:embed assets/app.css
	appStyle string
	//go:embed assets/icon.svg
	iconSVG string

	styleCSS = page.Style() + appStyle
	appJS    = page.Script() + app
)

// asset serves a text that never changes while the program runs.
func asset(kind, text string) http.Handler {
	tag := fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE([]byte(text)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache") // another version may listen on this port next time
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(text)))
	})
}
