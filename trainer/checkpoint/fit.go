package checkpoint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Spec describes a tensor that a network needs.
type Spec struct {
	Name  string
	Shape []int // in PyTorch's order
	// Count marks a number of batches seen, such as num_batches_tracked. No result
	// depends on it, so it may be absent, have any type, and have any shape of one
	// element. It is read as an int64, 0 if absent. All other tensors are
	// floating-point.
	Count bool
}

// Fit finds the wanted tensors in one of the file's dictionaries, reads them, and
// returns them in the order and with the names of want. It removes a common prefix
// that a wrapper adds to all names, such as "module." or "model._orig_mod.".
//
// The error is [ErrBadCheckpoint]. If no dictionary fits, it lists in one line the
// problems of the one that fits best: missing and unknown tensors, and different
// shapes and types. If several fit and none has a customary name, it names them.
func (f *File) Fit(want []Spec) ([]Tensor, error) {
	c, err := f.choose(want)
	if err != nil {
		return nil, err
	}
	tensors := make([]Tensor, len(want))
	for i, w := range want {
		t, err := c.read(w)
		if err != nil {
			return nil, bad("%s: %v", c.prefix+w.Name, err)
		}
		tensors[i] = t
	}
	return tensors, nil
}

// Compare reports whether the names, shapes and types of the file's tensors are those
// wanted and, if they are not, how similar the most similar dictionary is, from 0
// to 1.
func (f *File) Compare(want []Spec) (fit bool, likeness float64) {
	fits, best := f.compare(want)
	return len(fits) > 0, best.likeness
}

// VectorLengths returns the different lengths of the file's tensors of one axis named
// bias, in ascending order: among them is that of the last layer, the number of classes.
func (f *File) VectorLengths() []int {
	var lengths []int
	for _, s := range f.sets {
		for _, e := range s.entries {
			if len(e.shape) == 1 && strings.HasSuffix(e.name, "bias") {
				lengths = append(lengths, e.shape[0])
			}
		}
	}
	slices.Sort(lengths)
	return slices.Compact(lengths)
}

// set is a dictionary of tensors.
type set struct {
	key     string // its path in a PyTorch file, such as "ema.shadow"
	entries []entry
}

// entry is a named value of a dictionary.
type entry struct {
	name  string
	shape []int
	dtype string                 // "float32" and so on
	read  func() (Tensor, error) // without its name
	not   string                 // what it is, if not a tensor
}

// choose returns the dictionary that fits.
func (f *File) choose(want []Spec) (comparison, error) {
	fits, best := f.compare(want)
	switch len(fits) {
	case 0:
		return comparison{}, bad("the tensors%s do not match the model's: %s", best.set.where(), best.summary())
	case 1:
		return fits[0], nil
	}
	var keys []string
	for _, customary := range []string{"state_dict", "model_state_dict", "model"} {
		for _, c := range fits {
			if c.set.key == customary {
				return c, nil
			}
		}
	}
	for _, c := range fits {
		keys = append(keys, fmt.Sprintf("%q", c.set.key))
	}
	return comparison{}, bad("%s and %s match the model; save the one you want by itself with torch.save",
		strings.Join(keys[:len(keys)-1], ", "), keys[len(keys)-1])
}

// where names the dictionary for a message; "" if it is the outermost one.
func (s set) where() string {
	if s.key == "" {
		return ""
	}
	return fmt.Sprintf(" in %q", s.key)
}

// compare returns the dictionaries that fit and, if none does, the most similar one.
func (f *File) compare(want []Spec) (fits []comparison, best comparison) {
	best.likeness = -1
	for _, s := range f.sets {
		for _, prefix := range s.prefixes(want) {
			c := s.compare(want, prefix)
			if c.fits() {
				fits = append(fits, c)
				break
			}
			if c.likeness > best.likeness {
				best = c
			}
		}
	}
	return fits, best
}

// averageCount names the number of averaged models, which torch.optim.swa_utils adds to
// a network's tensors.
const averageCount = "n_averaged"

// namesOf returns the set of names wanted.
func namesOf(want []Spec) map[string]bool {
	names := map[string]bool{}
	for _, w := range want {
		names[w.Name] = true
	}
	return names
}

// maxPrefixes is the number of prefixes that are tried for one set, besides none.
const maxPrefixes = 8

// prefixes returns "" and the prefixes, up to a dot, that wanted names follow, the most
// frequent first.
func (s set) prefixes(want []Spec) []string {
	wanted := namesOf(want)
	found := map[string]int{}
	for _, e := range s.entries {
		for i, r := range e.name {
			if r == '.' && wanted[e.name[i+1:]] {
				found[e.name[:i+1]]++
			}
		}
	}
	list := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(found[b]-found[a], strings.Compare(a, b))
	})
	return append([]string{""}, list[:min(len(list), maxPrefixes)]...)
}

// comparison says how a dictionary's tensors, with a prefix removed from their names,
// differ from those wanted.
type comparison struct {
	set      set
	prefix   string
	byName   map[string]entry // without the prefix
	likeness float64

	// Problems, grouped for the summary: "16 more do not match".
	misfits, missing, unknown []string
}

// fits reports whether there is no problem.
func (c comparison) fits() bool { return len(c.misfits)+len(c.missing)+len(c.unknown) == 0 }

// compare finds all differences between the set's tensors and those wanted.
func (s set) compare(want []Spec, prefix string) comparison {
	c := comparison{set: s, prefix: prefix, byName: map[string]entry{}}
	var others []entry
	wanted := namesOf(want)
	for _, e := range s.entries {
		name, ok := strings.CutPrefix(e.name, prefix)
		_, twice := c.byName[name]
		switch {
		case !ok || !wanted[name]:
			if e.read != nil && e.name != averageCount {
				others = append(others, e)
			}
			continue
		case twice:
			c.misfits = append(c.misfits, e.name+" occurs twice")
		}
		c.byName[name] = e
	}
	alike := s.commonShapes(want)
	absent := map[string][]string{} // names by shape
	for _, w := range want {
		e, ok := c.byName[w.Name]
		if ok {
			alike++
			if problem := w.problem(e); problem != "" {
				c.misfits = append(c.misfits, prefix+w.Name+" "+problem)
			}
		} else if shape := shapeString(w.Shape); !w.Count {
			absent[shape] = append(absent[shape], w.Name)
			c.missing = append(c.missing, fmt.Sprintf("%s %s is missing", prefix+w.Name, shape))
		}
	}
	for _, e := range others {
		text := fmt.Sprintf("%s %s is unknown", e.name, shapeString(e.shape))
		// If only the names differ, suggest the name that is meant.
		if like := absent[shapeString(e.shape)]; len(like) == 1 && len(others) == len(c.missing) {
			text += " (rename it to " + like[0] + "?)"
		}
		c.unknown = append(c.unknown, text)
	}
	c.likeness = float64(alike) / float64(len(want)+max(len(want), len(s.entries)))
	return c
}

// problem says why an entry is not the wanted tensor, "" if it is.
func (w Spec) problem(e entry) string {
	switch {
	case w.Count && e.read == nil:
		return ""
	case e.read == nil:
		return fmt.Sprintf("is not a tensor but %s", e.not)
	case w.Count && product(e.shape) == 1 && len(e.shape) <= maxAxes:
		return ""
	case !slices.Equal(e.shape, w.Shape):
		return fmt.Sprintf("has shape %s, expected %s", shapeString(e.shape), shapeString(w.Shape))
	case !isFloat(e.dtype):
		return fmt.Sprintf("has elements of type %s, expected float32, float64, float16 or bfloat16 (convert with .float())", orUnknown(e.dtype))
	}
	return ""
}

func orUnknown(dtype string) string {
	if dtype == "" {
		return "unknown to this program"
	}
	return dtype
}

// commonShapes counts the wanted tensors for which the set has one of the same shape.
func (s set) commonShapes(want []Spec) int {
	have := map[string]int{}
	for _, e := range s.entries {
		have[shapeString(e.shape)]++
	}
	n := 0
	for _, w := range want {
		if shape := shapeString(w.Shape); have[shape] > 0 {
			have[shape]--
			n++
		}
	}
	return n
}

// summary lists the first problems of each kind and counts the others.
func (c comparison) summary() string {
	const most = 6
	var parts []string
	add := func(problems []string, more string) {
		parts = append(parts, problems[:min(most, len(problems))]...)
		if rest := len(problems) - most; rest > 0 {
			parts = append(parts, fmt.Sprintf("%d more %s", rest, more))
		}
	}
	add(c.misfits, "do not match")
	add(c.missing, "are missing")
	add(c.unknown, "are unknown")
	return strings.Join(parts, "; ")
}

// read reads a wanted tensor.
func (c comparison) read(w Spec) (Tensor, error) {
	e := c.byName[w.Name]
	if e.read == nil {
		return Scalar(w.Name, 0), nil
	}
	t, err := e.read()
	if w.Count { // kept only to be saved again
		if err != nil {
			return Scalar(w.Name, 0), nil
		}
		return Scalar(w.Name, t.count()), nil
	}
	if err == nil && t.len() != product(w.Shape) {
		err = fmt.Errorf("it has %d elements, but its shape %s needs %d", t.len(), shapeString(w.Shape), product(w.Shape))
	}
	t.Name = w.Name
	return t, err
}

// count returns a tensor's only element as a number of batches, 0 if it is not one.
func (t Tensor) count() int64 {
	switch {
	case len(t.Ints) == 1:
		return max(0, t.Ints[0])
	case len(t.Data) == 1 && t.Data[0] >= 0 && t.Data[0] < 1<<53:
		return int64(t.Data[0])
	}
	return 0
}

// product returns the number of elements of a shape.
func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// shapeString formats a shape as (32, 1, 3, 3).
func shapeString(shape []int) string {
	return "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]") + ")"
}
