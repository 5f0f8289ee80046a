// Package setting describes the values that settings take. Flags, files and
// programs share these descriptions, so that they accept the same values and
// refuse the others with the same message.
package setting

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ErrWrong marks a setting whose value is wrong.
var ErrWrong = errors.New("wrong setting")

// Error is an [ErrWrong] that names the setting, its value and the values that it
// takes.
type Error struct {
	Source  string // where the value was given, such as "c.yaml: line 3"; "" if it is obvious
	Name    string // of the setting
	Problem string // what is wrong, to follow the name: "is 0"
	Want    string // the values that are right
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Name + " " + e.Problem + ": want " + e.Want
	if e.Source != "" {
		text = e.Source + ": " + text
	}
	return text
}

// Is makes the error [ErrWrong].
func (e *Error) Is(target error) bool { return target == ErrWrong }

// Errorf returns an error that is [ErrWrong] but whose text is only the message.
func Errorf(format string, args ...any) error {
	return &textError{fmt.Sprintf(format, args...)}
}

type textError struct{ text string }

func (e *textError) Error() string        { return e.text }
func (e *textError) Is(target error) bool { return target == ErrWrong }

// Kind is a kind of value: how it is written, and which values are allowed.
type Kind struct {
	Want        string   // the allowed values, in words
	Values      []string // the allowed values if they are a few words
	Placeholder string   // stands for the value in help
	IsText      bool     // a value may be written in quotes
	Optional    bool     // the zero value, such as "", stands for none
	Open        bool     // there are other values than Values, such as paths

	parse func(text string) (value any, ok bool)
	check func(value any) (ok bool, why string)
}

// Parse returns the value of text, as the kind's Go type. The error is an [*Error]
// about the named setting.
func (k Kind) Parse(name, text string) (any, error) {
	value, ok := k.parse(text)
	if !ok {
		return nil, &Error{Name: name, Problem: "is " + Shown(text), Want: k.Want}
	}
	return value, k.checkShown(name, value, Shown(text))
}

// Check returns an [*Error] if the value, of the kind's Go type, is not
// allowed.
func (k Kind) Check(name string, value any) error {
	if text, ok := value.(string); ok {
		return k.checkShown(name, value, Shown(text))
	}
	return k.checkShown(name, value, fmt.Sprint(value))
}

func (k Kind) checkShown(name string, value any, shown string) error {
	if ok, why := k.check(value); !ok {
		return &Error{Name: name, Problem: "is " + shown + why, Want: k.Want}
	}
	return nil
}

// decimal matches the numbers that people write: no hexadecimal, no octal, no
// infinity, no underscores.
var decimal = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// Shown returns a value as messages show it: numbers unchanged, other text in
// quotes, cut to fit on a line.
func Shown(text string) string {
	const most = 60
	if text == "" {
		return "empty"
	}
	short := []rune(text)
	if len(short) > most {
		short = append(short[:most], '…')
	}
	if decimal.MatchString(text) {
		return string(short)
	}
	return strconv.Quote(string(short))
}

// Whole is a whole number from low to high, in decimal digits. Its values are
// of type int.
func Whole(low, high int) Kind {
	return Kind{
		Want:        fmt.Sprintf("a whole number from %d to %d", low, high),
		Placeholder: "N",
		parse: func(text string) (any, bool) {
			n, err := strconv.ParseInt(text, 10, strconv.IntSize)
			return int(n), err == nil
		},
		check: func(value any) (bool, string) {
			n := value.(int)
			return low <= n && n <= high, ""
		},
	}
}

// Unsigned is a whole number of 64 bits, in decimal digits. Its values are of
// type uint64.
func Unsigned() Kind {
	return Kind{
		Want:        fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)),
		Placeholder: "N",
		parse: func(text string) (any, bool) {
			n, err := strconv.ParseUint(text, 10, 64)
			return n, err == nil
		},
		check: func(any) (bool, string) { return true, "" },
	}
}

// Number is a number for which allowed returns true; want describes those numbers.
// Since devices compute with float32, the number rounded to float32 must be allowed
// too, and only 0 may round to 0. Its values are of type float64.
func Number(want string, allowed func(x float64) bool) Kind {
	return Kind{
		Want:        want,
		Placeholder: "X",
		parse: func(text string) (any, bool) {
			if !decimal.MatchString(text) {
				return nil, false
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil && !math.IsInf(x, 0) { // out of range is for check
				return nil, false
			}
			return x + 0, true // -0 becomes 0
		},
		check: func(value any) (bool, string) {
			x := value.(float64)
			if !allowed(x) {
				return false, ""
			}
			if rounded := toDevice(x); !allowed(rounded) || (rounded == 0) != (x == 0) {
				return false, fmt.Sprintf(", which is %v in 32-bit precision", rounded)
			}
			return true, ""
		},
	}
}

// Fraction is a number from 0 up to, but not including, 1. Its values are of type
// float64.
func Fraction() Kind {
	return Number("a number from 0 to below 1", func(x float64) bool { return x >= 0 && x < 1 })
}

// smallestNormal is the smallest float32 that devices do not flush to 0.
const smallestNormal = 0x1p-126

// toDevice returns the number that devices compute with.
func toDevice(x float64) float64 {
	if math.Abs(x) < smallestNormal {
		return 0
	}
	return float64(float32(x))
}

// Choice is one of a few words. Its values are of type string.
func Choice(values ...string) Kind {
	return Kind{
		Want:        orList(values),
		Values:      values,
		Placeholder: "NAME",
		IsText:      true,
		parse:       func(text string) (any, bool) { return text, true },
		check:       func(value any) (bool, string) { return slices.Contains(values, value.(string)), "" },
	}
}

// orList joins words as in a sentence: "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Bool is true or false. Its values are of type bool.
func Bool() Kind {
	return Kind{
		Want:        "true or false",
		Values:      []string{"true", "false"},
		Placeholder: "bool",
		parse: func(text string) (any, bool) {
			lower := strings.ToLower(text)
			return lower == "true", lower == "true" || lower == "false"
		},
		check: func(any) (bool, string) { return true, "" },
	}
}

// Text is any text on one line, which want describes, or none. Its values are of
// type string.
func Text(placeholder, want string) Kind {
	return Kind{
		Want:        want,
		Placeholder: placeholder,
		IsText:      true,
		Optional:    true,
		parse: func(text string) (any, bool) {
			return text, strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, unicode.IsControl)
		},
		check: func(any) (bool, string) { return true, "" },
	}
}

// Name is one of a few names, or other text. otherwise describes that text, which
// the caller must check. Its values are of type string.
func Name(names []string, otherwise string) Kind {
	k := Text("NAME", orList(append(slices.Clone(names), otherwise)))
	k.Values, k.Optional, k.Open = names, false, true
	return k
}

// Document is text of any number of lines. Its values are of type string.
func Document(placeholder, want string) Kind {
	k := Text(placeholder, want)
	k.parse = func(text string) (any, bool) { return text, strings.TrimSpace(text) != "" }
	return k
}

// Path is the path of a file or folder. A leading ~/ stands for the user's home
// folder: shells do not expand it in a settings file or after the = of a flag. Its
// values are of type string.
func Path(placeholder, want string) Kind {
	k := Text(placeholder, want)
	text := k.parse
	k.parse = func(path string) (any, bool) {
		_, ok := text(path)
		return ExpandHome(path), ok
	}
	return k
}

// ExpandHome replaces a leading ~/ in a path with the user's home folder.
func ExpandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

// FolderName is the name of a folder, not a path. Its values are of type
// string.
func FolderName(want string) Kind {
	k := Text("NAME", want)
	k.check = func(value any) (bool, string) {
		name := value.(string)
		return !strings.ContainsAny(name, `/\`) && !strings.ContainsFunc(name, unicode.IsControl) && strings.Trim(name, ". ") != "", ""
	}
	return k
}

// MaxList is the largest number of values in a list of [Seeds].
const MaxList = 1000

// Seeds is a list of whole numbers and ranges of them, such as "0-9" or
// "1,3,5-7". Its values are of type []uint64, at least 1 and at most MaxList.
func Seeds() Kind {
	return Kind{
		Want:        fmt.Sprintf("whole numbers and ranges such as 42,43 or 0-9, at most %d in all", MaxList),
		Placeholder: "LIST",
		IsText:      true,
		parse: func(text string) (any, bool) {
			var seeds []uint64
			for part := range strings.SplitSeq(text, ",") {
				var ok bool
				if seeds, ok = appendRange(seeds, strings.TrimSpace(part)); !ok {
					return nil, false
				}
			}
			return seeds, true
		},
		check: func(any) (bool, string) { return true, "" },
	}
}

// appendRange adds the seeds of "7" or "5-7".
func appendRange(seeds []uint64, text string) ([]uint64, bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 64)
	to, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 64)
	if err1 != nil || err2 != nil || from > to || to-from >= uint64(MaxList-len(seeds)) {
		return nil, false
	}
	for i := range to - from + 1 { // counts up from 0, since to may be the largest uint64
		seeds = append(seeds, from+i)
	}
	return seeds, true
}
