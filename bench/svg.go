package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A drawing is an SVG. Its colours are those of light or dark as the reader has
// it, on a ground of its own, since the page around it may have the other.
type drawing struct {
	width, height float64
	title         string
	body          strings.Builder
}

const drawingStyle = `
svg { --ground: #ffffff; --ink: #1f2328; --muted: #59636e; --line: #d9dee3; --ours: #0a69da; --ours-soft: #9cc5f5; --other: #8f99a5; --other-soft: #ccd3da; --floor: #c4620a }
@media (prefers-color-scheme: dark) {
svg { --ground: #0d1117; --ink: #e6edf3; --muted: #9aa4ae; --line: #2b323a; --ours: #4c9df8; --ours-soft: #23527f; --other: #737d88; --other-soft: #3b434c; --floor: #f0883e }
}
.ground { fill: var(--ground); stroke: var(--line) }
text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--ink) }
.title { font-size: 16px; font-weight: 600 }
.head { font-size: 13px; font-weight: 600 }
.muted { font-size: 12px; fill: var(--muted) }
.strong { font-weight: 600 } .strong, .plain { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round }
.grid { stroke: var(--line); stroke-width: 1 }
.whisker { stroke: var(--ink); stroke-width: 1.5; fill: none }
.floorline { stroke: var(--floor); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none }
.floortext { font-size: 12px; fill: var(--floor) }
.ours { fill: var(--ours) } .ours-soft { fill: var(--ours-soft) }
.other { fill: var(--other) } .other-soft { fill: var(--other-soft) }
.floor { fill: var(--floor) } .floor-soft { fill: var(--floor) }
.curve { stroke: var(--ours); stroke-width: 2.5; fill: none; stroke-linejoin: round; stroke-linecap: round }
.dot { fill: var(--ours); stroke: var(--ground); stroke-width: 2 }
`

func newDrawing(width, height float64, title string) *drawing {
	return &drawing{width: width, height: height, title: title}
}

// String is the file's text.
func (d *drawing) String() string {
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %[1]s %[2]s\" width=\"%[1]s\" height=\"%[2]s\" role=\"img\">\n"+
		"<title>%[3]s</title>\n<style>%[4]s</style>\n<rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"%[5]s\" height=\"%[6]s\" rx=\"8\"/>\n%[7]s</svg>\n",
		place(d.width), place(d.height), html.EscapeString(d.title), drawingStyle, place(d.width-1), place(d.height-1), d.body.String())
}

// place writes a coordinate.
func place(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// text writes words; anchor is start, middle or end.
func (d *drawing) text(class, anchor string, x, y float64, words string) {
	fmt.Fprintf(&d.body, "<text class=%q text-anchor=%q x=%q y=%q>%s</text>\n", class, anchor, place(x), place(y), html.EscapeString(words))
}

func (d *drawing) rect(class string, x, y, width, height float64) {
	fmt.Fprintf(&d.body, "<rect class=%q x=%q y=%q width=%q height=%q rx=\"2\"/>\n", class, place(x), place(y), place(max(0, width)), place(height))
}

// path draws lines through points, each x and y.
func (d *drawing) path(class string, points ...[2]float64) {
	var all []string
	for _, p := range points {
		all = append(all, place(p[0])+" "+place(p[1]))
	}
	fmt.Fprintf(&d.body, "<path class=%q d=\"M%s\"/>\n", class, strings.Join(all, "L"))
}

func (d *drawing) dot(x, y float64) {
	fmt.Fprintf(&d.body, "<circle class=\"dot\" cx=%q cy=%q r=\"5\"/>\n", place(x), place(y))
}

// whisker draws the extremes of a figure, lying or standing, with ends.
func (d *drawing) whisker(x1, y1, x2, y2 float64) {
	const end = 4
	d.path("whisker", [2]float64{x1, y1}, [2]float64{x2, y2})
	if y1 == y2 {
		d.path("whisker", [2]float64{x1, y1 - end}, [2]float64{x1, y1 + end})
		d.path("whisker", [2]float64{x2, y2 - end}, [2]float64{x2, y2 + end})
		return
	}
	d.path("whisker", [2]float64{x1 - end, y1}, [2]float64{x1 + end, y1})
	d.path("whisker", [2]float64{x2 - end, y2}, [2]float64{x2 + end, y2})
}

// steps returns round numbers from 0 to above most, about five.
func steps(most float64) []float64 {
	raw := most / 5
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, times := range []float64{1, 2, 5, 10} {
		if unit*times >= raw {
			unit *= times
			break
		}
	}
	var all []float64
	for i := 0; ; i++ {
		v := float64(i) * unit
		if all = append(all, v); v >= most {
			return all
		}
	}
}

// plain writes a number without more digits than it needs.
func plain(v float64) string {
	if v >= 1000 {
		return number(v, 0)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
}

// least and most are a figure's extremes.
func (f figure) least() float64 { return f.sorted()[0] }
func (f figure) most() float64  { return f.sorted()[len(f)-1] }
