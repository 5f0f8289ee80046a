package model

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// ParseYAML reads the layers of a network:
//
//	layers:
//	  - conv: {name: conv1, out: 32, kernel: 3, stride: 1, padding: 1, bias: true}
//	  - batchnorm: {name: bn1}
//	  - relu                       # also gelu, silu
//	  - maxpool: {kernel: 2, stride: 2}    # or maxpool: 2
//	  - residual:                  # body(x) + shortcut(x), or body(x) + x
//	      name: block1
//	      body: [ … ]
//	      shortcut: [ … ]
//	  - avgpool: global            # or {kernel: 2, stride: 2}
//	  - flatten
//	  - dropout: 0.25
//	  - linear: {name: fc1, out: classes}
//
// A stride is 1 by default, that of a pooling its kernel; padding is 0 and bias
// true. The network's name is the file's. Errors begin with file and line, as
// do those of [Network.Check] later. Input and classes are left open: they are
// the dataset's.
func ParseYAML(file string, text []byte) (Network, error) {
	base := filepath.Base(file)
	r := reader{source: &source{file: file, lines: map[string]int{}}}
	n := Network{Name: strings.TrimSuffix(base, filepath.Ext(base)), source: r.source}
	if err := setting.CheckYAML(text); err != nil {
		return n, fmt.Errorf("%s %w", file, err)
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&doc)
	switch {
	case err == io.EOF:
		return n, fmt.Errorf("%s is empty: want the key layers with a list", file)
	case err != nil:
		return n, fmt.Errorf("%s: not valid YAML: %s", file, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	case decoder.Decode(&more) != io.EOF:
		return n, fmt.Errorf("%s holds more than one YAML document: want one network", file)
	}
	err = r.settings(doc.Content[0], "network", fields{"layers": func(v *yaml.Node) (err error) {
		n.Layers, err = r.layers(v, "", 0)
		return err
	}}, "layers")
	return n, err
}

// source is the file that a network was read from.
type source struct {
	file  string
	lines map[string]int // of each layer, by its place
}

// at returns the file and the line of a layer.
func (s *source) at(place string) (file string, line int) {
	if s == nil {
		return "", 0
	}
	return s.file, s.lines[place]
}

// on returns " on line N" for the layer at a place, "" where it has no line.
func (s *source) on(place string) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf(" on line %d", s.lines[place])
}

// reader turns YAML into layers. Its errors begin with file and line.
type reader struct {
	source *source
	count  int    // of layers: aliases can make many from few lines
	what   string // that is being read, such as "conv: out"
}

// fields are the settings of a layer, and how each is read.
type fields map[string]func(*yaml.Node) error

func (r *reader) errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %w", r.source.file, n.Line, fmt.Errorf(format, args...))
}

// layers reads a list of layers.
func (r *reader) layers(n *yaml.Node, place string, depth int) ([]Layer, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, r.errorf(n, "want a list of layers, each on a line that begins with \"- \"")
	}
	var layers []Layer
	for i, item := range n.Content {
		if r.count++; r.count > maxLayers || depth > maxDepth {
			return nil, r.errorf(item, "a network has at most %d layers, and residual blocks at most %d deep", maxLayers, maxDepth)
		}
		at := place + strconv.Itoa(i)
		r.source.lines[at] = item.Line
		l, err := r.layer(resolved(item), at, depth)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// layer reads a word, or one key with its settings.
func (r *reader) layer(n *yaml.Node, place string, depth int) (Layer, error) {
	switch {
	case n.Kind == yaml.ScalarNode:
		return r.byKind(n.Value, n, &yaml.Node{Kind: yaml.MappingNode, Line: n.Line}, place, depth)
	case n.Kind == yaml.MappingNode && len(n.Content) == 2:
		return r.byKind(n.Content[0].Value, n, resolved(n.Content[1]), place, depth)
	}
	return nil, r.errorf(n, "want a layer: a word such as relu, or one key with its settings, such as conv: {out: 32, kernel: 3}")
}

// byKind reads the settings v of the layer n.
func (r *reader) byKind(kind string, n, v *yaml.Node, place string, depth int) (Layer, error) {
	switch kind {
	case "relu", "gelu", "silu":
		return Activation{Function(kind)}, r.settings(v, kind, nil)
	case "flatten":
		return Flatten{}, r.settings(v, kind, nil)
	case "conv":
		var l Conv
		bias := true
		err := r.settings(v, kind, fields{"name": r.word(&l.Name), "out": r.number(&l.Out, 1), "kernel": r.number(&l.Kernel, 1),
			"stride": r.number(&l.Stride, 1), "padding": r.number(&l.Padding, 0), "bias": r.boolean(&bias)}, "out", "kernel")
		l.NoBias = !bias
		return l, err
	case "batchnorm":
		var l BatchNorm
		err := r.settings(v, kind, fields{"name": r.word(&l.Name)})
		return l, err
	case "maxpool":
		var l MaxPool
		err := r.pool(v, kind, &l.Kernel, &l.Stride)
		return l, err
	case "avgpool":
		var l AvgPool
		if v.Kind == yaml.ScalarNode && v.Value == "global" {
			return l, nil
		}
		err := r.pool(v, kind, &l.Kernel, &l.Stride)
		return l, err
	case "dropout":
		return r.dropout(v)
	case "linear":
		var l Linear
		bias := true
		err := r.settings(v, kind, fields{"name": r.word(&l.Name), "out": r.units(&l.Out), "bias": r.boolean(&bias)}, "out")
		l.NoBias = !bias
		return l, err
	case "residual":
		return r.residual(v, place, depth)
	}
	return nil, r.errorf(n, "there is no layer %q: want one of %s", kind, strings.Join(kinds, ", "))
}

// kinds are the keys of layers, for messages.
var kinds = []string{"conv", "batchnorm", "relu", "gelu", "silu", "maxpool", "avgpool", "residual", "flatten", "dropout", "linear"}

func (r *reader) residual(v *yaml.Node, place string, depth int) (Layer, error) {
	var l Residual
	branch := func(name string, into *[]Layer) func(*yaml.Node) error {
		return func(v *yaml.Node) (err error) {
			*into, err = r.layers(v, place+"."+name+".", depth+1)
			return err
		}
	}
	err := r.settings(v, "residual", fields{"name": r.word(&l.Name), "body": branch("body", &l.Body), "shortcut": branch("shortcut", &l.Shortcut)}, "body")
	return l, err
}

// pool reads the kernel of a pooling, alone or with a stride.
func (r *reader) pool(v *yaml.Node, kind string, kernel, stride *int) error {
	if v.Kind == yaml.ScalarNode {
		r.what = kind
		return r.number(kernel, 1)(v)
	}
	return r.settings(v, kind, fields{"kernel": r.number(kernel, 1), "stride": r.number(stride, 1)}, "kernel")
}

func (r *reader) dropout(v *yaml.Node) (Layer, error) {
	p, err := strconv.ParseFloat(v.Value, 64)
	if v.Kind != yaml.ScalarNode || err != nil || !(p >= 0 && p < 1) {
		return nil, r.errorf(v, "dropout: want a probability from 0 to below 1, such as dropout: 0.25")
	}
	return Dropout{p}, nil
}

// settings reads the mapping v of a layer of that kind.
func (r *reader) settings(v *yaml.Node, kind string, f fields, required ...string) error {
	names := slices.Sorted(maps.Keys(f))
	if v.Kind != yaml.MappingNode {
		if len(f) == 0 {
			return r.errorf(v, "%s has no settings: write just \"- %s\"", kind, kind)
		}
		return r.errorf(v, "%s: want settings (%s), such as {%s: …}", kind, strings.Join(names, ", "), names[0])
	}
	seen := map[string]bool{}
	for i := 0; i < len(v.Content); i += 2 {
		key := v.Content[i]
		read := f[key.Value]
		switch {
		case read == nil && len(f) == 0:
			return r.errorf(key, "%s has no settings: write just \"- %s\"", kind, kind)
		case read == nil:
			return r.errorf(key, "%s has no setting %q: want one of %s", kind, key.Value, strings.Join(names, ", "))
		case seen[key.Value]:
			return r.errorf(key, "%s: %s appears twice", kind, key.Value)
		}
		seen[key.Value] = true
		r.what = kind + ": " + key.Value
		if err := read(resolved(v.Content[i+1])); err != nil {
			return err
		}
	}
	for _, name := range required {
		if !seen[name] {
			return r.errorf(v, "%s lacks the setting %s", kind, name)
		}
	}
	return nil
}

// word, number, boolean and units read one setting.

func (r *reader) word(into *string) func(*yaml.Node) error {
	return func(v *yaml.Node) error {
		if v.Kind != yaml.ScalarNode || !validName(v.Value) {
			return r.errorf(v, "%s is %q: want letters, digits, \"_\" and \"-\"", r.what, v.Value)
		}
		*into = v.Value
		return nil
	}
}

// validName reports whether tensors can have the name: dots part it from the
// names around it.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

func (r *reader) number(into *int, least int) func(*yaml.Node) error {
	return func(v *yaml.Node) error {
		n, err := strconv.Atoi(v.Value)
		if v.Kind != yaml.ScalarNode || err != nil || n < least {
			return r.errorf(v, "%s is %q: want a whole number of at least %d", r.what, v.Value, least)
		}
		*into = n
		return nil
	}
}

func (r *reader) boolean(into *bool) func(*yaml.Node) error {
	return func(v *yaml.Node) error {
		if v.Kind != yaml.ScalarNode || (v.Value != "true" && v.Value != "false") {
			return r.errorf(v, "%s is %q: want true or false", r.what, v.Value)
		}
		*into = v.Value == "true"
		return nil
	}
}

func (r *reader) units(into *int) func(*yaml.Node) error {
	return func(v *yaml.Node) error {
		if v.Kind == yaml.ScalarNode && v.Value == "classes" {
			*into = AsClasses
			return nil
		}
		if err := r.number(into, 1)(v); err != nil {
			return r.errorf(v, "%s is %q: want a whole number of at least 1, or the word classes", r.what, v.Value)
		}
		return nil
	}
}

// resolved follows an alias to what it stands for. An alias of itself ends as
// an alias, which nothing accepts.
func resolved(n *yaml.Node) *yaml.Node {
	for i := 0; i < maxDepth && n.Kind == yaml.AliasNode; i++ {
		n = n.Alias
	}
	return n
}

// YAML returns the network's layers in the form that ParseYAML reads.
func (n Network) YAML() (string, error) {
	layers, err := list(n.Layers)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(mapping(false, "layers", layers)); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

func list(layers []Layer) (*yaml.Node, error) {
	nodes := &yaml.Node{Kind: yaml.SequenceNode}
	for _, l := range layers {
		n, err := node(l)
		if err != nil {
			return nil, err
		}
		nodes.Content = append(nodes.Content, n)
	}
	return nodes, nil
}

// node writes a layer without the settings that have their default values.
func node(l Layer) (*yaml.Node, error) {
	switch l := l.(type) {
	case Activation, Flatten:
		return scalar(l.kind()), nil
	case Conv:
		return withSettings(l, "name", l.Name, "out", l.Out, "kernel", l.Kernel, "stride", l.Stride, "padding", l.Padding, "bias", !l.NoBias), nil
	case BatchNorm:
		if l.Name == "" {
			return scalar(l.kind()), nil
		}
		return withSettings(l, "name", l.Name), nil
	case MaxPool:
		return withSettings(l, "kernel", l.Kernel, "stride", l.Stride), nil
	case AvgPool:
		if l.Kernel == 0 {
			return mapping(false, l.kind(), scalar("global")), nil
		}
		return withSettings(l, "kernel", l.Kernel, "stride", l.Stride), nil
	case Dropout:
		return mapping(false, l.kind(), scalar(strconv.FormatFloat(l.P, 'g', -1, 64))), nil
	case Linear:
		var out any = l.Out
		if l.Out == AsClasses {
			out = "classes"
		}
		return withSettings(l, "name", l.Name, "out", out, "bias", !l.NoBias), nil
	case Residual:
		return residualNode(l)
	}
	return nil, fmt.Errorf("a layer of type %T cannot be written", l)
}

func residualNode(l Residual) (*yaml.Node, error) {
	var settings []any
	if l.Name != "" {
		settings = append(settings, "name", scalar(l.Name))
	}
	for _, branch := range []struct {
		name   string
		layers []Layer
	}{{"body", l.Body}, {"shortcut", l.Shortcut}} {
		if len(branch.layers) == 0 {
			continue
		}
		layers, err := list(branch.layers)
		if err != nil {
			return nil, err
		}
		settings = append(settings, branch.name, layers)
	}
	return mapping(false, l.kind(), mapping(false, settings...)), nil
}

// withSettings writes a layer with those of its settings that differ from their
// defaults: no name, stride and padding 0, bias true.
func withSettings(l Layer, keysAndValues ...any) *yaml.Node {
	var given []any
	for i := 0; i < len(keysAndValues); i += 2 {
		key, value := keysAndValues[i].(string), keysAndValues[i+1]
		if value == "" || value == true || value == 0 {
			continue
		}
		given = append(given, key, scalar(fmt.Sprint(value)))
	}
	return mapping(false, l.kind(), mapping(true, given...))
}

func scalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// mapping writes keys and their nodes, in braces or over lines.
func mapping(inBraces bool, keysAndNodes ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	if inBraces {
		m.Style = yaml.FlowStyle
	}
	for i := 0; i < len(keysAndNodes); i += 2 {
		m.Content = append(m.Content, scalar(keysAndNodes[i].(string)), keysAndNodes[i+1].(*yaml.Node))
	}
	return m
}
