// Package page holds what the project's web pages have in common: their style, and the
// library that draws their curves.
package page

import (
	_ "embed"
	"fmt"
	"image/color"
	"strings"

	"github.com/fmnist-gpu/fmnist-gpu/trainer/plots"
)

// uPlot 1.6.32 draws interactive curves (https://github.com/leeoniya/uPlot, MIT; npm's
// package uplot).
var (
	//go:embed uplot/uPlot.iife.min.js
	script string
	//go:embed uplot/uPlot.min.css
	uPlotStyle string
	//go:embed page.css
	style string
)

// Script returns the library of curves, which defines uPlot.
func Script() string { return script }

// Style returns the style sheet of the library and of all pages. The colours of lines
// are the variables --s0, --s1 and so on, those of pictures' lines in the same order.
func Style() string {
	var light, dark strings.Builder
	for i, c := range plots.SeriesColours {
		fmt.Fprintf(&light, "--s%d: %s; ", i, css(c))
		fmt.Fprintf(&dark, "--s%d: %s; ", i, css(onDark(c)))
	}
	return fmt.Sprintf("%s\n:root { %s}\n@media (prefers-color-scheme: dark) { :root { %s} }\n%s", uPlotStyle, light.String(), dark.String(), style)
}

// Dashes are the patterns that distinguish lines of the same colour, in pixels of ink
// and gap.
var Dashes = [][]float64{{}, {7, 4}, {2, 3}, {9, 3, 2, 3}}

// css returns a colour in CSS notation.
func css(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8)
}

// onDark returns the colour of a line on a dark page: a lighter one, or nearly white for
// black.
func onDark(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	if r+g+b == 0 {
		return color.RGBA{0xE6, 0xED, 0xF3, 255}
	}
	const white = .4 // share of white
	mix := func(x uint32) uint8 { return uint8((1-white)*float64(x>>8) + white*255) }
	return color.RGBA{mix(r), mix(g), mix(b), 255}
}
