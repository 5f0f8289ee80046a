package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/fmnist-gpu/fmnist-gpu/kernels"
	"github.com/fmnist-gpu/fmnist-gpu/trainer"
	"github.com/fmnist-gpu/fmnist-gpu/trainer/dataset"
)

// Judged is a split with what networks that were not trained on its images say of them.
type Judged struct {
	Split         string
	Labels        []byte    // (N)
	Probabilities []float32 // (N, classes)
}

// Judge trains one network per fold, each on all other folds of the training images, and
// returns what it says of the images of its fold. Images of the dataset's other splits
// get the mean of all networks. The folds are stratified, and chosen by the seed. train
// trains on a dataset's training images; its test images are the fold's.
func Judge(ctx context.Context, d *dataset.Dataset, folds int, seed uint64, train func(fold int, d *dataset.Dataset) (*trainer.Model, error)) ([]Judged, error) {
	split, err := dataset.Folds(d.Train.Labels, d.Classes, folds, seed, kernels.PurposeFolds)
	if err != nil {
		return nil, err
	}
	var list []Judged
	for _, p := range parts(d) {
		list = append(list, Judged{p.name, p.Labels, make([]float32, p.N*len(d.Classes))})
	}
	for f, held := range split {
		fold := *d
		fold.Train, fold.Val, fold.Test = d.Train.Without(held), dataset.Split{}, d.Train.Select(held)
		m, err := train(f, &fold)
		if err != nil {
			return nil, err
		}
		err = judge(ctx, d, m, list, held, &fold, 1/float32(folds))
		if closing := m.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// judge adds what the model of a fold says of its images, and its part of what all models
// say of the other splits.
func judge(ctx context.Context, d *dataset.Dataset, m *trainer.Model, list []Judged, held []uint32, fold *dataset.Dataset, share float32) error {
	classes := len(d.Classes)
	for i, p := range parts(d) {
		if p.name == "train" {
			e, err := m.Evaluate(ctx, fold.Test)
			if err != nil {
				return err
			}
			for k, image := range held {
				copy(list[i].Probabilities[int(image)*classes:][:classes], e.Probabilities[k*classes:])
			}
			continue
		}
		e, err := m.Evaluate(ctx, p.Split)
		if err != nil {
			return err
		}
		for k, x := range e.Probabilities {
			list[i].Probabilities[k] += share * x
		}
	}
	return nil
}

// Suspect is an image whose label is probably wrong.
type Suspect struct {
	Image
	Label, Likely int     // the given class and the one that it probably is
	OfLabel       float64 // probability of Label
	OfLikely      float64 // probability of Likely
}

// Suspects returns the images that confident learning (Northcutt, Jiang and Chuang,
// "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021, section
// 3) counts outside the diagonal of the confident joint, the surest first. An image is
// confidently of class j if its probability of j is at least the mean probability of j
// over the images labelled j; of several such classes, of the most probable one.
func Suspects(list []Judged, classes int) []Suspect {
	thresholds := meanConfidence(list, classes)
	var found []Suspect
	for _, j := range list {
		for i, label := range j.Labels {
			p := j.Probabilities[i*classes:][:classes]
			likely := -1
			for c, x := range p {
				if float64(x) >= thresholds[c] && (likely < 0 || x > p[likely]) {
					likely = c
				}
			}
			if likely >= 0 && likely != int(label) {
				found = append(found, Suspect{Image{j.Split, i}, int(label), likely, float64(p[label]), float64(p[likely])})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Suspect) int { return cmp.Compare(a.OfLabel-a.OfLikely, b.OfLabel-b.OfLikely) })
	return found
}

// meanConfidence returns for each class the mean probability of it over the images that
// are labelled so, and more than 1 for a class without images.
func meanConfidence(list []Judged, classes int) []float64 {
	sums, counts := make([]float64, classes), make([]float64, classes)
	for _, j := range list {
		for i, label := range j.Labels {
			sums[label] += float64(j.Probabilities[i*classes+int(label)])
			counts[label]++
		}
	}
	for c, n := range counts {
		if sums[c] /= n; n == 0 {
			sums[c] = 2
		}
	}
	return sums
}

// Accuracy returns the share of images of a split to whose label the networks give the
// largest probability, the first class of equals.
func (j Judged) Accuracy() float64 {
	classes, right := len(j.Probabilities)/len(j.Labels), 0
	for i, label := range j.Labels {
		p := j.Probabilities[i*classes:][:classes]
		if slices.Index(p, slices.Max(p)) == int(label) {
			right++
		}
	}
	return float64(right) / float64(len(j.Labels))
}

// WriteSuspects writes suspects of the dataset to a CSV file, whole or not at all.
func WriteSuspects(path string, d *dataset.Dataset, list []Suspect) error {
	rows := [][]string{{"split", "index", "label", "class", "likely_label", "likely_class", "probability", "likely_probability"}}
	if hasFiles(d) {
		rows[0] = append(rows[0], "file")
	}
	for _, s := range list {
		row := []string{s.Split, strconv.Itoa(s.Index), strconv.Itoa(s.Label), d.Classes[s.Label],
			strconv.Itoa(s.Likely), d.Classes[s.Likely], number(s.OfLabel), number(s.OfLikely)}
		if hasFiles(d) {
			row = append(row, s.file(d))
		}
		rows = append(rows, row)
	}
	if err := writeCSV(path, rows); err != nil {
		return fmt.Errorf("the list of suspects: %w", err)
	}
	return nil
}
