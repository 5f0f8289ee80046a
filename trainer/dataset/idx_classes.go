package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/internal/limitedfile"
)

// nameClasses makes the labels that occur classes, numbered from 0, and names them.
func (s *idxSet) nameClasses(d *Dataset, splits map[string]*Split) error {
	var labels []byte // that occur in training, ascending
	counts := d.Train.counts()
	for label, n := range counts {
		if n > 0 {
			labels = append(labels, byte(label))
		}
	}
	for _, name := range []string{"test", "val"} {
		for label, n := range splits[name].counts() {
			if n > 0 && counts[label] == 0 {
				return badData("%s has images of class %d, which %s lacks", s.files[idxFile{name, "labels"}], label, s.files[idxFile{"train", "labels"}])
			}
		}
	}
	names, err := s.classNames(labels, isFashion(d.SHA256))
	if err != nil {
		return err
	}
	d.Classes = names
	if err := checkClasses(s.name(), names); err != nil {
		return err
	}
	for _, split := range splits {
		for i, label := range split.Labels {
			class, _ := slices.BinarySearch(labels, label)
			split.Labels[i] = byte(class)
		}
	}
	return nil
}

// classNames returns the names of labels: from classes.txt, from EMNIST's mapping
// file, Fashion-MNIST's, or their numbers.
func (s *idxSet) classNames(labels []byte, fashion bool) ([]string, error) {
	path := filepath.Join(s.dir, "classes.txt")
	if lines, err := readLines(path); err == nil {
		return namesFromLines(path, lines, labels)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, badData("%v", err)
	}
	if lines, err := readLines(filepath.Join(s.dir, s.prefix+"-mapping.txt")); err == nil {
		return namesFromMapping(filepath.Join(s.dir, s.prefix+"-mapping.txt"), lines, labels)
	}
	if fashion {
		return FashionMNIST.Classes, nil
	}
	names := make([]string, len(labels))
	for i, label := range labels {
		names[i] = strconv.Itoa(int(label))
	}
	return names, nil
}

// readLines returns the lines of a text file without the space around them.
func readLines(path string) ([]string, error) {
	text, err := limitedfile.Read(path, limitedfile.Settings)
	if err != nil {
		return nil, err
	}
	return linesOf(text), nil
}

func linesOf(text []byte) []string {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// namesFromLines returns names that a file lists: one for each label that occurs, or
// one for each number from 0 on.
func namesFromLines(path string, lines []string, labels []byte) ([]string, error) {
	seen := map[string]bool{}
	for i, line := range lines {
		if line == "" || seen[line] {
			return nil, badData("%s: line %d is %q: want a name for each class, each once", path, i+1, line)
		}
		seen[line] = true
	}
	if len(lines) == len(labels) {
		return lines, nil
	}
	if last := int(labels[len(labels)-1]); len(lines) <= last {
		return nil, badData("%s has %d names, but there are %d classes", path, len(lines), len(labels))
	}
	names := make([]string, len(labels))
	for i, label := range labels {
		names[i] = lines[label]
	}
	return names, nil
}

// namesFromMapping returns names from EMNIST's mapping file, whose lines are a label
// and the code points of its characters: "1 65 97" is named A/a.
func namesFromMapping(path string, lines []string, labels []byte) ([]string, error) {
	byLabel := map[byte]string{}
	for i, line := range lines {
		var characters []string
		fields := strings.Fields(line)
		for _, field := range fields[min(1, len(fields)):] {
			code, err := strconv.ParseUint(field, 10, 20)
			if err != nil {
				return nil, badData("%s: line %d is %q: want a label and code points", path, i+1, line)
			}
			characters = append(characters, string(rune(code)))
		}
		if len(characters) == 0 {
			continue
		}
		label, err := strconv.ParseUint(fields[0], 10, 8)
		if err != nil {
			return nil, badData("%s: line %d is %q: want a label and code points", path, i+1, line)
		}
		byLabel[byte(label)] = strings.Join(characters, "/")
	}
	names := make([]string, len(labels))
	for i, label := range labels {
		if names[i] = byLabel[label]; names[i] == "" {
			names[i] = fmt.Sprint(label)
		}
	}
	return names, nil
}

// isFashion reports whether the hashes are those of Fashion-MNIST's four files.
func isFashion(hashes map[string]string) bool {
	found := 0
	for _, hash := range hashes {
		if slices.ContainsFunc(files[:], func(f file) bool { return f.sha256 == hash }) {
			found++
		}
	}
	return found == len(files)
}
