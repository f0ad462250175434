package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A figure is its values of all rounds.
type figure []float64

func (f figure) sorted() figure { return slices.Sorted(slices.Values(f)) }

func (f figure) median() float64 {
	s := f.sorted()
	return s[len(s)/2]
}

// show writes the median and, of more values than one, the extremes.
func (f figure) show(decimals int) string {
	s := f.sorted()
	text := number(s[len(s)/2], decimals)
	if len(s) > 1 {
		text += fmt.Sprintf(" (%s–%s)", number(s[0], decimals), number(s[len(s)-1], decimals))
	}
	return text
}

// number writes a number, with commas between thousands.
func number(v float64, decimals int) string {
	text := fmt.Sprintf("%.*f", decimals, v)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

func figureOf(samples []sample, of func(sample) float64) figure {
	f := make(figure, len(samples))
	for i, s := range samples {
		f[i] = of(s)
	}
	return f
}

// medianTime returns the median of a time.
func medianTime(samples []sample, of func(sample) time.Duration) time.Duration {
	return short(time.Duration(figureOf(samples, func(s sample) float64 { return float64(of(s)) }).median()))
}

func short(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{10 * time.Millisecond, 10 * time.Microsecond} {
		if d >= 100*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Microsecond)
}

// ratios returns a's figure by b's, round by round.
func ratios(a, b []sample, of func(sample) float64) figure {
	f := make(figure, len(a))
	for i := range a {
		f[i] = of(a[i]) / of(b[i])
	}
	return f
}

// table writes a Markdown table.
func table(out io.Writer, head string, rows ...[]string) {
	columns := strings.Split(head, "|")
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
}
