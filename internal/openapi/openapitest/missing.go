package openapitest

import (
	"fmt"
	"slices"
	"strings"
)

// Missing returns what of the document nothing has shown yet, sorted: statuses of
// operations, headers, parameters, members, values of enumerations, codes,
// alternatives. What except names by the end of its line need not have been shown;
// an exception that is none is in the list too.
func (d *Document) Missing(except map[string]string) []string {
	all := make(map[string]bool)
	for _, op := range d.operations {
		d.expectOperation(&op, all)
	}
	d.expectResponses("otherwise", d.at("x-otherwise", "responses"), all)
	d.mu.Lock()
	defer d.mu.Unlock()
	var missing []string
	used := make(map[string]bool)
	for what, wanted := range all {
		if !wanted || d.seen[what] {
			continue
		}
		if name := exception(what, except); name != "" {
			used[name] = true
			continue
		}
		missing = append(missing, "not seen: "+what+d.valueOf(what))
	}
	for name, reason := range except {
		if !used[name] {
			missing = append(missing, fmt.Sprintf("exception %q (%s) is none: it was seen, or is not in the document", name, reason))
		}
	}
	slices.Sort(missing)
	return missing
}

func exception(what string, except map[string]string) string {
	for name := range except {
		if strings.HasSuffix(what, name) {
			return name
		}
	}
	return ""
}

// valueOf says what stands at a pointer, where that is short.
func (d *Document) valueOf(what string) string {
	if !strings.HasPrefix(what, "/") {
		return ""
	}
	switch value := d.referred("#" + what).value.(type) {
	case map[string]any:
		if ref, ok := value["$ref"].(string); ok {
			return " (" + ref + ")"
		}
		return ""
	case []any, nil:
		return ""
	default:
		return fmt.Sprintf(" (%v)", value)
	}
}

func (d *Document) expectOperation(op *operation, all map[string]bool) {
	d.expectResponses(op.id, op.node.get("responses"), all)
	for _, p := range op.parameters() {
		all[op.id+" "+p.get("in").text()+" "+p.get("name").text()] = true
		d.expect(p.child("schema"), all)
	}
	for _, media := range op.node.get("requestBody", "content").keys() {
		d.expect(op.node.get("requestBody", "content", media).child("schema"), all)
	}
}

func (d *Document) expectResponses(name string, responses node, all map[string]bool) {
	for _, status := range responses.keys() {
		all[name+" "+status] = true
		response := responses.get(status)
		for _, header := range response.get("headers").keys() {
			all[name+" "+status+" header "+header] = true
		}
		for _, media := range response.get("content").keys() {
			for _, schema := range []string{"schema", "x-item-schema"} {
				d.expect(response.get("content", media).child(schema), all)
			}
		}
	}
}
