package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/atomicfile"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// Decoding many pictures takes much longer than everything else before the first
// training step, so the images are kept in a cache folder. They are used only for the
// same files, by path, size, time and permissions, and only if their own hash is
// correct, so a cache that is missing, cut short or damaged does no harm.

// cacheVersion is the version of the cache's format and of how pictures become images.
const cacheVersion = 1

// decodeCached is decode, except that images in the cache are used, and new ones
// stored there.
func (c *classFolders) decodeCached(ctx context.Context, o FolderOptions) (*decoded, error) {
	if o.Cache == "" {
		return c.decode(ctx, o)
	}
	folder, key := c.cacheKey()
	dir := filepath.Join(o.Cache, "decoded")
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", folder, key, o.ImageSize))
	if d := readDecoded(path, len(c.pictures)); d != nil {
		return d, nil
	}
	d, err := c.decode(ctx, o)
	if err != nil || d.passing || len(d.Bad) > 0 && !o.SkipBad {
		return d, err
	}
	removeStale(dir, folder, key)
	d.write(path)
	return d, nil
}

// cacheKey returns a hash of the folder's path and one of the files in it.
func (c *classFolders) cacheKey() (folder, key string) {
	root := c.root
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	h := sha256.New()
	fmt.Fprintln(h, cacheVersion)
	for _, p := range c.pictures {
		fmt.Fprintf(h, "%q", p.path)
		if p.info != nil {
			fmt.Fprintln(h, p.info.Size(), p.info.ModTime().UnixNano(), uint32(p.info.Mode()))
		}
	}
	return hexSHA256([]byte(root))[:16], hex.EncodeToString(h.Sum(nil))[:32]
}

// readDecoded returns the n images stored at path, or nil. The file is a line of JSON,
// which is a decoded, the pixels, and the SHA-256 of both.
func readDecoded(path string, n int) *decoded {
	content, err := limitedfile.Read(path, maxBytes+limitedfile.JSON)
	if err != nil || len(content) < sha256.Size {
		return nil
	}
	content, sum := content[:len(content)-sha256.Size], content[len(content)-sha256.Size:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) {
		return nil
	}
	header, pixels, _ := bytes.Cut(content, []byte("\n"))
	d := &decoded{pixels: pixels}
	if json.Unmarshal(header, d) != nil || d.H < 1 || d.W < 1 || d.C < 1 || checkBytes(path, n, d.Shape) != nil || len(pixels) != n*d.Len() ||
		slices.ContainsFunc(d.Bad, func(b badPicture) bool { return b.Index < 0 || b.Index >= n }) {
		return nil
	}
	return d
}

// write stores the images at path. This is only an optimisation: if it fails, the next
// start takes longer, and no error is reported.
func (d *decoded) write(path string) {
	header, err := json.Marshal(d)
	if err != nil || os.MkdirAll(filepath.Dir(path), 0o777) != nil {
		return
	}
	_ = atomicfile.WriteFunc(path, func(w io.Writer) error {
		h := sha256.New()
		for _, part := range [][]byte{header, []byte("\n"), d.pixels} {
			if _, err := io.MultiWriter(w, h).Write(part); err != nil {
				return err
			}
		}
		_, err := w.Write(h.Sum(nil))
		return err
	})
}

// removeStale removes what was stored for earlier files of a folder, and what killed
// programs have left of a write.
func removeStale(dir, folder, key string) {
	entries, _ := os.ReadDir(dir) // there may be no cache yet
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, folder+"-") && !strings.HasPrefix(name, folder+"-"+key) {
			_ = os.Remove(filepath.Join(dir, name))
		}
	}
	_ = atomicfile.RemoveStale(dir, func(name string) bool { return strings.HasPrefix(name, folder) })
}
