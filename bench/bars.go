package main

import (
	"fmt"
	"slices"
	"strings"
)

// A bar is one server's CPU of a request.
type bar struct {
	name   string
	class  string // ours, other or floor
	micros figure
	engine float64 // of the engine behind it, beside
}

// barsOf are those of everyone, where that many connections are open.
func (f *peerFigures) barsOf(conns int) (embedded, onRedis []bar) {
	for i, turns := range f.turns {
		if peerConns[i] != conns {
			continue
		}
		for _, t := range turns {
			b := bar{name: t.name, class: "other", micros: figureOf(t.samples, sample.micros)}
			switch {
			case strings.HasPrefix(t.name, "rollcall"):
				b.class = "ours"
			case strings.HasPrefix(t.name, "floor"):
				b.class = "floor"
			}
			if t.samples[0].engine == 0 {
				embedded = append(embedded, b)
				continue
			}
			b.engine = figureOf(t.samples, sample.engineMicros).median()
			onRedis = append(onRedis, b)
		}
	}
	return embedded, onRedis
}

// The measures of the drawing of bars.
const (
	barsWidth  = 860
	barsLeft   = 320
	barsRight  = 190
	barHeight  = 20
	barStep    = 34
	barsTop    = 92
	groupSpace = 38
)

// drawBars draws everyone's CPU of a request against the floor.
func (f *peerFigures) drawBars(conns int) string {
	embedded, onRedis := f.barsOf(conns)
	most := 0.0
	for _, b := range slices.Concat(embedded, onRedis) {
		most = max(most, b.micros.most()+b.engine)
	}
	ticks := steps(most)
	scale := (barsWidth - barsLeft - barsRight) / ticks[len(ticks)-1]
	height := barsTop + float64(len(embedded)+len(onRedis))*barStep + 36
	if len(onRedis) > 0 {
		height += groupSpace - 8
	}
	d := newDrawing(barsWidth, height, "Server CPU of a request")
	d.text("title", "start", 20, 32, "Server CPU of a request, µs")
	d.text("muted", "start", 20, 52, fmt.Sprintf("User and system time of the server's process. Median, and extremes of %d rounds, over %d connections; less is better.", f.o.rounds, conns))
	d.text("muted", "start", 20, 69, "Behind each: how many floors it is.")
	for _, v := range ticks {
		x := barsLeft + v*scale
		d.path("grid", [2]float64{x, barsTop - 8}, [2]float64{x, height - 36})
		d.text("muted", "middle", x, height-18, plain(v))
	}
	floor := embedded[0].micros.median()
	labels, y := d.bars(embedded, barsTop, scale, floor)
	if len(onRedis) > 0 {
		d.text("head", "start", 20, y+groupSpace-22, "On Redis (light: what Redis takes)")
		more, _ := d.bars(onRedis, y+groupSpace-8, scale, floor)
		labels = append(labels, more...)
	}
	x := barsLeft + floor*scale
	d.path("floorline", [2]float64{x, barsTop - 8}, [2]float64{x, height - 36})
	for _, l := range labels { // over the line
		d.text(l.class, "start", l.x, l.y, l.words)
	}
	return d.String()
}

// A label is words that are to be written on top of what is there.
type label struct {
	class string
	x, y  float64
	words string
}

// bars draws a group, and returns its labels, and where it ends.
func (d *drawing) bars(all []bar, y, scale, floor float64) ([]label, float64) {
	var labels []label
	for _, b := range all {
		middle, width := y+barHeight/2, b.micros.median()*scale
		words := "plain"
		if b.class == "ours" {
			words = "strong"
		}
		d.text(words, "start", 20, middle+5, b.name)
		d.rect(b.class, barsLeft, y, width, barHeight)
		end := max(width, b.micros.most()*scale)
		if b.engine > 0 {
			d.rect(b.class+"-soft", barsLeft+width, y, b.engine*scale, barHeight)
			end = max(end, width+b.engine*scale)
		}
		if len(b.micros) > 1 {
			d.whisker(barsLeft+b.micros.least()*scale, middle, barsLeft+b.micros.most()*scale, middle)
		}
		labels = append(labels, label{words, barsLeft + end + 10, middle + 5, b.label(floor)})
		y += barStep
	}
	return labels, y
}

// label says the median, and how many floors it is.
func (b *bar) label(floor float64) string {
	text := number(b.micros.median(), 1)
	if b.engine > 0 {
		text += " + " + number(b.engine, 1)
	}
	if b.class != "floor" {
		text += fmt.Sprintf("  (%s×)", number(b.micros.median()/floor, 2))
	}
	return text
}
