package setting

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Setting is a setting with a name, which is its key in YAML and its flag.
type Setting struct {
	Name string
	Kind
}

// Table lists settings. Each is a field of a struct, whose yaml tag begins with the
// setting's name; a pointer stands for a setting that may be absent. Fields of
// structs tagged ",inline" count as the struct's own.
type Table []Setting

// Assignment gives a setting a value, written as in a YAML file.
type Assignment struct {
	Name, Value string
	Source      string // where it was given, for messages, such as "c.yaml: line 3"
}

// Wrong adds the assignment's source to an error about its value.
func (a Assignment) Wrong(err error) error {
	if e, ok := err.(*Error); ok {
		e.Source = a.Source
	}
	return err
}

// Find returns the setting with the given name and whether there is one.
func (t Table) Find(name string) (Setting, bool) {
	i := slices.IndexFunc(t, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return t[i], true
}

// find is Find with an error about the key of a source.
func (t Table) find(source, key string) (Setting, error) {
	s, ok := t.Find(key)
	if !ok {
		return s, UnknownKey(source, key, t.Names())
	}
	return s, nil
}

// Names lists the settings' names.
func (t Table) Names() []string {
	var list []string
	for _, s := range t {
		list = append(list, s.Name)
	}
	return list
}

// Assign parses the assignment's value and stores it in *to, a struct. The error
// ([ErrWrong]) names the setting, where it was given and what would be right.
func (t Table) Assign(to any, a Assignment) error {
	s, err := t.find(a.Source, a.Name)
	if err != nil {
		return err
	}
	value, err := s.Parse(a.Name, a.Value)
	if err != nil {
		return a.Wrong(err)
	}
	field := fieldOf(to, a.Name)
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	field.Set(reflect.ValueOf(value))
	return nil
}

// Check checks the value of each setting in *of, a struct, except absent ones. The
// error is [ErrWrong].
func (t Table) Check(of any) error {
	for _, s := range t {
		field := reflect.Indirect(fieldOf(of, s.Name))
		if !field.IsValid() || s.Optional && field.IsZero() {
			continue
		}
		if err := s.Kind.Check(s.Name, field.Interface()); err != nil {
			return err
		}
	}
	return nil
}

// Value returns the value of the named setting in *of, a struct, as text: "" if it
// is absent. It panics if there is no such setting.
func Value(of any, name string) string {
	if field := reflect.Indirect(fieldOf(of, name)); field.IsValid() {
		return fmt.Sprint(field.Interface())
	}
	return ""
}

// fieldOf returns the field of the named setting in *of, a struct.
func fieldOf(of any, name string) reflect.Value {
	field := findField(reflect.ValueOf(of).Elem(), name)
	if !field.IsValid() {
		panic("no field for the setting " + name) // tests check that every setting has one
	}
	return field
}

func findField(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		key, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if key == name {
			return v.Field(i)
		}
		if option == "inline" {
			if inner := findField(v.Field(i), name); inner.IsValid() {
				return inner
			}
		}
	}
	return reflect.Value{}
}

// UnknownKey returns an error that suggests the key that was probably meant, or
// lists all keys.
func UnknownKey(source, key string, known []string) error {
	remedy := "want one of " + strings.Join(known, ", ")
	if near := Nearest(key, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return Errorf("%s: unknown key %s: %s", source, Shown(key), remedy)
}
