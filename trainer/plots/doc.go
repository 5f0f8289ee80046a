// Package plots draws what a run has measured, as PNG: readable at a glance, in
// colours that colour-blind people can tell apart, every axis named, and no
// legend over the data.
package plots
