package trainer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/checkpoint"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/model"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/picture"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/setting"
)

// The keys of a file's metadata.
const (
	modelKey         = "model"         // the network's name
	networkKey       = "network"       // its layers, as YAML
	classesKey       = "classes"       // the names of the classes, as a JSON list
	imageSizeKey     = "image_size"    // height×width, "28x28"
	channelsKey      = "channels"      // of an image
	normalizationKey = "normalization" // of a pixel x in 0 to 1: (x − mean)/std, as JSON
	framingKey       = "framing"       // of the training images: crop or object; see picture.Framing
	seedKey          = "seed"
	epochKey         = "epoch"
	protocolKey      = "select_on"
	versionKey       = "version"
)

// Origin says where a model's weights come from. Its zero value says nothing.
type Origin struct {
	Seed  uint64
	Epoch int // 1 is the first
	// Protocol names the images that selected the epoch: val, test, none or, for
	// weights of another program, unknown.
	Protocol string
	Version  string // of the program that trained the weights
}

// Metadata describes the model, so that its file makes sense without its run: model
// (its name), network (its layers as YAML), classes (a JSON list), image_size
// ("28x28"), channels, normalization (JSON; of a pixel x in 0 to 1: (x − mean)/std),
// framing, seed, epoch, select_on (the images that selected the epoch) and version (of
// the program that trained it).
func (m *Model) Metadata() (map[string]string, error) {
	layers, err := m.Network.YAML()
	if err != nil {
		return nil, err
	}
	classes, err := json.Marshal(m.Network.Classes)
	if err != nil {
		return nil, err
	}
	normalization, err := json.Marshal(m.Normalization)
	if err != nil {
		return nil, err
	}
	in := m.Network.Input
	return map[string]string{modelKey: m.Network.Name, seedKey: strconv.FormatUint(m.Origin.Seed, 10),
		epochKey: strconv.Itoa(m.Origin.Epoch), protocolKey: m.Origin.Protocol, versionKey: m.Origin.Version,
		networkKey: layers, classesKey: string(classes), imageSizeKey: fmt.Sprintf("%dx%d", in.H, in.W),
		channelsKey: strconv.Itoa(in.C), normalizationKey: string(normalization), framingKey: string(cmp.Or(m.Framing, picture.FrameCrop))}, nil
}

// describe fills in what the metadata of a file says about its model. What it does
// not say, the file's tensors do; without other information, the images are those of
// Fashion-MNIST.
func (m *Model) describe(f *checkpoint.File) (err error) {
	about := f.Metadata
	m.Origin = originOf(about)
	if about[networkKey] == "" {
		m.Network, err = identify(f)
	} else if m.Network, err = networkOf(about); err != nil {
		err = badCheckpoint("%v", err)
	}
	if err != nil {
		return err
	}
	m.Framing = framingOf(about, m.Network)
	m.Normalization, err = normalizationOf(about, m.Network)
	return err
}

// normalizationOf reads the normalisation of a model's images, the default one if the
// metadata has none.
func normalizationOf(about map[string]string, n model.Network) (model.Normalization, error) {
	text := about[normalizationKey]
	if text == "" {
		return model.DefaultNormalization(n.Input.C), nil
	}
	return parseNormalization(text, n.Input.C)
}

// framingOf reads how a model's training images were framed. Grey images of
// Fashion-MNIST's size are taken for that dataset's unless the metadata says more.
func framingOf(about map[string]string, n model.Network) picture.Framing {
	switch f := picture.Framing(about[framingKey]); {
	case f == picture.FrameCrop, f == picture.FrameObject:
		return f
	case imageShape(n) == dataset.FashionMNIST.Shape:
		return picture.FrameObject
	}
	return picture.FrameCrop
}

// parseNormalization reads the normalisation of images with the given channels.
func parseNormalization(text string, channels int) (n model.Normalization, err error) {
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return n, badCheckpoint("the normalization in its metadata is damaged: %v", err)
	}
	if len(n.Mean) != channels || len(n.Std) != channels {
		return n, badCheckpoint("the normalization in its metadata has %d means and %d deviations: want one of each for each of %d channels", len(n.Mean), len(n.Std), channels)
	}
	for _, s := range n.Std {
		if !(s > 0) {
			return n, badCheckpoint("the normalization in its metadata has the deviation %v: want a positive number", s)
		}
	}
	for _, x := range n.Table() { // 32-bit numbers
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return n, badCheckpoint("the normalization in its metadata makes pixels %v", x)
		}
	}
	return n, nil
}

// unknownProtocol is the protocol of weights that do not say theirs.
const unknownProtocol = "unknown"

// originOf reads an origin. Metadata can be anybody's text: of the protocol, only
// known words are taken, since it is printed and written.
func originOf(about map[string]string) Origin {
	o := Origin{Protocol: unknownProtocol, Version: about[versionKey]}
	switch p := about[protocolKey]; p {
	case "val", "test", noProtocol:
		o.Protocol = p
	}
	o.Seed, _ = strconv.ParseUint(about[seedKey], 10, 64) // 0 if unknown
	o.Epoch, _ = strconv.Atoi(about[epochKey])
	return o
}

// ReadNetwork reads the network that the metadata of a .safetensors file describes, and
// none of its weights, which may be large. The error is [checkpoint.ErrBadCheckpoint].
func ReadNetwork(path string) (model.Network, error) {
	about, err := checkpoint.LoadMetadata(path)
	if err != nil {
		return model.Network{}, err
	}
	n, err := networkOf(about)
	if err != nil {
		return n, badCheckpoint("%s: %v", path, err)
	}
	return n, nil
}

// networkOf returns the network that metadata describes.
func networkOf(about map[string]string) (model.Network, error) {
	d, err := infoOf(about)
	if err != nil {
		return model.Network{}, err
	}
	n, err := ParseNetwork("the network in its metadata", []byte(about[networkKey]), d)
	n.Name = printable(about[modelKey])
	return n, err
}

// imageSize matches the values of imageSizeKey.
var imageSize = regexp.MustCompile(`^([1-9]\d{0,3})x([1-9]\d{0,3})$`)

// infoOf returns the images and classes that metadata describes. What it does not say
// is as in Fashion-MNIST.
func infoOf(about map[string]string) (dataset.Info, error) {
	d := dataset.FashionMNIST
	wrong := func(key, want string) error {
		return fmt.Errorf("its metadata has the %s %s: want %s", key, setting.Shown(about[key]), want)
	}
	if text := about[classesKey]; text != "" {
		d.Classes = nil
		if err := json.Unmarshal([]byte(text), &d.Classes); err != nil || len(d.Classes) < 1 || len(d.Classes) > dataset.MaxClasses {
			return d, wrong(classesKey, fmt.Sprintf("a JSON list of 1 to %d names", dataset.MaxClasses))
		}
		for i, name := range d.Classes {
			d.Classes[i] = printable(name)
		}
	}
	if text := about[imageSizeKey]; text != "" {
		sides := imageSize.FindStringSubmatch(text)
		if sides == nil {
			return d, wrong(imageSizeKey, `a height and a width, such as "28x28"`)
		}
		d.H, _ = strconv.Atoi(sides[1]) // digits
		d.W, _ = strconv.Atoi(sides[2])
	}
	switch about[channelsKey] {
	case "", "1":
	case "3":
		d.C = 3
	default:
		return d, wrong(channelsKey, "1 or 3")
	}
	return d, nil
}

// printable replaces the characters of a name that a terminal would obey.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// identify returns the built-in network whose tensors have the names and shapes of
// the file's. It ignores the file's metadata. If no network fits, the error names
// the nearest one and the differences.
func identify(f *checkpoint.File) (model.Network, error) {
	nearest, most := "", -1.0
	var misfit error
	for i, d := range likelyDatasets(f) {
		for _, name := range model.Names() {
			network, _ := model.Zoo(name, inputOf(d.Shape), d.Classes)
			if network.Check() != nil {
				continue // it does not take images of this size
			}
			net, err := model.Build(model.Config{Network: network})
			if err != nil {
				return model.Network{}, err
			}
			want := specs(net)
			fit, likeness := f.Compare(want)
			if fit {
				return network, nil
			}
			if i == 0 && likeness > most {
				_, misfit = f.Fit(want)
				nearest, most = name, likeness
			}
		}
	}
	return model.Network{}, &UnknownNetworkError{nearest, misfit}
}

// UnknownNetworkError is the error of weights that say no network and do not fit a
// built-in one. [LoadAs] reads such weights.
type UnknownNetworkError struct {
	Nearest string // built-in network
	misfit  error  // between it and the weights
}

func (e *UnknownNetworkError) Error() string {
	return fmt.Sprintf("it matches none of the models %s; the nearest is %s: %v", strings.Join(model.Names(), ", "), e.Nearest, e.misfit)
}

// Unwrap returns how the weights differ, which is [checkpoint.ErrBadCheckpoint].
func (e *UnknownNetworkError) Unwrap() error { return e.misfit }

// likelySides are usual heights and widths of small images, MNIST's first.
var likelySides = []int{dataset.FashionMNIST.H, 32, 16, 20, 24, 40, 48, 56, 64, 96}

// likelyDatasets returns the datasets on which the file's weights may have been
// trained: Fashion-MNIST first, then square images and any number of classes that one
// of the file's vectors suggests.
func likelyDatasets(f *checkpoint.File) []dataset.Info {
	list := []dataset.Info{dataset.FashionMNIST}
	lengths := f.VectorLengths()
	for _, classes := range lengths[:min(8, len(lengths))] {
		if classes < 2 || classes > dataset.MaxClasses {
			continue
		}
		names := dataset.FashionMNIST.Classes
		if classes != len(names) {
			names = numbers(classes)
		}
		for _, side := range likelySides {
			for _, channels := range []int{1, 3} {
				list = append(list, dataset.Info{Classes: names, Shape: dataset.Shape{H: side, W: side, C: channels}})
			}
		}
	}
	return list
}

// numbers returns the numbers from 0 to n−1 as names.
func numbers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return list
}
