package setting

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// WantLines describes the content of a settings file.
const WantLines = `lines of the form "key: value"`

// Entry is a key of a mapping in a YAML file, and its value.
type Entry struct {
	File  string
	Line  int // of the key
	Key   string
	Value *yaml.Node // never an alias
}

// Source says where the entry is, for messages.
func (e Entry) Source() string { return fmt.Sprintf("%s: line %d", e.File, e.Line) }

// ParseEntries lists the entries of the mapping that a YAML file consists of. The
// error is [ErrWrong] and names the file, as given, and the line.
func ParseEntries(file string, text []byte) ([]Entry, error) {
	root, err := parseDocument(file, text)
	if err != nil || root == nil {
		return nil, err
	}
	return Entries(file, root)
}

// parseDocument returns the mapping that a YAML file consists of, nil if the
// file is empty.
func parseDocument(file string, text []byte) (*yaml.Node, error) {
	isUTF16 := bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
	if !isUTF16 && (!utf8.Valid(text) || bytes.ContainsRune(text, 0)) {
		return nil, Errorf("%s is not UTF-8 text: want YAML, %s", file, WantLines)
	}
	if err := CheckYAML(text); err != nil {
		return nil, Errorf("%s %v", file, err)
	}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			return nil, Errorf("%s: line %d: a second document begins: want one", file, next.Line)
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
		return nil, Errorf("%s: line %d: found %s: want %s", file, root.Line, describeNode(root), WantLines)
	}
	return root, nil
}

// mostMarks is the most marks in a YAML text after which a value may begin. An experiment
// of 10,000 runs has a third of that.
const mostMarks = 1 << 17

// CheckYAML returns an error for a text of so many values that the library would take more
// than about 100 MB: it takes several hundred bytes for each, which may be one byte and
// a comma.
func CheckYAML(text []byte) error {
	if len(text) <= mostMarks {
		return nil
	}
	marks := 0
	for i, c := range text {
		switch c {
		case '\n', '\r', ',', '[', '{', 0, // of UTF-16
			0xC2, 0xE2: // with which the rarer ends of lines begin
			marks++
		case '-', '?', ':':
			if i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t') {
				marks++
			}
		}
	}
	if marks > mostMarks {
		return Errorf("has more than %d values and lines: want fewer", mostMarks)
	}
	return nil
}

var (
	lineNumber  = regexp.MustCompile(`line (\d+)`)
	tabIndented = regexp.MustCompile(`(?m)^ *\t`)
)

// syntaxError says where a file is not YAML, and shows the line.
func syntaxError(file string, text []byte, err error) error {
	lines := strings.Split(string(text), "\n")
	if at := tabIndented.FindIndex(text); at != nil {
		return Errorf("%s: line %d: indented with a tab: YAML requires spaces", file, 1+bytes.Count(text[:at[0]], []byte("\n")))
	}
	line := 1
	if match := lineNumber.FindStringSubmatch(err.Error()); match != nil {
		line, _ = strconv.Atoi(match[1]) // digits
	}
	line = min(line, len(lines))
	for line > 1 && strings.TrimSpace(lines[line-1]) == "" { // something missing at the end is reported after it
		line--
	}
	return Errorf("%s: line %d: %s is not valid YAML: want %s", file, line, Shown(strings.TrimSpace(lines[line-1])), WantLines)
}

// Entries lists the entries of a mapping in a file. Its keys must differ.
func Entries(file string, mapping *yaml.Node) ([]Entry, error) {
	var list []Entry
	lines := map[string]int{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		source := fmt.Sprintf("%s: line %d", file, key.Line)
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, Errorf("%s: the key is %s: want %s", source, describeNode(key), WantLines)
		case key.Tag == "!!merge":
			return nil, Errorf("%s: merging with << is not supported: write the settings out", source)
		case lines[key.Value] > 0:
			return nil, Errorf("%s: %s is given twice, first on line %d: leave one out", source, Shown(key.Value), lines[key.Value])
		}
		lines[key.Value] = key.Line
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		list = append(list, Entry{file, key.Line, key.Value, value})
	}
	return list, nil
}

// mostKeys is the most keys that a mapping may have in a file that [Decode] reads.
const mostKeys = 1000

// Decode sets what a YAML file that this program wrote says of *into. The file may be
// anybody's: where [yaml.Unmarshal] compares all keys of a mapping with each other and
// describes each pair of equal ones, Decode needs memory in proportion to the text. The
// error is [ErrWrong], of one line, and names the file, as given, and the line.
func Decode(file string, text []byte, into any) error {
	root, err := parseDocument(file, text)
	if err != nil || root == nil {
		return err
	}
	if err := checkMappings(file, root); err != nil {
		return err
	}
	if err := root.Decode(into); err != nil {
		return Errorf("%s: %s", file, damagedLine(err))
	}
	return nil
}

// checkMappings refuses a mapping, at any depth, that is long or has equal keys.
func checkMappings(file string, n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		if len(n.Content) > 2*mostKeys {
			return Errorf("%s: line %d: found a group of more than %d keys: want fewer", file, n.Line, mostKeys)
		}
		if _, err := Entries(file, n); err != nil {
			return err
		}
	}
	for _, inner := range n.Content {
		if err := checkMappings(file, inner); err != nil {
			return err
		}
	}
	return nil
}

// damagedLine rewords the library's error, which has many lines and speaks of Go types.
func damagedLine(err error) string {
	if match := lineNumber.FindString(err.Error()); match != "" {
		return match + " is damaged"
	}
	return "the file is damaged"
}

// Assignments makes assignments of entries, whose keys must be in the table.
func (t Table) Assignments(entries []Entry) ([]Assignment, error) {
	var list []Assignment
	for _, e := range entries {
		s, err := t.find(e.Source(), e.Key)
		if err != nil {
			return nil, err
		}
		a, err := e.Assignment(s)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// quoted are the styles that make any scalar text.
const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// Assignment returns the entry as an assignment. It refuses anything but one plain
// value of the setting's kind.
func (e Entry) Assignment(s Setting) (Assignment, error) {
	problem := ""
	switch v := e.Value; {
	case v.Kind != yaml.ScalarNode, v.Style&yaml.TaggedStyle != 0:
		problem = "is " + describeNode(v)
	case v.Tag == "!!null" && v.Style&quoted == 0:
		problem = "has no value"
	case v.Style&quoted != 0 && !s.IsText:
		problem = fmt.Sprintf("is the text %s", strconv.Quote(v.Value))
	default:
		return Assignment{e.Key, v.Value, e.Source()}, nil
	}
	return Assignment{}, &Error{Source: e.Source(), Name: e.Key, Problem: problem, Want: s.Want}
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
		return "tagged " + strings.Trim(Shown(strings.TrimLeft(n.Tag, "!")), `"`) // a tag may have any character, escaped
	}
	return Shown(n.Value)
}
