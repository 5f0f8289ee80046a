package study

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// IsYAML reports whether a file's name is that of a YAML file.
func IsYAML(name string) bool {
	return slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(name)))
}

// ReadNetwork replaces a Model that is a YAML file by the network in it, so that the
// settings no longer depend on the file. The file is read with the function read, whose
// error is returned as it is; any other error is [trainer.ErrUsage].
func (c *Config) ReadNetwork(read func(path string) ([]byte, error)) error {
	if c.Network != "" || !IsYAML(c.Model) {
		return nil
	}
	text, err := read(c.Model)
	if err != nil {
		return err
	}
	n, err := model.ParseYAML(c.Model, text)
	if err != nil {
		return usage("%v", err)
	}
	if c.Dataset == dataset.FashionMNIST.Name {
		if n, err = trainer.ParseNetwork(c.Model, text, dataset.FashionMNIST); err != nil {
			return err
		}
	}
	// The text stays as it is, so that errors about other datasets name the right line.
	c.networkFile, c.Model, c.Network = c.Model, n.Name, string(text)
	return nil
}

// digest returns a short text that stands for the layers of a network, however they
// are written down.
func digest(network string) string {
	if n, err := model.ParseYAML(network, []byte(network)); err == nil {
		if canonical, err := n.YAML(); err == nil {
			network = canonical
		}
	}
	return fmt.Sprintf("%.4x", sha256.Sum256([]byte(network)))
}

// fromFolder returns the assignments with the paths of networks relative to a folder.
func fromFolder(dir string, assignments []setting.Assignment) []setting.Assignment {
	list := slices.Clone(assignments)
	for i, a := range list {
		if a.Name == "model" && IsYAML(a.Value) && !filepath.IsAbs(a.Value) {
			list[i].Value = filepath.Join(dir, a.Value)
		}
	}
	return list
}
