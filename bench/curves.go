package main

import (
	"fmt"
	"math"
)

// A panel is a plot of values over live sessions, the latter by powers of ten.
type panel struct {
	title, below string
	x            []float64
	y            []figure
	label        func(v float64) string
	floor        float64 // a line; 0: none
	log          bool    // the values too are by powers of ten

	left, top, width, height float64
	most                     float64
	ticks                    []float64
}

// drawCurves draws what a check and the memory cost with more and more sessions.
func (f *sessionsFigures) drawCurves() string {
	cpu := panel{
		title: "CPU of a check, µs", below: fmt.Sprintf("Median, and extremes of %d rounds", f.o.rounds),
		label: func(v float64) string { return number(v, 1) }, left: 64,
		floor: figureOf(f.turns[0].samples, sample.micros).median(),
	}
	last := f.memory[len(f.memory)-1]
	mib := panel{
		title: "Resident memory of the server, MiB", below: number(f.perSession(rssOf, last), 0) + " bytes a session",
		label: func(v float64) string { return number(v, 0) }, left: 500, log: true,
	}
	for i, size := range f.sizes {
		cpu.x, mib.x = append(cpu.x, float64(size)), append(mib.x, float64(size))
		cpu.y = append(cpu.y, figureOf(f.turns[i+1].samples, sample.micros))
		mib.y = append(mib.y, figure{float64(f.memory[i].rss) / (1 << 20)})
	}
	d := newDrawing(860, 380, "What a check and the memory cost with more and more live sessions")
	d.text("title", "start", 20, 32, "More and more live sessions")
	d.text("muted", "start", 20, 52, "Servers with so many each, in turns; each check asks for any of their members.")
	for _, p := range []panel{cpu, mib} {
		p.top, p.width, p.height = 118, 330, 190
		p.draw(d)
	}
	return d.String()
}

func (p *panel) draw(d *drawing) {
	p.scale()
	d.text("head", "start", p.left-44, p.top-36, p.title)
	d.text("muted", "start", p.left-44, p.top-19, p.below)
	for _, v := range p.ticks {
		d.path("grid", [2]float64{p.left, p.atY(v)}, [2]float64{p.left + p.width, p.atY(v)})
		d.text("muted", "end", p.left-8, p.atY(v)+4, plain(v))
	}
	for decade := 3.0; math.Pow(10, decade) <= p.x[len(p.x)-1]*1.001; decade++ {
		d.text("muted", "middle", p.atX(math.Pow(10, decade)), p.top+p.height+20, number(math.Pow(10, decade), 0))
	}
	d.text("muted", "middle", p.left+p.width/2, p.top+p.height+42, "live sessions")
	if p.floor > 0 {
		d.path("floorline", [2]float64{p.left, p.atY(p.floor)}, [2]float64{p.left + p.width, p.atY(p.floor)})
		d.text("floortext", "end", p.left+p.width, p.atY(p.floor)-6, "floor: "+p.label(p.floor))
	}
	var points [][2]float64
	for i, x := range p.x {
		points = append(points, [2]float64{p.atX(x), p.atY(p.y[i].median())})
	}
	d.path("curve", points...)
	for i, at := range points {
		if len(p.y[i]) > 1 {
			d.whisker(at[0], p.atY(p.y[i].most()), at[0], p.atY(p.y[i].least()))
		}
		d.dot(at[0], at[1])
		d.text("strong", "middle", at[0], p.atY(p.y[i].most())-12, p.label(p.y[i].median()))
	}
}

// scale chooses the numbers at the side.
func (p *panel) scale() {
	for _, f := range p.y {
		p.most = max(p.most, f.most())
	}
	if !p.log {
		p.ticks = steps(p.most * 1.12)
		return
	}
	least := p.y[0].least()
	for _, f := range p.y {
		least = min(least, f.least())
	}
	for decade := math.Floor(math.Log10(least)); ; decade++ {
		v := math.Pow(10, decade)
		if p.ticks = append(p.ticks, v); v > p.most*1.5 {
			return
		}
	}
}

const panelMargin = 34

func (p *panel) atX(v float64) float64 {
	from, to := math.Log10(p.x[0]), math.Log10(p.x[len(p.x)-1])
	return p.left + panelMargin + (math.Log10(v)-from)/(to-from)*(p.width-2*panelMargin)
}

func (p *panel) atY(v float64) float64 {
	last := p.ticks[len(p.ticks)-1]
	if p.log {
		first := math.Log10(p.ticks[0])
		return p.top + p.height*(1-(math.Log10(v)-first)/(math.Log10(last)-first))
	}
	return p.top + p.height*(1-v/last)
}
