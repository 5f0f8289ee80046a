package source

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// Attach asks the server of a page for the run that is trained there, or else for its
// newest run. It returns the address of the run's events, and the run's folder if that is
// on this machine. address is the page's, with its token if it has one.
func Attach(ctx context.Context, address string) (events, dir string, err error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	page, err := url.Parse(address)
	if err != nil || page.Host == "" {
		return "", "", setting.Errorf("%q is not the address of a page, such as http://127.0.0.1:8601", address)
	}
	var list struct {
		Folder string `json:"folder"`
		Live   string `json:"live"`
		Runs   []struct {
			Name string `json:"name"`
		} `json:"runs"`
	}
	if err := get(ctx, within(page, "runs", ""), &list); err != nil {
		return "", "", err
	}
	run := list.Live
	if run == "" && len(list.Runs) > 0 {
		run = list.Runs[0].Name
	}
	if run == "" {
		return "", "", fmt.Errorf("%s has no run", address)
	}
	dir = filepath.Join(list.Folder, filepath.FromSlash(run))
	if _, err := os.Stat(filepath.Join(dir, trainer.ArgsFile)); err != nil {
		dir = "" // on another machine
	}
	return within(page, "events", run), dir, nil
}

// within returns an address under a page's, with the page's token.
func within(page *url.URL, name, run string) string {
	u := *page
	u.Path, u.Fragment = "/api/"+name, ""
	if run != "" {
		query := u.Query()
		query.Set("run", run)
		u.RawQuery = query.Encode()
	}
	return u.String()
}

// get reads JSON.
func get(ctx context.Context, address string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no training is served there: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: give the address that train --serve prints, with its token if it has one", address, response.Status)
	}
	const most = 64 << 20 // of a list of runs
	return json.NewDecoder(io.LimitReader(response.Body, most)).Decode(to)
}
