package study

import "github.com/fmnist-gpu/fmnist-gpu/trainer"

// Timing estimates how long jobs take, from those that have trained an epoch.
type Timing struct {
	jobs  *Jobs
	alike [][]int // jobs by kind: those of one kind take the same time per epoch
	most  []int   // by kind: the most epochs that one of its jobs trains
}

// Timing returns the timing of jobs, which must be described.
func (j *Jobs) Timing() (*Timing, error) {
	type kind struct {
		model, network, dataset, precision string
		imageSize, batchSize               int
	}
	t, kinds := &Timing{jobs: j}, map[kind]int{}
	for i := range j.Names {
		c, err := j.Config(i)
		if err != nil {
			return nil, err
		}
		k := kind{c.Model, c.Network, c.Dataset, c.Recipe.Precision, c.ImageSize, c.BatchSize}
		at, ok := kinds[k]
		if !ok {
			at = len(t.alike)
			kinds[k], t.alike, t.most = at, append(t.alike, nil), append(t.most, 0)
		}
		t.alike[at] = append(t.alike[at], i)
		t.most[at] = max(t.most[at], c.Epochs)
	}
	return t, nil
}

// Longest returns the seconds that the longest job trains, evaluations not counted. If
// that is not known yet, it returns the jobs that will tell, one of each kind.
func (t *Timing) Longest() (seconds float64, unknown []int) {
	for kind, jobs := range t.alike {
		perEpoch, known, first := 0.0, false, -1
		for _, i := range jobs {
			if epochs, err := trainer.ReadEpochs(t.jobs.Run(i)); err == nil && len(epochs) > 0 {
				perEpoch, known = epochs[0].Seconds, true
				break
			}
			if first < 0 && t.jobs.readFailure(i) == nil {
				first = i
			}
		}
		if !known && first >= 0 {
			unknown = append(unknown, first)
		}
		seconds = max(seconds, perEpoch*float64(t.most[kind]))
	}
	return seconds, unknown
}
