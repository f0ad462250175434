package main

import (
	"html/template"
	"regexp"
	"strings"
)

// markdown renders what the documents use of Markdown: headings of the second level,
// paragraphs, lists, `code`, **strong**, *emphasis* and [links](to). Everything else
// is text.
func markdown(text string) template.HTML {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		switch first := lines[0]; {
		case strings.HasPrefix(first, "## "):
			out.WriteString("<h2>" + inline(first[3:]) + "</h2>\n")
		case strings.HasPrefix(first, "- "):
			writeList(&out, "ul", lines, "- ")
		case strings.HasPrefix(first, "1. "):
			writeList(&out, "ol", lines, "")
		case block != "":
			out.WriteString("<p>" + inline(strings.Join(lines, " ")) + "</p>\n")
		}
	}
	return template.HTML(out.String()) //nolint:gosec // inline escapes
}

// sentence renders a text without blocks, for a cell of a table; a list in it
// becomes lines.
func sentence(text string) template.HTML {
	if !strings.Contains(text, "\n- ") && !strings.HasPrefix(text, "- ") {
		return template.HTML(inline(strings.Join(strings.Fields(text), " "))) //nolint:gosec // inline escapes
	}
	return markdown(text)
}

var number = regexp.MustCompile(`^[0-9]+\. `)

// writeList joins what is indented below an item to it.
func writeList(out *strings.Builder, tag string, lines []string, mark string) {
	var items []string
	for _, line := range lines {
		begins := mark != "" && strings.HasPrefix(line, mark) || mark == "" && number.MatchString(line)
		switch {
		case begins && mark == "":
			items = append(items, number.ReplaceAllString(line, ""))
		case begins:
			items = append(items, strings.TrimPrefix(line, mark))
		default:
			items[len(items)-1] += " " + strings.TrimSpace(line)
		}
	}
	out.WriteString("<" + tag + ">\n")
	for _, item := range items {
		out.WriteString("<li>" + inline(item) + "</li>\n")
	}
	out.WriteString("</" + tag + ">\n")
}

var (
	code     = regexp.MustCompile("`([^`]+)`")
	strong   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	emphasis = regexp.MustCompile(`\*([^*]+)\*`)
	link     = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
)

// inline renders a line. Code goes first, and nothing is looked for inside it.
func inline(text string) string {
	var out strings.Builder
	for {
		at := code.FindStringSubmatchIndex(text)
		if at == nil {
			return out.String() + spans(text)
		}
		out.WriteString(spans(text[:at[0]]))
		out.WriteString("<code>" + template.HTMLEscapeString(text[at[2]:at[3]]) + "</code>")
		text = text[at[1]:]
	}
}

func spans(text string) string {
	text = template.HTMLEscapeString(text)
	text = link.ReplaceAllString(text, `<a href="$2">$1</a>`)
	text = strong.ReplaceAllString(text, `<strong>$1</strong>`)
	return emphasis.ReplaceAllString(text, `<em>$1</em>`)
}
