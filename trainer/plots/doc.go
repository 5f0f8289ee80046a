// Package plots draws the results of runs as PNG: in colours that colour-blind people
// can tell apart, with a name for every axis, and without legends over the data.
package plots
