package trainer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// environmentKey is the section of args.yaml that records where a run ran.
const environmentKey = "environment"

// wantLines describes the content of a settings file.
const wantLines = `lines of the form "key: value"`

// LoadYAML reads a settings file; see [Config.ParseYAML]. A file that cannot be
// read is [ErrUsage].
func (c *Config) LoadYAML(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usage("cannot read the settings in %s: %v", path, cause(err))
	}
	return c.ParseYAML(path, text)
}

// ParseYAML sets the settings given in the text of a YAML file, those of its preset
// first. Keys are the names in [Settings]. ParseYAML skips the section
// "environment" of a run's args.yaml, so that this file can repeat the run. An
// error ([ErrUsage]) names the file, as given, and the line.
func (c *Config) ParseYAML(file string, text []byte) error {
	root, err := parseMapping(file, text)
	if err != nil || root == nil {
		return err
	}
	entries, err := mappingEntries(file, root)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.key == environmentKey })
	if slices.ContainsFunc(entries, func(e entry) bool { return e.key == "base" || e.key == "grid" }) {
		return usage("%s describes an experiment, not one training: run it with the experiment command", file)
	}
	assignments, err := assignmentsOf(entries)
	if err != nil {
		return err
	}
	return c.Apply(assignments...)
}

// entry is a key of a mapping in a YAML file, and its value.
type entry struct {
	file  string
	line  int // of the key
	key   string
	value *yaml.Node // never an alias
}

// source says where the entry is, for messages.
func (e entry) source() string { return fmt.Sprintf("%s: line %d", e.file, e.line) }

// parseMapping returns the mapping that a YAML file consists of, nil if the
// file is empty.
func parseMapping(file string, text []byte) (*yaml.Node, error) {
	isUTF16 := bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
	if !isUTF16 && (!utf8.Valid(text) || bytes.ContainsRune(text, 0)) {
		return nil, usage("%s is not UTF-8 text: want YAML, %s", file, wantLines)
	}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			return nil, usage("%s: line %d: a second document begins: want one", file, next.Line)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return nil, syntaxError(file, text, err)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 { // "---" alone
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, usage("%s: line %d: found %s: want %s", file, root.Line, describeNode(root), wantLines)
	}
	return root, nil
}

var (
	lineNumber  = regexp.MustCompile(`line (\d+)`)
	tabIndented = regexp.MustCompile(`(?m)^ *\t`)
)

// syntaxError says where a file is not YAML, and shows the line.
func syntaxError(file string, text []byte, err error) error {
	lines := strings.Split(string(text), "\n")
	if at := tabIndented.FindIndex(text); at != nil {
		return usage("%s: line %d: indented with a tab: YAML requires spaces", file, 1+bytes.Count(text[:at[0]], []byte("\n")))
	}
	line := 1
	if match := lineNumber.FindStringSubmatch(err.Error()); match != nil {
		line, _ = strconv.Atoi(match[1]) // digits
	}
	line = min(line, len(lines))
	for line > 1 && strings.TrimSpace(lines[line-1]) == "" { // something missing at the end is reported after it
		line--
	}
	return usage("%s: line %d: %s is not valid YAML: want %s", file, line, setting.Shown(strings.TrimSpace(lines[line-1])), wantLines)
}

// mappingEntries lists the entries of a mapping, whose keys must differ.
func mappingEntries(file string, mapping *yaml.Node) ([]entry, error) {
	var list []entry
	lines := map[string]int{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		source := fmt.Sprintf("%s: line %d", file, key.Line)
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, usage("%s: the key is %s: want %s", source, describeNode(key), wantLines)
		case key.Tag == "!!merge":
			return nil, usage("%s: merging with << is not supported: write the settings out", source)
		case lines[key.Value] > 0:
			return nil, usage("%s: %s is given twice, first on line %d: leave one out", source, key.Value, lines[key.Value])
		}
		lines[key.Value] = key.Line
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		list = append(list, entry{file, key.Line, key.Value, value})
	}
	return list, nil
}

// assignmentsOf makes assignments of the entries of a mapping of settings.
func assignmentsOf(entries []entry) ([]Assignment, error) {
	var list []Assignment
	for _, e := range entries {
		s, ok := FindSetting(e.key)
		if !ok {
			return nil, unknownKey(e.source(), e.key, settingNames())
		}
		a, err := e.assignment(s)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// quoted are the styles that make any scalar text.
const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// assignment returns the entry as an assignment. It refuses anything but one plain
// value of the setting's kind.
func (e entry) assignment(s Setting) (Assignment, error) {
	problem := ""
	switch v := e.value; {
	case v.Kind != yaml.ScalarNode, v.Style&yaml.TaggedStyle != 0:
		problem = "is " + describeNode(v)
	case v.Tag == "!!null" && v.Style&quoted == 0:
		problem = "has no value"
	case v.Style&quoted != 0 && !s.IsText:
		problem = fmt.Sprintf("is the text %s", strconv.Quote(v.Value))
	default:
		return Assignment{e.key, v.Value, e.source()}, nil
	}
	return Assignment{}, &setting.Error{Source: e.source(), Name: e.key, Problem: problem, Want: s.Want}
}

// describeNode names a node of a YAML file for messages.
func describeNode(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a group of keys"
	case n.Kind == yaml.AliasNode:
		return "the alias *" + n.Value
	case n.Style&yaml.TaggedStyle != 0:
		return "tagged " + strings.TrimLeft(n.Tag, "!")
	}
	return setting.Shown(n.Value)
}

// yamlProblem rewords the library's error about a file that this program writes:
// the original speaks of Go types.
func yamlProblem(err error) string {
	if match := lineNumber.FindString(err.Error()); match != "" {
		return match + " is damaged"
	}
	return "the file is damaged"
}
