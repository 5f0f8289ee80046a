package study

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize/english"
	"go.yaml.in/yaml/v3"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// SearchPlan says how large a search is.
type SearchPlan struct {
	Trials    int    `yaml:"trials"`     // to begin with
	MinEpochs int    `yaml:"min-epochs"` // the fewest that a trial is trained for
	MaxEpochs int    `yaml:"max-epochs"` // the most
	Reduction int    `yaml:"reduction"`  // the best one in so many trials goes on, up to so many times the epochs
	Seed      uint64 `yaml:"seed"`       // of the trials' settings
}

// DefaultSearchPlan returns a plan of 63 epochs: 27 trials of one, the best 9 of three,
// and the best 3 of these of nine.
func DefaultSearchPlan() SearchPlan { return SearchPlan{27, 1, 9, 3, 42} }

// SearchSettings lists the settings of a [SearchPlan].
func SearchSettings() setting.Table { return searchSettings }

var searchSettings = setting.Table{
	{Name: "trials", Kind: setting.Whole(1, maxRuns)},
	{Name: "min-epochs", Kind: setting.Whole(1, 1<<20)},
	{Name: "max-epochs", Kind: setting.Whole(1, 1<<20)},
	{Name: "reduction", Kind: setting.Whole(2, 1000)},
	{Name: "seed", Kind: setting.Unsigned()},
}

// Rung is a stage of a search.
type Rung struct {
	Trials int `json:"trials"` // that are trained
	Epochs int `json:"epochs"` // for which they are, from the beginning
}

// rungs returns the stages of successive halving (Jamieson & Talwalkar 2016), with the
// epochs counted down from the most, as in Hyperband (Li et al. 2018).
func (p SearchPlan) rungs() []Rung {
	var list []Rung
	for epochs := p.MaxEpochs; epochs >= p.MinEpochs; epochs /= p.Reduction {
		list = append(list, Rung{Epochs: epochs})
	}
	slices.Reverse(list)
	trials := p.Trials
	for i := range list {
		list[i].Trials = max(1, trials)
		trials /= p.Reduction
	}
	return list
}

// ParseSearch reads a search from the text of a YAML file. The settings under "base" hold
// for all trials. Under "ranges" is what the others may be: a list of values, or two ends
// between which all values, or their logarithms, are equally likely; of whole numbers,
// only these.
//
//	base: {augment: light, optimizer: sgd}
//	ranges:
//	  lr: {log-uniform: [0.01, 1]}
//	  momentum: {uniform: [0.8, 0.99]}
//	  model: [fashioncnn, mynet.yaml]
//	trials: 27
//	max-epochs: 9
//
// The other keys are "name", which defaults to the file's, and the names of
// [SearchSettings]; overrides replace those. A model may be the YAML file of a network,
// whose path is relative to the search's file. An error ([trainer.ErrUsage]) names the
// file and the line, or the override's source.
func ParseSearch(file string, text []byte, overrides ...setting.Assignment) (Search, error) {
	s := Search{Name: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), plan: DefaultSearchPlan()}
	entries, err := setting.ParseEntries(file, text)
	if err != nil {
		return s, err
	}
	var base []setting.Assignment
	for _, e := range entries {
		switch e.Key {
		case "name":
			s.Name, err = readName(e)
		case "base":
			base, err = readSearchBase(file, e)
		case "ranges":
			s.ranges, err = readRanges(file, e)
		default:
			err = s.readPlan(e)
		}
		if err != nil {
			return s, err
		}
	}
	if err := setting.FolderName(experimentName).Check("the search's name", s.Name); err != nil {
		return s, setting.Assignment{Source: file}.Wrong(err)
	}
	for _, o := range overrides {
		if err := searchSettings.Assign(&s.plan, o); err != nil {
			return s, err
		}
	}
	if len(s.ranges) == 0 {
		return s, usage("%s: there is nothing to search: give a setting under ranges, such as lr: {log-uniform: [0.001, 0.1]}", file)
	}
	if s.plan.MinEpochs > s.plan.MaxEpochs {
		return s, usage("%s: min-epochs is %d and max-epochs is %d: want a min-epochs of at most max-epochs", file, s.plan.MinEpochs, s.plan.MaxEpochs)
	}
	s.Rungs = s.plan.rungs()
	return s, s.draw(file, base)
}

// readPlan reads a key that is one of the plan's settings.
func (s *Search) readPlan(e setting.Entry) error {
	known, ok := searchSettings.Find(e.Key)
	if !ok {
		if e.Key == "grid" || e.Key == "variants" {
			return usage("%s: %s: this describes an experiment: run it with the experiment command, or give ranges", e.Source(), e.Key)
		}
		if _, ok := settings.Find(e.Key); ok {
			return usage("%s: %s is outside base and ranges: indent it under one of them", e.Source(), e.Key)
		}
		return setting.UnknownKey(e.Source(), e.Key, append([]string{"name", "base", "ranges"}, searchSettings.Names()...))
	}
	a, err := e.Assignment(known)
	if err != nil {
		return err
	}
	return searchSettings.Assign(&s.plan, a)
}

// planned are the settings of a training that a search makes itself, or that all of its
// trials must share to be compared on the same images.
var planned = map[string]string{
	"epochs":    "max-epochs and min-epochs say how long trials are trained",
	"select-on": "a search selects on the validation images",
	"no-eval":   "a search selects on the validation images",
	"name":      "trials are numbered",
}

// readSearchBase reads the settings that all trials share.
func readSearchBase(file string, section setting.Entry) ([]setting.Assignment, error) {
	base, seeds, err := readBase(file, section)
	if err != nil {
		return nil, err
	}
	if seeds != nil {
		return nil, usage("%s: seed is several numbers: want one, since trials with different seeds cannot be compared", seeds.values[0].Source)
	}
	for _, a := range base {
		if why := planned[a.Name]; why != "" {
			return nil, usage("%s: %s cannot be set here, since %s: leave it out", a.Source, a.Name, why)
		}
	}
	return fromFolder(filepath.Dir(file), base), nil
}

// span is what a setting may be.
type span struct {
	name      string
	source    string               // where it is given
	values    []setting.Assignment // it is one of these, or
	low, high float64              // it is between these
	log       bool                 // it is its logarithm that is uniform
	whole     bool                 // it is a whole number
}

// The keys of a span between two ends.
const (
	uniformKey    = "uniform"
	logUniformKey = "log-uniform"
)

// common are the settings that decide on which images trials are judged.
var common = []string{"dataset", "image-size", "skip-bad", "seed", "eval-images"}

// readRanges reads what the settings may be.
func readRanges(file string, section setting.Entry) ([]span, error) {
	entries, err := sectionEntries(file, section, `lines of the form "key: [value, value]" or "key: {uniform: [low, high]}"`)
	if err != nil {
		return nil, err
	}
	var list []span
	for _, e := range entries {
		why := planned[e.Key]
		if slices.Contains(common, e.Key) {
			why = "trials must be judged on the same images"
		}
		if why != "" {
			return nil, usage("%s: %s cannot be searched, since %s: leave it out", e.Source(), e.Key, why)
		}
		s, err := readSpan(file, e)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// readSpan reads what one setting may be.
func readSpan(file string, e setting.Entry) (span, error) {
	s := span{name: e.Key, source: e.Source()}
	known, ok := settings.Find(e.Key)
	if !ok {
		return s, setting.UnknownKey(e.Source(), e.Key, settings.Names())
	}
	if e.Value.Kind == yaml.SequenceNode {
		a, err := axisOf(e)
		s.values = fromFolder(filepath.Dir(file), a.values)
		return s, err
	}
	want := usage("%s: %s: want a list of values, {uniform: [low, high]} or {log-uniform: [low, high]}", e.Source(), e.Key)
	if e.Value.Kind != yaml.MappingNode || len(e.Value.Content) != 2 {
		return s, want
	}
	how, ends := e.Value.Content[0].Value, e.Value.Content[1]
	if s.log = how == logUniformKey; !s.log && how != uniformKey || ends.Kind != yaml.SequenceNode || len(ends.Content) != 2 {
		return s, want
	}
	for i, end := range []*float64{&s.low, &s.high} {
		a, err := setting.Entry{File: e.File, Line: ends.Content[i].Line, Key: e.Key, Value: ends.Content[i]}.Assignment(known)
		if err != nil {
			return s, err
		}
		value, err := known.Parse(e.Key, a.Value)
		if err != nil {
			return s, a.Wrong(err)
		}
		switch x := value.(type) {
		case int:
			*end, s.whole = float64(x), true
		case float64:
			*end = x
		default:
			return s, usage("%s: %s is not a number: want a list of values", e.Source(), e.Key)
		}
	}
	switch {
	case !(s.low < s.high):
		return s, usage("%s: %s: want the lower end before the higher one", e.Source(), e.Key)
	case s.log && !(s.low > 0):
		return s, usage("%s: %s: 0 has no logarithm: want a lower end above 0, or %s", e.Source(), e.Key, uniformKey)
	}
	return s, nil
}

// digits is the number of significant digits of drawn numbers: more would say nothing.
const digits = 3

// draw draws a value.
func (s span) draw(r *rand.Rand) setting.Assignment {
	if s.values != nil {
		return s.values[r.IntN(len(s.values))]
	}
	from, to, text := s.low, s.high, ""
	if s.whole { // each whole number is as likely as the others, the ends included
		from, to = from-.5, to+.5
	}
	x := from + (to-from)*r.Float64()
	if s.log {
		x = math.Exp(math.Log(from) + (math.Log(to)-math.Log(from))*r.Float64())
	}
	if s.whole {
		text = strconv.Itoa(int(min(max(math.Round(x), s.low), s.high)))
	} else {
		rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
		text = fmt.Sprint(min(max(rounded, s.low), s.high))
	}
	return setting.Assignment{Name: s.name, Value: text, Source: s.source}
}

// mostDraws is the number of times in a row that trials may repeat earlier ones.
const mostDraws = 1000

// draw draws the settings of all trials. Those of a trial depend on its number, the
// seed, the ranges and the trials before it alone.
func (s *Search) draw(file string, base []setting.Assignment) error {
	base = append(slices.Clone(base), // what a preset may set otherwise
		setting.Assignment{Name: "epochs", Value: strconv.Itoa(s.plan.MaxEpochs), Source: file},
		setting.Assignment{Name: "select-on", Value: "val", Source: file},
		setting.Assignment{Name: "no-eval", Value: "false", Source: file})
	networks := networkReader{}
	drawn := map[string]bool{}
	width := len(strconv.Itoa(s.plan.Trials))
	for n := 1; n <= s.plan.Trials; n++ {
		r := rand.New(rand.NewPCG(s.plan.Seed, uint64(n)))
		for again := 0; len(s.trials) < n; again++ {
			if again == mostDraws {
				return usage("%s: the ranges allow only about %s: want fewer trials than %d, or wider ranges", file, english.Plural(n-1, "different trial", ""), s.plan.Trials)
			}
			t := trial{}
			for _, span := range s.ranges {
				t.values = append(t.values, span.draw(r))
			}
			var err error
			if t.config, err = runConfig(file, base, t.values, networks.read); err != nil {
				return err
			}
			if key := t.config.recipe(); !drawn[key] {
				drawn[key] = true
				t.config.Name = fmt.Sprintf("trial%0*d", width, n)
				s.trials = append(s.trials, t)
			}
		}
	}
	return nil
}
