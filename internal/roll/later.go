package roll

import (
	"reflect"
	"slices"

	"github.com/rollcall-server/rollcall"
)

// The fields of request records that backends write by hand, in forms of their
// own. What is not named here came later: it is written as JSON, where it is set.
var (
	laterOfRecord = fieldsBut(reflect.TypeFor[rollcall.RequestRecord](),
		"LogUUID", "At", "Endpoint", "AgentID", "Username", "Remote", "Code", "Status", "TookNanos", "Checks")
	laterOfCheck = fieldsBut(reflect.TypeFor[rollcall.RequestCheck](), "Name", "Passed", "Reason", "TookNanos")
)

// fieldsBut returns the indexes of a struct's fields but for those named.
func fieldsBut(of reflect.Type, names ...string) (list []int) {
	for i := range of.NumField() {
		if !slices.Contains(names, of.Field(i).Name) {
			list = append(list, i)
		}
	}
	return list
}

// LaterFields reports whether a record has anything in a field that no backend
// writes by hand, and whether one of its checks has.
func LaterFields(r *rollcall.RequestRecord) (record, checks bool) {
	if len(laterOfCheck) > 0 {
		checks = slices.ContainsFunc(r.Checks, func(c rollcall.RequestCheck) bool { return hasAny(&c, laterOfCheck) })
	}
	return hasAny(r, laterOfRecord), checks
}

// hasAny reports whether one of these fields of a struct is set.
func hasAny[T any](value *T, fields []int) bool {
	for _, i := range fields {
		if !reflect.ValueOf(value).Elem().Field(i).IsZero() {
			return true
		}
	}
	return false
}
