package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rollcall-server/rollcall"
)

// maxDepth is how deep arrays and objects may nest: more than any request
// needs, and far too little to exhaust a stack.
const maxDepth = 32

// A field says where decodeObject puts the member of that name. The type of to
// is the type that the member must have: *string or *int; *[]byte is a string too,
// and where it has no escapes a part of the data.
type field struct {
	name     string
	to       any
	optional bool
}

// decodeObject reads data, which must be exactly one JSON object, into fields.
//
// It is stricter than encoding/json, since a text that two parsers read
// differently is how checks are evaded (spec 6.1): names are compared with
// case; a name given twice at any depth, invalid UTF-8, a lone surrogate and
// trailing data are refused. Members that no field names are read and dropped.
//
// Every error is a rollcall.ErrParameters. It tells place and reason and never
// repeats the data, which may be the plaintext of a refused request.
func decodeObject(data []byte, fields ...field) error {
	p := parser{data: data}
	if !utf8.Valid(data) {
		return p.fail("invalid UTF-8")
	}
	var seen uint64
	err := p.document(func(name []byte) error {
		for i := range fields {
			if fields[i].name == string(name) {
				seen |= 1 << i
				return p.assign(fields[i])
			}
		}
		return p.skip(1)
	})
	if err != nil {
		return err
	}
	for i := range fields {
		if seen&(1<<i) == 0 && !fields[i].optional {
			return fmt.Errorf("%w: member %q is missing", rollcall.ErrParameters, fields[i].name)
		}
	}
	return nil
}

// onlyMember returns the value of an object that has this member and no other, and
// no space or escape: what clients usually send. It is a part of data. Where it is
// not ok, decodeObject may still find that nothing is wrong.
func onlyMember(data []byte, name string) (value []byte, ok bool) {
	const open, middle, end = `{"`, `":"`, `"}`
	around := len(open) + len(name) + len(middle)
	if len(data) < around+len(end) || string(data[:len(open)]) != open || string(data[len(open):len(open)+len(name)]) != name ||
		string(data[len(open)+len(name):around]) != middle || string(data[len(data)-len(end):]) != end {
		return nil, false
	}
	value = data[around : len(data)-len(end)]
	for _, c := range value {
		if !plain[c] {
			return nil, false
		}
	}
	return value, true
}

// plain says of each byte whether it stands for itself in a JSON string, and is
// ASCII.
var plain = func() (is [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// A parser reads one JSON text from front to back.
type parser struct {
	data []byte
	at   int
}

func (p *parser) fail(reason string) error {
	return fmt.Errorf("%w: JSON at byte %d: %s", rollcall.ErrParameters, p.at, reason)
}

// document reads the one object that is the whole text.
func (p *parser) document(member func(name []byte) error) error {
	p.space()
	if p.peek() != '{' {
		return p.fail("not an object")
	}
	if err := p.object(member); err != nil {
		return err
	}
	p.space()
	if p.at != len(p.data) {
		return p.fail("data after the object")
	}
	return nil
}

// object reads an object and calls member for each name, to read the value.
func (p *parser) object(member func(name []byte) error) error {
	var names nameSet
	return p.sequence('}', func() error {
		if p.peek() != '"' {
			return p.fail("a member's name expected")
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		if !names.add(name) {
			return p.fail("a member's name given twice")
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("colon expected")
		}
		p.at++
		p.space()
		return member(name)
	})
}

// sequence reads from an opening bracket to the closing one; item reads each of
// the things that commas part.
func (p *parser) sequence(closing byte, item func() error) error {
	p.at++
	p.space()
	if p.peek() == closing {
		p.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case closing:
			p.at++
			return nil
		case ',':
			p.at++
			p.space()
		default:
			return p.fail("comma or closing bracket expected")
		}
	}
}

// assign reads a value of the field's type into it.
func (p *parser) assign(f field) error {
	start := p.at
	var text []byte
	var err error
	switch to := f.to.(type) {
	case *string:
		if text, err = p.member(f.name); err == nil {
			*to = string(text)
		}
	case *[]byte:
		*to, err = p.member(f.name)
	case *int:
		if err = p.number(); err == nil {
			*to, err = strconv.Atoi(string(p.data[start:p.at]))
		}
		if err != nil {
			p.at = start
			return p.fail("member " + strconv.Quote(f.name) + " is not a whole number in range")
		}
	default:
		panic("wire: field of a type that decodeObject does not know")
	}
	return err
}

// member reads the string that a member of that name must be.
func (p *parser) member(name string) ([]byte, error) {
	if p.peek() != '"' {
		return nil, p.fail("member " + strconv.Quote(name) + " is not a string")
	}
	return p.str()
}

// skip reads a value of any type, depth arrays and objects deep in the text.
func (p *parser) skip(depth int) error {
	switch c := p.peek(); {
	case c == '"':
		_, err := p.str()
		return err
	case (c == '{' || c == '[') && depth >= maxDepth:
		return p.fail("nested too deep")
	case c == '{':
		return p.object(func([]byte) error { return p.skip(depth + 1) })
	case c == '[':
		return p.sequence(']', func() error { return p.skip(depth + 1) })
	case c == '-' || digit(c):
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := p.at + len(word); end <= len(p.data) && string(p.data[p.at:end]) == word {
			p.at = end
			return nil
		}
	}
	return p.fail("a value expected")
}

// number reads a number of JSON's grammar: no plus, no leading zero, no bare point.
func (p *parser) number() error {
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return p.fail("a digit expected")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return p.fail("a digit expected")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return p.fail("a digit expected")
		}
	}
	return nil
}

func (p *parser) digits() bool {
	start := p.at
	for digit(p.peek()) {
		p.at++
	}
	return p.at > start
}

// str reads a string, its opening quote being next, and undoes its escapes. One
// without escapes is a part of the data.
func (p *parser) str() ([]byte, error) {
	p.at++
	for i := p.at; i < len(p.data); i++ {
		switch c := p.data[i]; {
		case c == '"':
			s := p.data[p.at:i:i]
			p.at = i + 1
			return s, nil
		case c == '\\':
			return p.escapedStr()
		case c < ' ':
			p.at = i
			return nil, p.fail("a control character in a string")
		}
	}
	p.at = len(p.data)
	return nil, p.fail("a string does not end")
}

// escapedStr reads the rest of a string that has escapes in it.
func (p *parser) escapedStr() ([]byte, error) {
	s := []byte{}
	for p.at < len(p.data) {
		c := p.data[p.at]
		switch {
		case c == '"':
			p.at++
			return s, nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return nil, err
			}
			s = utf8.AppendRune(s, r)
		case c < ' ':
			return nil, p.fail("a control character in a string")
		default:
			s = append(s, c)
			p.at++
		}
	}
	return nil, p.fail("a string does not end")
}

var errEscape = errors.New("escape")

// escape reads one escape, a pair of surrogates being one.
func (p *parser) escape() (rune, error) {
	r, err := p.escapeUnit()
	if err == nil && utf16.IsSurrogate(r) {
		low, lowErr := p.escapeUnit()
		r, err = utf16.DecodeRune(r, low), lowErr
		if r == utf8.RuneError {
			err = errEscape
		}
	}
	if err != nil {
		return 0, p.fail("an escape that is none")
	}
	return r, nil
}

// escapeUnit reads a backslash and what it escapes: for \u one UTF-16 unit.
func (p *parser) escapeUnit() (rune, error) {
	if p.at+2 > len(p.data) || p.data[p.at] != '\\' {
		return 0, errEscape
	}
	c := p.data[p.at+1]
	p.at += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return p.hexUnit()
	}
	return 0, errEscape
}

func (p *parser) hexUnit() (rune, error) {
	var r rune
	for range 4 {
		n := unhex(p.peek())
		if n < 0 {
			return 0, errEscape
		}
		r = r<<4 | rune(n)
		p.at++
	}
	return r, nil
}

// peek returns the next byte, and 0 at the end: no valid text has a 0 byte.
func (p *parser) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *parser) space() {
	for c := p.peek(); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = p.peek() {
		p.at++
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// A nameSet holds the names of one object. It compares one by one while they
// are few and turns to a map when an attacker sends thousands.
type nameSet struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name was not there yet.
func (s *nameSet) add(name []byte) bool {
	for _, known := range s.few[:s.n] {
		if bytes.Equal(known, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	size := len(s.many)
	s.many[string(name)] = struct{}{}
	return len(s.many) > size
}
