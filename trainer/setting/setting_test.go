package setting

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func belowOne() Kind {
	return Number("a number from 0 to below 1", func(x float64) bool { return x >= 0 && x < 1 })
}

func positive() Kind {
	return Number("a positive number up to 1000", func(x float64) bool { return x > 0 && x <= 1000 })
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		text string
		want any
	}{
		{Whole(1, 100), "010", 10},
		{Whole(1, 100), "08", 8},
		{Whole(1, 100), "+5", 5},
		{Unsigned(), "042", uint64(42)},
		{Unsigned(), "18446744073709551615", uint64(math.MaxUint64)},
		{positive(), "1e-3", 1e-3},
		{positive(), ".5", .5},
		{positive(), "007", 7.},
		{belowOne(), "-0", 0.},
		{belowOne(), "0.9999999", .9999999},
		{Bool(), "True", true},
		{Bool(), "false", false},
		{Choice("adam", "sgd"), "sgd", "sgd"},
		{Text("FOLDER", "a folder"), "a b", "a b"},
		{Seeds(), "1, 3,5 - 7", []uint64{1, 3, 5, 6, 7}},
		{Seeds(), "18446744073709551614-18446744073709551615", []uint64{math.MaxUint64 - 1, math.MaxUint64}},
	} {
		got, err := c.kind.Parse("x", c.text)
		if err != nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", c.want, c.want) {
			t.Errorf("%q: %T %v (%v), want %T %v", c.text, got, got, err, c.want, c.want)
		}
		if f, ok := got.(float64); ok && math.Signbit(f) {
			t.Errorf("%q keeps the sign of 0", c.text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		text string
		say  string
	}{
		{Whole(1, 100), "3.5", "x is 3.5: want a whole number from 1 to 100"},
		{Whole(1, 100), "3.0", "x is 3.0: want a whole number"},
		{Whole(1, 100), "1e1", "x is 1e1: want a whole number"},
		{Whole(1, 100), "0x10", `x is "0x10": want a whole number`},
		{Whole(1, 100), "0o17", `x is "0o17": want a whole number`},
		{Whole(1, 100), "1_0", `x is "1_0": want a whole number`},
		{Whole(1, 100), "", "x is empty: want a whole number"},
		{Whole(1, 100), "101", "x is 101: want a whole number from 1 to 100"},
		{Whole(1, 100), "99999999999999999999", "x is 99999999999999999999: want a whole number"},
		{Unsigned(), "-0.5", "x is -0.5: want a whole number from 0 to 18446744073709551615"},
		{Unsigned(), "-1", "x is -1: want a whole number from 0"},
		{Unsigned(), "18446744073709551616", "x is 18446744073709551616: want a whole number from 0"},
		{Unsigned(), strings.Repeat("9", 500), "9…: want a whole number from 0"},
		{positive(), "nan", `x is "nan": want a positive number up to 1000`},
		{positive(), ".inf", `x is ".inf": want a positive number`},
		{positive(), "1e999", "x is 1e999: want a positive number"},
		{positive(), "1e8", "x is 1e8: want a positive number up to 1000"},
		{positive(), "0x1p-2", `x is "0x1p-2": want a positive number`},
		{positive(), "0,001", `x is "0,001": want a positive number`},
		{positive(), "1e-50", "x is 1e-50, which is 0 in 32-bit precision: want a positive number"},
		{positive(), "1e-40", "x is 1e-40, which is 0 in 32-bit precision: want a positive number"},
		{belowOne(), ".9999999999", "x is .9999999999, which is 1 in 32-bit precision: want a number from 0 to below 1"},
		{belowOne(), "1e-50", "x is 1e-50, which is 0 in 32-bit precision: want a number from 0"},
		{Bool(), "yes", `x is "yes": want true or false`},
		{Bool(), "1", "x is 1: want true or false"},
		{Choice("adam", "sgd", "lion"), "Adam", `x is "Adam": want adam, sgd or lion`},
		{Text("FOLDER", "a folder"), " ", `x is " ": want a folder`},
		{Text("FOLDER", "a folder"), "a\nb", `x is "a\nb": want a folder`},
		{Path("FOLDER", "a folder"), "", `x is empty: want a folder`},
		{FolderName("a name"), "a/b", `x is "a/b": want a name`},
		{FolderName("a name"), `a\b`, `want a name`},
		{FolderName("a name"), "..", `x is "..": want a name`},
		{FolderName("a name"), ".", `x is ".": want a name`},
		{FolderName("a name"), "", `x is empty: want a name`},
		{Seeds(), "0-1000", `x is "0-1000": want whole numbers and ranges`},
		{Seeds(), "0-600,0-600", `want whole numbers and ranges`},
		{Seeds(), "5-1", `x is "5-1": want whole numbers`},
		{Seeds(), "1,", `x is "1,": want whole numbers`},
	} {
		_, err := c.kind.Parse("x", c.text)
		if !errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%q: %v, want %q", c.text, err, c.say)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), 0, -1} {
		if err := positive().Check("x", x); !errors.Is(err, ErrWrong) || !strings.HasPrefix(err.Error(), fmt.Sprintf("x is %v: want", x)) {
			t.Errorf("%v: %v", x, err)
		}
	}
}

// Files of settings and --flag=~/x bring paths that no shell has expanded.
func TestPathExpandsHome(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	for path, want := range map[string]string{"~/data": filepath.Join(home, "data"), "~": home,
		"~user/data": "~user/data", "a/~/b": "a/~/b", "~~": "~~", "-": "-"} {
		if got, err := Path("FOLDER", "a folder").Parse("x", path); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %s", path, got, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"batch-size", "epochs", "lr", "train", "data-dir", "log-every", "label-smoothing", "crop"}
	for mistyped, want := range map[string]string{"batch_size": "batch-size", "epoch": "epochs", "trian": "train", "Epochs": "epochs",
		"batch": "batch-size", "lrr": "lr", "data-dirs": "data-dir", "colour": "", "x": "", "": "", "lable-smoothing": "label-smoothing"} {
		if got := Nearest(mistyped, words); got != want {
			t.Errorf("%q: %q, want %q", mistyped, got, want)
		}
	}
}
