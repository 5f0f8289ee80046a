// Package study describes runs by settings ([Config]), combines them into experiments
// ([Experiment]), trains those ([Runner]), and compares finished runs ([Compare]).
//
// A setting has the same name in a YAML file, in a run's args.yaml and as a flag.
package study
