package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/study"
)

// flagGroup adds flags under a heading of the help.
type flagGroup struct {
	flags *pflag.FlagSet
	title string
}

// groupKey is the annotation that holds a flag's heading.
const groupKey = "fmnist-gpu/group"

// Headings of the help that several commands share.
const (
	groupRun          = "Run"
	groupModel        = "Model"
	groupData         = "Data"
	groupOptimisation = "Optimisation"
	groupAugmentation = "Augmentation"
	groupDevice       = "Device"
	groupOutput       = "Output"
	groupSlurm        = "Slurm"
	groupKubernetes   = "Kubernetes"
)

// checkedFlag is a flag whose values a [setting.Kind] checks.
type checkedFlag struct {
	name      string
	kind      setting.Kind
	text      string
	isSetting bool            // it is a training's setting of the same name
	store     func(value any) // takes the parsed value
}

// String implements [pflag.Value].
func (f *checkedFlag) String() string { return f.text }

// Set implements [pflag.Value].
func (f *checkedFlag) Set(text string) error {
	if f.kind.IsText && strings.HasPrefix(text, "--") {
		return &setting.Error{Name: f.name, Problem: "has no value before " + text, Want: f.kind.Want}
	}
	value, err := f.kind.Parse(f.name, text)
	if err != nil {
		return err
	}
	f.text = text
	f.store(value)
	return nil
}

// Type implements [pflag.Value]: it returns the value's placeholder in the help.
func (f *checkedFlag) Type() string { return f.kind.Placeholder }

func (g flagGroup) add(f *checkedFlag, usage string) {
	flag := g.flags.VarPF(f, f.name, "", usage)
	flag.Annotations = map[string][]string{groupKey: {g.title}}
	if f.kind.Placeholder == setting.Bool().Placeholder {
		flag.NoOptDefVal = "true"
	}
	g.flags.SortFlags = false
}

// bind adds a flag that sets *p. The present value of *p is the default.
func bind[T any](g flagGroup, p *T, name string, kind setting.Kind, usage string) {
	g.add(&checkedFlag{name: name, kind: kind, text: fmt.Sprint(*p), store: func(v any) { *p = v.(T) }}, usage)
}

// bindEach adds a flag that may be repeated; each use appends to *p.
func bindEach(g flagGroup, p *[]string, name string, kind setting.Kind, usage string) {
	g.add(&checkedFlag{name: name, kind: kind, store: func(v any) { *p = append(*p, v.(string)) }}, usage)
}

// setting adds the flag of a training's setting, with the setting's default.
// [assignments] returns the values given.
func (g flagGroup) setting(name, usage string) {
	g.settingDefault(name, study.DefaultConfig().Value(name), usage)
}

func (g flagGroup) settingDefault(name, value, usage string) {
	g.add(&checkedFlag{name: name, kind: kindOf(name), text: value, isSetting: true, store: func(any) {}}, usage)
}

// kindOf returns the kind of a training's setting.
func kindOf(name string) setting.Kind {
	s, ok := study.Settings().Find(name)
	if !ok {
		panic("there is no setting " + name)
	}
	return s.Kind
}

// assignments returns the training's settings that were given as flags.
func assignments(flags *pflag.FlagSet) []setting.Assignment {
	var list []setting.Assignment
	flags.Visit(func(f *pflag.Flag) {
		if c, ok := f.Value.(*checkedFlag); ok && c.isSetting {
			list = append(list, setting.Assignment{Name: f.Name, Value: c.text, Source: "--" + f.Name})
		}
	})
	return list
}

// flagError rewrites an error about a command's flags in this program's words.
func flagError(c *cobra.Command, err error) error {
	text := err.Error()
	var wrong *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	var malformed *pflag.InvalidSyntaxError
	var value *setting.Error
	switch {
	case errors.As(err, &value):
		text = "--" + value.Error()
	case errors.As(err, &wrong): // cobra's own flags, which are all true or false
		text = fmt.Sprintf("--%s is %s: want %s", wrong.GetFlag().Name, setting.Shown(wrong.GetValue()), setting.Bool().Want)
	case errors.As(err, &missing):
		want := missing.GetFlag().Value.Type()
		if f, ok := missing.GetFlag().Value.(*checkedFlag); ok {
			want = f.kind.Want
		}
		text = fmt.Sprintf("--%s has no value: want %s", missing.GetSpecifiedName(), want)
	case errors.As(err, &unknown):
		text = unknownFlag(c, unknown)
	case errors.As(err, &malformed):
		text = fmt.Sprintf("%q is not a flag; see %s --help", malformed.GetSpecifiedFlag(), c.CommandPath())
	}
	return &commandLineError{text}
}

// unknownFlag says which flag was probably meant.
func unknownFlag(c *cobra.Command, err *pflag.NotExistError) string {
	name, shown := err.GetSpecifiedName(), "--"+err.GetSpecifiedName()
	if short := err.GetSpecifiedShortnames(); short != "" { // one dash before a long name
		name, _, _ = strings.Cut(short, "=")
		shown = "-" + name
	}
	text := "unknown flag " + shown
	if near := setting.Nearest(name, flagNames(c)); near != "" {
		return fmt.Sprintf("%s: did you mean --%s?", text, near)
	}
	if study.Overridable(name) && c.Flags().Lookup("set") != nil {
		return fmt.Sprintf("%s: did you mean --set %s=VALUE?", text, name)
	}
	if train, _, e := c.Find([]string{"train"}); e == nil && train.Flags().Lookup(name) != nil {
		return fmt.Sprintf("%s: flags follow the command, as in %s --%s", text, train.CommandPath(), name)
	}
	return fmt.Sprintf("%s; see %s --help", text, c.CommandPath())
}

func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// noArguments refuses arguments. The hint, which may be nil, returns advice about
// the first one, or "".
func noArguments(hint func(c *cobra.Command, argument string) string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		remedy := ""
		if hint != nil {
			remedy = hint(c, args[0])
		}
		if remedy != "" {
			remedy = ": " + remedy
		} else {
			remedy = "; see " + c.CommandPath() + " --help"
		}
		return &commandLineError{fmt.Sprintf("%s takes no arguments, but was given %q%s", c.Name(), args[0], remedy)}
	}
}

// oneArgument accepts exactly one argument, which want describes.
func oneArgument(want string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return &commandLineError{"name " + want}
		case 1:
			return nil
		}
		return &commandLineError{fmt.Sprintf("%s takes one argument, but was given %d: name %s", c.Name(), len(args), want)}
	}
}

// unknownCommand refuses arguments of a command that has subcommands, and says
// which of them was probably meant.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	remedy := fmt.Sprintf("; see %s --help", c.CommandPath())
	if near := setting.Nearest(args[0], names); near != "" {
		remedy = fmt.Sprintf(": did you mean %s %s?", c.CommandPath(), near)
	}
	return &commandLineError{fmt.Sprintf("unknown command %q%s", args[0], remedy)}
}
